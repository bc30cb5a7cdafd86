//! Follows a partition from oldest to newest.

use std::sync::Arc;

use tokio::sync::watch;

use strandline_codec::{UnpackError, Unpacked};
use strandline_core::Offset;
use strandline_core::storage::{Log, ReadError, ReadLimit, Run};

use super::plan::Plan;
use super::{OnTrimmed, ReadEnd, fetched};
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
            let Some(limit) = self.limit()? else {
                self.changed().await?;
                continue;
            };
            match self.read(limit).await {
                // No thread is held meanwhile.
                Err(ReadError::Fetching(fetch)) => fetched(&self.partition, fetch).await?,
                run => {
                    if let Some(records) = self.took(run, limit.end)? {
                        return Ok(records);
                    }
                }
            }
        }
    }

    /// The next records if there are any now. May wait for the disk; what has to be fetched is none of "now".
    ///
    /// # Errors
    ///
    /// The subscription is over.
    pub(crate) fn next_at_once(&mut self) -> Result<Option<Records>, ReadEnd> {
        while let Some(limit) = self.limit()? {
            match self.read_here(limit) {
                Err(ReadError::Fetching(_)) => return Ok(None),
                run => {
                    if let Some(records) = self.took(run, limit.end)? {
                        return Ok(Some(records));
                    }
                }
            }
        }
        Ok(None)
    }

    /// How far can be read now; none if it has to be waited for more.
    fn limit(&mut self) -> Result<Option<ReadLimit>, ReadEnd> {
        if self.stop.is_some_and(|stop| self.next > stop) {
            return Err(ReadEnd::StopReached);
        }
        let readable = *self.watch.borrow_and_update();
        match readable.state {
            ReadState::Open => {}
            ReadState::Deleted => return Err(ReadEnd::Deleted),
            ReadState::Stopping => return Err(ReadEnd::Stopping),
        }
        let end = self
            .stop
            .map_or(readable.end, |stop| readable.end.min(stop.plus(1)));
        Ok((self.next < end).then_some(ReadLimit {
            end,
            max_bytes: STEP_MAX_BYTES,
        }))
    }

    async fn changed(&mut self) -> Result<(), ReadEnd> {
        self.watch.changed().await.map_err(|_| ReadEnd::Stopping)
    }

    /// Moves on behind what was read; none where nothing is left to be read below `end`, and where retention was faster.
    fn took(&mut self, read: Result<Run, ReadError>, end: Offset) -> Result<Option<Records>, ReadEnd> {
        match read {
            Ok(run) if run.bytes.is_empty() => {
                // The stop offset was compacted away, or lies before the next record.
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
    async fn read(&mut self, limit: ReadLimit) -> Result<Run, ReadError> {
        let packed = std::mem::replace(&mut self.packed, Ok(Run::default()))?;
        if let Some(run) = self.read_cached(&packed, limit) {
            return Ok(run);
        }
        let (partition, from) = (Arc::clone(&self.partition), self.next);
        let read = tokio::task::spawn_blocking(move || unpacked(&partition, packed, from, limit));
        let Unpacked { run, rest } = read.await.unwrap_or(Err(ReadError::Closed))?;
        self.packed = rest;
        Ok(run)
    }

    /// The same on this thread.
    fn read_here(&mut self, limit: ReadLimit) -> Result<Run, ReadError> {
        let packed = std::mem::replace(&mut self.packed, Ok(Run::default()))?;
        if let Some(run) = self.read_cached(&packed, limit) {
            return Ok(run);
        }
        let Unpacked { run, rest } = unpacked(&self.partition, packed, self.next, limit)?;
        self.packed = rest;
        Ok(run)
    }

    fn read_cached(&self, packed: &Run, limit: ReadLimit) -> Option<Run> {
        if !packed.bytes.is_empty() {
            return None;
        }
        let readers = &self.partition.metrics().readers;
        let run = self.partition.log().read_cached(self.next, limit);
        let counter = if run.is_some() {
            &readers.cache_hits
        } else {
            &readers.cache_misses
        };
        counter.add(1);
        run
    }
}

/// Unpacks what was read before, or else what the log has from here on.
fn unpacked(
    partition: &PartitionHandle,
    mut packed: Run,
    from: Offset,
    limit: ReadLimit,
) -> Result<Unpacked, ReadError> {
    if packed.bytes.is_empty() {
        packed = partition.log().read(from, limit)?;
    }
    Ok(partition
        .info()
        .packing
        .unpacker()
        .unpack_run(packed, limit.max_bytes)?)
}
