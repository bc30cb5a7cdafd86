//! What a stream holds, whatever filters its subscribers have.

use clap::Args;
use futures_util::StreamExt;
use strandline_client::{self as client, Client, Error, ErrorKind};

use super::record::OwnRecord;
use crate::commands::connection::refused;
use crate::commands::position::{End, Start};
use crate::commands::{now, position, stream};
use crate::exit::Failure;

/// Most records that are held at once, and most bytes of their values.
const CHUNK_RECORDS: usize = 1_000;
const CHUNK_BYTES: usize = 4 << 20;

/// A range of a stream.
#[derive(Debug, Args)]
pub(in crate::commands::plugin) struct RangeArgs {
    /// Stream to read
    pub(super) stream: String,
    /// First record: earliest, an offset, or time:T such as time:2026-01-31T12:00:00Z or time:90m (ago)
    #[arg(long, value_name = "POSITION", default_value = "earliest", value_parser = |text: &str| position::start(text, now()))]
    from: Start,
    /// Last record: latest, an offset, or time:T
    #[arg(long, value_name = "POSITION", default_value = "latest", value_parser = |text: &str| position::end(text, now()))]
    to: End,
    /// Partitions to read, with commas or repeated [default: all]
    #[arg(long = "partition", visible_alias = "partitions", short, value_name = "A,B", value_delimiter = ',', value_parser = clap::value_parser!(u32))]
    partitions: Vec<u32>,
}

/// A record and where it lies.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) partition: u32,
    pub(super) offset: u64,
    pub(super) record: OwnRecord,
}

impl RangeArgs {
    /// Reads one partition after the other, `most` records at the most, and hands them on in chunks.
    ///
    /// # Errors
    ///
    /// There is no such stream, or it cannot be read; or what `take` fails with.
    pub(super) async fn read(
        &self,
        client: &Client,
        most: u64,
        mut take: impl FnMut(Vec<Stored>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut left = most;
        for partition in self.partitions(client).await? {
            self.read_partition(client, partition, &mut left, &mut take)
                .await?;
        }
        Ok(())
    }

    async fn partitions(&self, client: &Client) -> Result<Vec<u32>, Failure> {
        let known = stream::one(client, &self.stream).await?;
        let mut partitions = self.partitions.clone();
        if partitions.is_empty() {
            partitions.extend(known.partitions.into_keys());
        }
        partitions.sort_unstable();
        partitions.dedup();
        Ok(partitions)
    }

    async fn read_partition(
        &self,
        client: &Client,
        partition: u32,
        left: &mut u64,
        take: &mut impl FnMut(Vec<Stored>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let failed =
            |error: Error| refused(&format!("read partition {partition} of {}", self.stream), &error);
        let subscription = client
            .subscribe(&self.stream)
            .partition(partition)
            .start(self.from.into())
            .stop(self.to.into())
            .unfiltered();
        let mut records = match subscription.open().await {
            Ok(records) => records,
            Err(error) if self.is_ahead(&error) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let mut chunk = Chunk::default();
        while *left > 0
            && let Some(record) = records.next().await
        {
            *left -= 1;
            chunk.push(&record.map_err(failed)?);
            if chunk.is_full() {
                take(std::mem::take(&mut chunk).records)?;
            }
        }
        take(chunk.records)
    }

    /// Whether the first record is yet to come.
    fn is_ahead(&self, error: &Error) -> bool {
        self.to == End::Latest
            && error.kind() == ErrorKind::InvalidRequest
            && error.to_string().contains("before start offset")
    }
}

#[derive(Default)]
struct Chunk {
    records: Vec<Stored>,
    bytes: usize,
}

impl Chunk {
    fn push(&mut self, record: &client::Record) {
        self.bytes += record.value.len();
        self.records.push(Stored {
            partition: record.partition,
            offset: record.offset,
            record: OwnRecord::of(record),
        });
    }

    fn is_full(&self) -> bool {
        self.records.len() >= CHUNK_RECORDS || self.bytes >= CHUNK_BYTES
    }
}
