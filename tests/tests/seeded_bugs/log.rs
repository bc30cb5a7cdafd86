//! A log with a bug.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use strandline_core::record::Batch;
use strandline_core::storage::{
    AppendError, Commit, EpochEnd, Log, LogSettings, ReadError, ReadLimit, Role, Run, SegmentSummary,
    StorageError,
};
use strandline_core::{LeaderEpoch, LogId, Offset, OffsetRange, Timestamp};

use crate::bugs::Bug;

#[derive(Debug)]
pub(crate) struct BuggyLog {
    log: Arc<dyn Log>,
    bug: Bug,
    was_truncated: AtomicBool,
    /// Another handle of the append before.
    before: Mutex<Option<Commit>>,
}

impl BuggyLog {
    pub(crate) fn new(log: Arc<dyn Log>, bug: Bug) -> Self {
        Self {
            log,
            bug,
            was_truncated: AtomicBool::new(false),
            before: Mutex::default(),
        }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    fn forgets(&self) -> bool {
        self.has(Bug::EpochsForgottenByTruncation) && self.was_truncated.load(Ordering::SeqCst)
    }

    /// A handle that resolves with the append before it.
    fn early(&self, own: Commit) -> Commit {
        let ((setter, first), (other_setter, next)) = (Commit::pending(), Commit::pending());
        own.on_done(move |outcome| {
            setter.set(outcome.clone());
            other_setter.set(outcome);
        });
        self.before.lock().replace(next).unwrap_or(first)
    }
}

/// A handle that succeeds whatever becomes of the append.
fn succeeds(commit: Commit) -> Commit {
    let (setter, succeeding) = Commit::pending();
    commit.on_done(move |_| setter.set(Ok(())));
    succeeding
}

impl Log for BuggyLog {
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
        let is_wrong = self.has(Bug::WrongEndAfterTruncation) && self.was_truncated.load(Ordering::SeqCst);
        self.log.end().plus(u64::from(is_wrong))
    }

    fn durable_end(&self) -> Offset {
        self.log.durable_end()
    }

    fn last_time(&self) -> Option<Timestamp> {
        self.log.last_time()
    }

    fn append(&self, batches: &[Batch]) -> Result<Commit, AppendError> {
        let result = self.log.append(batches);
        match (self.bug, result) {
            (Bug::CommitBeforeSync, Ok(_)) => Ok(Commit::done()),
            (Bug::CutHandleSucceeds, Ok(commit)) => Ok(succeeds(commit)),
            (Bug::CommitWithSyncInFlight, Ok(commit)) => Ok(self.early(commit)),
            (Bug::OrderNotChecked, Err(AppendError::OutOfOrder { .. })) => Ok(Commit::done()),
            (Bug::GoesOnAfterFailedSync, Err(AppendError::Poisoned { .. })) => Ok(Commit::done()),
            (_, result) => result,
        }
    }

    fn read(&self, from: Offset, limit: ReadLimit) -> Result<Run, ReadError> {
        let run = self.log.read(from, limit)?;
        let first = run.batches().next().and_then(Result::ok);
        match first {
            // As if it looked for the first batch after the offset instead of the one that holds it.
            Some(first) if self.has(Bug::ReadSkipsBatch) && first.header().base < from => {
                self.log.read(first.header().end(), limit)
            }
            _ => Ok(run),
        }
    }

    fn read_before(&self, before: Offset) -> Result<Option<Batch>, ReadError> {
        self.log.read_before(before)
    }

    fn offset_at(&self, time: Timestamp) -> Result<Offset, ReadError> {
        let one_off = i64::from(self.has(Bug::TimeOneOff));
        self.log.offset_at(Timestamp::from_nanos(time.nanos() + one_off))
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.log.last_epoch().filter(|_| !self.forgets())
    }

    fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.log.epoch_end(epoch).filter(|_| !self.forgets())
    }

    fn truncate(&self, end: Offset) -> Result<(), StorageError> {
        if end < self.log.end() {
            self.was_truncated.store(true, Ordering::SeqCst);
        }
        let run = self.log.read(
            end,
            ReadLimit {
                end: Offset::MAX,
                max_bytes: 1,
            },
        );
        match run {
            Ok(run) if self.has(Bug::TruncatesTooLittle) && run.next > end => {
                self.log.truncate(end)?;
                for batch in run.batches().filter_map(Result::ok) {
                    let _commit = self.log.append(&[batch]);
                }
                Ok(())
            }
            _ => self.log.truncate(end),
        }
    }

    fn reset(&self, offset: Offset) -> Result<(), StorageError> {
        self.log.reset(offset)
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
        if self.has(Bug::RemovesActive) && offset >= self.log.end() {
            self.log.roll()?;
        }
        let needed = self
            .log
            .segments()
            .into_iter()
            .find(|segment| segment.range.end > offset);
        match needed {
            Some(needed) if self.has(Bug::RemovesTooMuch) && offset > needed.range.start => {
                self.log.remove_before(needed.range.end)
            }
            _ => self.log.remove_before(offset),
        }
    }

    fn replace_sealed(
        &self,
        range: OffsetRange,
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<(), StorageError> {
        if self.has(Bug::ReplacesInTwoSteps) {
            // The old ones go, and then the new one comes.
            self.log.replace_sealed(range, &mut std::iter::empty())?;
        }
        self.log.replace_sealed(range, batches)
    }

    fn set_role(&self, role: Role, epoch: LeaderEpoch, committed_end: Offset) {
        self.log.set_role(role, epoch, committed_end);
    }

    fn close(&self) -> Result<(), StorageError> {
        self.log.close()
    }
}
