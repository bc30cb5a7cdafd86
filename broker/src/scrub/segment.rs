//! Whether one sealed segment can still be read as it was written.

use strandline_core::storage::{Log, ReadError, ReadLimit, SegmentSummary};

use crate::metrics::Counter;
use crate::pace::{Pace, Stopped};

/// Bytes that are read at a time: little enough not to be felt by whoever reads beside it.
const READ_BYTES: usize = 256 << 10;

/// What is known of a segment after it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// All of it is there.
    Sound,
    /// It was removed or written anew meanwhile, or the log was closed: there is nothing to say about it.
    Gone,
    /// What is wrong, and where.
    Damaged(String),
}

/// Reads a segment from its first record to its end. Blocks the thread, for as long as the pace wants.
///
/// # Errors
///
/// The broker is stopping.
pub(super) fn check(
    log: &dyn Log,
    segment: &SegmentSummary,
    pace: &Pace,
    read: &Counter,
) -> Result<Finding, Stopped> {
    let problem = match read_all(log, segment, pace, read)? {
        Ok(records) if records == segment.records => return Ok(Finding::Sound),
        Ok(records) => format!("{records} of its {} records are there", segment.records),
        // To be fetched is what went to an archive.
        Err(
            ReadError::Trimmed { .. }
            | ReadError::Fetching(_)
            | ReadError::Unreachable { .. }
            | ReadError::Closed,
        ) => return Ok(Finding::Gone),
        Err(error) => crate::streams::describe(&error),
    };
    // It may have been another segment already that was read.
    if log.segments().iter().any(|now| is_same(now, segment)) {
        Ok(Finding::Damaged(problem))
    } else {
        Ok(Finding::Gone)
    }
}

/// Whether nothing has been taken out of a segment.
fn is_same(one: &SegmentSummary, other: &SegmentSummary) -> bool {
    (one.id, one.range, one.bytes) == (other.id, other.range, other.bytes)
}

/// The records that are found in a segment.
fn read_all(
    log: &dyn Log,
    segment: &SegmentSummary,
    pace: &Pace,
    read: &Counter,
) -> Result<Result<u64, ReadError>, Stopped> {
    let limit = ReadLimit {
        end: segment.range.end,
        max_bytes: READ_BYTES,
    };
    let (mut records, mut next) = (0, segment.range.start);
    while next < segment.range.end {
        let run = match log.read(next, limit) {
            Ok(run) if run.bytes.is_empty() => break,
            Ok(run) => run,
            Err(error) => return Ok(Err(error)),
        };
        records += run
            .batches()
            .flatten()
            .map(|batch| u64::from(batch.header().records))
            .sum::<u64>();
        next = run.next;
        read.add(run.bytes.len() as u64);
        pace.take(run.bytes.len())?;
    }
    Ok(Ok(records))
}
