//! `strandline stream trim` and `strandline stream erase`.

use clap::Args;
use strandline_client::Client;
use strandline_client::admin::{ErasedPartition, TrimBefore, TrimmedPartition};

use super::super::connection::refused;
use super::super::{now, position};
use super::describe;
use crate::exit::Failure;

/// Records to remove from the start of partitions.
#[derive(Debug, Args)]
pub(super) struct TrimArgs {
    /// Name of the stream
    name: String,
    /// Remove the records before this point: an offset, or time:T such as time:2026-01-31T12:00:00Z or time:90m (ago)
    #[arg(long, value_name = "POINT", value_parser = before)]
    before: TrimBefore,
    /// Partitions to trim, with commas or repeated [default: all]
    #[arg(long, value_name = "NUMBER", value_delimiter = ',')]
    partition: Vec<u32>,
}

/// Records to remove by key.
#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    /// Name of the stream
    name: String,
    /// Remove every record with this key that is stored by now
    #[arg(long, value_name = "KEY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key: String,
}

fn before(text: &str) -> Result<TrimBefore, String> {
    position::before(text, now())
}

/// Trims and says what is gone.
pub(super) async fn trim(args: &TrimArgs, client: &Client) -> Result<String, Failure> {
    let trimmed = client
        .admin()
        .trim_stream(&args.name, args.before, &args.partition)
        .await;
    let trimmed = trimmed.map_err(|error| refused(&format!("trim stream {}", args.name), &error))?;
    let row = |trimmed: &TrimmedPartition| {
        [
            trimmed.partition.to_string(),
            trimmed.start.to_string(),
            trimmed.records.to_string(),
            trimmed.bytes.to_string(),
        ]
    };
    let header = ["PARTITION", "START", "REMOVED RECORDS", "REMOVED BYTES"].map(str::to_owned);
    let rows: Vec<_> = [header].into_iter().chain(trimmed.iter().map(row)).collect();
    Ok(describe::columns(&rows))
}

/// Erases and says what is gone.
pub(super) async fn erase(args: &EraseArgs, client: &Client) -> Result<String, Failure> {
    let erased = client.admin().erase_key(&args.name, args.key.clone()).await;
    let erased = erased.map_err(|error| refused(&format!("erase a key of stream {}", args.name), &error))?;
    let records: u64 = erased.iter().map(|erased: &ErasedPartition| erased.records).sum();
    Ok(format!(
        "erased {records} records with the key {:?} from stream {}\n",
        args.key, args.name
    ))
}
