//! Which records of a log stay when it is compacted by key.

use std::time::Duration;

use crate::record::RecordView;
use crate::{Offset, Timestamp};

/// Settings of compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionSettings {
    /// Time for which a tombstone (a key with an empty value) stays, so that readers see the removal.
    pub tombstone_grace: Duration,
}

/// What happens to one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, at its offset.
    Keep,
    /// It goes; its offset stays empty.
    Drop,
}

/// Decides which records stay.
///
/// The contract: the newest record of each key below the high watermark stays, records without a key stay, a tombstone
/// leaves after its grace time, and offsets never change.
pub trait Compaction: Send {
    /// Takes note of a record, in any order; called for all records that the decision rests on before any verdict.
    fn observe(&mut self, record: &RecordView<'_>, offset: Offset);

    /// The verdict on a record that was observed.
    fn verdict(&self, record: &RecordView<'_>, offset: Offset, time: Timestamp, now: Timestamp) -> Verdict;
}
