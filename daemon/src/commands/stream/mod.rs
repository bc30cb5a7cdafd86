//! `strandline stream`: streams and what is in them.

mod create;
mod describe;

use std::io::Write;

use clap::{Args, Subcommand};
use strandline_proto::api::api_client::ApiClient;
use strandline_proto::api::{
    DeleteStreamRequest, FetchMetadataRequest, FetchPartitionMetadataRequest, StreamMetadata, stream_metadata,
};
use tonic::Code;
use tonic::transport::Channel;

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
    let mut client = args.connection.connect().await?;
    let text = match args.command {
        StreamCommand::Create(create) => create::run(&create, &mut client).await?,
        StreamCommand::List(list) => {
            let streams = fetch(&mut client, None).await?;
            if list.json {
                describe::json_lines(&streams)
            } else {
                describe::table(&streams)
            }
        }
        StreamCommand::Info(info) => {
            let stream = one(&mut client, &info.name).await?;
            if info.json {
                describe::json_lines(&[stream])
            } else {
                describe::details(&stream)
            }
        }
        StreamCommand::Delete(delete) => remove(&delete, &mut client).await?,
    };
    std::io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|error| output_failure(&error))?;
    Ok(Exit::Success)
}

/// The stream of this name, each partition as its leader knows it.
pub(super) async fn one(client: &mut ApiClient<Channel>, name: &str) -> Result<StreamMetadata, Failure> {
    let found = fetch(client, Some(name)).await?.into_iter().next();
    let found = found.filter(|stream| stream.error() == stream_metadata::Error::Ok);
    let mut stream = found.ok_or_else(|| {
        Failure::new(format!(
            "there is no stream {name}; `strandline stream list` shows those there are"
        ))
    })?;
    for (&partition, metadata) in &mut stream.partitions {
        let request = FetchPartitionMetadataRequest {
            stream: name.to_owned(),
            partition,
        };
        let answer = client.fetch_partition_metadata(request).await;
        let answer = answer
            .map_err(|status| refused(&format!("describe partition {partition} of {name}"), &status))?;
        if let Some(known) = answer.into_inner().metadata {
            *metadata = known;
        }
    }
    Ok(stream)
}

/// The streams, or the one of this name, by name.
async fn fetch(client: &mut ApiClient<Channel>, name: Option<&str>) -> Result<Vec<StreamMetadata>, Failure> {
    let request = FetchMetadataRequest {
        streams: name.map(str::to_owned).into_iter().collect(),
        groups: Vec::new(),
    };
    let answer = client
        .fetch_metadata(request)
        .await
        .map_err(|status| refused("list streams", &status))?;
    let mut streams = answer.into_inner().stream_metadata;
    streams.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(streams)
}

async fn remove(args: &DeleteArgs, client: &mut ApiClient<Channel>) -> Result<String, Failure> {
    match client
        .delete_stream(DeleteStreamRequest {
            name: args.name.clone(),
        })
        .await
    {
        Ok(_) => Ok(format!("deleted stream {}\n", args.name)),
        Err(status) if status.code() == Code::NotFound && args.if_present => {
            Ok(format!("there is no stream {}\n", args.name))
        }
        Err(status) => Err(refused(&format!("delete stream {}", args.name), &status)),
    }
}
