//! Where blocks and their sums are in the file.

use std::io::{self, ErrorKind};
use std::ops::Range;

use strandline_core::record::crc32c;

/// Bytes of a block, and of the sums of a group.
pub(super) const BLOCK_BYTES: usize = 4096;
pub(super) const BLOCK: u64 = BLOCK_BYTES as u64;
pub(super) const SUM_BYTES: usize = size_of::<u32>();
pub(super) type Sum = [u8; SUM_BYTES];
/// Blocks of a group: as many as its sums have room for.
pub(super) const GROUP: u64 = (BLOCK_BYTES / SUM_BYTES) as u64;

/// The sum of a block with this number.
pub(super) fn sum_of(block: &[u8], number: u64) -> Sum {
    (crc32c(block) ^ number as u32).to_le_bytes()
}

/// Where in the file a block begins.
pub(super) fn place_of(number: u64) -> u64 {
    (number / GROUP * (GROUP + 1) + 1 + number % GROUP) * BLOCK
}

pub(super) fn place_of_sum(number: u64) -> u64 {
    number / GROUP * (GROUP + 1) * BLOCK + number % GROUP * SUM_BYTES as u64
}

/// Length of the file in which so many bytes of blocks are.
pub(super) fn length_for(length: u64) -> u64 {
    let blocks = length / BLOCK;
    (blocks + blocks.div_ceil(GROUP)) * BLOCK
}

/// Cuts whole blocks into runs within one group each: number of the first block, and where its bytes are in the whole.
pub(super) fn runs(offset: u64, bytes: usize) -> io::Result<impl Iterator<Item = (u64, Range<usize>)>> {
    if !offset.is_multiple_of(BLOCK) || !bytes.is_multiple_of(BLOCK_BYTES) {
        return Err(not_whole_blocks());
    }
    let (mut number, mut at) = (offset / BLOCK, 0);
    Ok(std::iter::from_fn(move || {
        let left_in_group = GROUP - number % GROUP;
        let room = usize::try_from(left_in_group).map_or(usize::MAX, |blocks| blocks * BLOCK_BYTES);
        let length = room.min(bytes - at);
        let run = (number, at..at + length);
        (number, at) = (number + left_in_group, at + length);
        (length > 0).then_some(run)
    }))
}

pub(super) fn not_whole_blocks() -> io::Error {
    io::Error::new(
        ErrorKind::InvalidInput,
        "redb wants other than its header or whole blocks",
    )
}
