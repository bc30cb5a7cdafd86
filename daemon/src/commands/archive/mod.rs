//! `strandline archive`: streams in the archive.

mod restore;
mod status;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::connection::ConnectionArgs;
use super::output_failure;
use crate::exit::{Exit, Failure};

/// What is asked about the archive.
#[derive(Debug, Args)]
pub(crate) struct ArchiveArgs {
    #[command(subcommand)]
    command: ArchiveCommand,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Send the token in this file to a broker that wants one to tell [default: STRANDLINE_ADMIN_TOKEN]
    #[arg(long, value_name = "FILE", global = true)]
    admin_token_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum ArchiveCommand {
    /// Show how far each partition is archived, and what keeps it from it
    Status(status::StatusArgs),
    /// Bring back what another cluster has archived in the broker's bucket
    Restore(restore::RestoreArgs),
}

/// Runs the command.
pub(crate) async fn run(args: ArchiveArgs) -> Result<Exit, Failure> {
    let client = args
        .connection
        .connect_as_admin(args.admin_token_file.as_deref())
        .await?;
    let (text, exit) = match args.command {
        ArchiveCommand::Status(status) => (status::run(&status, &client).await?, Exit::Success),
        ArchiveCommand::Restore(restore) => restore::run(&restore, &client).await?,
    };
    std::io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|error| output_failure(&error))?;
    Ok(exit)
}
