//! Which small segments become one.

use crate::OffsetRange;
use crate::storage::SegmentSummary;

/// So many segments become one whatever their sizes.
const MANY: usize = 8;
/// Segments that have no more than this together become one whatever their number.
const SMALL_BYTES: u64 = 1 << 20;

/// Runs of at least two of these adjacent sealed segments that are small, at most half as large as a segment may be, and fit
/// into one of `max_bytes`.
///
/// A run of few segments stays as it is while one of them is more than twice as large as the others together: it would be
/// written anew again and again for a little.
pub fn merge_groups(segments: &[SegmentSummary], max_bytes: u64) -> Vec<OffsetRange> {
    let mut groups = Vec::new();
    let is_small = |segment: &SegmentSummary| segment.bytes <= max_bytes / 2;
    for run in segments.split(|segment| !is_small(segment)) {
        let mut rest = run;
        while !rest.is_empty() {
            let (group, later) = rest.split_at(fitting(rest, max_bytes));
            if is_worth_it(group)
                && let (Some(first), Some(last)) = (group.first(), group.last())
            {
                groups.push(OffsetRange::new(first.range.start, last.range.end));
            }
            rest = later;
        }
    }
    groups
}

/// How many leading segments fit into one, at least one.
fn fitting(segments: &[SegmentSummary], max_bytes: u64) -> usize {
    let mut bytes: u64 = 0;
    let fits = |segment: &&SegmentSummary| {
        bytes = bytes.saturating_add(segment.bytes);
        bytes <= max_bytes
    };
    segments.iter().take_while(fits).count().max(1)
}

fn is_worth_it(group: &[SegmentSummary]) -> bool {
    let all: u64 = group.iter().map(|segment| segment.bytes).sum();
    let largest = group.iter().map(|segment| segment.bytes).max().unwrap_or(0);
    let is_balanced = largest <= 2 * (all - largest);
    group.len() > 1 && (group.len() >= MANY || all <= SMALL_BYTES || is_balanced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Offset;

    fn groups(sizes: &[u64], max_bytes: u64) -> Vec<(u64, u64)> {
        let segment = |(number, &bytes): (u64, &u64)| SegmentSummary {
            id: Offset::new(number),
            range: OffsetRange::new(Offset::new(number), Offset::new(number + 1)),
            records: 1,
            bytes: bytes << 20,
            first_time: None,
            last_time: None,
            sealed: true,
        };
        let segments: Vec<_> = (0..).zip(sizes).map(segment).collect();
        let groups = merge_groups(&segments, max_bytes << 20);
        groups
            .into_iter()
            .map(|range| (range.start.get(), range.end.get()))
            .collect()
    }

    #[test]
    fn neighbours_that_fit_into_one_segment_become_one() {
        assert_eq!(groups(&[4, 3, 3, 5, 5], 10), [(0, 3), (3, 5)]);
        assert_eq!(groups(&[10, 10, 10], 10), []);
        assert_eq!(groups(&[12, 2, 2], 10), [(1, 3)]);
        assert_eq!(groups(&[], 10), []);
    }

    #[test]
    fn a_large_segment_is_not_written_again_for_small_ones() {
        assert_eq!(groups(&[90, 1, 1], 100), [(1, 3)]);
        assert_eq!(groups(&[60, 30], 100), []);
        assert_eq!(groups(&[45, 1, 1], 100), []);
        assert_eq!(groups(&[45, 1, 1, 1, 1, 1, 1, 1], 100), [(0, 8)]);
        assert_eq!(groups(&[40, 30], 100), [(0, 2)]);
    }

    #[test]
    fn segments_of_next_to_nothing_and_empty_ones_are_merged() {
        assert_eq!(groups(&[1, 0], 100), [(0, 2)]);
        assert_eq!(groups(&[0, 0], 100), [(0, 2)]);
        assert_eq!(groups(&[0], 100), []);
    }
}
