//! Follows a partition from oldest to newest.

use std::sync::Arc;

use tokio::sync::watch;

use strandline_codec::{UnpackError, Unpacked};
use strandline_core::Offset;
use strandline_core::storage::{Log, ReadError, ReadLimit, Run};

use super::plan::Plan;
use super::{OnTrimmed, ReadEnd};
use crate::partition::{PartitionHandle, ReadState, Readable};

/// Bytes that one step reads at the most, unless a single batch is larger.
const STEP_MAX_BYTES: usize = 512 << 10;

/// A position that moves with the log. Nothing is kept of it when it is dropped.
#[derive(Debug)]
pub(crate) struct ForwardReader {
    partition: Arc<PartitionHandle>,
    watch: watch::Receiver<Readable>,
    next: Offset,
    stop: Option<Offset>,
    on_trimmed: OnTrimmed,
    /// Batches from `next` on that were read and are still packed: unpacked they would have been more than a step. Or why the
    /// next one cannot be unpacked.
    packed: Result<Run, UnpackError>,
}

/// Batches, of which the records from `from` up to, not including, `end` are to be delivered.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) run: Run,
    pub(crate) from: Offset,
    pub(crate) end: Offset,
}

impl ForwardReader {
    pub(crate) fn new(partition: Arc<PartitionHandle>, plan: Plan) -> Self {
        let watch = partition.watch();
        Self {
            partition,
            watch,
            next: plan.start,
            stop: plan.stop,
            on_trimmed: plan.on_trimmed,
            packed: Ok(Run::default()),
        }
    }

    /// The next records, once there are any.
    ///
    /// Cancel safety: a cancelled call delivers its records again next time.
    ///
    /// # Errors
    ///
    /// The subscription is over.
    pub(crate) async fn next(&mut self) -> Result<Records, ReadEnd> {
        loop {
            if self.stop.is_some_and(|stop| self.next > stop) {
                return Err(ReadEnd::StopReached);
            }
            let readable = *self.watch.borrow_and_update();
            match readable.state {
                ReadState::Open => {}
                ReadState::Deleted => return Err(ReadEnd::Deleted),
                ReadState::Stopping => return Err(ReadEnd::Stopping),
            }
            if self.next < readable.end {
                if let Some(records) = self.read(readable.end).await? {
                    return Ok(records);
                }
                continue;
            }
            if self.watch.changed().await.is_err() {
                return Err(ReadEnd::Stopping);
            }
        }
    }

    async fn read(&mut self, committed_end: Offset) -> Result<Option<Records>, ReadEnd> {
        let end = self
            .stop
            .map_or(committed_end, |stop| committed_end.min(stop.plus(1)));
        if self.next >= end {
            // The stop offset was compacted away, or lies before the next record.
            return Ok(None);
        }
        let limit = ReadLimit {
            end,
            max_bytes: STEP_MAX_BYTES,
        };
        match self.read_run(limit).await {
            Ok(run) if run.bytes.is_empty() => {
                self.next = end;
                Ok(None)
            }
            Ok(run) => {
                let from = std::mem::replace(&mut self.next, run.next.min(end));
                let readers = &self.partition.metrics().readers;
                readers.records.add(self.next.since(from));
                readers.bytes.add(run.bytes.len() as u64);
                Ok(Some(Records { run, from, end }))
            }
            Err(ReadError::Trimmed { start }) if self.on_trimmed == OnTrimmed::Error => {
                Err(ReadEnd::Trimmed {
                    wanted: self.next,
                    start,
                })
            }
            Err(ReadError::Trimmed { start }) if start > self.next => {
                // Retention was faster; the subscription goes on at the oldest record that is kept.
                self.next = start;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads from memory where a tailing reader finds its records, else on a thread that may wait for the disk and unpacks.
    async fn read_run(&mut self, limit: ReadLimit) -> Result<Run, ReadError> {
        let mut packed = std::mem::replace(&mut self.packed, Ok(Run::default()))?;
        if packed.bytes.is_empty() {
            let readers = &self.partition.metrics().readers;
            if let Some(run) = self.partition.log().read_cached(self.next, limit) {
                readers.cache_hits.add(1);
                return Ok(run);
            }
            readers.cache_misses.add(1);
        }
        let (partition, from) = (Arc::clone(&self.partition), self.next);
        let read = tokio::task::spawn_blocking(move || {
            if packed.bytes.is_empty() {
                packed = partition.log().read(from, limit)?;
            }
            let unpacker = partition.info().packing.unpacker();
            Ok(unpacker.unpack_run(packed, limit.max_bytes)?)
        });
        let Unpacked { run, rest } = read.await.unwrap_or(Err(ReadError::Closed))?;
        self.packed = rest;
        Ok(run)
    }
}
