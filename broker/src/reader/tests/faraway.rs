//! A log whose older records are elsewhere until a test lets them come.

use parking_lot::Mutex;
use std::sync::Arc;

use strandline_core::record::Batch;
use strandline_core::storage::{
    AppendError, Commit, EpochEnd, Fetch, FetchFailure, FetchSetter, Log, LogSettings, ReadError, ReadLimit,
    Role, Run, SegmentSummary, StorageError,
};
use strandline_core::{LeaderEpoch, LogId, Offset, OffsetRange, Timestamp};

/// What lies below an offset has to be fetched, all of it at once, as often as [`Faraway::send_away`] is called.
#[derive(Debug)]
pub(crate) struct Faraway {
    log: Arc<dyn Log>,
    below: Offset,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_here: bool,
    fetching: Option<(FetchSetter, Fetch)>,
}

impl Faraway {
    pub(crate) fn new(log: Arc<dyn Log>, below: u64) -> Arc<Self> {
        Arc::new(Self {
            log,
            below: Offset::new(below),
            state: Mutex::default(),
        })
    }

    /// Whether somebody waits.
    pub(crate) fn is_wanted(&self) -> bool {
        self.state.lock().fetching.is_some()
    }

    /// Lets the records come, or says why they do not.
    pub(crate) fn answer(&self, outcome: Result<(), FetchFailure>) {
        let mut state = self.state.lock();
        state.is_here = outcome.is_ok();
        let fetching = state.fetching.take();
        drop(state);
        if let Some((setter, _)) = fetching {
            setter.set(outcome);
        }
    }

    /// The records have to be fetched again.
    pub(crate) fn send_away(&self) {
        self.state.lock().is_here = false;
    }

    fn look(&self, is_far: bool) -> Result<(), ReadError> {
        let mut state = self.state.lock();
        if !is_far || state.is_here {
            return Ok(());
        }
        let (_, fetch) = state.fetching.get_or_insert_with(Fetch::pending);
        Err(ReadError::Fetching(fetch.clone()))
    }
}

impl Log for Faraway {
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
        self.log.append(batches)
    }

    fn read(&self, from: Offset, limit: ReadLimit) -> Result<Run, ReadError> {
        self.look(from < self.below)?;
        self.log.read(from, limit)
    }

    fn read_before(&self, before: Offset) -> Result<Option<Batch>, ReadError> {
        self.look(before <= self.below)?;
        self.log.read_before(before)
    }

    fn offset_at(&self, time: Timestamp) -> Result<Offset, ReadError> {
        self.look(time < Timestamp::from_nanos(self.below.get() as i64))?;
        self.log.offset_at(time)
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.log.last_epoch()
    }

    fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.log.epoch_end(epoch)
    }

    fn truncate(&self, end: Offset) -> Result<(), StorageError> {
        self.log.truncate(end)
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
        self.log.remove_before(offset)
    }

    fn replace_sealed(
        &self,
        range: OffsetRange,
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<(), StorageError> {
        self.log.replace_sealed(range, batches)
    }

    fn set_role(&self, role: Role, epoch: LeaderEpoch, committed_end: Offset) {
        self.log.set_role(role, epoch, committed_end);
    }

    fn close(&self) -> Result<(), StorageError> {
        self.log.close()
    }
}
