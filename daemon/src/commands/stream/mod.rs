//! `strandline stream`: streams and what is in them.

mod create;
mod describe;

use std::io::Write;

use clap::{Args, Subcommand};
use strandline_client::{Client, ErrorKind, StreamInfo};

use super::connection::{ConnectionArgs, refused};
use super::output_failure;
use crate::exit::{Exit, Failure};

/// What is said about streams.
#[derive(Debug, Args)]
pub(crate) struct StreamArgs {
    #[command(subcommand)]
    command: StreamCommand,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, Subcommand)]
enum StreamCommand {
    /// Attach a new stream to a NATS subject
    Create(Box<create::CreateArgs>),
    /// List streams
    List(ListArgs),
    /// Describe a stream and its partitions
    Info(InfoArgs),
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
    let client = args.connection.connect().await?;
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
        StreamCommand::Info(info) => {
            let stream = one(&client, &info.name).await?;
            if info.json {
                describe::json_lines(&[(info.name, stream)].into())
            } else {
                describe::details(&info.name, &stream)
            }
        }
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

async fn remove(args: &DeleteArgs, client: &Client) -> Result<String, Failure> {
    match client.delete_stream(&args.name).await {
        Ok(()) => Ok(format!("deleted stream {}\n", args.name)),
        Err(error) if error.kind() == ErrorKind::NotFound && args.if_present => {
            Ok(format!("there is no stream {}\n", args.name))
        }
        Err(error) => Err(refused(&format!("delete stream {}", args.name), &error)),
    }
}
