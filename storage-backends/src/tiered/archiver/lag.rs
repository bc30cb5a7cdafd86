//! How far the archive is behind the log.

use strandline_core::storage::SegmentSummary;
use strandline_core::{Offset, OffsetRange, Timestamp};

use super::Archiver;

/// What the local log has and the archive has not: lost with this broker's disk when there is no other replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Records. Of a segment that is archived in part, an estimate.
    pub records: u64,
    /// Bytes of batches. Of a segment that is archived in part, an estimate.
    pub bytes: u64,
    /// Time of the oldest record, or of one in the same segment.
    pub oldest: Option<Timestamp>,
}

impl Archiver {
    /// What is not archived yet. Before the first step that reached the bucket: everything.
    pub fn lag(&self) -> Lag {
        let end = self.archive.view().map_or(Offset::ZERO, |view| view.end());
        lag(&self.log.segments(), end)
    }
}

fn lag(local: &[SegmentSummary], archived_to: Offset) -> Lag {
    beyond(local, archived_to).fold(Lag::default(), |lag, segment| Lag {
        records: lag.records + segment.records,
        bytes: lag.bytes + segment.bytes,
        oldest: lag.oldest.or(segment.first_time),
    })
}

/// The segments from an offset on. Of one that the offset cuts, the part behind it, as if its records were spread evenly: what is
/// archived must not count twice.
pub(super) fn beyond(local: &[SegmentSummary], from: Offset) -> impl Iterator<Item = SegmentSummary> {
    let behind = local.iter().filter(move |segment| segment.range.end > from);
    behind.map(move |segment| {
        if segment.range.start >= from {
            return *segment;
        }
        let (whole, part) = (
            segment.range.end.since(segment.range.start),
            segment.range.end.since(from),
        );
        let share = |number: u64| (u128::from(number) * u128::from(part) / u128::from(whole.max(1))) as u64;
        SegmentSummary {
            range: OffsetRange::new(from, segment.range.end),
            records: share(segment.records),
            bytes: share(segment.bytes),
            ..*segment
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: u64, end: u64) -> SegmentSummary {
        SegmentSummary {
            id: Offset::new(start),
            range: OffsetRange::new(Offset::new(start), Offset::new(end)),
            records: end - start,
            bytes: 10 * (end - start),
            first_time: Some(Timestamp::from_nanos(start as i64)),
            last_time: Some(Timestamp::from_nanos(end as i64 - 1)),
            sealed: true,
        }
    }

    #[test]
    fn a_segment_that_is_archived_in_part_counts_in_part() {
        let local = [segment(0, 10), segment(10, 20), segment(20, 30)];
        let lag = lag(&local, Offset::new(15));
        assert_eq!((lag.records, lag.bytes), (15, 150));
        assert_eq!(lag.oldest, Some(Timestamp::from_nanos(10)));
        assert_eq!(super::lag(&local, Offset::new(30)), Lag::default());
    }
}
