//! The decision of one pass: the newest record of each key stays.

use super::{Compaction, KeyTable, Observed, Verdict, is_tombstone};
use crate::record::RecordView;
use crate::{Offset, Timestamp};

/// Drops what an observed record of the same key has replaced, and tombstones whose grace time is over.
///
/// Of keys that were not observed everything stays, so that a pass whose memory is full is right for the keys that it has.
#[derive(Debug)]
pub struct NewestPerKey {
    table: KeyTable,
    tombstones_before: Offset,
    saw_tombstone: bool,
}

impl NewestPerKey {
    /// A pass that notes keys in this table. Tombstones below `tombstones_before` leave: older records of their keys must
    /// be gone already.
    pub fn new(table: KeyTable, tombstones_before: Offset) -> Self {
        Self {
            table,
            tombstones_before,
            saw_tombstone: false,
        }
    }

    /// Keys that were observed.
    pub fn keys(&self) -> usize {
        self.table.keys()
    }

    /// Whether a tombstone was observed.
    pub fn saw_tombstone(&self) -> bool {
        self.saw_tombstone
    }
}

impl Compaction for NewestPerKey {
    fn observe(&mut self, record: &RecordView<'_>, offset: Offset) -> Observed {
        let Some(key) = record.key() else {
            return Observed::Noted;
        };
        if !self.table.note(key, offset) {
            return Observed::Full;
        }
        self.saw_tombstone |= is_tombstone(record);
        Observed::Noted
    }

    fn verdict(&self, record: &RecordView<'_>, offset: Offset, _: Timestamp) -> Verdict {
        let Some(key) = record.key() else {
            return Verdict::Keep;
        };
        let is_replaced = self.table.newest(key).is_some_and(|newest| newest > offset);
        if is_replaced || (offset < self.tombstones_before && is_tombstone(record)) {
            Verdict::Drop
        } else {
            Verdict::Keep
        }
    }
}
