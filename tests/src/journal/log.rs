//! One log.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};

use strandline_core::disk::DiskFile;
use strandline_core::record::Batch;
use strandline_core::storage::{
    AppendError, Commit, Damage, Durability, EpochEnd, Log, LogSettings, ReadError, ReadLimit, Role, Run,
    SegmentSummary, StorageError, SyncFailure,
};
use strandline_core::{LeaderEpoch, LogId, Offset, OffsetRange, Timestamp};

use super::content::{Content, Entry};
use super::frame::{self, Event, HEAD_BYTES};
use super::recovery::Recovered;
use super::store::failed;
use super::syncs::{Syncs, Waiting};

/// What a disk loses as a whole.
const BLOCK_BYTES: usize = 4096;

/// The log.
pub(super) struct JournalLog {
    id: LogId,
    this: Weak<Self>,
    path: PathBuf,
    syncs: Arc<Syncs>,
    is_trusting: bool,
    state: Mutex<State>,
}

struct State {
    settings: LogSettings,
    condition: Condition,
    content: Content,
    file: Arc<dyn DiskFile>,
    /// Bytes of the file that are written, and those of them that are durable.
    bytes: u64,
    durable: u64,
    durable_end: Offset,
    /// For the appends since the last cut: to where the log was cut after them. Those of earlier appends that still wait.
    lowest_cut: Arc<AtomicU64>,
    earlier: Vec<Weak<AtomicU64>>,
}

#[derive(Clone, Debug)]
enum Condition {
    Open,
    Poisoned(String),
    Closed,
    Deleted,
}

impl fmt::Debug for JournalLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalLog")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl JournalLog {
    pub(super) fn new(
        id: LogId,
        settings: LogSettings,
        syncs: Arc<Syncs>,
        recovered: Recovered,
        is_trusting: bool,
    ) -> Arc<Self> {
        let Recovered {
            file,
            path,
            content,
            bytes,
        } = recovered;
        let state = State {
            settings,
            condition: Condition::Open,
            durable_end: content.end(),
            content,
            file,
            bytes,
            durable: bytes,
            lowest_cut: never_cut(),
            earlier: Vec::new(),
        };
        Arc::new_cyclic(|this| Self {
            id,
            this: Weak::clone(this),
            path,
            syncs,
            is_trusting,
            state: Mutex::new(state),
        })
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(
            self.state.lock().condition,
            Condition::Open | Condition::Poisoned(_)
        )
    }

    pub(super) fn mark_deleted(&self) {
        self.state.lock().condition = Condition::Deleted;
    }

    /// Makes the file durable up to where it is written now.
    pub(super) fn sync_file(&self) -> Result<(), SyncFailure> {
        let (file, bytes) = {
            let state = self.state.lock();
            (Arc::clone(&state.file), state.bytes)
        };
        // Not under the lock: appends go on meanwhile, and wait for the next round.
        let outcome = file.sync_data();
        let mut state = self.state.lock();
        match outcome {
            Ok(()) => {
                state.durable = state.durable.max(bytes);
                Ok(())
            }
            Err(error) => {
                state.poison(format!("sync failed: {error}"));
                Err(SyncFailure {
                    source: Arc::new(error),
                })
            }
        }
    }

    /// Takes note of the outcome of a round for one of its appends, and says what its handle is told.
    pub(super) fn synced(
        &self,
        waiting: &Waiting,
        outcome: Result<(), SyncFailure>,
    ) -> Result<(), SyncFailure> {
        outcome?;
        let mut state = self.state.lock();
        if let Condition::Poisoned(reason) = &state.condition {
            return Err(refusal(reason));
        }
        match waiting.lowest_cut.load(Ordering::Relaxed) {
            NEVER => state.durable_end = state.durable_end.max(waiting.end),
            cut if cut < waiting.end.get() => {
                return Err(refusal("the records were cut off before the sync"));
            }
            _ => {}
        }
        Ok(())
    }

    /// The state, if the log takes changes.
    fn writable(&self) -> Result<MutexGuard<'_, State>, StorageError> {
        let state = self.state.lock();
        match &state.condition {
            Condition::Open => Ok(state),
            Condition::Poisoned(reason) => Err(StorageError::Poisoned {
                log: self.id,
                reason: reason.clone(),
            }),
            Condition::Closed | Condition::Deleted => Err(StorageError::Closed),
        }
    }

    fn readable(&self) -> Result<MutexGuard<'_, State>, ReadError> {
        let state = self.state.lock();
        match &state.condition {
            Condition::Open | Condition::Poisoned(_) => Ok(state),
            Condition::Closed => Err(ReadError::Closed),
            Condition::Deleted => Err(ReadError::Deleted),
        }
    }

    /// Writes what happens and makes it durable; then it has happened.
    fn change(&self, state: &mut State, events: &[Event]) -> Result<(), StorageError> {
        state.write(events).map_err(failed("writing", &self.path))?;
        let (file, bytes) = (Arc::clone(&state.file), state.bytes);
        if let Err(error) = file.sync_data() {
            state.poison(format!("sync failed: {error}"));
            state.durable_end = state.durable_end.min(state.content.end());
            return Err(failed("sync of", &self.path)(error));
        }
        state.durable = bytes;
        state.durable_end = state.content.end();
        Ok(())
    }

    /// As [`JournalLog::change`], for what cuts off everything that does not lie below `kept`.
    fn cut(&self, state: &mut State, event: Event, kept: Offset) -> Result<(), StorageError> {
        self.change(state, &[event])?;
        let before = std::mem::replace(&mut state.lowest_cut, never_cut());
        state.earlier.push(Arc::downgrade(&before));
        // Appends that wait hold theirs.
        let cut = |earlier: &Weak<AtomicU64>| {
            earlier
                .upgrade()
                .map(|cut| cut.fetch_min(kept.get(), Ordering::Relaxed))
        };
        state.earlier.retain(|earlier| cut(earlier).is_some());
        Ok(())
    }

    /// The batch of an entry, checked.
    fn batch(&self, file: &dyn DiskFile, entry: &Entry) -> Result<Batch, ReadError> {
        let length = entry.header.bytes as usize;
        let mut bytes = Vec::with_capacity(length);
        file.read_at(entry.position, length, &mut bytes)?;
        let bytes = Bytes::from(bytes);
        let damaged = |reason: String| {
            ReadError::Damaged(Damage {
                file: self.path.clone(),
                position: entry.position,
                reason,
            })
        };
        let batch = frame::batch(&bytes, self.is_trusting).map_err(|error| damaged(error.to_string()))?;
        if *batch.header() == entry.header {
            Ok(batch)
        } else {
            Err(damaged("another batch than was written here".to_owned()))
        }
    }
}

impl State {
    fn poison(&mut self, reason: String) {
        if matches!(self.condition, Condition::Open) {
            self.condition = Condition::Poisoned(reason);
        }
    }

    /// Writes frames at the end of the file and does what they say. After an error it is as it was, or the log is poisoned.
    fn write(&mut self, events: &[Event]) -> io::Result<()> {
        let mut frames = Vec::new();
        for event in events {
            event.encode(self.bytes + frames.len() as u64, self.durable, &mut frames);
        }
        if let Err(error) = self.file.write_at(self.bytes, &frames) {
            let is_full = error.kind() == io::ErrorKind::StorageFull;
            if !is_full || self.file.set_len(self.bytes).is_err() {
                self.poison(format!("write failed: {error}"));
            }
            return Err(error);
        }
        for event in events {
            self.content.apply(event, self.bytes);
            self.bytes += event.bytes() as u64;
        }
        Ok(())
    }

    fn seal(&self) -> Option<Event> {
        let active = self.content.active().filter(|active| !active.entries.is_empty());
        active.map(|active| Event::Seal(active.range))
    }

    /// The frames of an append, with what seals segments between the batches.
    fn events_of(&self, batches: &[Batch]) -> Vec<Event> {
        let limits = (self.settings.segment_max_bytes, self.settings.segment_max_age);
        // What would become of the log: where the frames lie does not matter for that.
        let mut content = self.content.clone();
        let mut events = Vec::new();
        for batch in batches {
            let header = batch.header();
            if content.must_seal(u64::from(header.bytes), header.first_time, limits)
                && let Some(active) = content.active()
            {
                let seal = Event::Seal(active.range);
                content.apply(&seal, 0);
                events.push(seal);
            }
            let append = Event::Append(batch.clone());
            content.apply(&append, 0);
            events.push(append);
        }
        events
    }

    fn check_order(&self, batches: &[Batch]) -> Result<(), AppendError> {
        let mut expected = self.content.end();
        let mut epoch = self.content.epochs.last().map(|(epoch, _)| *epoch);
        for header in batches.iter().map(Batch::header) {
            if header.base < expected || epoch.is_some_and(|epoch| header.epoch < epoch) {
                return Err(AppendError::OutOfOrder {
                    expected,
                    found: header.base,
                });
            }
            (expected, epoch) = (header.end(), Some(header.epoch));
        }
        Ok(())
    }
}

/// Stands for "never" among the offsets to which a log was cut.
const NEVER: u64 = u64::MAX;

fn never_cut() -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(NEVER))
}

fn refusal(reason: &str) -> SyncFailure {
    SyncFailure {
        source: Arc::new(io::Error::other(reason.to_owned())),
    }
}

impl Log for JournalLog {
    fn id(&self) -> LogId {
        self.id
    }

    fn settings(&self) -> LogSettings {
        self.state.lock().settings
    }

    fn set_settings(&self, settings: &LogSettings) -> Result<(), StorageError> {
        self.state.lock().settings = *settings;
        Ok(())
    }

    fn start(&self) -> Offset {
        self.state.lock().content.start()
    }

    fn end(&self) -> Offset {
        self.state.lock().content.end()
    }

    fn durable_end(&self) -> Offset {
        self.state.lock().durable_end
    }

    fn last_time(&self) -> Option<Timestamp> {
        self.state.lock().content.last_time()
    }

    fn append(&self, batches: &[Batch]) -> Result<Commit, AppendError> {
        let mut state = self.writable().map_err(|error| match error {
            StorageError::Poisoned { log, reason } => AppendError::Poisoned { log, reason },
            _ => AppendError::Closed,
        })?;
        state.check_order(batches)?;
        let events = state.events_of(batches);
        if let Err(source) = state.write(&events) {
            return Err(match &state.condition {
                Condition::Poisoned(reason) => AppendError::Poisoned {
                    log: self.id,
                    reason: reason.clone(),
                },
                _ => AppendError::Full { log: self.id, source },
            });
        }
        let end = state.content.end();
        if state.settings.durability == Durability::Os {
            state.durable_end = end;
            return Ok(Commit::done());
        }
        let (setter, commit) = Commit::pending();
        if let Some(log) = self.this.upgrade() {
            let lowest_cut = Arc::clone(&state.lowest_cut);
            self.syncs.push(Waiting {
                log,
                end,
                lowest_cut,
                setter,
            });
        }
        Ok(commit)
    }

    fn read(&self, from: Offset, limit: ReadLimit) -> Result<Run, ReadError> {
        let state = self.readable()?;
        let (start, end) = (state.content.start(), state.content.end());
        if from < start {
            return Err(ReadError::Trimmed { start });
        }
        if from > end {
            return Err(ReadError::BeyondEnd { end });
        }
        let mut bytes = 0;
        let wanted = state.content.entries().filter(|entry| entry.header.end() > from);
        let wanted: Vec<Entry> = wanted
            .take_while(|entry| entry.header.base < limit.end)
            .take_while(|entry| {
                let is_first = bytes == 0;
                bytes += entry.header.bytes as usize;
                is_first || bytes <= limit.max_bytes
            })
            .copied()
            .collect();
        let file = Arc::clone(&state.file);
        drop(state);
        let mut run = BytesMut::new();
        for entry in &wanted {
            run.extend_from_slice(self.batch(file.as_ref(), entry)?.bytes());
        }
        Ok(Run {
            bytes: run.freeze(),
            next: wanted.last().map_or(from, |last| last.header.end()),
        })
    }

    fn read_before(&self, before: Offset) -> Result<Option<Batch>, ReadError> {
        let state = self.readable()?;
        if before > state.content.end() {
            return Err(ReadError::BeyondEnd {
                end: state.content.end(),
            });
        }
        let found = state
            .content
            .entries()
            .rev()
            .find(|entry| entry.header.base < before)
            .copied();
        let file = Arc::clone(&state.file);
        drop(state);
        found.map(|entry| self.batch(file.as_ref(), &entry)).transpose()
    }

    fn offset_at(&self, time: Timestamp) -> Result<Offset, ReadError> {
        let state = self.readable()?;
        let end = state.content.end();
        let found = state
            .content
            .entries()
            .find(|entry| entry.header.last_time >= time)
            .copied();
        let file = Arc::clone(&state.file);
        drop(state);
        let Some(entry) = found else { return Ok(end) };
        let batch = self.batch(file.as_ref(), &entry)?;
        Ok(batch.first_at_or_after(time).unwrap_or(end))
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.state.lock().content.epochs.last().map(|(epoch, _)| *epoch)
    }

    fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.state.lock().content.epoch_end(epoch)
    }

    fn truncate(&self, end: Offset) -> Result<(), StorageError> {
        let mut state = self.writable()?;
        if end >= state.content.end() {
            return Ok(());
        }
        if !state.content.is_border(end) {
            return Err(StorageError::Invalid {
                what: format!("the log cannot be cut at {end}"),
            });
        }
        self.cut(&mut state, Event::Truncate(end), end)
    }

    fn reset(&self, offset: Offset) -> Result<(), StorageError> {
        let mut state = self.writable()?;
        self.cut(&mut state, Event::Reset(offset), Offset::ZERO)
    }

    fn segments(&self) -> Vec<SegmentSummary> {
        self.state.lock().content.summaries()
    }

    fn roll(&self) -> Result<(), StorageError> {
        let mut state = self.writable()?;
        match state.seal() {
            Some(seal) => self.change(&mut state, &[seal]),
            None => Ok(()),
        }
    }

    fn roll_if_due(&self, now: Timestamp) -> Result<(), StorageError> {
        let mut state = self.writable()?;
        let max_age = state.settings.segment_max_age;
        let is_due = max_age.is_some_and(|age| state.content.is_older(now, age));
        match state.seal().filter(|_| is_due) {
            Some(seal) => self.change(&mut state, &[seal]),
            None => Ok(()),
        }
    }

    fn remove_before(&self, offset: Offset) -> Result<(), StorageError> {
        let mut state = self.writable()?;
        let sealed = state.content.sealed().iter();
        let gone = sealed
            .map(|segment| segment.range.end)
            .take_while(|end| *end <= offset);
        match gone.last() {
            Some(end) => self.change(&mut state, &[Event::Remove(end)]),
            None => Ok(()),
        }
    }

    fn replace_sealed(
        &self,
        range: OffsetRange,
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<(), StorageError> {
        let invalid = |what: String| Err(StorageError::Invalid { what });
        let Some(old) = self.writable()?.content.sealed_in(range) else {
            return invalid(format!("{range} is not exactly a run of sealed segments"));
        };
        // Nothing is held meanwhile: the batches may come slowly, and be read from this log.
        let (mut events, mut next) = (Vec::new(), range.start);
        for batch in batches {
            let batch = batch?;
            if batch.header().base < next || batch.header().end() > range.end {
                return invalid(format!("a batch does not fit into {range}"));
            }
            next = batch.header().end();
            events.push(Event::Stage(batch));
        }
        events.push(Event::Replace(range));
        let mut state = self.writable()?;
        if state.content.sealed_in(range).is_none_or(|there| there != old) {
            return Err(StorageError::Changed { range });
        }
        self.change(&mut state, &events)
    }

    fn set_role(&self, _: Role, _: LeaderEpoch, _: Offset) {
        // The file is the same whoever leads.
    }

    fn close(&self) -> Result<(), StorageError> {
        let mut state = match self.writable() {
            Err(StorageError::Closed) => return Ok(()),
            other => other?,
        };
        // The mark tells damage of what came before it from a torn end. It stands in a block of its own: one that is lost
        // takes the mark or what the mark vouches for, and not both.
        let mut result = self.change(&mut state, &[]);
        if result.is_ok() && state.bytes > 0 {
            let used = (state.bytes as usize + HEAD_BYTES) % BLOCK_BYTES;
            result = self.change(&mut state, &[Event::Mark(BLOCK_BYTES - used), Event::Mark(0)]);
        }
        state.condition = Condition::Closed;
        result
    }
}
