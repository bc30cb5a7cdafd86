//! Which leading segments of a log may go.

mod age_clock;

use std::time::Duration;

pub use age_clock::{AgeClock, Step};

use crate::storage::SegmentSummary;
use crate::{Offset, Timestamp};

/// Limits of one partition's log; none = no limit of that kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionLimits {
    /// Bytes of batches to keep.
    pub max_bytes: Option<u64>,
    /// Records to keep.
    pub max_records: Option<u64>,
    /// Age of the newest record of a segment at which the segment may go.
    pub max_age: Option<Duration>,
}

/// Decides what retention removes.
///
/// The decision is a pure function of what it is shown, and only ever names a leading run of sealed segments: data is
/// removed because a limit says so, never because something is missing.
pub trait Retention: Send + Sync {
    /// The offset up to which leading segments may be removed; none when all stay. `segments` are in order with the
    /// active one last, as [`Log::segments`](crate::storage::Log::segments) gives them.
    fn removable_before(&self, segments: &[SegmentSummary], now: Timestamp) -> Option<Offset>;
}

impl RetentionLimits {
    /// Whether there is any limit.
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

impl Retention for RetentionLimits {
    /// The strictest limit wins. Bytes and records count what would be left, the active segment included; what goes because of
    /// them are whole segments, so the newest one that has records stays, however large: a limit on the number of records never
    /// takes all of them. A segment that compaction has emptied goes with the next one that goes.
    fn removable_before(&self, segments: &[SegmentSummary], now: Timestamp) -> Option<Offset> {
        self.before(segments, now, Newest::Stays)
    }
}

/// Whether the newest records can go because there are too many of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Newest {
    Stays,
    Goes,
}

impl RetentionLimits {
    /// As [`Retention::removable_before`] for segments of which there is another copy elsewhere: the newest sealed one goes, too.
    pub fn evictable_before(&self, segments: &[SegmentSummary], now: Timestamp) -> Option<Offset> {
        self.before(segments, now, Newest::Goes)
    }

    fn before(&self, segments: &[SegmentSummary], now: Timestamp, newest: Newest) -> Option<Offset> {
        let mut bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let mut records: u64 = segments.iter().map(|segment| segment.records).sum();
        let mut removable = None;
        for segment in segments.iter().take_while(|segment| segment.sealed) {
            let (kept_bytes, kept_records) = (bytes - segment.bytes, records - segment.records);
            if segment.records == 0 {
                continue;
            }
            let is_over = self.max_bytes.is_some_and(|max| bytes > max)
                || self.max_records.is_some_and(|max| records > max);
            let is_held = kept_records == 0 && newest == Newest::Stays;
            if (is_held || !is_over) && !self.is_too_old(segment, now) {
                break;
            }
            removable = Some(segment.range.end);
            (bytes, records) = (kept_bytes, kept_records);
        }
        removable
    }

    fn is_too_old(&self, segment: &SegmentSummary, now: Timestamp) -> bool {
        let Some((max_age, newest)) = self.max_age.zip(segment.last_time) else {
            return false;
        };
        now.since(newest) > max_age
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OffsetRange;

    /// Ten segments of one record and 10 bytes, a second apart; the last one is active.
    fn segments() -> Vec<SegmentSummary> {
        let segment = |number: u64| SegmentSummary {
            id: Offset::new(number),
            range: OffsetRange::new(Offset::new(number), Offset::new(number + 1)),
            records: 1,
            bytes: 10,
            first_time: Some(seconds(number)),
            last_time: Some(seconds(number)),
            sealed: number < 9,
        };
        (0..10).map(segment).collect()
    }

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp::ZERO.plus(Duration::from_secs(seconds))
    }

    fn removable(limits: RetentionLimits) -> Option<u64> {
        limits.removable_before(&segments(), seconds(10)).map(Offset::get)
    }

    #[test]
    fn nothing_goes_without_a_limit_or_below_it() {
        assert_eq!(removable(RetentionLimits::default()), None);
        let wide = RetentionLimits {
            max_bytes: Some(100),
            max_records: Some(10),
            max_age: Some(Duration::from_secs(10)),
        };
        assert_eq!(removable(wide), None);
        assert_eq!(wide.removable_before(&[], seconds(10)), None);
    }

    #[test]
    fn bytes_and_records_are_kept_up_to_their_limits() {
        assert_eq!(
            removable(RetentionLimits {
                max_bytes: Some(55),
                ..Default::default()
            }),
            Some(5)
        );
        assert_eq!(
            removable(RetentionLimits {
                max_records: Some(5),
                ..Default::default()
            }),
            Some(5)
        );
    }

    #[test]
    fn the_stricter_limit_wins() {
        let limits = RetentionLimits {
            max_bytes: Some(80),
            max_records: Some(3),
            max_age: None,
        };
        assert_eq!(removable(limits), Some(7));
    }

    #[test]
    fn a_segment_goes_when_its_newest_record_is_too_old() {
        let limits = RetentionLimits {
            max_age: Some(Duration::from_secs(6)),
            ..Default::default()
        };
        assert_eq!(removable(limits), Some(4));
    }

    #[test]
    fn a_segment_that_compaction_has_emptied_does_not_hold_up_the_others() {
        // It has no newest record whose age could be judged: everything behind it stayed for ever.
        let mut segments = segments();
        for number in [0, 2] {
            (segments[number].records, segments[number].bytes) = (0, 0);
            (segments[number].first_time, segments[number].last_time) = (None, None);
        }
        let limits = RetentionLimits {
            max_age: Some(Duration::from_secs(6)),
            ..Default::default()
        };
        let removable = limits.removable_before(&segments, seconds(10)).map(Offset::get);
        assert_eq!(removable, Some(4));
        assert_eq!(limits.removable_before(&segments[..1], seconds(10)), None);
    }

    #[test]
    fn the_newest_records_stay_when_their_segment_alone_is_over_the_limit() {
        // A stream that keeps 100 records got 150 in one batch; when their segment was sealed by its age, as segments are that
        // are to be archived, all 150 were removed.
        let mut segments = segments();
        segments.truncate(2);
        (segments[0].records, segments[1].records) = (150, 0);
        (segments[1].bytes, segments[1].first_time, segments[1].last_time) = (0, None, None);
        let mut limits = RetentionLimits {
            max_bytes: Some(5),
            max_records: Some(100),
            max_age: None,
        };
        assert_eq!(limits.removable_before(&segments, seconds(10)), None);
        let evictable = limits.evictable_before(&segments, seconds(10)).map(Offset::get);
        assert_eq!(evictable, Some(1));
        limits.max_age = Some(Duration::from_secs(6));
        let removable = limits.removable_before(&segments, seconds(10)).map(Offset::get);
        assert_eq!(removable, Some(1));
    }

    #[test]
    fn the_active_segment_stays_whatever_the_limit() {
        let limits = RetentionLimits {
            max_bytes: Some(0),
            max_records: Some(0),
            max_age: Some(Duration::ZERO),
        };
        assert_eq!(removable(limits), Some(9));
    }
}
