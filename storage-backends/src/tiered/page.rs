//! Pages of the manifest: entries that left HEAD because there were many.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strandline_core::storage::SegmentSummary;
use strandline_core::{LeaderEpoch, Offset, OffsetRange, PartitionId, Timestamp};

use super::entry::{self, check_entries, is_borrowed_from_a_place, is_name};
use super::nonce::nonce;
use super::{ArchiveError, Entry, Found, Place};

/// What HEAD says of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRef {
    /// Name of its object within the place, `manifest/…`.
    pub name: String,
    /// Where it lies, with those of its entries that do not say otherwise, if it is borrowed: another partition's place, as it is
    /// shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The offsets that it answers for, gaps between its entries included.
    #[serde(flatten)]
    pub range: OffsetRange,
    /// Number of its entries.
    pub segments: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of batches in them.
    pub bytes: u64,
    /// Time of the last record.
    pub last_time: Timestamp,
    /// The first leader epoch in it.
    pub epoch: LeaderEpoch,
}

impl PageRef {
    /// A name for a page of the HEAD with this number that no other leader, and no other try, gives.
    pub(super) fn new_name(sequence: u64) -> Result<String, ArchiveError> {
        Ok(format!("manifest/{sequence:020}.{}", nonce::<8>()?))
    }

    /// What HEAD says of a page with these entries; none without any.
    pub(super) fn of(name: String, entries: &[Entry]) -> Option<Self> {
        let (first, last) = entries.first().zip(entries.last())?;
        let sum = |of: fn(&Entry) -> u64| entries.iter().map(of).fold(0, u64::saturating_add);
        Some(Self {
            name,
            place: None,
            range: OffsetRange::new(first.range.start, last.range.end),
            segments: entries.len() as u64,
            records: sum(|entry| entry.records),
            bytes: sum(|entry| entry.bytes),
            last_time: last.last_time,
            epoch: first.epochs.first().map(|(epoch, _)| *epoch).unwrap_or_default(),
        })
    }

    /// Whether the numbers can be true together.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub(super) fn check(&self) -> Result<(), String> {
        if !is_name(&self.name, "manifest/") {
            return Err(format!("page {:?}: the name is not one of a page", self.name));
        }
        if !is_borrowed_from_a_place(self.place.as_deref()) {
            return Err(format!(
                "page {:?}: it is borrowed from what is no place",
                self.name
            ));
        }
        if self.range.is_empty() || self.range.end > Offset::MAX {
            return Err(format!("page {:?}: the range is not one of offsets", self.name));
        }
        Ok(())
    }

    /// The key of its object; `place` is the one whose HEAD names it.
    pub fn key(&self, place: &Place) -> String {
        entry::key(place, self.place.as_deref(), &self.name)
    }

    /// What retention may know of a page that is not loaded: as if it were one segment.
    pub fn summary(&self) -> SegmentSummary {
        SegmentSummary {
            id: self.range.start,
            range: self.range,
            records: self.records,
            bytes: self.bytes,
            first_time: None,
            last_time: Some(self.last_time),
            sealed: true,
        }
    }
}

/// A page as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PageDocument {
    pub(super) place: String,
    pub(super) partition: PartitionId,
    pub(super) entries: Vec<Entry>,
}

impl PageDocument {
    pub(super) const KIND: &str = "page";
}

/// A loaded page.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    range: OffsetRange,
    entries: Vec<Arc<Entry>>,
}

impl Page {
    /// The page of a document, if it is the one that HEAD means.
    ///
    /// # Errors
    ///
    /// What contradicts HEAD, or itself.
    pub(super) fn of(document: PageDocument, page: &PageRef, place: &Place) -> Result<Self, String> {
        let found = format!("{}/{}", document.place, document.partition);
        let is_meant = match &page.place {
            Some(lender) => found == *lender,
            None => document.place == place.root && document.partition == place.partition,
        };
        if !is_meant {
            return Err(format!("it belongs to {found}"));
        }
        check_entries(&document.entries)?;
        let covers = match (document.entries.first(), document.entries.last()) {
            (Some(first), Some(last)) => OffsetRange::new(first.range.start, last.range.end),
            _ => return Err("it has no entries".to_owned()),
        };
        let sum = |of: fn(&Entry) -> u64| document.entries.iter().map(of).fold(0, u64::saturating_add);
        let found = (
            covers,
            document.entries.len() as u64,
            sum(|entry| entry.records),
            sum(|entry| entry.bytes),
        );
        if found != (page.range, page.segments, page.records, page.bytes) {
            return Err(format!("it holds {covers}, which is not what HEAD says of it"));
        }
        // What the lender has for its own is borrowed here.
        let seen_from_here = |entry: Entry| Entry {
            place: entry.place.or_else(|| page.place.clone()),
            ..entry
        };
        Ok(Self {
            range: covers,
            entries: document
                .entries
                .into_iter()
                .map(seen_from_here)
                .map(Arc::new)
                .collect(),
        })
    }

    /// The offsets that it answers for.
    pub fn range(&self) -> OffsetRange {
        self.range
    }

    /// Its entries, in order.
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// What answers for an offset: an entry, or a gap between two; none outside the page.
    pub fn find(&self, offset: Offset) -> Option<Found> {
        find(&self.entries, self.range, offset)
    }

    /// The last entry that begins before this offset.
    pub fn before(&self, offset: Offset) -> Option<Arc<Entry>> {
        before(&self.entries, offset)
    }

    /// The first entry with a record at or after a point in time.
    pub fn at_time(&self, time: Timestamp) -> Option<Arc<Entry>> {
        at_time(&self.entries, time)
    }
}

/// What answers for an offset in a range that entries share with gaps.
pub(super) fn find(entries: &[Arc<Entry>], range: OffsetRange, offset: Offset) -> Option<Found> {
    if !range.contains(offset) {
        return None;
    }
    let next = entries.partition_point(|entry| entry.range.end <= offset);
    let following = entries.get(next);
    if let Some(entry) = following.filter(|entry| entry.range.contains(offset)) {
        return Some(Found::Entry(Arc::clone(entry)));
    }
    let start = next.checked_sub(1).and_then(|at| entries.get(at));
    let start = start.map_or(range.start, |entry| entry.range.end);
    let end = following.map_or(range.end, |entry| entry.range.start);
    Some(Found::Gap(OffsetRange::new(start, end)))
}

pub(super) fn before(entries: &[Arc<Entry>], offset: Offset) -> Option<Arc<Entry>> {
    let after = entries.partition_point(|entry| entry.range.start < offset);
    after.checked_sub(1).and_then(|at| entries.get(at)).cloned()
}

pub(super) fn at_time(entries: &[Arc<Entry>], time: Timestamp) -> Option<Arc<Entry>> {
    entries.iter().find(|entry| entry.last_time >= time).cloned()
}
