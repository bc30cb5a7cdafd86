//! Blocks in memory.

use std::collections::HashMap;
use std::sync::Arc;

use super::block::Block;
use super::order::{Order, Turn};

/// Which block of which object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct BlockId {
    /// Key of the object in its bucket.
    pub(super) object: Arc<str>,
    /// Number of the block, from 0.
    pub(super) number: usize,
}

/// Blocks of all partitions, up to a number of bytes.
///
/// Those that nobody has read yet were fetched for somebody: they stay until as many bytes as there is room for have come after
/// them. Of the others those go first that were not read for the longest time.
#[derive(Debug)]
pub(super) struct MemoryCache {
    max_bytes: usize,
    blocks: HashMap<BlockId, Slot>,
    read: Order<BlockId>,
    unread: Order<BlockId>,
    bytes: usize,
    unread_bytes: usize,
    /// Bytes that ever came.
    came: u64,
}

#[derive(Debug)]
struct Slot {
    block: Arc<Block>,
    turn: Turn,
    was_read: bool,
    /// What had come by then.
    came: u64,
}

impl MemoryCache {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            blocks: HashMap::new(),
            read: Order::default(),
            unread: Order::default(),
            bytes: 0,
            unread_bytes: 0,
            came: 0,
        }
    }

    /// Bytes that are in use.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn contains(&self, id: &BlockId) -> bool {
        self.blocks.contains_key(id)
    }

    /// A block, for a reader.
    pub(super) fn read(&mut self, id: &BlockId) -> Option<Arc<Block>> {
        let slot = self.blocks.get_mut(id)?;
        if slot.was_read {
            slot.turn = self.read.renew(slot.turn);
        } else if let Some(key) = self.unread.remove(slot.turn) {
            slot.was_read = true;
            slot.turn = self.read.add(key);
            self.unread_bytes -= slot.block.memory_bytes();
        }
        Some(Arc::clone(&slot.block))
    }

    /// Takes in a block that was fetched. Others make room.
    pub(super) fn put(&mut self, id: BlockId, block: Arc<Block>) {
        self.remove(&id);
        let bytes = block.memory_bytes();
        self.bytes += bytes;
        self.unread_bytes += bytes;
        self.came += bytes as u64;
        let slot = Slot {
            block,
            turn: self.unread.add(id.clone()),
            was_read: false,
            came: self.came,
        };
        self.blocks.insert(id, slot);
        while self.bytes > self.max_bytes && self.blocks.len() > 1 {
            self.drop_one();
        }
    }

    /// Whether there is room for so many bytes that somebody may want later.
    pub(super) fn has_room_ahead(&self, bytes: u64) -> bool {
        self.unread_bytes as u64 + bytes <= self.max_bytes as u64 / 2
    }

    fn drop_one(&mut self) {
        let stale = self.unread.oldest().filter(|id| {
            let slot = self.blocks.get(*id);
            slot.is_none_or(|slot| self.came - slot.came > self.max_bytes as u64)
        });
        let goes = stale
            .or_else(|| self.read.oldest())
            .or_else(|| self.unread.oldest());
        if let Some(id) = goes.cloned() {
            self.remove(&id);
        }
    }

    fn remove(&mut self, id: &BlockId) {
        let Some(slot) = self.blocks.remove(id) else {
            return;
        };
        let bytes = slot.block.memory_bytes();
        self.bytes -= bytes;
        if slot.was_read {
            self.read.remove(slot.turn);
        } else {
            self.unread.remove(slot.turn);
            self.unread_bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::records::batch_of;
    use super::super::block::Promise;
    use super::*;
    use strandline_core::Offset;
    use strandline_core::record::crc32c;

    fn block() -> Arc<Block> {
        let bytes = batch_of(&[0]).bytes().clone();
        let promise = Promise {
            crc32c: crc32c(&bytes),
            base: Offset::ZERO,
            records: 1,
            end: Offset::new(1),
        };
        Arc::new(Block::check(bytes, &promise).unwrap())
    }

    fn id(number: usize) -> BlockId {
        BlockId {
            object: Arc::from("object"),
            number,
        }
    }

    fn there(cache: &MemoryCache) -> Vec<usize> {
        (0..100).filter(|&number| cache.contains(&id(number))).collect()
    }

    fn cache(blocks: usize) -> MemoryCache {
        MemoryCache::new(blocks * block().memory_bytes())
    }

    #[test]
    fn those_that_were_not_read_for_the_longest_time_make_room() {
        let mut cache = cache(4);
        for number in 0..4 {
            cache.put(id(number), block());
            assert!(cache.read(&id(number)).is_some());
        }
        cache.read(&id(0));
        cache.put(id(4), block());
        assert_eq!(there(&cache), [0, 2, 3, 4]);
        assert_eq!(cache.bytes(), 4 * block().memory_bytes());
        assert!(cache.read(&id(1)).is_none());
    }

    #[test]
    fn what_nobody_has_read_yet_stays_before_what_was_read() {
        let mut cache = cache(4);
        cache.put(id(0), block());
        for number in 1..4 {
            cache.put(id(number), block());
            cache.read(&id(number));
        }
        cache.put(id(4), block());
        assert_eq!(there(&cache), [0, 2, 3, 4], "0 is for somebody who comes yet");
    }

    #[test]
    fn what_nobody_comes_for_goes_when_its_time_is_over() {
        let mut cache = cache(4);
        cache.put(id(0), block());
        for number in 1..7 {
            cache.put(id(number), block());
            cache.read(&id(number));
        }
        assert!(!cache.contains(&id(0)));
    }

    #[test]
    fn reading_ahead_takes_no_more_than_half() {
        let mut cache = cache(4);
        let bytes = block().memory_bytes() as u64;
        assert!(cache.has_room_ahead(2 * bytes));
        cache.put(id(0), block());
        cache.put(id(1), block());
        assert!(!cache.has_room_ahead(bytes));
        cache.read(&id(0));
        assert!(cache.has_room_ahead(bytes));
    }

    #[test]
    fn a_block_that_is_larger_than_all_the_room_is_kept_alone() {
        let mut cache = MemoryCache::new(1);
        cache.put(id(0), block());
        cache.put(id(1), block());
        assert_eq!(there(&cache), [1]);
    }
}
