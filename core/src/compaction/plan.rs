//! Whether a run is worth it.

use std::time::Duration;

use super::Progress;
use crate::storage::SegmentSummary;
use crate::{Offset, OffsetRange, Timestamp};

/// When and how a log is compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionSettings {
    /// Time for which a tombstone (a key with an empty value) stays, so that readers see the removal.
    pub tombstone_grace: Duration,
    /// Age of a segment's newest record below which the segment is left alone.
    pub min_lag: Duration,
    /// Share of bytes that no pass has covered yet, in percent, below which a run is not worth it.
    pub min_dirty_percent: u8,
}

impl CompactionSettings {
    /// A day, as with Kafka.
    pub const DEFAULT_TOMBSTONE_GRACE: Duration = Duration::from_secs(24 * 3600);
    /// Half, as with Kafka.
    pub const DEFAULT_MIN_DIRTY_PERCENT: u8 = 50;
}

impl Default for CompactionSettings {
    fn default() -> Self {
        Self {
            tombstone_grace: Self::DEFAULT_TOMBSTONE_GRACE,
            min_lag: Duration::ZERO,
            min_dirty_percent: Self::DEFAULT_MIN_DIRTY_PERCENT,
        }
    }
}

/// How much of what may be compacted is not yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dirt {
    /// First offset that may not be compacted.
    pub end: Offset,
    /// Bytes in segments below it that no pass has covered whole.
    pub dirty_bytes: u64,
    /// Bytes in the other segments below it.
    pub clean_bytes: u64,
    /// Records in the segments that `dirty_bytes` counts.
    pub dirty_records: u64,
}

impl Dirt {
    /// Looks at a log's segments, in order with the active one last.
    pub fn of(
        segments: &[SegmentSummary],
        progress: &Progress,
        committed_end: Offset,
        settings: &CompactionSettings,
        now: Timestamp,
    ) -> Self {
        let may_go = |segment: &&SegmentSummary| {
            let is_old = |newest: Timestamp| now.since(newest) >= settings.min_lag;
            segment.sealed && segment.range.end <= committed_end && segment.last_time.is_none_or(is_old)
        };
        let mut dirt = Self::default();
        for segment in segments.iter().take_while(may_go) {
            dirt.end = segment.range.end;
            if segment.range.end > progress.clean_end {
                dirt.dirty_bytes += segment.bytes;
                dirt.dirty_records += segment.records;
            } else {
                dirt.clean_bytes += segment.bytes;
            }
        }
        dirt
    }

    fn is_worth_a_run(&self, min_dirty_percent: u8) -> bool {
        let all = u128::from(self.dirty_bytes) + u128::from(self.clean_bytes);
        self.dirty_records > 0 && u128::from(self.dirty_bytes) * 100 >= all * u128::from(min_dirty_percent)
    }
}

/// What a run has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The offsets whose keys are to be noted; may be empty.
    pub dirty: OffsetRange,
    /// Records in there, at the most.
    pub dirty_records: u64,
    /// Tombstones below this offset leave.
    pub tombstones_before: Option<Offset>,
}

impl Work {
    /// What there is to do now; none when it is not worth a run.
    pub fn due(
        dirt: &Dirt,
        progress: &Progress,
        settings: &CompactionSettings,
        now: Timestamp,
    ) -> Option<Self> {
        let tombstones_before = progress.tombstones_due(settings.tombstone_grace, now);
        let is_dirty = dirt.is_worth_a_run(settings.min_dirty_percent);
        if !is_dirty && tombstones_before.is_none() {
            return None;
        }
        let start = progress.clean_end;
        Some(Self {
            dirty: OffsetRange::new(start, dirt.end.max(start)),
            dirty_records: dirt.dirty_records,
            tombstones_before,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five segments of ten records and 100 bytes, a second apart; the last one is active.
    fn segments() -> Vec<SegmentSummary> {
        let segment = |number: u64| SegmentSummary {
            id: Offset::new(10 * number),
            range: OffsetRange::new(Offset::new(10 * number), Offset::new(10 * number + 10)),
            records: 10,
            bytes: 100,
            first_time: Some(at(number)),
            last_time: Some(at(number)),
            sealed: number < 4,
        };
        (0..5).map(segment).collect()
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO.plus(Duration::from_secs(seconds))
    }

    fn clean_to(offset: u64) -> Progress {
        Progress {
            clean_end: Offset::new(offset),
            ..Progress::default()
        }
    }

    fn dirt(clean_end: u64, committed_end: u64, min_lag_seconds: u64) -> Dirt {
        let settings = CompactionSettings {
            min_lag: Duration::from_secs(min_lag_seconds),
            ..CompactionSettings::default()
        };
        let progress = clean_to(clean_end);
        Dirt::of(
            &segments(),
            &progress,
            Offset::new(committed_end),
            &settings,
            at(5),
        )
    }

    #[test]
    fn only_sealed_segments_below_the_high_watermark_and_old_enough_count() {
        let numbers = |dirt: Dirt| (dirt.end.get(), dirt.dirty_bytes, dirt.clean_bytes);
        assert_eq!(numbers(dirt(0, 50, 0)), (40, 400, 0));
        assert_eq!(numbers(dirt(20, 50, 0)), (40, 200, 200));
        assert_eq!(numbers(dirt(25, 50, 0)), (40, 200, 200));
        assert_eq!(numbers(dirt(0, 29, 0)), (20, 200, 0));
        assert_eq!(numbers(dirt(0, 50, 4)), (20, 200, 0));
        assert_eq!(numbers(dirt(0, 50, 100)), (0, 0, 0));
    }

    #[test]
    fn a_run_waits_until_enough_is_dirty() {
        let due = |clean_end: u64, percent: u8| {
            let settings = CompactionSettings {
                min_dirty_percent: percent,
                ..CompactionSettings::default()
            };
            let work = Work::due(&dirt(clean_end, 50, 0), &clean_to(clean_end), &settings, at(5));
            work.map(|work| (work.dirty.start.get(), work.dirty.end.get()))
        };
        assert_eq!(due(0, 100), Some((0, 40)));
        assert_eq!(due(20, 50), Some((20, 40)));
        assert_eq!(due(20, 51), None);
        assert_eq!(due(30, 0), Some((30, 40)));
        assert_eq!(due(40, 0), None);
    }

    #[test]
    fn tombstones_that_are_due_are_worth_a_run_of_their_own() {
        let mut progress = Progress::default();
        progress.pass_ended(Offset::new(40), true, false, at(5));
        let settings = CompactionSettings::default();
        let due = |now: Timestamp| {
            let dirt = Dirt::of(&segments(), &progress, Offset::new(50), &settings, now);
            Work::due(&dirt, &progress, &settings, now)
        };
        assert_eq!(due(at(6)), None);
        let later = due(at(5).plus(settings.tombstone_grace)).unwrap();
        assert_eq!(later.tombstones_before, Some(Offset::new(40)));
        assert!(later.dirty.is_empty());
    }
}
