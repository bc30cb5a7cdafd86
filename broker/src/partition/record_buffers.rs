//! Memory for the records of chunks.

use bytes::BytesMut;
use parking_lot::Mutex;

/// Chunks below this size are made and dropped; the allocator is good at that.
const MIN_BYTES: usize = 32 << 10;
/// Buffers that have grown beyond this are not kept.
const MAX_BYTES: usize = 1 << 20;
/// Buffers that are kept: as many as publishers at full speed have under way.
const KEPT: usize = 24;
/// Memory that is kept at the most.
pub(crate) const SPARE_MAX_BYTES: usize = KEPT * MAX_BYTES;

/// Large buffers on their way between the doors, which fill them, and the appender, which empties them.
///
/// Freed on another thread than the one that allocates, they would be strewn over the heap: the allocator keeps a multiple
/// of what is in use.
#[derive(Debug, Default)]
pub(super) struct RecordBuffers {
    spare: Mutex<Vec<BytesMut>>,
}

impl RecordBuffers {
    /// An empty buffer for about so many bytes.
    pub(super) fn take(&self, bytes: usize) -> BytesMut {
        if bytes < MIN_BYTES {
            return BytesMut::with_capacity(bytes);
        }
        let spare = self.spare.lock().pop();
        spare.unwrap_or_else(|| BytesMut::with_capacity(bytes))
    }

    /// Memory of the buffers that are kept.
    pub(super) fn spare_bytes(&self) -> usize {
        self.spare.lock().iter().map(BytesMut::capacity).sum()
    }

    /// Takes a buffer whose records are stored.
    pub(super) fn give_back(&self, mut buffer: BytesMut) {
        buffer.clear();
        if (MIN_BYTES..=MAX_BYTES).contains(&buffer.capacity()) {
            let mut spare = self.spare.lock();
            if spare.len() < KEPT {
                spare.push(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_buffers_come_back_empty_and_small_or_huge_ones_do_not() {
        let buffers = RecordBuffers::default();
        let mut large = buffers.take(100 << 10);
        large.extend_from_slice(&[1; 1000]);
        let place = large.as_ptr();
        buffers.give_back(large);
        buffers.give_back(BytesMut::with_capacity(100));
        buffers.give_back(BytesMut::with_capacity(MAX_BYTES * 2));
        let again = buffers.take(MIN_BYTES);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
        assert!(buffers.spare.lock().is_empty());
    }

    #[test]
    fn no_more_are_kept_than_are_of_use() {
        let buffers = RecordBuffers::default();
        (0..KEPT * 2).for_each(|_| buffers.give_back(BytesMut::with_capacity(MIN_BYTES)));
        assert_eq!(buffers.spare.lock().len(), KEPT);
    }
}
