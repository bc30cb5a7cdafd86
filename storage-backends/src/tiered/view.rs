//! What readers see of the manifest: a state of it, which does not change.

use std::sync::Arc;

use strandline_core::{LeaderEpoch, Offset, OffsetRange, Timestamp};

use super::page::{at_time, before, find};
use super::{Entry, Head, PageRef};

/// What answers for an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A segment.
    Entry(Arc<Entry>),
    /// Nothing was archived there: go on behind it.
    Gap(OffsetRange),
    /// A page has to be loaded first: see [`PartitionArchive::page`](super::PartitionArchive::page).
    Page(PageRef),
}

/// What an archive holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Segments.
    pub segments: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of their batches.
    pub bytes: u64,
}

impl Totals {
    fn plus(self, other: Self) -> Self {
        Self {
            segments: self.segments.saturating_add(other.segments),
            records: self.records.saturating_add(other.records),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

/// A state of a partition's manifest. Its pages are loaded when they are needed.
#[derive(Debug)]
pub struct View {
    head: Head,
    entries: Vec<Arc<Entry>>,
}

impl View {
    /// The view of a checked HEAD.
    pub(super) fn of(head: Head) -> Self {
        let entries = head.entries.iter().cloned().map(Arc::new).collect();
        Self { head, entries }
    }

    /// First offset of the archive.
    pub fn start(&self) -> Offset {
        self.head.start
    }

    /// First offset that is not archived.
    pub fn end(&self) -> Offset {
        self.head.end
    }

    /// Number of this state; a later one has a larger number.
    pub fn sequence(&self) -> u64 {
        self.head.sequence
    }

    /// Epoch of the leader that wrote it.
    pub fn epoch(&self) -> LeaderEpoch {
        self.head.epoch
    }

    /// HEAD as it is stored.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The pages with the older entries, in order. The first one may hold entries below the start, which are gone.
    pub fn pages(&self) -> &[PageRef] {
        &self.head.pages
    }

    /// The newer entries, in order.
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// Offsets that were not archived, in order.
    pub fn gaps(&self) -> &[OffsetRange] {
        &self.head.gaps
    }

    /// What it holds, in numbers. What its oldest page still lists and retention has removed counts.
    pub fn totals(&self) -> Totals {
        let pages = self.pages().iter().map(|page| Totals {
            segments: page.segments,
            records: page.records,
            bytes: page.bytes,
        });
        let entries = self.entries.iter().map(|entry| Totals {
            segments: 1,
            records: entry.records,
            bytes: entry.bytes,
        });
        pages.chain(entries).fold(Totals::default(), Totals::plus)
    }

    /// Time of the newest record; none when there is none.
    pub fn last_time(&self) -> Option<Timestamp> {
        let newest = self.entries.last().map(|entry| entry.last_time);
        newest.or_else(|| self.pages().last().map(|page| page.last_time))
    }

    /// What answers for an offset; none below the start, and from the end on.
    pub fn find(&self, offset: Offset) -> Option<Found> {
        if offset < self.start() || offset >= self.end() {
            return None;
        }
        let pages = self.pages();
        let at = pages.partition_point(|page| page.range.end <= offset);
        if let Some(page) = pages.get(at).filter(|page| page.range.contains(offset)) {
            return Some(Found::Page(page.clone()));
        }
        let gap = self.head.gaps.iter().find(|gap| gap.contains(offset));
        if let Some(gap) = gap {
            return Some(Found::Gap(*gap));
        }
        find(&self.entries, OffsetRange::new(self.start(), self.end()), offset)
    }

    /// The last entry that begins before this offset, or the page that holds it; gaps are passed over. None at or below the
    /// start. Of a page that reaches below the start all that matters may begin at or after the offset: then there is none.
    pub fn before(&self, offset: Offset) -> Option<Found> {
        if offset <= self.start() {
            return None;
        }
        if let Some(entry) = before(&self.entries, offset) {
            return Some(Found::Entry(entry));
        }
        let after = self.pages().partition_point(|page| page.range.start < offset);
        let page = after.checked_sub(1).and_then(|at| self.pages().get(at));
        page.cloned().map(Found::Page)
    }

    /// The first entry with a record at or after a point in time, or the page that holds it; none when all are older. Right as
    /// long as times do not fall along the log.
    pub fn at_time(&self, time: Timestamp) -> Option<Found> {
        let page = self.pages().iter().find(|page| page.last_time >= time);
        match page {
            Some(page) => Some(Found::Page(page.clone())),
            None => at_time(&self.entries, time).map(Found::Entry),
        }
    }
}
