//! `strandline archive`: streams in the archive.

mod begin_anew;
mod bucket;
mod cat;
mod check;
mod gc;
mod list;
mod mount;
mod purge;
mod restore;
mod snapshot;
mod status;
mod verify;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use strandline_broker::maintenance::archive::Depth;

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
    /// Bring back what another cluster has archived in the broker's bucket, or copy streams as they were
    Restore(restore::RestoreArgs),
    /// Keep the cluster as it is now under a name, show what is kept, or let go of it
    Snapshot(snapshot::SnapshotArgs),
    /// Delete objects that nothing refers to: of uploads that crashes or other leaders ended
    Gc(gc::GcArgs),
    /// Archive what is left on the disk of a stream whose archive is lost
    BeginAnew(begin_anew::BeginAnewArgs),
    /// Try whether archives can be kept in a bucket: permissions, and whether it keeps writers apart. Needs no broker
    Check(check::CheckArgs),
    /// List the partitions that a bucket holds archives of. Needs no broker
    List(list::ListArgs),
    /// Look whether every object of a bucket's archives is there and as long as it should be. Needs no broker
    Verify(verify::VerifyArgs),
    /// As verify, and read every byte. Needs no broker
    Scrub(verify::VerifyArgs),
    /// Delete archives of streams that are gone. Needs no broker
    Purge(purge::PurgeArgs),
    /// Print the records of an archive, straight from the bucket. Needs no broker
    Cat(Box<cat::CatArgs>),
    /// Serve the streams of a bucket read-only, straight from it. Writes nothing there, and needs no other broker
    Mount(Box<mount::MountArgs>),
}

/// Runs the command; a mount is a broker, with a runtime of its own.
pub(crate) fn start(args: ArchiveArgs) -> Result<Exit, Failure> {
    match &args.command {
        ArchiveCommand::Mount(mount) => mount::run(mount),
        _ => super::run(run(args)),
    }
}

async fn run(args: ArchiveArgs) -> Result<Exit, Failure> {
    let mut output = std::io::stdout();
    let (text, exit) = match &args.command {
        ArchiveCommand::Status(status) => (status::run(status, &args.connect().await?).await?, Exit::Success),
        ArchiveCommand::Restore(restore) => restore::run(restore, &args.connect().await?).await?,
        ArchiveCommand::Snapshot(snapshot) => snapshot::run(snapshot, &args.connect().await?).await?,
        ArchiveCommand::Gc(gc) => gc::run(gc, &args.connect().await?).await?,
        ArchiveCommand::BeginAnew(anew) => begin_anew::run(anew, &args.connect().await?).await?,
        ArchiveCommand::Purge(purge) => return purge::run(purge, &mut output).await,
        ArchiveCommand::Check(check) => check::run(check).await?,
        ArchiveCommand::List(list) => list::run(list).await?,
        ArchiveCommand::Verify(verify) => return verify::run(verify, Depth::Objects, &mut output).await,
        ArchiveCommand::Scrub(verify) => return verify::run(verify, Depth::Bytes, &mut output).await,
        ArchiveCommand::Cat(cat) => return cat::run(cat, &mut output).await,
        ArchiveCommand::Mount(_) => return Err(Failure::new("a mount is started by itself")),
    };
    output
        .write_all(text.as_bytes())
        .map_err(|error| output_failure(&error))?;
    Ok(exit)
}

impl ArchiveArgs {
    async fn connect(&self) -> Result<strandline_client::Client, Failure> {
        let token = self.admin_token_file.as_deref();
        self.connection.connect_as_admin(token).await
    }
}
