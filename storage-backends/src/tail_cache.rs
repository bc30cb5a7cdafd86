//! The newest records of a log, in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use parking_lot::Mutex;

use strandline_core::record::Batch;
use strandline_core::storage::{
    AppendError, Commit, EpochEnd, Log, LogSettings, ReadError, ReadLimit, Role, Run, SegmentSummary,
    StorageError,
};
use strandline_core::{LeaderEpoch, LogId, Offset, OffsetRange, Timestamp};

/// A batch of at least this size is handed out alone, without a copy.
const COPY_MAX_BYTES: usize = 32 << 10;

/// Wraps a log and keeps what was appended last, so that readers who follow the end never touch the disk.
///
/// Holds only what was appended through it since it was made, up to a limit in bytes.
#[derive(Debug)]
pub struct TailCache {
    log: Arc<dyn Log>,
    max_bytes: usize,
    tail: Mutex<Tail>,
}

#[derive(Debug, Default)]
struct Tail {
    batches: VecDeque<Batch>,
    bytes: usize,
}

impl TailCache {
    /// Wraps a log; keeps up to `max_bytes` of batches.
    pub fn new(log: Arc<dyn Log>, max_bytes: usize) -> Self {
        Self {
            log,
            max_bytes,
            tail: Mutex::default(),
        }
    }

    /// As [`Log::read`], if the batch that holds `from` is in memory; never blocks on the disk.
    pub fn read_cached(&self, from: Offset, limit: ReadLimit) -> Option<Run> {
        let tail = self.tail.lock();
        if tail.batches.front()?.header().base > from {
            return None;
        }
        let first = tail.batches.partition_point(|batch| batch.header().end() <= from);
        let wanted = tail
            .batches
            .iter()
            .skip(first)
            .take_while(|batch| batch.header().base < limit.end);
        let mut run: Vec<Batch> = Vec::new();
        let mut bytes = 0;
        for batch in wanted {
            let length = batch.bytes().len();
            if bytes > 0 && (bytes + length > limit.max_bytes || length > COPY_MAX_BYTES) {
                break;
            }
            bytes += length;
            run.push(batch.clone());
            if length > COPY_MAX_BYTES {
                break;
            }
        }
        drop(tail);
        let next = run.last()?.header().end();
        if let [only] = run.as_slice() {
            return Some(Run {
                bytes: only.bytes().clone(),
                next,
            });
        }
        let mut joined = BytesMut::with_capacity(bytes);
        for batch in &run {
            joined.extend_from_slice(batch.bytes());
        }
        Some(Run {
            bytes: joined.freeze(),
            next,
        })
    }

    fn keep(&self, batches: &[Batch]) {
        let mut tail = self.tail.lock();
        for batch in batches {
            tail.bytes += batch.bytes().len();
            tail.batches.push_back(batch.clone());
        }
        while tail.bytes > self.max_bytes
            && let Some(oldest) = tail.batches.pop_front()
        {
            tail.bytes -= oldest.bytes().len();
        }
    }

    fn forget(&self) {
        *self.tail.lock() = Tail::default();
    }
}

impl Log for TailCache {
    fn id(&self) -> LogId {
        self.log.id()
    }

    fn settings(&self) -> LogSettings {
        self.log.settings()
    }

    fn set_settings(&self, settings: &LogSettings) -> Result<(), StorageError> {
        self.log.set_settings(settings)
    }

    fn start(&self) -> Offset {
        self.log.start()
    }

    fn end(&self) -> Offset {
        self.log.end()
    }

    fn durable_end(&self) -> Offset {
        self.log.durable_end()
    }

    fn last_time(&self) -> Option<Timestamp> {
        self.log.last_time()
    }

    fn append(&self, batches: &[Batch]) -> Result<Commit, AppendError> {
        let commit = self.log.append(batches)?;
        self.keep(batches);
        Ok(commit)
    }

    fn read(&self, from: Offset, limit: ReadLimit) -> Result<Run, ReadError> {
        self.log.read(from, limit)
    }

    fn read_before(&self, before: Offset) -> Result<Option<Batch>, ReadError> {
        self.log.read_before(before)
    }

    fn offset_at(&self, time: Timestamp) -> Result<Offset, ReadError> {
        self.log.offset_at(time)
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.log.last_epoch()
    }

    fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.log.epoch_end(epoch)
    }

    fn truncate(&self, end: Offset) -> Result<(), StorageError> {
        // Forgotten on both sides: a reader in between must not put back what goes.
        self.forget();
        let result = self.log.truncate(end);
        self.forget();
        result
    }

    fn reset(&self, offset: Offset) -> Result<(), StorageError> {
        self.forget();
        let result = self.log.reset(offset);
        self.forget();
        result
    }

    fn segments(&self) -> Vec<SegmentSummary> {
        self.log.segments()
    }

    fn roll(&self) -> Result<(), StorageError> {
        self.log.roll()
    }

    fn roll_if_due(&self, now: Timestamp) -> Result<(), StorageError> {
        self.log.roll_if_due(now)
    }

    fn remove_before(&self, offset: Offset) -> Result<(), StorageError> {
        let result = self.log.remove_before(offset);
        self.drop_below(self.log.start());
        result
    }

    fn replace_sealed(
        &self,
        range: OffsetRange,
        batches: &mut dyn Iterator<Item = Batch>,
    ) -> Result<(), StorageError> {
        let result = self.log.replace_sealed(range, batches);
        self.drop_below(range.end);
        result
    }

    fn set_role(&self, role: Role, epoch: LeaderEpoch, committed_end: Offset) {
        self.log.set_role(role, epoch, committed_end);
    }

    fn close(&self) -> Result<(), StorageError> {
        self.forget();
        self.log.close()
    }
}

impl TailCache {
    fn drop_below(&self, offset: Offset) {
        let mut tail = self.tail.lock();
        while tail
            .batches
            .front()
            .is_some_and(|batch| batch.header().base < offset)
            && let Some(oldest) = tail.batches.pop_front()
        {
            tail.bytes -= oldest.bytes().len();
        }
    }
}
