//! The log as it is kept in memory: everything that is not purged.

use std::collections::VecDeque;
use std::ops::{Bound, RangeBounds};

use super::types::{Entry, EntryId, Vote};

/// The log's contents. Its size is bounded by the snapshots, after which entries are purged.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<EntryId>,
    pub(super) purged: Option<EntryId>,
    /// Set when `committed` is newer than what the log has been told.
    pub(super) committed_is_news: bool,
    pub(super) entries: VecDeque<Entry>,
}

impl View {
    /// Identity of the last entry, purged or not.
    pub(super) fn last(&self) -> Option<EntryId> {
        self.entries.back().map(|entry| entry.log_id).or(self.purged)
    }

    /// Adds the next entry.
    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
    }

    /// Forgets the entries from this index on.
    pub(super) fn truncate(&mut self, since: u64) {
        self.entries.truncate(self.position(since));
    }

    /// Forgets the entries up to and with this one.
    pub(super) fn purge(&mut self, upto: EntryId) {
        self.entries.drain(..self.position(upto.index.saturating_add(1)));
        self.purged = Some(upto);
    }

    /// The entries with these indices, as far as they are there; stops before `limit` is exceeded, but not before the
    /// first.
    pub(super) fn range(&self, range: &impl RangeBounds<u64>, limit: usize) -> Vec<Entry> {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => u64::MAX,
        };
        let (from, to) = (self.position(start), self.position(end));
        self.entries
            .iter()
            .skip(from)
            .take(to.saturating_sub(from).min(limit))
            .cloned()
            .collect()
    }

    fn position(&self, index: u64) -> usize {
        self.entries.partition_point(|entry| entry.log_id.index < index)
    }
}
