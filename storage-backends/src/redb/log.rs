//! One partition's log in the database.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use strandline_core::record::Batch;
use strandline_core::storage::{
    AppendError, Commit, Durability, EpochEnd, Log, LogSettings, ReadError, ReadLimit, Role, Run,
    SegmentSummary, StorageError,
};
use strandline_core::{LeaderEpoch, LogId, Offset, OffsetRange, Timestamp};

use super::NAME;
use super::shape::{SegmentId, Shape};
use super::store::Shared;
use super::tables::Tables;

/// The log.
///
/// Locks are taken in this order: `changing`, `appending`, the store's turn to change the database, `state`.
#[derive(Debug)]
pub(super) struct RedbLog {
    pub(super) id: LogId,
    pub(super) shared: Arc<Shared>,
    /// Held while segments are removed, replaced or cut.
    pub(super) changing: Mutex<()>,
    /// Held while batches are added, or must not be.
    pub(super) appending: Mutex<()>,
    pub(super) state: Mutex<State>,
}

/// What is known of the log without a look into the database.
#[derive(Debug)]
pub(super) struct State {
    pub(super) settings: LogSettings,
    pub(super) condition: Condition,
    /// What the log consists of, with what is not written yet.
    pub(super) now: Shape,
    /// What it consists of in the database.
    pub(super) stored: Shape,
    /// Batches between the two, in order.
    pub(super) pending: VecDeque<Pending>,
}

/// A batch that is accepted and not yet written.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) segment: SegmentId,
    pub(super) batch: Batch,
}

/// Whether the log can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Open,
    Closed,
    Deleted,
}

/// What a round writes of one log.
pub(super) struct Draft {
    log: Arc<RedbLog>,
    old: Shape,
    new: Shape,
    batches: Vec<Pending>,
}

impl RedbLog {
    pub(super) fn new(id: LogId, shared: Arc<Shared>, settings: LogSettings, shape: Shape) -> Arc<Self> {
        Arc::new(Self {
            id,
            shared,
            changing: Mutex::default(),
            appending: Mutex::default(),
            state: Mutex::new(State {
                settings,
                condition: Condition::Open,
                now: shape.clone(),
                stored: shape,
                pending: VecDeque::new(),
            }),
        })
    }

    /// What is to be written, if there is anything.
    pub(super) fn draft(self: Arc<Self>) -> Option<Draft> {
        let state = self.state.lock();
        if state.condition == Condition::Deleted || state.now == state.stored {
            return None;
        }
        let (old, new) = (state.stored.clone(), state.now.clone());
        let batches = state.pending.iter().cloned().collect();
        drop(state);
        Some(Draft {
            log: self,
            old,
            new,
            batches,
        })
    }

    /// Takes the log out of service because it is being deleted.
    pub(super) fn mark_deleted(&self) {
        let mut state = self.state.lock();
        state.condition = Condition::Deleted;
        self.shared
            .rounds
            .no_longer_queued(state.drop_pending_from(Offset::ZERO));
    }

    /// The state, if the log takes writes.
    pub(super) fn writable(&self) -> Result<MutexGuard<'_, State>, StorageError> {
        let state = self.state.lock();
        if state.condition != Condition::Open || self.shared.database.is_closed() {
            return Err(StorageError::Closed);
        }
        match self.shared.database.failure() {
            Some(reason) => Err(StorageError::Poisoned { log: self.id, reason }),
            None => Ok(state),
        }
    }

    /// The state, if the log can be read.
    pub(super) fn readable(&self) -> Result<MutexGuard<'_, State>, ReadError> {
        let state = self.state.lock();
        match state.condition {
            Condition::Open => Ok(state),
            Condition::Closed => Err(ReadError::Closed),
            Condition::Deleted => Err(ReadError::Deleted),
        }
    }

    /// Seals the active segment if it is due, which the next round writes.
    fn seal_if(&self, is_due: impl FnOnce(&State) -> bool) -> Result<(), StorageError> {
        let _appending = self.appending.lock();
        let mut state = self.writable()?;
        if is_due(&state) {
            state.now.roll();
            if let Some(log) = self.shared.find_log(self.id) {
                self.shared.rounds.note(log);
            }
        }
        Ok(())
    }

    /// Makes everything durable that is queued, of this log and of the others.
    pub(super) fn flush(&self) -> Result<(), StorageError> {
        let rounds = &self.shared.rounds;
        rounds.round(rounds.turn());
        self.check_failure()
    }

    /// An error if the database takes no more writes.
    pub(super) fn check_failure(&self) -> Result<(), StorageError> {
        match self.shared.database.failure() {
            Some(reason) => Err(StorageError::Poisoned { log: self.id, reason }),
            None => Ok(()),
        }
    }
}

/// Refuses what the backend cannot do.
pub(super) fn check_settings(settings: &LogSettings) -> Result<(), StorageError> {
    match settings.durability {
        Durability::Fsync => Ok(()),
        Durability::Os => Err(StorageError::Unsupported {
            backend: NAME,
            what: "durability os, it always syncs".to_owned(),
        }),
    }
}

impl Draft {
    pub(super) fn write(&self, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        for Pending { segment, batch } in &self.batches {
            tables.put_batch(self.log.id, *segment, batch)?;
        }
        tables.change(self.log.id, &self.old, &self.new)
    }

    /// Takes note that it is written; says how many bytes of batches that were.
    pub(super) fn commit(self) -> usize {
        let mut state = self.log.state.lock();
        state.stored = self.new;
        let written = self.batches.len().min(state.pending.len());
        let written = state.pending.drain(..written);
        written.map(|pending| pending.batch.bytes().len()).sum()
    }
}

impl State {
    /// Drops what is pending from this offset on; says how many bytes of batches that were.
    pub(super) fn drop_pending_from(&mut self, offset: Offset) -> usize {
        let kept = self
            .pending
            .partition_point(|pending| pending.batch.header().base < offset);
        let dropped = self.pending.drain(kept..);
        dropped.map(|pending| pending.batch.bytes().len()).sum()
    }
}

impl Log for RedbLog {
    fn id(&self) -> LogId {
        self.id
    }

    fn settings(&self) -> LogSettings {
        self.state.lock().settings
    }

    fn set_settings(&self, settings: &LogSettings) -> Result<(), StorageError> {
        check_settings(settings)?;
        self.state.lock().settings = *settings;
        Ok(())
    }

    fn start(&self) -> Offset {
        self.state.lock().now.start
    }

    fn end(&self) -> Offset {
        self.state.lock().now.end()
    }

    fn durable_end(&self) -> Offset {
        self.state.lock().stored.end()
    }

    fn last_time(&self) -> Option<Timestamp> {
        self.state.lock().now.last_time()
    }

    fn append(&self, batches: &[Batch]) -> Result<Commit, AppendError> {
        self.append_batches(batches)
    }

    fn read(&self, from: Offset, limit: ReadLimit) -> Result<Run, ReadError> {
        self.read_run(from, limit)
    }

    fn read_before(&self, before: Offset) -> Result<Option<Batch>, ReadError> {
        self.read_batch_before(before)
    }

    fn offset_at(&self, time: Timestamp) -> Result<Offset, ReadError> {
        self.first_offset_at(time)
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.state.lock().now.epochs.last()
    }

    fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let now = &self.state.lock().now;
        now.epochs.end_of(epoch, now.end())
    }

    fn truncate(&self, end: Offset) -> Result<(), StorageError> {
        self.truncate_to(end)
    }

    fn reset(&self, offset: Offset) -> Result<(), StorageError> {
        self.reset_to(offset)
    }

    fn segments(&self) -> Vec<SegmentSummary> {
        self.state.lock().now.summaries()
    }

    fn roll(&self) -> Result<(), StorageError> {
        self.seal_if(|state| state.now.active.content.records > 0)
    }

    fn roll_if_due(&self, now: Timestamp) -> Result<(), StorageError> {
        self.seal_if(|state| state.now.is_too_old(&state.settings, now))
    }

    fn remove_before(&self, offset: Offset) -> Result<(), StorageError> {
        self.remove_sealed_before(offset)
    }

    fn replace_sealed(
        &self,
        range: OffsetRange,
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<(), StorageError> {
        self.replace_range(range, batches)
    }

    fn set_role(&self, _: Role, _: LeaderEpoch, _: Offset) {
        // The database is the same whoever leads.
    }

    fn close(&self) -> Result<(), StorageError> {
        let _appending = self.appending.lock();
        match self.writable() {
            Ok(_) => {}
            Err(StorageError::Closed) => return Ok(()),
            Err(error) => return Err(error),
        }
        let flushed = self.flush();
        self.state.lock().condition = Condition::Closed;
        self.shared.forget_log(self.id);
        flushed
    }
}
