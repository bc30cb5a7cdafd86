//! Whether a run over an archive is worth it, from what HEAD says alone.

use strandline_core::compaction::{CompactionSettings, Dirt, Progress, Work};
use strandline_core::storage::SegmentSummary;
use strandline_core::{Offset, OffsetRange, Timestamp};

use crate::tiered::{Entry, PageRef, View};

/// What there is to do for an archive now, and how far it is compacted; none when a run is not worth it. Costs no request.
pub fn due(view: &View, settings: &CompactionSettings, now: Timestamp) -> Option<(Progress, Work)> {
    let head = view.head();
    let progress = head.tombstones.progress(head.compacted);
    let segments = rough(&head.pages, &head.entries, head.compacted);
    let dirt = Dirt::of(&segments, &progress, head.end, settings, now);
    let work = Work::due(&dirt, &progress, settings, now)?;
    Some((progress, work))
}

/// Whether the grace time of tombstones can begin for an archive whose local log starts here.
pub fn begins_to_wait(view: &View, local_start: Offset, now: Timestamp) -> bool {
    let head = view.head();
    head.tombstones.begun(head.compacted, local_start, now).is_ok()
}

/// The segments as far as HEAD knows them: a page counts as one, or as two where the compacted part ends in it.
fn rough(pages: &[PageRef], entries: &[Entry], compacted: Offset) -> Vec<SegmentSummary> {
    let paged = pages.iter().flat_map(|page| split(page, compacted));
    paged.chain(entries.iter().map(Entry::summary)).collect()
}

fn split(page: &PageRef, at: Offset) -> impl Iterator<Item = SegmentSummary> {
    let (whole, OffsetRange { start, end }) = (page.summary(), page.range);
    let parts = if start < at && at < end {
        let share = u128::from(whole.bytes) * u128::from(at.since(start)) / u128::from(end.since(start));
        let clean = u64::try_from(share).unwrap_or(u64::MAX);
        let clean = SegmentSummary {
            range: OffsetRange::new(start, at),
            records: 0,
            bytes: clean,
            ..whole
        };
        // So many keys at the most.
        let dirty = SegmentSummary {
            range: OffsetRange::new(at, end),
            bytes: whole.bytes.saturating_sub(clean.bytes),
            ..whole
        };
        [Some(clean), Some(dirty)]
    } else {
        [Some(whole), None]
    };
    parts.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use strandline_core::LeaderEpoch;

    use super::*;

    fn page(start: u64, end: u64) -> PageRef {
        PageRef {
            place: None,
            name: "manifest/x".to_owned(),
            range: OffsetRange::new(Offset::new(start), Offset::new(end)),
            segments: 5,
            records: end - start,
            bytes: (end - start) * 10,
            last_time: Timestamp::ZERO,
            epoch: LeaderEpoch::new(1),
        }
    }

    #[test]
    fn a_page_that_is_compacted_in_part_is_clean_in_part() {
        let dirt = |compacted: u64| {
            let compacted = Offset::new(compacted);
            let progress = Progress {
                clean_end: compacted,
                ..Progress::default()
            };
            let segments = rough(&[page(0, 100), page(100, 200)], &[], compacted);
            let settings = CompactionSettings::default();
            let dirt = Dirt::of(&segments, &progress, Offset::new(200), &settings, Timestamp::ZERO);
            (dirt.clean_bytes, dirt.dirty_bytes, dirt.dirty_records)
        };
        assert_eq!(dirt(0), (0, 2000, 200));
        assert_eq!(dirt(30), (300, 1700, 200));
        assert_eq!(dirt(100), (1000, 1000, 100));
        assert_eq!(dirt(200), (2000, 0, 0));
    }
}
