//! What the manifest says of one segment.

use serde::{Deserialize, Serialize};
use strandline_core::storage::SegmentSummary;
use strandline_core::{LeaderEpoch, Offset, OffsetRange, Timestamp};

use super::nonce::nonce;
use super::object::{HEADER_BYTES, ObjectTotals, TRAILER_BYTES};
use super::{ArchiveError, Place};

/// A segment in the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Name of its object within the place, `segments/…`.
    pub name: String,
    /// Where the object lies if it is borrowed: another partition's place, as it is shown. It is read there and never deleted from
    /// here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The offsets that it answers for. Its first batch may begin later: compaction leaves gaps.
    #[serde(flatten)]
    pub range: OffsetRange,
    /// Records in it; at least one.
    pub records: u64,
    /// Bytes of batches.
    pub bytes: u64,
    /// Length of the object: header, batches, footer and trailer.
    pub object_bytes: u64,
    /// Length of the footer, without the trailer.
    pub footer_bytes: u64,
    /// CRC-32C of the whole object.
    pub crc32c: u32,
    /// Time of its first record.
    pub first_time: Timestamp,
    /// Time of its last record.
    pub last_time: Timestamp,
    /// The leader epochs in it, each with the offset from which on it holds. The first one holds from the start of the range.
    pub epochs: Vec<(LeaderEpoch, Offset)>,
}

impl Entry {
    /// A name for an object of these offsets that no other leader, and no other try, gives.
    pub(super) fn new_name(range: OffsetRange, epoch: LeaderEpoch) -> Result<String, ArchiveError> {
        let (base, end) = (range.start.get(), range.end.get());
        Ok(format!("segments/{base:020}-{end:020}-{epoch}-{}", nonce::<8>()?))
    }

    /// What the manifest says of an object that was written.
    pub(super) fn of(name: String, range: OffsetRange, totals: ObjectTotals) -> Self {
        Self {
            name,
            place: None,
            range,
            records: totals.records,
            bytes: totals.bytes,
            object_bytes: totals.object_bytes,
            footer_bytes: totals.footer_bytes,
            crc32c: totals.crc32c,
            first_time: totals.first_time,
            last_time: totals.last_time,
            epochs: totals.epochs,
        }
    }

    /// Whether the object in the bucket is as long as what was written.
    pub(super) fn check_length(&self, key: &str, found: u64) -> Result<(), ArchiveError> {
        if found == self.object_bytes {
            return Ok(());
        }
        let reason = format!("{} bytes were meant and {found} were written", self.object_bytes);
        Err(ArchiveError::damaged(key, reason))
    }

    /// Whether the numbers can be true together.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub(super) fn check(&self) -> Result<(), String> {
        let broken = |rule: &str| Err(format!("entry {:?}: {rule}", self.name));
        if !is_name(&self.name, "segments/") {
            return broken("the name is not one of a segment");
        }
        if !is_borrowed_from_a_place(self.place.as_deref()) {
            return broken("it is borrowed from what is no place");
        }
        if self.range.is_empty() || self.range.end > Offset::MAX {
            return broken("the range is not one of offsets");
        }
        if self.records == 0 || self.records > self.range.end.since(self.range.start) {
            return broken("so many records are not in its range");
        }
        let parts = [
            self.bytes,
            self.footer_bytes,
            HEADER_BYTES as u64,
            TRAILER_BYTES as u64,
        ];
        let sum = parts.into_iter().try_fold(0_u64, u64::checked_add);
        if sum != Some(self.object_bytes) || self.bytes == 0 {
            return broken("the lengths of its parts are not that of the object");
        }
        let rises = |pair: &[(LeaderEpoch, Offset)]| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1;
        let is_first = self
            .epochs
            .first()
            .is_some_and(|(_, from)| *from == self.range.start);
        let is_inside = self.epochs.iter().all(|(_, from)| self.range.contains(*from));
        if !is_first || !is_inside || !self.epochs.windows(2).all(rises) {
            return broken("the epochs do not follow one another");
        }
        Ok(())
    }

    /// The key of its object; `place` is the one whose manifest this is.
    pub fn key(&self, place: &Place) -> String {
        key(place, self.place.as_deref(), &self.name)
    }

    /// The entry as retention sees segments.
    pub fn summary(&self) -> SegmentSummary {
        SegmentSummary {
            id: self.range.start,
            range: self.range,
            records: self.records,
            bytes: self.bytes,
            first_time: Some(self.first_time),
            last_time: Some(self.last_time),
            sealed: true,
        }
    }
}

/// Whether this is a name that an archive gives to objects of a kind: nothing that leads elsewhere.
pub(super) fn is_name(name: &str, directory: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    name.strip_prefix(directory).is_some_and(|rest| {
        (1..=160).contains(&rest.len()) && rest != "." && rest != ".." && rest.bytes().all(is_plain)
    })
}

/// The key of an object that may be borrowed.
pub(super) fn key(place: &Place, lender: Option<&str>, name: &str) -> String {
    match lender {
        Some(lender) => format!("{lender}/{name}"),
        None => place.key(name),
    }
}

/// Whether what is borrowed is so from something that can be a place.
pub(super) fn is_borrowed_from_a_place(lender: Option<&str>) -> bool {
    lender.is_none_or(|lender| Place::parse(lender).is_some())
}

/// Puts entries in order with what lies between them, and finds what cannot be: used by HEAD and by pages.
pub(super) fn check_entries(entries: &[Entry]) -> Result<(), String> {
    entries.iter().try_for_each(Entry::check)?;
    for pair in entries.windows(2) {
        if pair[1].range.start < pair[0].range.end {
            return Err(format!(
                "entries {:?} and {:?} overlap",
                pair[0].name, pair[1].name
            ));
        }
    }
    Ok(())
}
