//! What a log holds, without the bytes: segments of batches and where each batch lies in the file.

use std::time::Duration;

use strandline_core::record::{Batch, BatchHeader};
use strandline_core::storage::{EpochEnd, SegmentSummary};
use strandline_core::{LeaderEpoch, Offset, OffsetRange, Timestamp};

use super::frame::{Event, HEAD_BYTES};

/// A batch and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) header: BatchHeader,
    pub(super) position: u64,
}

impl Entry {
    /// The batch of a frame at this position.
    pub(super) fn in_frame(batch: &Batch, position: u64) -> Self {
        Self {
            header: *batch.header(),
            position: position + HEAD_BYTES as u64,
        }
    }

    fn end(&self) -> Offset {
        self.header.end()
    }
}

/// A run of batches that goes as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    id: Offset,
    pub(super) range: OffsetRange,
    pub(super) entries: Vec<Entry>,
}

/// The segments, of which the last takes appends, and the epochs.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) segments: Vec<Segment>,
    start: Offset,
    pub(super) epochs: Vec<(LeaderEpoch, Offset)>,
    staged: Vec<Entry>,
}

impl Segment {
    fn empty(base: Offset) -> Self {
        Self {
            id: base,
            range: OffsetRange::new(base, base),
            entries: Vec::new(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.entries
            .iter()
            .map(|entry| u64::from(entry.header.bytes))
            .sum()
    }

    fn summary(&self, sealed: bool) -> SegmentSummary {
        SegmentSummary {
            id: self.id,
            range: self.range,
            records: self
                .entries
                .iter()
                .map(|entry| u64::from(entry.header.records))
                .sum(),
            bytes: self.bytes(),
            first_time: self.entries.first().map(|entry| entry.header.first_time),
            last_time: self.entries.last().map(|entry| entry.header.last_time),
            sealed,
        }
    }
}

impl Content {
    /// An empty log that goes on at this offset.
    pub(super) fn empty_at(offset: Offset) -> Self {
        Self {
            segments: vec![Segment::empty(offset)],
            start: offset,
            epochs: Vec::new(),
            staged: Vec::new(),
        }
    }

    pub(super) fn start(&self) -> Offset {
        self.start
    }

    pub(super) fn end(&self) -> Offset {
        self.active().map_or(self.start, |active| active.range.end)
    }

    pub(super) fn active(&self) -> Option<&Segment> {
        self.segments.last()
    }

    pub(super) fn sealed(&self) -> &[Segment] {
        self.segments.split_last().map_or(&[], |(_, sealed)| sealed)
    }

    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.segments.iter().flat_map(|segment| &segment.entries)
    }

    pub(super) fn last_time(&self) -> Option<Timestamp> {
        self.entries().next_back().map(|entry| entry.header.last_time)
    }

    pub(super) fn summaries(&self) -> Vec<SegmentSummary> {
        let last = self.segments.len().saturating_sub(1);
        let segments = self.segments.iter().enumerate();
        segments.map(|(at, segment)| segment.summary(at < last)).collect()
    }

    /// Whether the active segment is to be sealed before a batch of so many bytes at this time.
    pub(super) fn must_seal(&self, bytes: u64, now: Timestamp, (size, age): (u64, Option<Duration>)) -> bool {
        self.active()
            .filter(|active| !active.entries.is_empty())
            .is_some_and(|active| {
                active.bytes() + bytes > size || age.is_some_and(|age| self.is_older(now, age))
            })
    }

    /// Whether the first record of the active segment is at least so old.
    pub(super) fn is_older(&self, now: Timestamp, age: Duration) -> bool {
        let first = self.active().and_then(|active| active.entries.first());
        first.is_some_and(|first| now.since(first.header.first_time) >= age)
    }

    pub(super) fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let after = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let (epoch, _) = *self.epochs.get(after.checked_sub(1)?)?;
        let end = self.epochs.get(after).map_or(self.end(), |(_, start)| *start);
        Some(EpochEnd { epoch, end })
    }

    /// Whether the log can be cut here.
    pub(super) fn is_border(&self, end: Offset) -> bool {
        let inside = |entry: &Entry| entry.header.base < end && end < entry.end();
        end >= self.start && !self.entries().any(inside)
    }

    /// The place of the sealed segments that a range covers exactly.
    fn covered(&self, range: OffsetRange) -> Option<std::ops::RangeInclusive<usize>> {
        let sealed = self.sealed();
        let first = sealed
            .iter()
            .position(|segment| segment.range.start == range.start)?;
        let last = sealed.iter().position(|segment| segment.range.end == range.end)?;
        (first <= last).then_some(first..=last)
    }

    /// The sealed segments that a range covers exactly.
    pub(super) fn sealed_in(&self, range: OffsetRange) -> Option<Vec<Segment>> {
        let places = self.covered(range)?;
        self.sealed().get(places).map(<[Segment]>::to_vec)
    }

    /// Does what happened, the frame of which lies at this position. False if it cannot have happened to this log.
    pub(super) fn apply(&mut self, event: &Event, position: u64) -> bool {
        if let Event::Stage(batch) = event {
            self.staged.push(Entry::in_frame(batch, position));
            return true;
        }
        let staged = std::mem::take(&mut self.staged);
        match event {
            Event::Append(batch) => self.append(Entry::in_frame(batch, position)),
            Event::Seal(range) => self.seal(*range),
            Event::Remove(end) => self.remove(*end),
            Event::Replace(range) => self.replace(*range, staged),
            Event::Truncate(end) => self.truncate(*end),
            Event::Reset(offset) => {
                *self = Self::empty_at(*offset);
                true
            }
            Event::Stage(_) | Event::Mark(_) => true,
        }
    }

    fn append(&mut self, entry: Entry) -> bool {
        let header = entry.header;
        let falls = self.epochs.last().is_some_and(|(epoch, _)| header.epoch < *epoch);
        if header.base < self.end() || falls {
            return false;
        }
        if self.epochs.last().is_none_or(|(epoch, _)| *epoch < header.epoch) {
            self.epochs.push((header.epoch, header.base));
        }
        if let Some(active) = self.segments.last_mut() {
            if active.entries.is_empty() {
                active.range.start = header.base;
            }
            active.range.end = header.end();
            active.entries.push(entry);
        }
        true
    }

    fn seal(&mut self, range: OffsetRange) -> bool {
        if let Some(active) = self.segments.last_mut() {
            active.range = range;
        }
        self.segments.push(Segment::empty(range.end));
        true
    }

    fn remove(&mut self, end: Offset) -> bool {
        let sealed = self.sealed();
        let gone = sealed.partition_point(|segment| segment.range.end <= end);
        if gone == 0 {
            return false;
        }
        self.segments.drain(..gone);
        self.start = self.segments.first().map_or(end, |first| first.range.start);
        let gone = self.epochs.partition_point(|(_, start)| *start <= self.start);
        self.epochs.drain(..gone.saturating_sub(1));
        true
    }

    fn replace(&mut self, range: OffsetRange, entries: Vec<Entry>) -> bool {
        let Some(places) = self.covered(range) else {
            return false;
        };
        let id = self.segments[*places.start()].id;
        self.segments.splice(places, [Segment { id, range, entries }]);
        true
    }

    fn truncate(&mut self, end: Offset) -> bool {
        if !self.is_border(end) {
            return false;
        }
        let kept = self.segments.partition_point(|segment| segment.range.end <= end);
        let place = kept.min(self.segments.len() - 1);
        self.segments.truncate(place + 1);
        if let Some(active) = self.segments.last_mut() {
            active.entries.retain(|entry| entry.header.base < end);
            let last = active.entries.last().map(Entry::end);
            active.range.start = active.range.start.min(end);
            active.range.end = last.unwrap_or(active.range.start);
        }
        // Where compaction has taken out what came before `end`, the log ends before it.
        let kept = self.end();
        self.epochs.retain(|(_, start)| *start < kept);
        true
    }
}
