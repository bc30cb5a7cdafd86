//! Other segments in the place of some: what becomes of HEAD and its pages. Plain decisions.

use std::sync::Arc;

use strandline_core::{OffsetRange, Timestamp};

use super::super::head::Gone;
use super::super::{Entry, Head, Page, PageRef};

/// Entries of a page that is written anew. As many as a page gets that leaves HEAD, more or less.
const PER_PAGE: usize = 192;

/// What is to take the place of neighbouring segments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Swap<'a> {
    /// The segments, in order, at least one.
    pub(super) old: &'a [Arc<Entry>],
    /// What is left of them; none = nothing.
    pub(super) new: Option<&'a Entry>,
    pub(super) now: Timestamp,
}

/// HEAD after a swap, and the pages that have to be there before.
#[derive(Debug)]
pub(super) struct Swapped {
    pub(super) head: Head,
    pub(super) pages: Vec<(String, Vec<Entry>)>,
}

impl Swap<'_> {
    /// What the old segments answer for.
    pub(super) fn range(&self) -> OffsetRange {
        let (first, last) = (self.old.first(), self.old.last());
        let start = first.map(|entry| entry.range.start).unwrap_or_default();
        OffsetRange::new(start, last.map_or(start, |entry| entry.range.end))
    }

    /// The pages that the swap touches, by their number in HEAD.
    pub(super) fn pages(&self, head: &Head) -> std::ops::Range<usize> {
        let range = self.range();
        let first = head.pages.partition_point(|page| page.range.end <= range.start);
        let last = head.pages.partition_point(|page| page.range.start < range.end);
        first..last.max(first)
    }

    /// HEAD with the new segment, given the pages that it touches. `name` makes the name of a page. None when the old segments
    /// are not there any more, such as after retention.
    pub(super) fn apply(
        &self,
        head: &Head,
        pages: &[Arc<Page>],
        mut name: impl FnMut() -> String,
    ) -> Option<Swapped> {
        let touched = self.pages(head);
        let mut next = head.clone();
        let paged_to = pages.last().map(|page| page.range().end);
        let kept = |entry: &&Arc<Entry>| entry.range.end > head.start;
        let paged = pages.iter().flat_map(|page| page.entries().iter().filter(kept));
        let mut entries: Vec<Entry> = paged.map(|entry| Entry::clone(entry)).collect();
        entries.append(&mut next.entries);
        let at = self.position(&entries)?;
        entries.splice(at..at + self.old.len(), self.new.cloned());
        let count = paged_to.map_or(0, |end| entries.partition_point(|entry| entry.range.end <= end));
        next.entries = entries.split_off(count);
        let written: Vec<_> = entries
            .chunks(PER_PAGE)
            .map(|chunk| (name(), chunk.to_vec()))
            .collect();
        let refs = written
            .iter()
            .filter_map(|(name, entries)| PageRef::of(name.clone(), entries));
        let left: Vec<_> = next.pages.splice(touched, refs).collect();
        // What is borrowed is deleted by those who lent it, or not.
        let left = left.into_iter().filter(|page| page.place.is_none());
        let old = self.old.iter().filter(|entry| entry.place.is_none());
        let names = old
            .map(|entry| entry.name.clone())
            .chain(left.map(|page| page.name));
        let since = self.now;
        next.gone.extend(names.map(|name| Gone { name, since }));
        self.fill(&mut next.gaps);
        Some(Swapped {
            head: next,
            pages: written,
        })
    }

    /// Where the old segments are among these, exactly.
    fn position(&self, entries: &[Entry]) -> Option<usize> {
        let first = self.old.first()?;
        let at = entries.iter().position(|entry| entry.name == first.name)?;
        let found = entries.get(at..at + self.old.len())?;
        let is_same = |(found, old): (&Entry, &Arc<Entry>)| found.name == old.name;
        found.iter().zip(self.old).all(is_same).then_some(at)
    }

    /// What lay between the old segments belongs to the new one; where nothing is left there is a gap.
    fn fill(&self, gaps: &mut Vec<OffsetRange>) {
        let range = self.range();
        gaps.retain(|gap| gap.end <= range.start || gap.start >= range.end);
        if self.new.is_some() {
            return;
        }
        let at = gaps.partition_point(|gap| gap.end <= range.start);
        gaps.insert(at, range);
        gaps.dedup_by(|later, earlier| {
            let are_one = earlier.end == later.start;
            if are_one {
                earlier.end = later.end;
            }
            are_one
        });
    }
}

#[cfg(test)]
mod tests {
    use strandline_core::{LeaderEpoch, LogId, Offset, PartitionId};

    use super::super::super::page::PageDocument;
    use super::super::super::{Place, Tombstones};
    use super::*;

    fn range(start: u64, end: u64) -> OffsetRange {
        OffsetRange::new(Offset::new(start), Offset::new(end))
    }

    fn entry(start: u64, end: u64) -> Entry {
        Entry {
            name: format!("segments/{start}-{end}"),
            place: None,
            range: range(start, end),
            records: 1,
            bytes: 100,
            object_bytes: 200,
            footer_bytes: 60,
            crc32c: 0,
            first_time: Timestamp::ZERO,
            last_time: Timestamp::ZERO,
            epochs: vec![(LeaderEpoch::new(1), Offset::new(start))],
        }
    }

    fn place() -> Place {
        Place {
            root: "c/s.1".to_owned(),
            partition: PartitionId::new(0),
        }
    }

    /// Pages of two segments of ten offsets each, then the rest in HEAD.
    fn archive(pages: u64, rest: u64) -> (Head, Vec<Arc<Page>>) {
        let all: Vec<_> = (0..pages * 2 + rest)
            .map(|number| entry(number * 10, number * 10 + 10))
            .collect();
        let (paged, entries) = all.split_at(pages as usize * 2);
        let mut loaded = Vec::new();
        let mut refs = Vec::new();
        for (number, chunk) in paged.chunks(2).enumerate() {
            let page = PageRef::of(format!("manifest/{number}"), chunk).unwrap();
            let document = PageDocument {
                place: place().root,
                partition: place().partition,
                entries: chunk.to_vec(),
            };
            loaded.push(Arc::new(Page::of(document, &page, &place()).unwrap()));
            refs.push(page);
        }
        let head = Head {
            place: place().root,
            partition: place().partition,
            log: LogId::new(1),
            epoch: LeaderEpoch::new(1),
            writer: "0".repeat(32),
            sequence: 1,
            start: Offset::ZERO,
            end: Offset::new((pages * 2 + rest) * 10),
            pages: refs,
            entries: entries.to_vec(),
            gaps: vec![],
            gone: vec![],
            points: vec![],
            borrowed: vec![],
            compacted: Offset::ZERO,
            tombstones: Tombstones::default(),
            purging: false,
        };
        (head, loaded)
    }

    fn swap(head: &Head, loaded: &[Arc<Page>], over: (u64, u64), new: Option<&Entry>) -> Option<Swapped> {
        let mut starts: Vec<_> = (over.0..over.1).step_by(10).collect();
        starts.retain(|start| *start < head.end.get());
        let old: Vec<_> = starts
            .into_iter()
            .map(|start| Arc::new(entry(start, start + 10)))
            .collect();
        let swap = Swap {
            old: &old,
            new,
            now: Timestamp::from_nanos(5),
        };
        let mut number = 0;
        swap.apply(head, &loaded[swap.pages(head)], || {
            number += 1;
            format!("manifest/new{number}")
        })
    }

    /// Starts of what is in pages, page by page, and in HEAD.
    fn shape(swapped: &Swapped) -> (Vec<Vec<u64>>, Vec<u64>) {
        swapped.head.check().unwrap();
        let starts = |entries: &[Entry]| entries.iter().map(|entry| entry.range.start.get()).collect();
        let page = |page: &PageRef| {
            let written = swapped.pages.iter().find(|(name, _)| *name == page.name);
            written.map_or(vec![page.range.start.get()], |(_, entries)| starts(entries))
        };
        let pages = swapped.head.pages.iter().map(page).collect();
        (pages, starts(&swapped.head.entries))
    }

    fn gone(swapped: &Swapped) -> Vec<&str> {
        swapped.head.gone.iter().map(|gone| gone.name.as_str()).collect()
    }

    #[test]
    fn segments_in_head_are_replaced_there() {
        let (head, loaded) = archive(1, 3);
        let swapped = swap(&head, &loaded, (20, 40), Some(&entry(20, 40))).unwrap();
        assert_eq!(shape(&swapped), (vec![vec![0]], vec![20, 40]));
        assert_eq!(gone(&swapped), ["segments/20-30", "segments/30-40"]);
        assert!(swapped.pages.is_empty(), "no page is touched");
    }

    #[test]
    fn segments_in_pages_make_new_pages_and_others_are_left_alone() {
        let (head, loaded) = archive(3, 1);
        let swapped = swap(&head, &loaded, (10, 30), Some(&entry(10, 30))).unwrap();
        assert_eq!(shape(&swapped), (vec![vec![0, 10, 30], vec![40]], vec![60]));
        assert_eq!(
            gone(&swapped),
            ["segments/10-20", "segments/20-30", "manifest/0", "manifest/1"]
        );
    }

    #[test]
    fn what_reaches_from_a_page_into_head_is_in_head_afterwards() {
        let (head, loaded) = archive(2, 2);
        let swapped = swap(&head, &loaded, (30, 50), Some(&entry(30, 50))).unwrap();
        assert_eq!(shape(&swapped), (vec![vec![0], vec![20]], vec![30, 50]));
    }

    #[test]
    fn where_nothing_is_left_there_is_one_gap_in_a_page_and_out_of_it() {
        let (head, loaded) = archive(2, 2);
        let inside = swap(&head, &loaded, (0, 20), None).unwrap();
        assert_eq!(shape(&inside), (vec![vec![20]], vec![40, 50]));
        let more = swap(&inside.head, &loaded[1..], (20, 50), None).unwrap();
        assert_eq!(shape(&more), (vec![], vec![50]));
        assert_eq!(more.head.gaps, [range(0, 50)]);
        let all = swap(&more.head, &[], (50, 60), None).unwrap();
        assert_eq!(shape(&all), (vec![], vec![]));
        assert_eq!(all.head.gaps, [range(0, 60)]);
    }

    #[test]
    fn a_gap_between_old_segments_is_covered_by_the_new_one() {
        let (mut head, _) = archive(0, 3);
        head.entries.remove(1);
        head.gaps = vec![range(10, 20)];
        let old = [Arc::new(entry(0, 10)), Arc::new(entry(20, 30))];
        let new = entry(0, 30);
        let swap = Swap {
            old: &old,
            new: Some(&new),
            now: Timestamp::ZERO,
        };
        let swapped = swap.apply(&head, &[], String::new).unwrap();
        assert_eq!(shape(&swapped), (vec![], vec![0]));
        assert!(swapped.head.gaps.is_empty());
    }

    #[test]
    fn what_retention_took_meanwhile_is_not_replaced() {
        let (mut head, loaded) = archive(1, 2);
        head.entries.remove(0);
        assert!(swap(&head, &loaded, (20, 40), Some(&entry(20, 40))).is_none());
        // Of a page that reaches below the start, what is below is gone.
        let (mut head, loaded) = archive(1, 2);
        head.start = Offset::new(10);
        assert!(swap(&head, &loaded, (0, 20), Some(&entry(0, 20))).is_none());
        let swapped = swap(&head, &loaded, (10, 20), Some(&entry(10, 20))).unwrap();
        assert_eq!(shape(&swapped), (vec![vec![10]], vec![20, 30]));
    }
}
