//! What a log consists of: segments and epochs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use strandline_core::record::{Batch, BatchHeader};
use strandline_core::storage::{AppendError, LogSettings, SegmentSummary};
use strandline_core::{Offset, OffsetRange, Timestamp};

use crate::epochs::Epochs;

/// Identity of a segment within its log. The generation is never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SegmentId {
    /// Where the segment began when it was created.
    pub(super) base: Offset,
    pub(super) generation: u32,
}

/// A segment and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) id: SegmentId,
    pub(super) content: Content,
}

/// What is in a segment. The times mean nothing without records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) range: OffsetRange,
    pub(super) records: u64,
    /// Bytes of batches.
    pub(super) bytes: u64,
    pub(super) first_time: Timestamp,
    pub(super) last_time: Timestamp,
}

/// The segments and epochs of a log. Cloning shares the sealed segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) start: Offset,
    /// The last generation that was given to a segment.
    pub(super) generation: u32,
    pub(super) sealed: Arc<[Segment]>,
    pub(super) active: Segment,
    pub(super) epochs: Epochs,
}

impl Segment {
    fn empty(base: Offset, generation: u32) -> Self {
        Self {
            id: SegmentId { base, generation },
            content: Content::empty(base),
        }
    }

    fn summary(&self, sealed: bool) -> SegmentSummary {
        let content = &self.content;
        let has_records = content.records > 0;
        SegmentSummary {
            id: self.id.base,
            range: content.range,
            records: content.records,
            bytes: content.bytes,
            first_time: has_records.then_some(content.first_time),
            last_time: has_records.then_some(content.last_time),
            sealed,
        }
    }
}

impl Content {
    /// Nothing, from this offset on.
    pub(super) fn empty(base: Offset) -> Self {
        Self {
            range: OffsetRange::new(base, base),
            records: 0,
            bytes: 0,
            first_time: Timestamp::ZERO,
            last_time: Timestamp::ZERO,
        }
    }

    /// Adds a batch.
    pub(super) fn note(&mut self, header: &BatchHeader) {
        if self.records == 0 {
            self.range.start = header.base;
            self.first_time = header.first_time;
        }
        self.range.end = header.end();
        self.records += u64::from(header.records);
        self.bytes += u64::from(header.bytes);
        self.last_time = header.last_time;
    }
}

impl Shape {
    /// A log that begins at this offset and holds nothing.
    pub(super) fn empty(start: Offset, generation: u32) -> Self {
        Self {
            start,
            generation,
            sealed: Arc::new([]),
            active: Segment::empty(start, generation),
            epochs: Epochs::default(),
        }
    }

    pub(super) fn end(&self) -> Offset {
        self.active.content.range.end
    }

    /// Time of the newest record.
    pub(super) fn last_time(&self) -> Option<Timestamp> {
        let newest = self.segments().rev().find(|segment| segment.content.records > 0);
        newest.map(|segment| segment.content.last_time)
    }

    /// All segments in order, the active one last.
    pub(super) fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.sealed.iter().chain([&self.active])
    }

    pub(super) fn summaries(&self) -> Vec<SegmentSummary> {
        let sealed = self.sealed.iter().map(|segment| segment.summary(true));
        sealed.chain([self.active.summary(false)]).collect()
    }

    /// The segments that another shape has not got.
    pub(super) fn segments_missing_in(&self, other: &Self) -> Vec<SegmentId> {
        if Arc::ptr_eq(&self.sealed, &other.sealed) && self.active.id == other.active.id {
            return Vec::new();
        }
        let theirs: BTreeSet<_> = other.segments().map(|segment| segment.id).collect();
        let ids = self.segments().map(|segment| segment.id);
        ids.filter(|id| !theirs.contains(id)).collect()
    }

    /// The segments that another shape has not got, or not like this.
    pub(super) fn segments_changed_from<'a>(&'a self, other: &Self) -> Vec<&'a Segment> {
        let differs = |segment: &&Segment| **segment != other.active;
        if Arc::ptr_eq(&self.sealed, &other.sealed) {
            return Some(&self.active).into_iter().filter(differs).collect();
        }
        let theirs: BTreeMap<_, _> = other
            .segments()
            .map(|segment| (segment.id, segment.content))
            .collect();
        let is_new = |segment: &&Segment| theirs.get(&segment.id) != Some(&segment.content);
        self.segments().filter(is_new).collect()
    }

    /// Checks that batches continue the log.
    pub(super) fn check_order(&self, batches: &[Batch]) -> Result<(), AppendError> {
        self.epochs.check_order(self.end(), batches)
    }

    /// Adds a batch to the active segment.
    pub(super) fn note(&mut self, header: &BatchHeader) {
        self.epochs.note(header.epoch, header.base);
        self.active.content.note(header);
    }

    /// Seals the active segment and begins the next one.
    pub(super) fn roll(&mut self) {
        let generation = self.next_generation();
        let next = Segment::empty(self.end(), generation);
        let sealed = std::mem::replace(&mut self.active, next);
        self.sealed = self.sealed.iter().copied().chain([sealed]).collect();
    }

    /// Gives out a generation.
    pub(super) fn next_generation(&mut self) -> u32 {
        self.generation = self.generation.saturating_add(1);
        self.generation
    }

    /// Whether these bytes do not go into the active segment any more.
    pub(super) fn is_full(&self, settings: &LogSettings, bytes: u64) -> bool {
        let content = &self.active.content;
        content.records > 0 && content.bytes + bytes > settings.segment_max_bytes
    }

    /// Whether the active segment is to be sealed at this time.
    pub(super) fn is_too_old(&self, settings: &LogSettings, now: Timestamp) -> bool {
        let content = &self.active.content;
        let max_age = settings.segment_max_age;
        content.records > 0 && max_age.is_some_and(|max_age| now.since(content.first_time) >= max_age)
    }

    /// How many leading sealed segments end at or before this offset.
    pub(super) fn ending_by(&self, offset: Offset) -> usize {
        self.sealed
            .partition_point(|segment| segment.content.range.end <= offset)
    }

    /// Where the log starts without so many leading sealed segments.
    pub(super) fn start_without(&self, count: usize) -> Offset {
        let oldest = self.segments().nth(count);
        oldest.map_or(self.end(), |oldest| oldest.content.range.start)
    }

    /// Drops leading sealed segments. The log starts here then.
    pub(super) fn drop_leading(&mut self, count: usize, start: Offset) {
        self.sealed = self.sealed.iter().skip(count).copied().collect();
        self.start = start;
        self.epochs.forget_before(start);
    }

    /// The place of the sealed segments that a range covers exactly, and how many.
    pub(super) fn covered(&self, range: OffsetRange) -> Option<(usize, usize)> {
        let place =
            |found: &dyn Fn(&Content) -> bool| self.sealed.iter().position(|segment| found(&segment.content));
        let first = place(&|content| content.range.start == range.start)?;
        let last = place(&|content| content.range.end == range.end)?;
        (first <= last).then(|| (first, last - first + 1))
    }

    /// Puts one sealed segment in the place of some.
    pub(super) fn replace(&mut self, first: usize, count: usize, by: Segment) {
        let before = self.sealed.iter().take(first).copied();
        let after = self.sealed.iter().skip(first + count).copied();
        self.sealed = before.chain([by]).chain(after).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rolled() -> Shape {
        let mut shape = Shape::empty(Offset::ZERO, 0);
        for end in [5, 10] {
            shape.active.content.range.end = Offset::new(end);
            shape.active.content.records = 5;
            shape.roll();
        }
        shape
    }

    #[test]
    fn a_segment_that_has_grown_is_changed_and_not_missing() {
        let old = rolled();
        let mut new = old.clone();
        new.active.content.records = 1;
        assert_eq!(new.segments_changed_from(&old), [&new.active]);
        assert!(old.segments_missing_in(&new).is_empty());
        new.roll();
        assert_eq!(new.segments_changed_from(&old), [&new.sealed[2], &new.active]);
        assert!(old.segments_missing_in(&new).is_empty());
    }

    #[test]
    fn segments_that_were_removed_are_missing() {
        let old = rolled();
        let mut new = old.clone();
        new.drop_leading(1, Offset::new(5));
        assert_eq!(old.segments_missing_in(&new), [old.sealed[0].id]);
        assert!(new.segments_changed_from(&old).is_empty());
    }

    #[test]
    fn a_generation_is_never_given_twice() {
        let shape = rolled();
        let generations: BTreeSet<_> = shape.segments().map(|segment| segment.id.generation).collect();
        assert_eq!(generations.len(), 3);
    }
}
