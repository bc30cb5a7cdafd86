//! What is committed and not archived yet, and when a segment is sealed so that it can be.

use std::time::Duration;

use strandline_core::storage::SegmentSummary;
use strandline_core::{Offset, Timestamp};

/// What is committed and not archived. An estimate where it ends inside a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lag {
    pub(crate) records: u64,
    /// As they are stored.
    pub(crate) bytes: u64,
    /// Time of the oldest of them.
    pub(crate) oldest: Option<Timestamp>,
}

impl Lag {
    /// What lies from `archived` to `committed` in these segments.
    pub(crate) fn of(segments: &[SegmentSummary], archived: Offset, committed: Offset) -> Self {
        let mut lag = Self::default();
        for segment in segments {
            let (start, end) = (
                segment.range.start.max(archived),
                segment.range.end.min(committed),
            );
            if start >= end || segment.records == 0 {
                continue;
            }
            let (part, whole) = (
                end.get() - start.get(),
                segment.range.end.get() - segment.range.start.get(),
            );
            lag.records += share(segment.records, part, whole);
            lag.bytes += share(segment.bytes, part, whole);
            lag.oldest = lag.oldest.or(segment.first_time);
        }
        lag
    }

    /// How old the oldest of it is.
    pub(crate) fn age(&self, now: Timestamp) -> Duration {
        self.oldest.map_or(Duration::ZERO, |oldest| now.since(oldest))
    }
}

fn share(of: u64, part: u64, whole: u64) -> u64 {
    let share = u128::from(of) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// Bytes of committed segments that are sealed and not archived.
pub(super) fn waiting(segments: &[SegmentSummary], archived: Offset, committed: Offset) -> u64 {
    let waiting = segments
        .iter()
        .filter(|segment| segment.sealed && segment.range.end > archived && segment.range.end <= committed);
    waiting.map(|segment| segment.bytes).sum()
}

/// Whether the active segment is to be sealed so that it can be archived: its first record is old enough. Only what is
/// committed to its end is sealed, so that all of it can go.
pub(super) fn is_to_be_sealed(
    segments: &[SegmentSummary],
    max_age: Duration,
    committed: Offset,
    now: Timestamp,
) -> bool {
    let active = segments
        .last()
        .filter(|segment| !segment.sealed && segment.records > 0);
    let Some((active, first)) = active.and_then(|active| Some((active, active.first_time?))) else {
        return false;
    };
    !max_age.is_zero() && committed >= active.range.end && now.since(first) >= max_age
}

/// Whether the active segment is to be sealed because somebody waits for what is in it to be archived.
pub(super) fn is_awaited(segments: &[SegmentSummary], awaited: Offset) -> bool {
    let active = segments.last();
    active.is_some_and(|active| !active.sealed && active.records > 0 && active.range.start < awaited)
}

#[cfg(test)]
mod tests {
    use strandline_core::OffsetRange;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO.plus(Duration::from_secs(seconds))
    }

    fn offset(number: u64) -> Offset {
        Offset::new(number)
    }

    /// Three segments of ten records and 100 bytes, ten seconds apart; the last one is active.
    fn segments() -> Vec<SegmentSummary> {
        let segment = |number: u64| SegmentSummary {
            id: offset(number * 10),
            range: OffsetRange::new(offset(number * 10), offset(number * 10 + 10)),
            records: 10,
            bytes: 100,
            first_time: Some(at(number * 10)),
            last_time: Some(at(number * 10 + 9)),
            sealed: number < 2,
        };
        (0..3).map(segment).collect()
    }

    fn lag(archived: u64, committed: u64) -> (u64, u64, Option<Timestamp>) {
        let lag = Lag::of(&segments(), offset(archived), offset(committed));
        (lag.records, lag.bytes, lag.oldest)
    }

    #[test]
    fn all_that_is_committed_lags_until_it_is_archived() {
        assert_eq!(lag(0, 30), (30, 300, Some(at(0))));
        assert_eq!(lag(10, 30), (20, 200, Some(at(10))));
        assert_eq!(lag(10, 25), (15, 150, Some(at(10))));
        assert_eq!(lag(30, 30), (0, 0, None));
        assert_eq!(lag(40, 30), (0, 0, None));
        assert_eq!(
            Lag::of(&segments(), offset(20), offset(30)).age(at(50)),
            Duration::from_secs(30)
        );
    }

    #[test]
    fn what_somebody_waits_for_is_sealed_at_once() {
        assert!(is_awaited(&segments(), offset(21)));
        assert!(!is_awaited(&segments(), offset(20)), "all of that is sealed");
    }

    #[test]
    fn what_is_sealed_and_committed_waits_until_it_is_archived() {
        let waits = |archived, committed| waiting(&segments(), offset(archived), offset(committed));
        assert_eq!(
            [waits(0, 30), waits(5, 30), waits(10, 30), waits(20, 30)],
            [200, 200, 100, 0]
        );
        assert_eq!(waits(0, 19), 100);
    }

    #[test]
    fn a_segment_is_sealed_once_its_first_record_is_old_and_all_of_it_committed() {
        let is_due = |age, committed, now| {
            is_to_be_sealed(&segments(), Duration::from_secs(age), offset(committed), at(now))
        };
        assert!(is_due(5, 30, 25) && !is_due(5, 30, 24));
        assert!(!is_due(5, 29, 25), "its end is not committed");
        assert!(!is_due(0, 30, 1_000), "by size only");
        let mut empty = segments();
        if let Some(active) = empty.last_mut() {
            (active.records, active.first_time) = (0, None);
        }
        assert!(!is_to_be_sealed(
            &empty,
            Duration::from_secs(1),
            offset(30),
            at(1_000)
        ));
    }
}
