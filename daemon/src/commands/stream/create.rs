//! `strandline stream create`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use strandline_proto::api::api_client::ApiClient;
use strandline_proto::api::{CreateStreamRequest, NullableBool, NullableInt64};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request};

use super::super::connection::refused;
use crate::config::parse_duration;
use crate::exit::Failure;

/// The request metadata that carries what the request has no field for.
const DURABILITY_METADATA: &str = "strandline-durability";

/// A new stream. What is left out follows the broker's configuration.
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Name of the stream
    name: String,
    /// NATS subject to record, wildcards allowed [default: the name]
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Partitions; partition N > 0 records SUBJECT.N
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    partitions: i32,
    /// Share the subject's messages with the other streams of this group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Copies of each partition
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1,
        allow_negative_numbers = true
    )]
    replication_factor: i32,
    /// Bytes to keep per partition; 0 = all
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(i64).range(0..))]
    retention_max_bytes: Option<i64>,
    /// Records to keep per partition; 0 = all
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
    retention_max_messages: Option<i64>,
    /// Age to keep; 0 = any
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    retention_max_age: Option<Duration>,
    /// Size at which a segment is sealed
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(i64).range(1..))]
    segment_max_bytes: Option<i64>,
    /// Age at which a segment is sealed; 0 = by size only
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    segment_max_age: Option<Duration>,
    /// Check the offset that publishers expect
    #[arg(long)]
    concurrency_control: bool,
    /// When a record counts as stored
    #[arg(long, value_enum)]
    durability: Option<Durability>,
    /// Succeed if there is a stream of this name already
    #[arg(long)]
    if_missing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Durability {
    /// Once it survives power loss
    Fsync,
    /// Once the operating system has it
    Os,
}

/// Creates the stream and says so.
pub(super) async fn run(args: &CreateArgs, client: &mut ApiClient<Channel>) -> Result<String, Failure> {
    let subject = args.subject.as_deref().unwrap_or(&args.name);
    match client.create_stream(request(args, subject)).await {
        Ok(_) => Ok(format!("created stream {} on subject {subject}\n", args.name)),
        Err(status) if status.code() == Code::AlreadyExists && args.if_missing => {
            Ok(format!("stream {} exists\n", args.name))
        }
        Err(status) if status.code() == Code::AlreadyExists => Err(Failure::new(format!(
            "cannot create stream {}: it exists already",
            args.name
        ))),
        Err(status) => Err(refused(&format!("create stream {}", args.name), &status)),
    }
}

fn request(args: &CreateArgs, subject: &str) -> Request<CreateStreamRequest> {
    let number = |value: Option<i64>| value.map(|value| NullableInt64 { value });
    let span = |value: Option<Duration>| {
        number(value.map(|span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    };
    let mut request = Request::new(CreateStreamRequest {
        subject: subject.to_owned(),
        name: args.name.clone(),
        group: args.group.clone().unwrap_or_default(),
        replication_factor: args.replication_factor,
        partitions: args.partitions,
        retention_max_bytes: number(args.retention_max_bytes),
        retention_max_messages: number(args.retention_max_messages),
        retention_max_age: span(args.retention_max_age),
        segment_max_bytes: number(args.segment_max_bytes),
        segment_max_age: span(args.segment_max_age),
        optimistic_concurrency_control: args.concurrency_control.then_some(NullableBool { value: true }),
        ..CreateStreamRequest::default()
    });
    if let Some(durability) = args.durability {
        let word = match durability {
            Durability::Fsync => "fsync",
            Durability::Os => "os",
        };
        request
            .metadata_mut()
            .insert(DURABILITY_METADATA, MetadataValue::from_static(word));
    }
    request
}
