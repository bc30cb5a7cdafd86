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

use crate::tail_memory::{SharedTail, TailMemory};

/// A batch of at least this size is handed out alone, without a copy.
const COPY_MAX_BYTES: usize = 32 << 10;

/// Wraps a log and keeps what was appended last, so that readers who follow the end never touch the disk.
///
/// Holds only what was appended through it since it was made, up to a limit in bytes of its own and one that it shares with
/// others.
#[derive(Debug)]
pub struct TailCache {
    log: Arc<dyn Log>,
    max_bytes: usize,
    /// Held from before a batch is in the log until it is in the tail, too: whoever takes records out of the log waits for
    /// it, so that none comes back through the tail.
    appending: Mutex<()>,
    shared: SharedTail,
}

/// What is in memory of one log.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    batches: VecDeque<Batch>,
    bytes: usize,
    /// Whether the shared memory knows that something is here.
    is_holder: bool,
    /// Whether it was used since the shared memory looked.
    was_used: bool,
}

impl Tail {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the shared memory has to be told of it. Said once, until it is emptied by that.
    pub(crate) fn is_new_holder(&mut self) -> bool {
        self.bytes > 0 && !std::mem::replace(&mut self.is_holder, true)
    }

    pub(crate) fn is_used_again(&mut self) -> bool {
        std::mem::take(&mut self.was_used)
    }

    /// Lets go of everything; returns the bytes that were there.
    pub(crate) fn empty(&mut self) -> usize {
        std::mem::take(self).bytes
    }

    fn push(&mut self, batch: &Batch) {
        self.bytes += batch.bytes().len();
        self.batches.push_back(batch.clone());
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.batches.pop_front() {
            self.bytes -= oldest.bytes().len();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.batches.clear();
        self.bytes = 0;
    }
}

impl TailCache {
    /// Wraps a log; keeps up to `max_bytes` of batches.
    pub fn new(log: Arc<dyn Log>, max_bytes: usize) -> Self {
        Self::sharing(log, max_bytes, Arc::default())
    }

    /// Wraps a log; keeps up to `max_bytes` of batches as long as the memory that is shared has room for them.
    pub fn sharing(log: Arc<dyn Log>, max_bytes: usize, memory: Arc<TailMemory>) -> Self {
        Self {
            log,
            max_bytes,
            appending: Mutex::default(),
            shared: SharedTail::new(memory),
        }
    }

    /// As [`Log::read`], if the batch that holds `from` is in memory; never blocks on the disk. What was packed comes plain
    /// from here.
    pub fn read_cached(&self, from: Offset, limit: ReadLimit) -> Option<Run> {
        let mut tail = self.shared.tail.lock();
        if tail.batches.front()?.header().base > from {
            return None;
        }
        tail.was_used = true;
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

    /// As [`Log::append`] of packed batches, of which it keeps the plain form, so that readers who follow the end need not
    /// unpack.
    ///
    /// # Errors
    ///
    /// As [`Log::append`].
    pub fn append_packed(&self, packed: &[Batch], plain: &[Batch]) -> Result<Commit, AppendError> {
        let _appending = self.appending.lock();
        let commit = self.log.append(packed)?;
        self.keep(plain);
        Ok(commit)
    }

    fn keep(&self, batches: &[Batch]) {
        self.shared.change(|tail| {
            tail.was_used = true;
            batches.iter().for_each(|batch| tail.push(batch));
            while tail.bytes > self.max_bytes {
                tail.drop_oldest();
            }
        });
    }

    fn forget(&self) {
        self.shared.change(Tail::clear);
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
        let _appending = self.appending.lock();
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
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
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
        drop(self.appending.lock());
        self.shared.change(|tail| {
            let is_below = |batch: &Batch| batch.header().base < offset;
            while tail.batches.front().is_some_and(is_below) {
                tail.drop_oldest();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use strandline_core::storage::Factory;

    use super::*;
    use crate::{MemoryFactory, SystemDisk};

    const VALUE_BYTES: usize = 1000;

    fn batch(offset: u64) -> Batch {
        use strandline_core::record::{BatchBuilder, Fields, RecordIter, append_record};
        let mut records = BytesMut::new();
        let fields = Fields {
            key: None,
            value: &[7; VALUE_BYTES],
            subject: "s",
            reply: "",
        };
        append_record(&mut records, &fields, []).unwrap();
        let mut builder = BatchBuilder::new();
        let record = RecordIter::new(&records).next().unwrap();
        let time = Timestamp::from_nanos(1);
        builder.push(&record, LeaderEpoch::new(1), Offset::new(offset), time);
        builder.finish().unwrap()
    }

    #[test]
    fn caches_that_were_not_used_for_the_longest_time_make_room_for_others() {
        let directory = tempfile::tempdir().unwrap();
        let store = MemoryFactory::new()
            .open(Arc::new(SystemDisk::new()), directory.path())
            .unwrap();
        let length = batch(0).bytes().len();
        let memory = Arc::new(TailMemory::new(10 * length));
        let caches: Vec<_> = (0..100)
            .map(|id| {
                let log = store.create(LogId::new(id), &LogSettings::default()).unwrap();
                TailCache::sharing(log, 4 * length, Arc::clone(&memory))
            })
            .collect();
        for (offset, cache) in (0..6).flat_map(|offset| caches.iter().map(move |cache| (offset, cache))) {
            cache.append(&[batch(offset)]).unwrap();
            assert!(memory.bytes() <= 11 * length, "{} of {length}", memory.bytes());
        }
        let newest = |cache: &TailCache| {
            let limit = ReadLimit {
                end: Offset::MAX,
                max_bytes: 1 << 20,
            };
            cache.read_cached(Offset::new(5), limit)
        };
        assert!(newest(caches.last().unwrap()).is_some(), "it was used last");
        assert!(newest(&caches[0]).is_none(), "it made room");
        drop(caches);
        assert_eq!(memory.bytes(), 0);
    }
}
