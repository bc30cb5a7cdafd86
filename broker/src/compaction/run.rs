//! One run over one log: passes until all of the dirty part is clean, then small segments become one.

use strandline_core::compaction::{
    Compaction, KeyTable, NewestPerKey, Observed, Progress, Work, merge_groups,
};
use strandline_core::record::RecordView;
use strandline_core::storage::{SegmentSummary, StorageError};
use strandline_core::{Offset, OffsetRange, Timestamp};

use super::rewrite::{
    PackedLog, RewriteError, Rewritten, Step, join, read_batches, rewrite_sealed, segments_start,
};
use crate::pace::Pace;

/// What a run may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Means<'a> {
    /// Bytes for the keys of one pass.
    pub(crate) memory_bytes: u64,
    /// Makes the hashes of keys unpredictable.
    pub(crate) secret: [u8; 16],
    pub(crate) pace: &'a Pace,
}

/// Where a run tells what is done.
pub(crate) trait Memory {
    /// The time by which ages are judged.
    fn now(&self) -> Timestamp;

    /// Takes note of how far the log is compacted; everything up to there is durable.
    fn remember(&mut self, progress: Progress);
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) passes: u64,
    /// Segments that lost records.
    pub(crate) rewritten: Rewritten,
    /// Small segments that became one.
    pub(crate) merged: Rewritten,
}

/// Compacts a log. Blocks the thread; appends and readers go on meanwhile.
///
/// # Errors
///
/// Passes that were whole are remembered. What another one has dropped by then stays dropped, and was right to go.
pub(crate) fn run(
    log: PackedLog<'_>,
    work: &Work,
    mut progress: Progress,
    means: &Means<'_>,
    memory: &mut dyn Memory,
) -> Result<Report, RewriteError> {
    let mut report = Report::default();
    let mut tombstones_before = work.tombstones_before;
    loop {
        let start = progress.clean_end.max(segments_start(log.log)).max(log.floor);
        let dirty = OffsetRange::new(start, work.dirty.end.max(start));
        let table = KeyTable::new(means.memory_bytes, work.dirty_records, means.secret);
        let mut newest = NewestPerKey::new(table, tombstones_before.unwrap_or(Offset::ZERO));
        let end = note_keys(log, dirty, &mut newest, means.pace)?;
        let judge =
            |record: &RecordView<'_>, offset: Offset, time: Timestamp| newest.verdict(record, offset, time);
        rewrite_sealed(log, end, &judge, means.pace, &mut report.rewritten)?;
        report.passes += 1;
        let had_tombstones = tombstones_before.take().is_some();
        progress.pass_ended(end, newest.saw_tombstone(), had_tombstones, memory.now());
        memory.remember(progress);
        if end >= dirty.end {
            break;
        }
    }
    merge(log, progress.clean_end, means.pace, &mut report.merged)?;
    Ok(report)
}

/// Takes note of the keys of a range, as many as there is room for. Returns up to where.
fn note_keys(
    log: PackedLog<'_>,
    range: OffsetRange,
    newest: &mut NewestPerKey,
    pace: &Pace,
) -> Result<Offset, RewriteError> {
    let mut full_at = None;
    read_batches(log, range, pace, &mut |batch| {
        for record in batch.records() {
            let offset = batch.header().base.plus(u64::from(record.offset_delta()));
            if range.contains(offset) && newest.observe(&record, offset) == Observed::Full {
                full_at = Some(offset);
                return Step::Done;
            }
        }
        Step::More
    })?;
    Ok(full_at.unwrap_or(range.end))
}

/// Makes one of small neighbours that lie below the clean end.
fn merge(
    log: PackedLog<'_>,
    clean_end: Offset,
    pace: &Pace,
    merged: &mut Rewritten,
) -> Result<(), RewriteError> {
    let mut segments = log.log.segments();
    segments.retain(|segment: &SegmentSummary| {
        segment.sealed && segment.range.start >= log.floor && segment.range.end <= clean_end
    });
    for range in merge_groups(&segments, log.log.settings().segment_max_bytes) {
        match join(log, range, pace, merged) {
            // Its turn comes again.
            Err(RewriteError::Storage(StorageError::Changed { .. })) => return Ok(()),
            other => other?,
        }
    }
    Ok(())
}
