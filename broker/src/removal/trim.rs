//! Removing the records before a point.

use strandline_core::compaction::Verdict;
use strandline_core::storage::{Log, SegmentSummary, read_waiting};
use strandline_core::{Offset, Timestamp};

use super::RemovalError;
use crate::compaction::{Judge, PackedLog, Rewritten, rewrite_sealed};
use crate::pace::Pace;
use crate::partition::PartitionHandle;

/// Where a partition begins afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrimBefore {
    /// At this offset; beyond the end means that all records go.
    Offset(Offset),
    /// At the first record that is not older.
    Time(Timestamp),
}

/// What became of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trimmed {
    /// First offset that can still be there.
    pub(crate) start: Offset,
    /// Records removed.
    pub(crate) records: u64,
    /// By how many bytes the records are fewer.
    pub(crate) bytes: u64,
}

/// Removes the committed records before a point. Blocks on the disk.
///
/// # Errors
///
/// Some of the records may be gone; the call can be repeated.
pub(crate) fn trim(
    partition: &PartitionHandle,
    before: TrimBefore,
    pace: &Pace,
) -> Result<Trimmed, RemovalError> {
    let _turn = partition.maintenance().lock();
    let log = partition.log();
    let committed = partition.readable().end;
    let before = match before {
        TrimBefore::Offset(offset) => offset,
        TrimBefore::Time(time) => read_waiting(|| partition.offset_at(time))?,
    };
    let before = before.min(committed);
    if active(log.as_ref()).is_some_and(|active| active.range.start < before) {
        log.roll()?;
    }
    let segments = log.segments();
    let whole = segments
        .iter()
        .take_while(|segment| segment.sealed && segment.range.end <= before);
    let (mut records, mut bytes) = (0, 0);
    for segment in whole {
        records += segment.records;
        bytes += segment.bytes;
    }
    log.remove_before(before)?;
    let mut rewritten = Rewritten::default();
    let drop_all: &Judge<'_> = &|_, _, _| Verdict::Drop;
    rewrite_sealed(PackedLog::of(partition), before, drop_all, pace, &mut rewritten)?;
    drop_empty(log.as_ref())?;
    Ok(Trimmed {
        start: before.max(log.start()),
        records: records + rewritten.counts.dropped,
        bytes: bytes + rewritten.counts.bytes_in.saturating_sub(rewritten.bytes_out),
    })
}

fn active(log: &dyn Log) -> Option<SegmentSummary> {
    log.segments().pop()
}

/// Removes leading segments that hold nothing any more.
pub(super) fn drop_empty(log: &dyn Log) -> Result<(), RemovalError> {
    let segments = log.segments();
    let empty = segments
        .iter()
        .take_while(|segment| segment.sealed && segment.records == 0);
    if let Some(last) = empty.last() {
        log.remove_before(last.range.end)?;
    }
    Ok(())
}
