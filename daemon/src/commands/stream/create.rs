//! `strandline stream create`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use strandline_client::{Backend, Client, Compression, Durability, ErrorKind, StreamConfig};

use super::super::connection::refused;
use crate::config::parse_duration;
use crate::exit::Failure;

/// A new stream. What is left out follows the broker's configuration.
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Name of the stream
    name: String,
    /// NATS subject to record, wildcards allowed [default: the name]
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Partitions; partition N > 0 records SUBJECT.N
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    partitions: u32,
    /// Share the subject's messages with the other streams of this group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Copies of each partition; -1 = one on every broker
    #[arg(long, value_name = "NUMBER", default_value_t = 1, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1..))]
    replication_factor: i32,
    /// Bytes to keep per partition; 0 = all
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64))]
    retention_max_bytes: Option<u64>,
    /// Records to keep per partition; 0 = all
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64))]
    retention_max_messages: Option<u64>,
    /// Age to keep; 0 = any
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    retention_max_age: Option<Duration>,
    /// Size at which a segment is sealed
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    segment_max_bytes: Option<u64>,
    /// Age at which a segment is sealed; 0 = by size only
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    segment_max_age: Option<Duration>,
    /// Keep the newest record of each key
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    compact: Option<bool>,
    /// Time for which tombstones (a key with an empty value) stay
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    compact_tombstone_grace: Option<Duration>,
    /// Age below which records are not compacted
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    compact_min_lag: Option<Duration>,
    /// Share of the log that is not compacted yet, in percent, below which it is left alone
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    compact_min_dirty_percent: Option<u8>,
    /// Partitions of the stream that are compacted at the same time, at the most
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    compact_max_workers: Option<u32>,
    /// Check the offset that publishers expect
    #[arg(long)]
    concurrency_control: bool,
    /// When a record counts as stored
    #[arg(long, value_enum)]
    durability: Option<DurabilityWord>,
    /// Storage engine that keeps the stream, for good
    #[arg(long, value_enum)]
    backend: Option<BackendWord>,
    /// How records are compressed on disk
    #[arg(long, value_enum)]
    compression: Option<CompressionWord>,
    /// Encrypt records on disk; the broker needs a master key [default: as the broker is configured]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    encryption: Option<bool>,
    /// Move sealed segments to the broker's archive [default: as the broker is configured]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    archive: Option<bool>,
    /// Succeed if there is a stream of this name already
    #[arg(long)]
    if_missing: bool,
}

/// A storage engine on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendWord {
    /// Append-only segment files
    Segment,
    /// An embedded database, one file for all of the broker's streams on it; always syncs
    Redb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DurabilityWord {
    /// Once it survives power loss
    Fsync,
    /// Once the operating system has it
    Os,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CompressionWord {
    /// Not at all
    None,
    /// Fast
    Lz4,
    /// Small
    Zstd,
}

/// Creates the stream and says so.
pub(super) async fn run(args: &CreateArgs, client: &Client) -> Result<String, Failure> {
    let subject = args.subject.as_deref().unwrap_or(&args.name);
    match client.create_stream(config(args, subject)).await {
        Ok(()) => Ok(format!("created stream {} on subject {subject}\n", args.name)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && args.if_missing => {
            let found = client.stream(&args.name).await;
            let found = found.map_err(|error| refused(&format!("describe stream {}", args.name), &error))?;
            let subject = found.map_or_else(String::new, |stream| format!(" on subject {}", stream.subject));
            Ok(format!("stream {} exists{subject}\n", args.name))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Failure::new(format!(
            "cannot create stream {}: it exists already",
            args.name
        ))),
        Err(error) => Err(refused(&format!("create stream {}", args.name), &error)),
    }
}

fn config(args: &CreateArgs, subject: &str) -> StreamConfig {
    let config = StreamConfig::new(&args.name, subject).partitions(args.partitions);
    let control = args.concurrency_control.then_some(true);
    let config = with(config, control, StreamConfig::concurrency_control);
    let config = match u32::try_from(args.replication_factor) {
        Ok(copies) => config.replication_factor(copies),
        Err(_) => config.replicate_everywhere(),
    };
    let config = with(config, args.group.clone(), StreamConfig::group);
    let config = with(
        config,
        args.retention_max_bytes,
        StreamConfig::retention_max_bytes,
    );
    let config = with(
        config,
        args.retention_max_messages,
        StreamConfig::retention_max_messages,
    );
    let config = with(config, args.retention_max_age, StreamConfig::retention_max_age);
    let config = with(config, args.segment_max_bytes, StreamConfig::segment_max_bytes);
    let config = with(config, args.segment_max_age, StreamConfig::segment_max_age);
    let config = with(config, args.backend.map(Into::into), StreamConfig::backend);
    let config = with(
        config,
        args.compression.map(Into::into),
        StreamConfig::compression,
    );
    let config = with(config, args.encryption, StreamConfig::encryption);
    let config = with(config, args.archive, StreamConfig::archive);
    let config = compaction(args, config);
    with(config, args.durability.map(Into::into), StreamConfig::durability)
}

fn compaction(args: &CreateArgs, config: StreamConfig) -> StreamConfig {
    let config = with(config, args.compact, StreamConfig::compact);
    let config = with(
        config,
        args.compact_tombstone_grace,
        StreamConfig::compact_tombstone_grace,
    );
    let config = with(config, args.compact_min_lag, StreamConfig::compact_min_lag);
    let config = with(
        config,
        args.compact_min_dirty_percent,
        StreamConfig::compact_min_dirty_percent,
    );
    with(
        config,
        args.compact_max_workers,
        StreamConfig::compact_max_workers,
    )
}

/// Sets what was said; the rest follows the broker's configuration.
fn with<T>(config: StreamConfig, value: Option<T>, set: fn(StreamConfig, T) -> StreamConfig) -> StreamConfig {
    match value {
        Some(value) => set(config, value),
        None => config,
    }
}

impl From<BackendWord> for Backend {
    fn from(word: BackendWord) -> Self {
        match word {
            BackendWord::Segment => Self::Segment,
            BackendWord::Redb => Self::Redb,
        }
    }
}

impl From<DurabilityWord> for Durability {
    fn from(word: DurabilityWord) -> Self {
        match word {
            DurabilityWord::Fsync => Self::Fsync,
            DurabilityWord::Os => Self::Os,
        }
    }
}

impl From<CompressionWord> for Compression {
    fn from(word: CompressionWord) -> Self {
        match word {
            CompressionWord::None => Self::None,
            CompressionWord::Lz4 => Self::Lz4,
            CompressionWord::Zstd => Self::Zstd,
        }
    }
}
