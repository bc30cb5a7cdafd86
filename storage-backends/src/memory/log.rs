//! One log.

use std::ops::Range;
use std::sync::{Arc, Weak};

use bytes::BytesMut;
use parking_lot::Mutex;

use strandline_core::record::Batch;
use strandline_core::storage::{
    AppendError, Commit, Durability, EpochEnd, Log, LogSettings, ReadError, ReadLimit, Role, Run,
    SegmentSummary, StorageError,
};
use strandline_core::{LeaderEpoch, LogId, Offset, OffsetRange, Timestamp};

use super::store::{Waiting, WaitingAppend};
use crate::epochs::Epochs;

/// The log. Dropping the last handle but the store's closes it.
#[derive(Debug)]
pub(super) struct MemoryLog {
    id: LogId,
    this: Weak<MemoryLog>,
    waiting: Waiting,
    state: Mutex<State>,
}

#[derive(Clone, Debug)]
struct State {
    settings: LogSettings,
    start: Offset,
    segments: Vec<Segment>,
    durable_end: Offset,
    epochs: Epochs,
    last_time: Option<Timestamp>,
    condition: Condition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Open,
    Closed,
    Deleted,
}

/// The last one is active.
#[derive(Clone, Debug)]
struct Segment {
    id: Offset,
    range: OffsetRange,
    batches: Vec<Batch>,
}

impl Segment {
    fn new(base: Offset) -> Self {
        Self {
            id: base,
            range: OffsetRange::new(base, base),
            batches: Vec::new(),
        }
    }

    fn bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.bytes().len() as u64).sum()
    }

    fn push(&mut self, batch: &Batch) {
        if self.batches.is_empty() {
            self.range.start = batch.header().base;
        }
        self.range.end = batch.header().end();
        self.batches.push(batch.clone());
    }

    fn summary(&self, sealed: bool) -> SegmentSummary {
        SegmentSummary {
            id: self.id,
            range: self.range,
            records: self
                .batches
                .iter()
                .map(|batch| u64::from(batch.header().records))
                .sum(),
            bytes: self.bytes(),
            first_time: self.batches.first().map(|batch| batch.header().first_time),
            last_time: self.batches.last().map(|batch| batch.header().last_time),
            sealed,
        }
    }
}

/// A sealed segment of these batches.
fn replacement(
    range: OffsetRange,
    batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
) -> Result<Segment, StorageError> {
    let mut segment = Segment::new(range.start);
    let mut next = range.start;
    for batch in batches {
        let batch = batch?;
        if batch.header().base < next || batch.header().end() > range.end {
            return Err(StorageError::Invalid {
                what: format!("a batch does not fit into {range}"),
            });
        }
        next = batch.header().end();
        segment.push(&batch);
    }
    segment.range = range;
    Ok(segment)
}

impl MemoryLog {
    pub(super) fn new(id: LogId, settings: LogSettings, waiting: Waiting) -> Arc<Self> {
        let state = State {
            settings,
            start: Offset::ZERO,
            segments: vec![Segment::new(Offset::ZERO)],
            durable_end: Offset::ZERO,
            epochs: Epochs::default(),
            last_time: None,
            condition: Condition::Open,
        };
        Self::with(id, state, waiting)
    }

    fn with(id: LogId, state: State, waiting: Waiting) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            id,
            this: this.clone(),
            waiting,
            state: Mutex::new(state),
        })
    }

    /// The same content in a new, open log.
    pub(super) fn reopened(&self, settings: LogSettings) -> Arc<Self> {
        let mut state = self.state.lock().clone();
        (state.condition, state.settings) = (Condition::Open, settings);
        state.durable_end = state.end();
        Self::with(self.id, state, Arc::clone(&self.waiting))
    }

    /// Whether somebody but the store holds the log and has not closed it.
    pub(super) fn is_open(&self) -> bool {
        self.state.lock().condition == Condition::Open && self.this.strong_count() > 1
    }

    pub(super) fn mark_deleted(&self) {
        self.state.lock().condition = Condition::Deleted;
    }

    pub(super) fn synced(&self, end: Offset) {
        let mut state = self.state.lock();
        state.durable_end = state.durable_end.max(end.min(state.end()));
    }

    /// The waiting appends of this log that reach beyond `end`.
    fn take_waiting_above(&self, end: Offset, waiting: &mut Vec<WaitingAppend>) -> Vec<WaitingAppend> {
        waiting
            .extract_if(.., |(log, reached, _)| {
                std::ptr::eq(Arc::as_ptr(log), self) && *reached > end
            })
            .collect()
    }

    fn writable(&self) -> Result<parking_lot::MutexGuard<'_, State>, StorageError> {
        let state = self.state.lock();
        if state.condition == Condition::Open {
            Ok(state)
        } else {
            Err(StorageError::Closed)
        }
    }

    fn readable(&self) -> Result<parking_lot::MutexGuard<'_, State>, ReadError> {
        let state = self.state.lock();
        match state.condition {
            Condition::Open => Ok(state),
            Condition::Closed => Err(ReadError::Closed),
            Condition::Deleted => Err(ReadError::Deleted),
        }
    }
}

impl State {
    fn end(&self) -> Offset {
        self.segments
            .last()
            .map_or(self.start, |segment| segment.range.end)
    }

    /// The places of the sealed segments that a range covers exactly.
    fn sealed_run(&self, range: OffsetRange) -> Result<Range<usize>, StorageError> {
        let sealed = || self.segments.iter().take(self.segments.len() - 1);
        let first = sealed().position(|segment| segment.range.start == range.start);
        let last = sealed().position(|segment| segment.range.end == range.end);
        match first.zip(last) {
            Some((first, last)) if first <= last => Ok(first..last + 1),
            _ => Err(StorageError::Invalid {
                what: format!("{range} is not exactly a run of sealed segments"),
            }),
        }
    }

    fn batches(&self) -> impl DoubleEndedIterator<Item = &Batch> {
        self.segments.iter().flat_map(|segment| &segment.batches)
    }

    fn roll(&mut self) {
        self.segments.push(Segment::new(self.end()));
    }

    fn is_too_old(&self, now: Timestamp) -> bool {
        let first = self.segments.last().and_then(|active| active.batches.first());
        first
            .zip(self.settings.segment_max_age)
            .is_some_and(|(first, age)| now.since(first.header().first_time) >= age)
    }

    fn push(&mut self, batch: &Batch) {
        let active = self.segments.last();
        let is_full = active.is_some_and(|active| {
            !active.batches.is_empty()
                && active.bytes() + batch.bytes().len() as u64 > self.settings.segment_max_bytes
        });
        if is_full || self.is_too_old(batch.header().first_time) {
            self.roll();
        }
        if let Some(active) = self.segments.last_mut() {
            active.push(batch);
        }
        let header = batch.header();
        self.epochs.note(header.epoch, header.base);
        self.last_time = Some(header.last_time);
    }
}

impl Log for MemoryLog {
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
        self.state.lock().start
    }

    fn end(&self) -> Offset {
        self.state.lock().end()
    }

    fn durable_end(&self) -> Offset {
        self.state.lock().durable_end
    }

    fn last_time(&self) -> Option<Timestamp> {
        self.state.lock().last_time
    }

    fn append(&self, batches: &[Batch]) -> Result<Commit, AppendError> {
        let mut waiting = self.waiting.lock();
        let mut state = self.writable().map_err(|_| AppendError::Closed)?;
        state.epochs.check_order(state.end(), batches)?;
        batches.iter().for_each(|batch| state.push(batch));
        let end = state.end();
        let this = self.this.upgrade().ok_or(AppendError::Closed)?;
        if state.settings.durability == Durability::Os {
            state.durable_end = end;
            return Ok(Commit::done());
        }
        let (setter, commit) = Commit::pending();
        waiting.push((this, end, setter));
        Ok(commit)
    }

    fn read(&self, from: Offset, limit: ReadLimit) -> Result<Run, ReadError> {
        let state = self.readable()?;
        if from < state.start {
            return Err(ReadError::Trimmed { start: state.start });
        }
        if from > state.end() {
            return Err(ReadError::BeyondEnd { end: state.end() });
        }
        let (mut bytes, mut next) = (BytesMut::new(), from);
        for batch in state.batches().filter(|batch| batch.header().end() > from) {
            let over = !bytes.is_empty() && bytes.len() + batch.bytes().len() > limit.max_bytes;
            if batch.header().base >= limit.end || over {
                break;
            }
            bytes.extend_from_slice(batch.bytes());
            next = batch.header().end();
        }
        Ok(Run {
            bytes: bytes.freeze(),
            next,
        })
    }

    fn read_before(&self, before: Offset) -> Result<Option<Batch>, ReadError> {
        let state = self.readable()?;
        if before > state.end() {
            return Err(ReadError::BeyondEnd { end: state.end() });
        }
        Ok(state
            .batches()
            .rev()
            .find(|batch| batch.header().base < before)
            .cloned())
    }

    fn offset_at(&self, time: Timestamp) -> Result<Offset, ReadError> {
        let state = self.readable()?;
        let found = state.batches().find_map(|batch| batch.first_at_or_after(time));
        Ok(found.unwrap_or(state.end()))
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.state.lock().epochs.last()
    }

    fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let state = self.state.lock();
        state.epochs.end_of(epoch, state.end())
    }

    fn truncate(&self, end: Offset) -> Result<(), StorageError> {
        let mut waiting = self.waiting.lock();
        let mut state = self.writable()?;
        if end >= state.end() {
            return Ok(());
        }
        let inside = state
            .batches()
            .any(|batch| batch.header().base < end && batch.header().end() > end);
        if inside || end < state.start {
            return Err(StorageError::Invalid {
                what: format!("cannot truncate to {end}"),
            });
        }
        let place = state
            .segments
            .iter()
            .position(|segment| segment.range.end > end)
            .unwrap_or(0);
        state.segments.truncate(place + 1);
        if let Some(active) = state.segments.last_mut() {
            active.batches.retain(|batch| batch.header().base < end);
            active.range.start = active.range.start.min(end);
            active.id = active.id.min(active.range.start);
            active.range.end = active
                .batches
                .last()
                .map_or(active.range.start, |batch| batch.header().end());
        }
        // Where compaction has taken out what came before `end`, the log ends before it.
        let kept_end = state.end();
        state.epochs.forget_from(kept_end);
        state.durable_end = kept_end;
        let last_time = state.batches().next_back().map(|batch| batch.header().last_time);
        state.last_time = last_time;
        drop(state);
        let cut = self.take_waiting_above(end, &mut waiting);
        drop(waiting);
        drop(cut); // Fails their handles, whose callbacks may come back here.
        Ok(())
    }

    fn reset(&self, offset: Offset) -> Result<(), StorageError> {
        let mut waiting = self.waiting.lock();
        let mut state = self.writable()?;
        (state.start, state.segments) = (offset, vec![Segment::new(offset)]);
        state.epochs = Epochs::default();
        (state.durable_end, state.last_time) = (offset, None);
        drop(state);
        let cut = self.take_waiting_above(Offset::ZERO, &mut waiting);
        drop(waiting);
        drop(cut);
        Ok(())
    }

    fn segments(&self) -> Vec<SegmentSummary> {
        let state = self.state.lock();
        let last = state.segments.len() - 1;
        state
            .segments
            .iter()
            .enumerate()
            .map(|(index, segment)| segment.summary(index < last))
            .collect()
    }

    fn roll(&self) -> Result<(), StorageError> {
        let mut state = self.writable()?;
        if state
            .segments
            .last()
            .is_some_and(|active| !active.batches.is_empty())
        {
            state.roll();
        }
        Ok(())
    }

    fn roll_if_due(&self, now: Timestamp) -> Result<(), StorageError> {
        let mut state = self.writable()?;
        if state.is_too_old(now) {
            state.roll();
        }
        Ok(())
    }

    fn remove_before(&self, offset: Offset) -> Result<(), StorageError> {
        let mut state = self.writable()?;
        let sealed = state.segments.len() - 1;
        let removed = state
            .segments
            .iter()
            .take(sealed)
            .take_while(|segment| segment.range.end <= offset)
            .count();
        if removed == 0 {
            return Ok(());
        }
        state.segments.drain(..removed);
        let start = state
            .segments
            .first()
            .map_or(state.end(), |first| first.range.start);
        state.start = start;
        state.epochs.forget_before(start);
        Ok(())
    }

    fn replace_sealed(
        &self,
        range: OffsetRange,
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<(), StorageError> {
        let old = self.writable()?.sealed_run(range)?;
        // Without the lock: the batches may be read from here.
        let segment = replacement(range, batches)?;
        let mut state = self.writable()?;
        let Ok(still) = state.sealed_run(range) else {
            return Err(StorageError::Changed { range });
        };
        if still.len() != old.len() {
            return Err(StorageError::Changed { range });
        }
        state.segments.splice(still, [segment]);
        Ok(())
    }

    fn set_role(&self, _: Role, _: LeaderEpoch, _: Offset) {}

    fn close(&self) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        if state.condition == Condition::Open {
            state.durable_end = state.end();
            state.condition = Condition::Closed;
        }
        Ok(())
    }
}
