//! Removing every record with a key.

use strandline_core::OffsetRange;
use strandline_core::compaction::Verdict;
use strandline_core::storage::Log;

use super::RemovalError;
use super::trim::drop_empty;
use crate::compaction::{Judge, PackedLog, Rewritten, loses_records, rewrite_sealed};
use crate::pace::Pace;
use crate::partition::PartitionHandle;

/// Removes the records with a key that are in a partition's log by now, and says how many that were. Blocks on the disk.
///
/// # Errors
///
/// Some of the records may be gone; the call can be repeated.
pub(crate) fn erase(partition: &PartitionHandle, key: &[u8], pace: &Pace) -> Result<u64, RemovalError> {
    let _turn = partition.maintenance().lock();
    let log = partition.log();
    let judge: &Judge<'_> = &|record, _, _| match record.key() == Some(key) {
        true => Verdict::Drop,
        false => Verdict::Keep,
    };
    let end = log.end();
    if let Some(active) = log.segments().pop().filter(|active| active.records > 0) {
        let range = OffsetRange::new(active.range.start, end.max(active.range.start));
        if loses_records(PackedLog::of(partition), range, judge, pace)? {
            log.roll()?;
        }
    }
    let mut rewritten = Rewritten::default();
    rewrite_sealed(PackedLog::of(partition), log.end(), judge, pace, &mut rewritten)?;
    if rewritten.counts.dropped > 0 {
        drop_empty(log.as_ref())?;
    }
    Ok(rewritten.counts.dropped)
}
