//! A block of an archived segment: whole batches, checked, with where each lies.

use bytes::Bytes;

use strandline_core::record::{Batch, BatchIter, crc32c};
use strandline_core::storage::{ReadLimit, Run};
use strandline_core::{Offset, OffsetRange, Timestamp};

/// A block that was checked, as readers are served from it.
#[derive(Debug)]
pub(in crate::tiered) struct Block {
    bytes: Bytes,
    places: Box<[Place]>,
}

/// Where a batch lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    position: usize,
    offsets: OffsetRange,
}

/// What the footer and the manifest say of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Promise {
    pub(super) crc32c: u32,
    /// Offset of the first record.
    pub(super) base: Offset,
    pub(super) records: u64,
    /// No batch reaches to this offset.
    pub(super) end: Offset,
}

/// What is wrong with a block, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) position: u64,
    pub(super) reason: String,
}

/// What a block has for a read.
#[derive(Debug)]
pub(in crate::tiered) enum Found {
    /// Batches.
    Run(Run),
    /// Its next batch lies at or behind the end of the read.
    Over,
    /// It ends before; the next block is to be asked.
    Past,
}

impl Block {
    /// Checks what was read against what it is to be.
    ///
    /// # Errors
    ///
    /// It is not what was written.
    pub(super) fn check(bytes: Bytes, promise: &Promise) -> Result<Self, Flaw> {
        let flaw = |position: usize, reason: String| Flaw {
            position: position as u64,
            reason,
        };
        let computed = crc32c(&bytes);
        if computed != promise.crc32c {
            let reason = format!(
                "the checksum of the block is {computed:08x}, {:08x} was written",
                promise.crc32c
            );
            return Err(flaw(0, reason));
        }
        let (mut places, mut records, mut position) = (Vec::new(), 0, 0);
        let mut next = promise.base;
        while position < bytes.len() {
            let batch = Batch::checked(&bytes.slice(position..));
            let batch = batch.map_err(|error| flaw(position, error.to_string()))?;
            let offsets = batch.header().range();
            let is_first = places.is_empty();
            if offsets.start < next || (is_first && offsets.start != next) || offsets.end > promise.end {
                let reason = format!("a batch of the offsets {offsets} is not to be here");
                return Err(flaw(position, reason));
            }
            records += u64::from(batch.header().records);
            places.push(Place { position, offsets });
            next = offsets.end;
            position += batch.bytes().len();
        }
        if records != promise.records {
            let reason = format!("the block has {records} records instead of {}", promise.records);
            return Err(flaw(0, reason));
        }
        Ok(Self {
            bytes,
            places: places.into_boxed_slice(),
        })
    }

    /// The bytes as they are in the object.
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.places.len() * size_of::<Place>()
    }

    /// As [`Log::read`](strandline_core::storage::Log::read), of this block alone.
    pub(in crate::tiered) fn read(&self, from: Offset, limit: ReadLimit) -> Found {
        let first = self.places.partition_point(|place| place.offsets.end <= from);
        let Some(place) = self.places.get(first) else {
            return Found::Past;
        };
        if place.offsets.start >= limit.end {
            return Found::Over;
        }
        let start = place.position;
        let (mut end, mut next) = (self.end_of(first), place.offsets.end);
        for number in first + 1..self.places.len() {
            let offsets = self.places[number].offsets;
            if offsets.start >= limit.end || self.end_of(number) - start > limit.max_bytes {
                break;
            }
            (end, next) = (self.end_of(number), offsets.end);
        }
        Found::Run(Run {
            bytes: self.bytes.slice(start..end),
            next,
        })
    }

    /// The last batch that begins before an offset.
    pub(in crate::tiered) fn last_before(&self, before: Offset) -> Option<Batch> {
        let after = self.places.partition_point(|place| place.offsets.start < before);
        self.batch(after.checked_sub(1)?)
    }

    /// Offset of the first record at or after a point in time, as far as can be seen from outside of packed batches.
    pub(in crate::tiered) fn first_at(&self, time: Timestamp) -> Option<Offset> {
        BatchIter::new(self.bytes.clone())
            .map_while(Result::ok)
            .find_map(|batch| batch.first_at_or_after(time))
    }

    fn batch(&self, number: usize) -> Option<Batch> {
        let position = self.places.get(number)?.position;
        BatchIter::new(self.bytes.slice(position..)).next()?.ok()
    }

    fn end_of(&self, number: usize) -> usize {
        let next = self.places.get(number + 1);
        next.map_or(self.bytes.len(), |place| place.position)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::records::{batch_of, time_of};
    use super::*;

    const ALL: ReadLimit = ReadLimit {
        end: Offset::MAX,
        max_bytes: usize::MAX,
    };

    /// Batches at 10..13, 15..17 and 20..21.
    fn bytes() -> Bytes {
        let batches = [&[10, 12][..], &[15, 16], &[20]].map(batch_of);
        batches.map(|batch| batch.bytes().to_vec()).concat().into()
    }

    fn promise(bytes: &Bytes) -> Promise {
        Promise {
            crc32c: crc32c(bytes),
            base: Offset::new(10),
            records: 5,
            end: Offset::new(21),
        }
    }

    fn block() -> Block {
        let bytes = bytes();
        Block::check(bytes.clone(), &promise(&bytes)).unwrap()
    }

    #[test]
    fn reads_begin_with_the_batch_that_holds_the_offset_or_the_next_and_keep_to_their_limits() {
        let block = block();
        let read = |from, end, max_bytes| {
            let end = Offset::new(end);
            match block.read(Offset::new(from), ReadLimit { end, max_bytes }) {
                Found::Run(run) => {
                    let bases = run
                        .batches()
                        .map(|batch| batch.unwrap().header().base.get())
                        .collect();
                    (bases, run.next.get())
                }
                Found::Over => (vec![], 0),
                Found::Past => (vec![], u64::MAX),
            }
        };
        let all = usize::MAX;
        assert_eq!(read(0, 99, all), (vec![10, 15, 20], 21));
        assert_eq!(read(11, 99, 0), (vec![10], 13));
        assert_eq!(read(13, 99, all), (vec![15, 20], 21));
        assert_eq!(read(13, 20, all), (vec![15], 17));
        assert_eq!(read(13, 15, all), (vec![], 0));
        assert_eq!(read(20, 21, all), (vec![20], 21));
        assert_eq!(read(21, 99, all), (vec![], u64::MAX));
        let two = batch_of(&[10, 12]).bytes().len() + batch_of(&[15, 16]).bytes().len();
        assert_eq!(read(10, 99, two), (vec![10, 15], 17));
        assert_eq!(read(10, 99, two - 1), (vec![10], 13));
    }

    #[test]
    fn look_ups_backward_and_by_time_find_what_is_there() {
        let block = block();
        let before = |offset| {
            let found = block.last_before(Offset::new(offset));
            found.map(|batch| batch.header().base.get())
        };
        assert_eq!(
            [10, 11, 15, 16, 99].map(before),
            [None, Some(10), Some(10), Some(15), Some(20)]
        );
        let at = |offset| block.first_at(time_of(offset)).map(Offset::get);
        assert_eq!(
            [0, 11, 12, 17, 21].map(at),
            [Some(10), Some(12), Some(12), Some(20), None]
        );
        assert!(matches!(block.read(Offset::new(10), ALL), Found::Run(run) if run.bytes == bytes()));
    }

    #[test]
    fn what_is_not_as_it_was_written_is_refused_with_its_place() {
        let bytes = bytes();
        let good = promise(&bytes);
        for position in 0..bytes.len() {
            let mut flipped = bytes.to_vec();
            flipped[position] ^= 1;
            assert!(
                Block::check(flipped.clone().into(), &good).is_err(),
                "byte {position}"
            );
            // Even if the block's checksum had been made of the damaged bytes.
            let crc32c = crc32c(&flipped);
            assert!(
                Block::check(flipped.into(), &Promise { crc32c, ..good }).is_err(),
                "byte {position}"
            );
        }
        let wrong = [
            Promise { records: 4, ..good },
            Promise {
                base: Offset::new(9),
                ..good
            },
            Promise {
                base: Offset::new(11),
                ..good
            },
            Promise {
                end: Offset::new(20),
                ..good
            },
        ];
        for promise in wrong {
            assert!(Block::check(bytes.clone(), &promise).is_err(), "{promise:?}");
        }
        let cut = bytes.slice(..bytes.len() - 1);
        let crc32c = crc32c(&cut);
        let flaw = Block::check(cut, &Promise { crc32c, ..good }).unwrap_err();
        let last = bytes.len() - batch_of(&[20]).bytes().len();
        assert_eq!(flaw.position, last as u64, "{flaw:?}");
    }
}
