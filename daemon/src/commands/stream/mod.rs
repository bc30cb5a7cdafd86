//! `strandline stream`: streams and what is in them.

mod create;
mod describe;
mod remove;
mod set;
mod stored;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use strandline_client::admin::StreamDescription;
use strandline_client::{Client, ErrorKind, StreamInfo};

use super::connection::{ConnectionArgs, refused};
use super::output_failure;
use crate::exit::{Exit, Failure};

pub(crate) use create::BackendWord;
pub(super) use describe::columns;

/// What is said about streams.
#[derive(Debug, Args)]
pub(crate) struct StreamArgs {
    #[command(subcommand)]
    command: StreamCommand,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Send the token in this file to a broker that wants one to change streams [default: STRANDLINE_ADMIN_TOKEN]
    #[arg(long, value_name = "FILE", global = true)]
    admin_token_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum StreamCommand {
    /// Attach a new stream to a NATS subject
    Create(Box<create::CreateArgs>),
    /// List streams
    List(ListArgs),
    /// Describe a stream, its partitions and, to who may change it, its settings and sizes
    Info(InfoArgs),
    /// Change settings of a stream while it is served
    Set(Box<set::SetArgs>),
    /// Remove the records before an offset or a time
    Trim(remove::TrimArgs),
    /// Remove every record with a key
    Erase(remove::EraseArgs),
    /// Delete a stream with everything in it
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct InfoArgs {
    /// Name of the stream
    name: String,
    /// Show the segments of each partition
    #[arg(long)]
    segments: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DeleteArgs {
    /// Name of the stream
    name: String,
    /// Succeed if there is no such stream
    #[arg(long)]
    if_present: bool,
}

/// Runs the command.
pub(crate) async fn run(args: StreamArgs) -> Result<Exit, Failure> {
    let client = args
        .connection
        .connect_as_admin(args.admin_token_file.as_deref())
        .await?;
    let text = match args.command {
        StreamCommand::Create(create) => create::run(&create, &client).await?,
        StreamCommand::List(list) => {
            let metadata = client
                .metadata()
                .await
                .map_err(|error| refused("list streams", &error))?;
            if list.json {
                describe::json_lines(&metadata.streams)
            } else {
                describe::table(&metadata.streams)
            }
        }
        StreamCommand::Info(info) => describe_one(&info, &client).await?,
        StreamCommand::Set(set) => set::run(*set, &client).await?,
        StreamCommand::Trim(trim) => remove::trim(&trim, &client).await?,
        StreamCommand::Erase(erase) => remove::erase(&erase, &client).await?,
        StreamCommand::Delete(delete) => remove(&delete, &client).await?,
    };
    std::io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|error| output_failure(&error))?;
    Ok(Exit::Success)
}

/// The stream of this name, each partition as its leader knows it.
pub(super) async fn one(client: &Client, name: &str) -> Result<StreamInfo, Failure> {
    let found = client.stream(name).await;
    let found = found.map_err(|error| refused(&format!("describe stream {name}"), &error))?;
    found.ok_or_else(|| {
        Failure::new(format!(
            "there is no stream {name}; `strandline stream list` shows those there are"
        ))
    })
}

async fn describe_one(args: &InfoArgs, client: &Client) -> Result<String, Failure> {
    let stream = one(client, &args.name).await?;
    let stored = stored(args, client).await?;
    if args.json {
        return Ok(describe::json_object(&args.name, &stream, stored.as_ref()));
    }
    let mut text = describe::details(&args.name, &stream);
    if let Some(stored) = &stored {
        text.push_str(&stored::text(stored));
    }
    Ok(text)
}

/// What only the administration tells. Who may not ask for it sees the rest, unless it is what was asked for.
async fn stored(args: &InfoArgs, client: &Client) -> Result<Option<StreamDescription>, Failure> {
    match client.admin().describe_stream(&args.name, args.segments).await {
        Ok(description) => Ok(Some(description)),
        Err(error)
            if !args.segments
                && matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) =>
        {
            Ok(None)
        }
        Err(error) => Err(refused(&format!("describe stream {}", args.name), &error)),
    }
}

async fn remove(args: &DeleteArgs, client: &Client) -> Result<String, Failure> {
    match client.delete_stream(&args.name).await {
        Ok(()) => Ok(format!("deleted stream {}\n", args.name)),
        Err(error) if error.kind() == ErrorKind::NotFound && args.if_present => {
            Ok(format!("there is no stream {}\n", args.name))
        }
        Err(error) => Err(refused(&format!("delete stream {}", args.name), &error)),
    }
}
