//! The sparse index of a segment: where in the file which offset and which time begin.
//!
//! A cache: it is only ever trusted to point at the start of a frame, and is built anew by a scan when it is missing or
//! damaged.
//!
//! ```text
//! index file (little-endian)
//!    0  u32  CRC-32C of bytes 4..
//!    4  u32  number of entries
//!    8  u64  bytes of the segment that the index covers
//!   16       entries: u64 offset, i64 time, u64 position
//! ```

use strandline_core::record::{BatchHeader, crc32c};
use strandline_core::{Offset, Timestamp};

/// Bytes of a segment between two entries, at the least.
const INTERVAL_BYTES: u64 = 4096;
const HEAD_BYTES: usize = 16;
const ENTRY_BYTES: usize = 24;
/// Largest index file that is read.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 30;

/// A batch and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    base: Offset,
    first_time: Timestamp,
    position: u64,
}

/// Entries in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    entries: Vec<Entry>,
}

impl Index {
    /// Takes note of a batch that is appended at this position.
    pub(super) fn note(&mut self, header: &BatchHeader, position: u64) {
        let due = self
            .entries
            .last()
            .is_none_or(|last| position - last.position >= INTERVAL_BYTES);
        if due {
            self.entries.push(Entry {
                base: header.base,
                first_time: header.first_time,
                position,
            });
        }
    }

    /// A position at or before the batch that holds this offset.
    pub(super) fn position_of(&self, offset: Offset) -> u64 {
        let after = self.entries.partition_point(|entry| entry.base <= offset);
        self.position_before(after)
    }

    /// A position at or before the first batch with a record at or after this time.
    pub(super) fn position_at(&self, time: Timestamp) -> u64 {
        let after = self.entries.partition_point(|entry| entry.first_time < time);
        self.position_before(after)
    }

    fn position_before(&self, after: usize) -> u64 {
        after
            .checked_sub(1)
            .and_then(|index| self.entries.get(index))
            .map_or(0, |entry| entry.position)
    }

    pub(super) fn encode(&self, covered: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.entries.len() * ENTRY_BYTES);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        out.extend_from_slice(&covered.to_le_bytes());
        for entry in &self.entries {
            out.extend_from_slice(&entry.base.get().to_le_bytes());
            out.extend_from_slice(&entry.first_time.nanos().to_le_bytes());
            out.extend_from_slice(&entry.position.to_le_bytes());
        }
        let crc = crc32c(&out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads an index that covers exactly so many bytes of its segment; none when it does not, or is damaged.
    pub(super) fn decode(bytes: &[u8], covered: u64) -> Option<Self> {
        let (covers, index) = Self::read(bytes).ok()?;
        (covers == covered).then_some(index)
    }

    /// Reads an index, and how many bytes of its segment it covers; or says what is wrong with it.
    pub(super) fn read(bytes: &[u8]) -> Result<(u64, Self), &'static str> {
        let (head, rest) = bytes
            .split_first_chunk::<HEAD_BYTES>()
            .ok_or("it is shorter than its head")?;
        let [c0, c1, c2, c3, n0, n1, n2, n3, covers @ ..] = *head;
        if Some(u32::from_le_bytes([c0, c1, c2, c3])) != bytes.get(4..).map(crc32c) {
            return Err("its checksum is wrong");
        }
        let covered = u64::from_le_bytes(covers);
        let count = u32::from_le_bytes([n0, n1, n2, n3]) as usize;
        let (chunks, remainder) = rest.as_chunks::<ENTRY_BYTES>();
        if chunks.len() != count || !remainder.is_empty() {
            return Err("it is of another length than its entries");
        }
        let entries: Vec<_> = chunks.iter().map(entry).collect();
        let sorted = entries.is_sorted_by(|a, b| a.base < b.base && a.position < b.position);
        let inside = entries.last().is_none_or(|last| last.position < covered);
        match (sorted, inside) {
            (false, _) => Err("its entries are out of order"),
            (_, false) => Err("an entry lies behind what it covers"),
            (true, true) => Ok((covered, Self { entries })),
        }
    }

    /// The entries: first offset, first time and position of a batch.
    pub(super) fn entries(&self) -> impl ExactSizeIterator<Item = (Offset, Timestamp, u64)> {
        self.entries
            .iter()
            .map(|entry| (entry.base, entry.first_time, entry.position))
    }

    /// The first position behind this one at which it says that a batch begins.
    pub(super) fn position_behind(&self, position: u64) -> Option<u64> {
        let after = self.entries.partition_point(|entry| entry.position <= position);
        self.entries.get(after).map(|entry| entry.position)
    }

    /// The first entry that an index of the same segment, built from it, has not got, or that it has and this one lacks: where
    /// the two part. They are compared up to so many bytes of the segment.
    pub(super) fn parts_from(&self, built: &Self, covered: u64) -> Option<u64> {
        let of = |index: &Self, at: usize| {
            let entry = index.entries.get(at).copied();
            entry.filter(|entry| entry.position < covered)
        };
        let longest = self.entries.len().max(built.entries.len());
        let differs = (0..longest).find(|&at| of(self, at) != of(built, at))?;
        let entry = of(self, differs).or_else(|| of(built, differs))?;
        Some(entry.position)
    }
}

fn entry(raw: &[u8; ENTRY_BYTES]) -> Entry {
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&raw[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    Entry {
        base: Offset::new(number(0)),
        first_time: Timestamp::from_nanos(number(8) as i64),
        position: number(16),
    }
}
