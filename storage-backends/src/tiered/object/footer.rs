//! The footer of an object: where its blocks are.

use bytes::Bytes;
use strandline_core::record::{MAX_BATCH_BYTES, crc32c};
use strandline_core::{LeaderEpoch, Offset, OffsetRange, Timestamp};

use super::super::Entry;
use super::{END_MAGIC, FORMAT, HEADER_BYTES, TRAILER_BYTES};

const COUNTS_BYTES: usize = 8;
const BLOCK_ENTRY_BYTES: usize = 36;
const EPOCH_BYTES: usize = 16;

/// A run of whole batches that is read and checked as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it begins in the object.
    pub position: u64,
    /// Its length in bytes.
    pub length: u32,
    /// CRC-32C of its bytes.
    pub crc32c: u32,
    /// Base offset of its first batch.
    pub base: Offset,
    /// Records in it.
    pub records: u32,
    /// Time of its first record.
    pub first_time: Timestamp,
}

impl Block {
    /// Its bytes in the object.
    pub fn bytes(&self) -> std::ops::Range<u64> {
        self.position..self.position + u64::from(self.length)
    }
}

/// The blocks of an object, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    blocks: Vec<Block>,
    epochs: Vec<(LeaderEpoch, Offset)>,
}

impl Footer {
    pub(super) fn new(blocks: Vec<Block>, epochs: Vec<(LeaderEpoch, Offset)>) -> Self {
        Self { blocks, epochs }
    }

    /// Where footer and trailer of an entry's object lie in it.
    pub fn range_of(entry: &Entry) -> std::ops::Range<u64> {
        let length = entry.footer_bytes + TRAILER_BYTES as u64;
        entry.object_bytes.saturating_sub(length)..entry.object_bytes
    }

    /// Reads footer and trailer of an entry's object, and checks that they are whole and belong to the entry.
    ///
    /// # Errors
    ///
    /// What is wrong; completes "… is damaged: ".
    pub fn parse(bytes: &[u8], entry: &Entry) -> Result<Self, String> {
        let at = bytes.len().checked_sub(TRAILER_BYTES);
        let (footer, trailer) = bytes
            .split_at_checked(at.ok_or("it has no trailer")?)
            .ok_or("it has no trailer")?;
        check_trailer(footer, trailer)?;
        if footer.len() as u64 != entry.footer_bytes {
            return Err("its footer has another length than the manifest says".to_owned());
        }
        let parsed = Self::parse_body(footer)?;
        parsed.check(entry)?;
        Ok(parsed)
    }

    fn parse_body(footer: &[u8]) -> Result<Self, String> {
        let short = "its footer is too short";
        let mut rest = Reader(footer);
        let (blocks, epochs) = (
            rest.u32().ok_or(short)? as usize,
            rest.u32().ok_or(short)? as usize,
        );
        // In 64 bits, so that no count that is read can make it wrap.
        let needed = COUNTS_BYTES as u64
            + blocks as u64 * BLOCK_ENTRY_BYTES as u64
            + epochs as u64 * EPOCH_BYTES as u64;
        if needed != footer.len() as u64 {
            return Err("its footer has another length than its counts say".to_owned());
        }
        let blocks: Option<Vec<_>> = (0..blocks).map(|_| rest.block()).collect();
        let epochs: Option<Vec<_>> = (0..epochs).map(|_| rest.epoch()).collect();
        Ok(Self::new(blocks.ok_or(short)?, epochs.ok_or(short)?))
    }

    fn check(&self, entry: &Entry) -> Result<(), String> {
        if self.epochs != entry.epochs {
            return Err("its epochs are not those of the manifest".to_owned());
        }
        let (mut position, mut records, mut last) = (HEADER_BYTES as u64, 0, None);
        for (number, block) in self.blocks.iter().enumerate() {
            let is_next = block.position == position && last.is_none_or(|last| last < block.base);
            let has_length = block.length > 0 && block.length as usize <= MAX_BATCH_BYTES;
            if !is_next || !has_length || block.records == 0 || !entry.range.contains(block.base) {
                return Err(format!(
                    "block {number} of its footer does not follow the one before"
                ));
            }
            position += u64::from(block.length);
            records += u64::from(block.records);
            last = Some(block.base);
        }
        if position - HEADER_BYTES as u64 != entry.bytes || records != entry.records {
            return Err("its blocks are not what the manifest says".to_owned());
        }
        Ok(())
    }

    /// Footer and trailer as they are stored.
    pub(super) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(COUNTS_BYTES + self.blocks.len() * BLOCK_ENTRY_BYTES + 64);
        out.extend_from_slice(&(self.blocks.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.epochs.len() as u32).to_le_bytes());
        for block in &self.blocks {
            out.extend_from_slice(&block.position.to_le_bytes());
            out.extend_from_slice(&block.length.to_le_bytes());
            out.extend_from_slice(&block.crc32c.to_le_bytes());
            out.extend_from_slice(&block.base.get().to_le_bytes());
            out.extend_from_slice(&block.records.to_le_bytes());
            out.extend_from_slice(&block.first_time.nanos().to_le_bytes());
        }
        for (epoch, from) in &self.epochs {
            out.extend_from_slice(&epoch.get().to_le_bytes());
            out.extend_from_slice(&from.get().to_le_bytes());
        }
        let (length, sum) = (out.len() as u64, crc32c(&out));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&sum.to_le_bytes());
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(END_MAGIC);
        out.into()
    }

    /// The blocks, in order. There is at least one.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The leader epochs, each with the offset from which on it holds.
    pub fn epochs(&self) -> &[(LeaderEpoch, Offset)] {
        &self.epochs
    }

    /// The block that holds an offset: the last one that begins at or before it. The first one for offsets before that.
    pub fn block_at(&self, offset: Offset) -> usize {
        let after = self.blocks.partition_point(|block| block.base <= offset);
        after.saturating_sub(1)
    }

    /// The block with the first record at or after a point in time, as far as the times of blocks tell: it may be the one behind.
    pub fn block_at_time(&self, time: Timestamp) -> usize {
        let after = self.blocks.partition_point(|block| block.first_time < time);
        after.saturating_sub(1)
    }

    /// The offsets from a block's first record to the beginning of the next block, or to the entry's end.
    pub fn block_range(&self, number: usize, entry: &Entry) -> Option<OffsetRange> {
        let block = self.blocks.get(number)?;
        let next = self.blocks.get(number + 1);
        Some(OffsetRange::new(
            block.base,
            next.map_or(entry.range.end, |next| next.base),
        ))
    }
}

fn check_trailer(footer: &[u8], trailer: &[u8]) -> Result<(), String> {
    let mut rest = Reader(trailer);
    let fields = (rest.u64(), rest.u32(), rest.u32());
    let (Some(length), Some(sum), Some(format)) = fields else {
        return Err("it has no trailer".to_owned());
    };
    if rest.0 != END_MAGIC {
        return Err("it does not end as an archived segment does".to_owned());
    }
    if format != FORMAT {
        return Err(format!(
            "its format is {format}, and this program knows {FORMAT}: use a newer one"
        ));
    }
    if length != footer.len() as u64 || sum != crc32c(footer) {
        return Err("the checksum of its footer is wrong".to_owned());
    }
    Ok(())
}

/// Numbers one after another.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const BYTES: usize>(&mut self) -> Option<[u8; BYTES]> {
        let (taken, rest) = self.0.split_first_chunk::<BYTES>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn block(&mut self) -> Option<Block> {
        Some(Block {
            position: self.u64()?,
            length: self.u32()?,
            crc32c: self.u32()?,
            base: Offset::new(self.u64()?),
            records: self.u32()?,
            first_time: Timestamp::from_nanos(self.take().map(i64::from_le_bytes)?),
        })
    }

    fn epoch(&mut self) -> Option<(LeaderEpoch, Offset)> {
        Some((LeaderEpoch::new(self.u64()?), Offset::new(self.u64()?)))
    }
}
