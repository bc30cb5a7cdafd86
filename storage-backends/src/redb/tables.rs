//! What is in the database: tables, keys and values.
//!
//! ```text
//! table      key (big-endian)                                             value (little-endian)
//! logs       u64 log                                                      u64 start, u32 last generation
//! segments   u64 log, u64 base, u32 generation                            u64 start, u64 end, u64 records, u64 bytes,
//!                                                                         i64 first time, i64 last time
//! epochs     u64 log, u64 epoch                                           u64 first offset
//! batches    u64 log, u64 base, u32 generation, u64 offset, u32 part      bytes of the batch that begins at the offset
//! leftovers  u64 log, u64 base, u32 generation                            nothing
//! ```
//!
//! The last segment of a log is active. A segment that is in `leftovers` belongs to no log, whatever of its batches is there.

use std::collections::BTreeSet;

use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

use strandline_core::record::Batch;
use strandline_core::{LeaderEpoch, LogId, Offset, OffsetRange, Timestamp};

use super::shape::{Content, Segment, SegmentId, Shape};
use crate::epochs::{EpochStart, Epochs};

pub(super) type LogKey = [u8; 8];
pub(super) type SegmentKey = [u8; 20];
pub(super) type EpochKey = [u8; 16];
pub(super) type BatchKey = [u8; 32];
type LogValue = [u8; 12];
type SegmentValue = [u8; 48];
type EpochValue = [u8; 8];

pub(super) const LOGS: TableDefinition<'_, &LogKey, &LogValue> = TableDefinition::new("logs");
pub(super) const SEGMENTS: TableDefinition<'_, &SegmentKey, &SegmentValue> = TableDefinition::new("segments");
pub(super) const EPOCHS: TableDefinition<'_, &EpochKey, &EpochValue> = TableDefinition::new("epochs");
pub(super) const BATCHES: TableDefinition<'_, &BatchKey, &[u8]> = TableDefinition::new("batches");
pub(super) const LEFTOVERS: TableDefinition<'_, &SegmentKey, ()> = TableDefinition::new("leftovers");

/// Stands for a batch that could not be read when the database was written anew.
const LOST: &[u8] = b"lost";
/// Bytes of a page of the database.
const PAGE_BYTES: usize = 4096;
/// Bytes of a page that holds one part which are not the part's: its key, its length, the page's header.
const PAGE_OVERHEAD_BYTES: usize = 64;
/// Bytes of the largest page that a part takes.
const PART_MAX_PAGE_BYTES: usize = 256 << 10;

/// The tables in a transaction that changes them.
pub(super) struct Tables<'txn> {
    logs: Table<'txn, &'static LogKey, &'static LogValue>,
    segments: Table<'txn, &'static SegmentKey, &'static SegmentValue>,
    epochs: Table<'txn, &'static EpochKey, &'static EpochValue>,
    batches: Table<'txn, &'static BatchKey, &'static [u8]>,
    leftovers: Table<'txn, &'static SegmentKey, ()>,
}

impl<'txn> Tables<'txn> {
    /// Opens the tables, creating those that are missing.
    pub(super) fn open(transaction: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            logs: transaction.open_table(LOGS)?,
            segments: transaction.open_table(SEGMENTS)?,
            epochs: transaction.open_table(EPOCHS)?,
            batches: transaction.open_table(BATCHES)?,
            leftovers: transaction.open_table(LEFTOVERS)?,
        })
    }

    /// Adds a log.
    pub(super) fn create(&mut self, log: LogId, shape: &Shape) -> Result<(), redb::Error> {
        self.put_log(log, shape)?;
        for segment in shape.segments() {
            self.put_segment(log, segment)?;
        }
        for epoch in shape.epochs.iter() {
            self.put_epoch(log, epoch)?;
        }
        Ok(())
    }

    /// Makes a log have this shape instead of the one that is stored. Segments that it no longer has are left over.
    pub(super) fn change(&mut self, log: LogId, old: &Shape, new: &Shape) -> Result<(), redb::Error> {
        if (old.start, old.generation) != (new.start, new.generation) {
            self.put_log(log, new)?;
        }
        for gone in old.segments_missing_in(new) {
            self.segments.remove(&segment_key(log, gone))?;
            self.leave(log, gone)?;
        }
        for segment in new.segments_changed_from(old) {
            self.put_segment(log, segment)?;
        }
        let without = |epochs: &Epochs, other: &Epochs| -> Vec<EpochStart> {
            let is_new = |epoch: &EpochStart| other.iter().all(|known| known != *epoch);
            epochs.iter().filter(is_new).collect()
        };
        for epoch in without(&old.epochs, &new.epochs) {
            self.epochs.remove(&epoch_key(log, epoch.epoch))?;
        }
        for epoch in without(&new.epochs, &old.epochs) {
            self.put_epoch(log, epoch)?;
        }
        Ok(())
    }

    /// Removes a log; its segments are left over.
    pub(super) fn remove(&mut self, log: LogId) -> Result<(), redb::Error> {
        self.logs.remove(&log_key(log))?;
        let (first, last) = segment_keys(log);
        let mut segments = Vec::new();
        for entry in self
            .segments
            .extract_from_if::<&SegmentKey, _>(&first..=&last, |_, _| true)?
        {
            let (key, _) = entry?;
            segments.push(*key.value());
        }
        for key in &segments {
            self.leftovers.insert(key, ())?;
        }
        let (first, last) = epoch_keys(log);
        Ok(self
            .epochs
            .retain_in::<&EpochKey, _>(&first..=&last, |_, _| false)?)
    }

    /// Adds a batch to a segment.
    pub(super) fn put_batch(
        &mut self,
        log: LogId,
        segment: SegmentId,
        batch: &Batch,
    ) -> Result<(), redb::Error> {
        let offset = batch.header().base;
        let mut rest: &[u8] = batch.bytes();
        let mut part = 0;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(part_bytes(rest.len()));
            self.batches.insert(&batch_key(log, segment, offset, part), now)?;
            (rest, part) = (later, part + 1);
        }
        Ok(())
    }

    /// Adds what is no batch, so that reads fail here as they did where the batch that begins here was damaged.
    pub(super) fn put_damage(
        &mut self,
        log: LogId,
        segment: SegmentId,
        at: Offset,
    ) -> Result<(), redb::Error> {
        self.batches.insert(&batch_key(log, segment, at, 0), LOST)?;
        Ok(())
    }

    /// Removes the batches of a segment from this offset on.
    pub(super) fn cut(&mut self, log: LogId, segment: SegmentId, from: Offset) -> Result<(), redb::Error> {
        let (_, last) = batch_keys(log, segment);
        let first = batch_key(log, segment, from, 0);
        Ok(self
            .batches
            .retain_in::<&BatchKey, _>(&first..=&last, |_, _| false)?)
    }

    /// Says that a segment belongs to no log.
    pub(super) fn leave(&mut self, log: LogId, segment: SegmentId) -> Result<(), redb::Error> {
        self.leftovers.insert(&segment_key(log, segment), ())?;
        Ok(())
    }

    /// Says that a segment belongs to its log after all.
    pub(super) fn take_over(&mut self, log: LogId, segment: SegmentId) -> Result<(), redb::Error> {
        self.leftovers.remove(&segment_key(log, segment))?;
        Ok(())
    }

    /// Removes up to so many parts of batches that are left over, but of segments that are being written; says whether more
    /// are.
    pub(super) fn sweep(&mut self, most: usize, written: &BTreeSet<SegmentKey>) -> Result<bool, redb::Error> {
        let mut swept = 0;
        for key in self.leftover_keys(written)? {
            let (log, segment) = segment_of_key(&key);
            let (first, last) = batch_keys(log, segment);
            for entry in self
                .batches
                .extract_from_if::<&BatchKey, _>(&first..=&last, |_, _| true)?
                .take(most - swept)
            {
                entry?;
                swept += 1;
            }
            if swept == most {
                return Ok(true);
            }
            self.leftovers.remove(&key)?;
        }
        Ok(false)
    }

    fn leftover_keys(&self, but: &BTreeSet<SegmentKey>) -> Result<Vec<SegmentKey>, redb::Error> {
        let mut keys = Vec::new();
        for entry in self.leftovers.iter()? {
            let (key, _) = entry?;
            keys.extend(Some(*key.value()).filter(|key| !but.contains(key)));
        }
        Ok(keys)
    }

    fn put_log(&mut self, log: LogId, shape: &Shape) -> Result<(), redb::Error> {
        let mut value = [0; 12];
        value[..8].copy_from_slice(&shape.start.get().to_le_bytes());
        value[8..].copy_from_slice(&shape.generation.to_le_bytes());
        self.logs.insert(&log_key(log), &value)?;
        Ok(())
    }

    fn put_epoch(&mut self, log: LogId, epoch: EpochStart) -> Result<(), redb::Error> {
        let value = epoch.start.get().to_le_bytes();
        self.epochs.insert(&epoch_key(log, epoch.epoch), &value)?;
        Ok(())
    }

    fn put_segment(&mut self, log: LogId, segment: &Segment) -> Result<(), redb::Error> {
        self.segments
            .insert(&segment_key(log, segment.id), &encode_content(&segment.content))?;
        Ok(())
    }
}

/// Length of the next part of a batch of which so many bytes are left: one that fills a page of its own, or the rest if that is
/// less than the smallest page.
fn part_bytes(left: usize) -> usize {
    if left + PAGE_OVERHEAD_BYTES <= PAGE_BYTES {
        return left;
    }
    let page = 1 << (left + PAGE_OVERHEAD_BYTES).ilog2();
    page.min(PART_MAX_PAGE_BYTES) - PAGE_OVERHEAD_BYTES
}

pub(super) fn log_key(log: LogId) -> LogKey {
    log.get().to_be_bytes()
}

pub(super) fn log_of_key(key: &LogKey) -> LogId {
    LogId::new(u64::from_be_bytes(*key))
}

pub(super) fn segment_key(log: LogId, segment: SegmentId) -> SegmentKey {
    let mut key = [0; 20];
    key[..8].copy_from_slice(&log.get().to_be_bytes());
    key[8..16].copy_from_slice(&segment.base.get().to_be_bytes());
    key[16..].copy_from_slice(&segment.generation.to_be_bytes());
    key
}

/// The first and the last key that a segment of this log can have.
pub(super) fn segment_keys(log: LogId) -> (SegmentKey, SegmentKey) {
    let mut keys = ([0; 20], [u8::MAX; 20]);
    keys.0[..8].copy_from_slice(&log.get().to_be_bytes());
    keys.1[..8].copy_from_slice(&log.get().to_be_bytes());
    keys
}

pub(super) fn segment_of_key(key: &SegmentKey) -> (LogId, SegmentId) {
    let generation = [key[16], key[17], key[18], key[19]];
    let id = SegmentId {
        base: Offset::new(u64_be(key, 8)),
        generation: u32::from_be_bytes(generation),
    };
    (LogId::new(u64_be(key, 0)), id)
}

fn epoch_key(log: LogId, epoch: LeaderEpoch) -> EpochKey {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&log.get().to_be_bytes());
    key[8..].copy_from_slice(&epoch.get().to_be_bytes());
    key
}

/// The first and the last key that an epoch of this log can have.
pub(super) fn epoch_keys(log: LogId) -> (EpochKey, EpochKey) {
    let mut keys = ([0; 16], [u8::MAX; 16]);
    keys.0[..8].copy_from_slice(&log.get().to_be_bytes());
    keys.1[..8].copy_from_slice(&log.get().to_be_bytes());
    keys
}

pub(super) fn decode_epoch(key: &EpochKey, value: &EpochValue) -> EpochStart {
    EpochStart {
        epoch: LeaderEpoch::new(u64_be(key, 8)),
        start: Offset::new(u64::from_le_bytes(*value)),
    }
}

pub(super) fn batch_key(log: LogId, segment: SegmentId, offset: Offset, part: u32) -> BatchKey {
    let mut key = [0; 32];
    key[..20].copy_from_slice(&segment_key(log, segment));
    key[20..28].copy_from_slice(&offset.get().to_be_bytes());
    key[28..].copy_from_slice(&part.to_be_bytes());
    key
}

/// The first and the last key that a batch of this segment can have.
pub(super) fn batch_keys(log: LogId, segment: SegmentId) -> (BatchKey, BatchKey) {
    let first = batch_key(log, segment, Offset::ZERO, 0);
    let mut last = [u8::MAX; 32];
    last[..20].copy_from_slice(&first[..20]);
    (first, last)
}

/// The offset at which the batch begins, and which part of it this is.
pub(super) fn batch_of_key(key: &BatchKey) -> (Offset, u32) {
    let part = [key[28], key[29], key[30], key[31]];
    (Offset::new(u64_be(key, 20)), u32::from_be_bytes(part))
}

/// A log's start and last generation.
pub(super) fn decode_log(value: &LogValue) -> (Offset, u32) {
    let generation = [value[8], value[9], value[10], value[11]];
    (Offset::new(u64_le(value, 0)), u32::from_le_bytes(generation))
}

fn encode_content(content: &Content) -> SegmentValue {
    let numbers = [
        content.range.start.get(),
        content.range.end.get(),
        content.records,
        content.bytes,
        content.first_time.nanos() as u64,
        content.last_time.nanos() as u64,
    ];
    let mut value = [0; 48];
    for (place, number) in value.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    value
}

pub(super) fn decode_content(value: &SegmentValue) -> Content {
    Content {
        range: OffsetRange::new(Offset::new(u64_le(value, 0)), Offset::new(u64_le(value, 8))),
        records: u64_le(value, 16),
        bytes: u64_le(value, 24),
        first_time: Timestamp::from_nanos(u64_le(value, 32) as i64),
        last_time: Timestamp::from_nanos(u64_le(value, 40) as i64),
    }
}

fn u64_be(bytes: &[u8], at: usize) -> u64 {
    let number = bytes.get(at..).and_then(|rest| rest.first_chunk());
    number.map_or(0, |number| u64::from_be_bytes(*number))
}

fn u64_le(bytes: &[u8], at: usize) -> u64 {
    let number = bytes.get(at..).and_then(|rest| rest.first_chunk());
    number.map_or(0, |number| u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fill_pages_and_are_the_whole() {
        for length in [1, 72, 4032, 4033, 5000, 8128, 8129, 262_144, 700_000, 64 << 20] {
            let mut left = length;
            let mut parts = 0;
            while left > 0 {
                let part = part_bytes(left);
                let page = part + PAGE_OVERHEAD_BYTES;
                assert!(page <= PAGE_BYTES || page.is_power_of_two(), "{length}: {part}");
                left -= part;
                parts += 1;
            }
            assert!(
                parts <= length / (PART_MAX_PAGE_BYTES - PAGE_OVERHEAD_BYTES) + 8,
                "{length}: {parts}"
            );
        }
    }

    #[test]
    fn keys_stand_in_the_order_of_what_they_name() {
        let segment = |base, generation| SegmentId {
            base: Offset::new(base),
            generation,
        };
        let keys = [
            batch_key(LogId::new(1), segment(0, 0), Offset::new(300), 0),
            batch_key(LogId::new(1), segment(0, 0), Offset::new(300), 1),
            batch_key(LogId::new(1), segment(0, 0), Offset::new(70_000), 0),
            batch_key(LogId::new(1), segment(0, 1), Offset::new(2), 0),
            batch_key(LogId::new(1), segment(300, 0), Offset::new(300), 0),
            batch_key(LogId::new(256), segment(0, 0), Offset::new(0), 0),
        ];
        assert!(keys.is_sorted());
        assert_eq!(batch_of_key(&keys[2]), (Offset::new(70_000), 0));
        let key = segment_key(LogId::new(9), segment(5, 7));
        assert_eq!(segment_of_key(&key), (LogId::new(9), segment(5, 7)));
    }
}
