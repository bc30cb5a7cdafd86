//! An archived segment, and what its footer says of its blocks.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use strandline_core::storage::Damage;
use strandline_core::{Offset, Timestamp};

use super::block::{Block, Promise};
use super::memory::BlockId;
use super::source::key_of;
use crate::tiered::{BucketError, Entry, Footer, PartitionArchive};

/// A segment whose footer is at hand. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::tiered) struct Segment {
    archive: Arc<PartitionArchive>,
    entry: Arc<Entry>,
    footer: Arc<Footer>,
    key: Arc<str>,
}

/// Blocks that came, and what is wrong with the others.
#[derive(Debug, Default)]
pub(in crate::tiered) struct Checked {
    pub(in crate::tiered) blocks: Vec<(usize, Arc<Block>)>,
    pub(in crate::tiered) flaws: Vec<(usize, Damage)>,
}

impl Checked {
    /// The blocks that are as they were written, in order.
    pub(in crate::tiered) fn into_blocks(self) -> Vec<Arc<Block>> {
        self.blocks.into_iter().map(|(_, block)| block).collect()
    }

    /// What is wrong with a block.
    pub(in crate::tiered) fn flaw_of(&mut self, number: usize) -> Option<Damage> {
        let at = self.flaws.iter().position(|(found, _)| *found == number)?;
        Some(self.flaws.swap_remove(at).1)
    }
}

impl Segment {
    pub(in crate::tiered) fn new(
        archive: &Arc<PartitionArchive>,
        entry: &Arc<Entry>,
        footer: Arc<Footer>,
    ) -> Self {
        Self {
            key: key_of(archive, &entry.key(archive.place())).into(),
            archive: Arc::clone(archive),
            entry: Arc::clone(entry),
            footer,
        }
    }

    /// What the manifest says of it.
    pub(in crate::tiered) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    pub(super) fn archive(&self) -> &Arc<PartitionArchive> {
        &self.archive
    }

    /// Bucket and key: no other object of the world has them.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn block_id(&self, number: usize) -> BlockId {
        BlockId {
            object: Arc::clone(&self.key),
            number,
        }
    }

    /// How many blocks there are.
    pub(in crate::tiered) fn blocks(&self) -> usize {
        self.footer.blocks().len()
    }

    /// Offset of a block's first record, if there is such a block.
    pub(in crate::tiered) fn base_of(&self, number: usize) -> Option<Offset> {
        self.footer.blocks().get(number).map(|block| block.base)
    }

    /// The block that a read from here begins with; it may end before.
    pub(in crate::tiered) fn first_block_at(&self, offset: Offset) -> usize {
        self.footer.block_at(offset)
    }

    /// The last block with a batch that begins before an offset.
    pub(in crate::tiered) fn last_block_before(&self, offset: Offset) -> Option<usize> {
        let after = self.footer.blocks().partition_point(|block| block.base < offset);
        after.checked_sub(1)
    }

    /// The last block that begins before a point in time; none when all records are at it or after it.
    pub(in crate::tiered) fn last_block_older_than(&self, time: Timestamp) -> Option<usize> {
        let blocks = self.footer.blocks();
        blocks
            .partition_point(|block| block.first_time < time)
            .checked_sub(1)
    }

    pub(super) fn length(&self, number: usize) -> u64 {
        let block = self.footer.blocks().get(number);
        block.map_or(0, |block| u64::from(block.length))
    }

    pub(super) fn position(&self, number: usize) -> u64 {
        self.footer.blocks().get(number).map_or(0, |block| block.position)
    }

    pub(super) fn promise(&self, number: usize) -> Option<Promise> {
        let block = self.footer.blocks().get(number)?;
        Some(Promise {
            crc32c: block.crc32c,
            base: block.base,
            records: u64::from(block.records),
            end: self.base_of(number + 1).unwrap_or(self.entry.range.end),
        })
    }

    /// The bytes of consecutive blocks in the object.
    pub(in crate::tiered) fn extent(&self, numbers: &Range<usize>) -> Range<u64> {
        let start = self.position(numbers.start);
        let last = numbers.end.saturating_sub(1);
        start..(self.position(last) + self.length(last)).max(start)
    }

    /// Bytes of consecutive blocks.
    pub(in crate::tiered) fn bytes(&self, numbers: &Range<usize>) -> u64 {
        let extent = self.extent(numbers);
        extent.end - extent.start
    }

    /// Reads consecutive blocks of the object in one request, each into memory of its own.
    ///
    /// # Errors
    ///
    /// There is no object, it is shorter, or the bucket cannot be asked.
    pub(in crate::tiered) async fn read(&self, numbers: &Range<usize>) -> Result<Vec<Bytes>, BucketError> {
        let key = self.entry.key(self.archive.place());
        let lengths: Vec<_> = numbers.clone().map(|number| self.length(number)).collect();
        let start = self.position(numbers.start);
        self.archive.bucket().get_pieces(&key, start, &lengths).await
    }

    /// What was read as the blocks that it is to be.
    pub(in crate::tiered) fn check(&self, read: Vec<Bytes>, numbers: Range<usize>) -> Checked {
        let mut checked = Checked::default();
        for (number, bytes) in numbers.zip(read) {
            match self.check_one(bytes, number) {
                Ok(block) => checked.blocks.push((number, Arc::new(block))),
                Err(damage) => checked.flaws.push((number, damage)),
            }
        }
        checked
    }

    fn check_one(&self, bytes: Bytes, number: usize) -> Result<Block, Damage> {
        let damage = |at: u64, reason: String| Damage {
            file: self.key().into(),
            position: self.position(number) + at,
            reason,
        };
        let promise = self.promise(number);
        let promise = promise.ok_or_else(|| damage(0, "the footer has no such block".to_owned()))?;
        Block::check(bytes, &promise).map_err(|flaw| damage(flaw.position, flaw.reason))
    }
}
