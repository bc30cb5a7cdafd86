//! Where a state of a manifest is cut so that it ends earlier: arithmetic without input and output.

use std::sync::Arc;

use strandline_core::{LeaderEpoch, LogId, Offset, OffsetRange, Timestamp};

use super::point::Borrowed;
use super::{Entry, Head, Page, Place, Tombstones, View};

/// A state of a manifest up to an offset.
#[derive(Clone, Debug)]
pub struct Cut {
    /// What is whole before it.
    pub(super) state: Head,
    /// The segment that it goes through.
    pub(super) part: Option<Part>,
}

/// The first batches of a segment.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) entry: Arc<Entry>,
    /// The blocks that hold them; the last one may hold more.
    pub(super) blocks: usize,
    /// They end before it.
    pub(super) end: Offset,
    /// Time of the last record.
    pub(super) last_time: Timestamp,
}

impl Cut {
    /// First offset that can be there.
    pub fn start(&self) -> Offset {
        self.state.start
    }

    /// First offset that is not there.
    pub fn end(&self) -> Offset {
        self.part.as_ref().map_or(self.state.end, |part| part.end)
    }

    /// The last leader epoch that can be in it.
    pub fn epoch(&self) -> LeaderEpoch {
        self.state.epoch
    }

    /// Time of the newest record; none when there is none.
    pub fn last_time(&self) -> Option<Timestamp> {
        let part = self.part.as_ref().map(|part| part.last_time);
        part.or_else(|| View::of(self.state.clone()).last_time())
    }

    /// The first HEAD of a place that borrows all of it, but for the segment that is cut: of that it has an object of its own.
    pub(super) fn borrowing(&self, first: Head, part: Option<Entry>) -> Head {
        let lender = format!("{}/{}", self.state.place, self.state.partition);
        let place = |of: &Option<String>| Some(of.clone().unwrap_or_else(|| lender.clone()));
        let mut next = first;
        next.sequence = next.sequence.saturating_add(1);
        (next.start, next.end) = (self.start(), self.end());
        (next.compacted, next.tombstones) = (self.state.compacted, self.state.tombstones);
        next.gaps.clone_from(&self.state.gaps);
        next.pages.clone_from(&self.state.pages);
        next.pages
            .iter_mut()
            .for_each(|page| page.place = place(&page.place));
        next.entries.clone_from(&self.state.entries);
        next.entries
            .iter_mut()
            .for_each(|entry| entry.place = place(&entry.place));
        next.entries.extend(part);
        next
    }
}

/// HEAD of a place that will borrow, empty: it says where from before it does, so that whoever removes it can end that.
pub(super) fn first_head(place: &Place, writer: String, start: Offset, borrowed: Borrowed) -> Head {
    Head {
        place: place.root.clone(),
        partition: place.partition,
        // The leader of the partition makes it its own when it claims it.
        log: LogId::new(0),
        epoch: LeaderEpoch::ZERO,
        writer,
        sequence: 1,
        start,
        end: start,
        pages: Vec::new(),
        entries: Vec::new(),
        gaps: Vec::new(),
        gone: Vec::new(),
        points: Vec::new(),
        borrowed: vec![borrowed],
        compacted: Offset::ZERO,
        tombstones: Tombstones::default(),
        purging: false,
    }
}

/// The state up to `end`, where an entry begins; `page` is the one that holds that entry, if one does. Its entries before `end`
/// stand in HEAD then.
pub(super) fn truncated(state: &Head, page: Option<&Page>, end: Offset) -> Head {
    let mut next = Head {
        gone: Vec::new(),
        points: Vec::new(),
        purging: false,
        ..state.clone()
    };
    if end >= state.end {
        return next;
    }
    next.end = end.max(state.start);
    next.compacted = next.compacted.min(next.end);
    next.tombstones = next.tombstones.up_to(next.end);
    next.pages.retain(|page| page.range.end <= end);
    next.entries.retain(|entry| entry.range.end <= end);
    if let Some(page) = page {
        let whole = page
            .entries()
            .iter()
            .filter(|entry| entry.range.end > state.start && entry.range.end <= end);
        next.entries = whole.map(|entry| (**entry).clone()).collect();
    }
    if end <= state.start {
        (next.pages, next.entries, next.gaps) = (Vec::new(), Vec::new(), Vec::new());
    }
    next.gaps.retain(|gap| gap.start < end);
    if let Some(last) = next.gaps.last_mut() {
        *last = OffsetRange::new(last.start, last.end.min(end));
    }
    next
}

#[cfg(test)]
mod tests {
    use strandline_core::PartitionId;

    use super::super::PageRef;
    use super::super::page::PageDocument;
    use super::*;

    fn offset(number: u64) -> Offset {
        Offset::new(number)
    }

    fn range(start: u64, end: u64) -> OffsetRange {
        OffsetRange::new(offset(start), offset(end))
    }

    fn place() -> Place {
        Place::parse("c/s.1/0").unwrap()
    }

    fn entry(start: u64, end: u64) -> Entry {
        Entry {
            name: format!("segments/{start}-{end}"),
            place: None,
            range: range(start, end),
            records: end - start,
            bytes: 100,
            object_bytes: 100 + 16 + 24 + 50,
            footer_bytes: 50,
            crc32c: 0,
            first_time: Timestamp::from_nanos(start as i64),
            last_time: Timestamp::from_nanos(end as i64 - 1),
            epochs: vec![(LeaderEpoch::new(1), offset(start))],
        }
    }

    /// A page with 0..10, a gap, 20..30 and 30..40, of which retention has taken the first; then a gap and 50..60 in HEAD.
    fn state() -> (Head, Page) {
        let entries = vec![entry(0, 10), entry(20, 30), entry(30, 40)];
        let page = PageRef {
            name: "manifest/p".to_owned(),
            place: None,
            range: range(0, 40),
            segments: 3,
            records: 30,
            bytes: 300,
            last_time: Timestamp::from_nanos(39),
            epoch: LeaderEpoch::new(1),
        };
        let document = PageDocument {
            place: "c/s.1".to_owned(),
            partition: PartitionId::new(0),
            entries,
        };
        let loaded = Page::of(document, &page, &place()).unwrap();
        let borrowed = Borrowed {
            place: "c/x.9/0".to_owned(),
            point: "lent-0".to_owned(),
        };
        let head = Head {
            start: offset(20),
            end: offset(60),
            pages: vec![page],
            entries: vec![entry(50, 60)],
            gaps: vec![range(40, 50)],
            ..first_head(&place(), "0".repeat(32), offset(0), borrowed)
        };
        head.check().unwrap();
        (head, loaded)
    }

    fn cut(end: u64) -> Head {
        let (head, page) = state();
        let page = Some(&page).filter(|page| page.range().contains(offset(end)));
        let cut = truncated(&head, page, offset(end));
        cut.check().unwrap();
        cut
    }

    #[test]
    fn a_state_is_cut_between_entries_in_pages_and_at_its_start() {
        let names = |head: &Head| {
            let names = head.entries.iter().map(|entry| entry.range.start.get());
            (head.pages.len(), names.collect::<Vec<_>>())
        };
        let whole = cut(60);
        assert_eq!((names(&whole), whole.end.get()), ((1, vec![50]), 60));
        let gap = cut(50);
        assert_eq!((names(&gap), gap.end.get()), ((1, vec![]), 50));
        assert_eq!(gap.gaps, [range(40, 50)]);
        let paged = cut(30);
        assert_eq!((names(&paged), paged.end.get()), ((0, vec![20]), 30));
        assert!(paged.gaps.is_empty());
        for end in [20, 0] {
            let empty = cut(end);
            assert_eq!(
                (names(&empty), empty.start.get(), empty.end.get()),
                ((0, vec![]), 20, 20)
            );
        }
    }

    #[test]
    fn who_borrows_names_the_place_of_all_but_what_is_borrowed_there_already() {
        let (mut state, page) = state();
        state.entries[0].place = Some("c/x.9/0".to_owned());
        let part = Part {
            entry: Arc::clone(&page.entries()[2]),
            blocks: 1,
            end: offset(35),
            last_time: Timestamp::from_nanos(34),
        };
        let whole = Cut {
            state: state.clone(),
            part: None,
        };
        let other = Place::parse("d/t.2/0").unwrap();
        let by = Borrowed {
            place: "c/s.1/0".to_owned(),
            point: "lent-1".to_owned(),
        };
        let first = first_head(&other, "1".repeat(32), whole.start(), by);
        first.check().unwrap();
        let head = whole.borrowing(first.clone(), None);
        head.check().unwrap();
        assert_eq!(head.pages[0].place.as_deref(), Some("c/s.1/0"));
        assert_eq!(head.entries[0].place.as_deref(), Some("c/x.9/0"));
        assert_eq!(head.pages[0].key(&other), "c/s.1/0/manifest/p");
        let cut = Cut {
            state: truncated(&state, Some(&page), offset(30)),
            part: Some(part),
        };
        assert_eq!(
            (cut.end().get(), cut.last_time()),
            (35, Some(Timestamp::from_nanos(34)))
        );
        let own = Entry {
            name: "segments/own".to_owned(),
            ..entry(30, 35)
        };
        let head = cut.borrowing(first, Some(own));
        head.check().unwrap();
        assert_eq!((head.end.get(), head.entries.len()), (35, 2));
        assert_eq!(head.entries[1].key(&other), "d/t.2/0/segments/own");
    }
}
