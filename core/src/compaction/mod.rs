//! Compaction by key: which records of a log stay, when a run is worth it, and what is written anew.
//!
//! ```text
//!      start              clean end            dirty end        HW     end
//!        |  newest per key    |  not looked at yet |  too young   |      |
//!        [====================|====================|==============|======]
//!                              `--- a pass notes ---'
//!                                  these keys
//! ```
//!
//! A *pass* notes the newest offset of every key in the dirty part, as many keys as its memory holds, and then drops
//! every older record of these keys from the start on. What it has covered is clean then, and the next pass goes on
//! there: more keys cost more passes, not more memory. Only sealed segments below the high watermark take part.
//!
//! A tombstone is a key with an empty value. It stays for a grace time after the pass that dropped the older records of
//! its key, so that a reader who has seen one of those sees the removal, too.
//!
//! Everything here is a decision: reading and writing is the engine's.

mod key_table;
mod merge;
mod newest;
mod plan;
mod progress;
mod rewrite;

pub use key_table::KeyTable;
pub use merge::merge_groups;
pub use newest::NewestPerKey;
pub use plan::{CompactionSettings, Dirt, Work};
pub use progress::{Progress, Waiting};
pub use rewrite::{Counts, Left, Rewriter};

use crate::record::RecordView;
use crate::{Offset, Timestamp};

/// What happens to one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, at its offset.
    Keep,
    /// It goes; its offset stays empty.
    Drop,
}

/// Whether there was room to take note of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It is noted.
    Noted,
    /// There is no room for another key; the pass ends before this record.
    Full,
}

/// Decides which records stay when a log is compacted.
///
/// The contract: the newest record of each key below the high watermark stays, records without a key stay, a tombstone
/// leaves after its grace time, and offsets never change. A key that is present but empty is a key like any other.
pub trait Compaction: Send {
    /// Takes note of a record, in the order of the log; called for all records that the decision rests on before any
    /// verdict.
    fn observe(&mut self, record: &RecordView<'_>, offset: Offset) -> Observed;

    /// The verdict on any record of the log, observed or not.
    fn verdict(&self, record: &RecordView<'_>, offset: Offset, time: Timestamp) -> Verdict;
}

/// Whether a record removes its key.
pub fn is_tombstone(record: &RecordView<'_>) -> bool {
    record.key().is_some() && record.value().is_empty()
}

#[cfg(test)]
mod tests;
