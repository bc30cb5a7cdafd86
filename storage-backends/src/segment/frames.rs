//! What a segment file consists of: batches as the contract defines them, and marks.
//!
//! A mark stands before an append and says how much of the file was durable by then. Recovery needs it to tell a torn tail
//! from damage: bytes that cannot be read were acknowledged if a later mark covers them, and were not if none does. Marks
//! belong to one copy of a log and never leave it, which is why they are not part of a batch.
//!
//! ```text
//! mark (24 bytes, little-endian)
//!    0  u32  CRC-32C of bytes 4..24
//!    4  u32  24, a length that no batch has
//!    8  u64  bytes of this file that are durable
//!   16  u64  position of this mark in its file
//! ```

use bytes::Bytes;

use strandline_core::record::{Batch, BatchError, BatchHeader, HEADER_BYTES, MAX_BATCH_BYTES, crc32c};

/// Length of a mark in bytes.
pub(super) const MARK_BYTES: usize = 24;

/// How much of its file was durable when a mark was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) durable: u64,
    pub(super) position: u64,
}

impl Mark {
    pub(super) fn encode(self) -> [u8; MARK_BYTES] {
        let mut out = [0; MARK_BYTES];
        out[4..8].copy_from_slice(&(MARK_BYTES as u32).to_le_bytes());
        out[8..16].copy_from_slice(&self.durable.to_le_bytes());
        out[16..24].copy_from_slice(&self.position.to_le_bytes());
        let crc = crc32c(&out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The mark that `bytes` start with, if they do and it belongs at this position.
    pub(super) fn decode(bytes: &[u8], position: u64) -> Option<Self> {
        let raw = bytes.first_chunk::<MARK_BYTES>()?;
        let [c0, c1, c2, c3, l0, l1, l2, l3, rest @ ..] = *raw;
        if u32::from_le_bytes([l0, l1, l2, l3]) as usize != MARK_BYTES {
            return None;
        }
        let (durable, at) = (u64_at(&rest, 0), u64_at(&rest, 8));
        let whole = u32::from_le_bytes([c0, c1, c2, c3]) == crc32c(&raw[4..]);
        (whole && at == position && durable <= position).then_some(Self { durable, position })
    }
}

fn u64_at(bytes: &[u8; 16], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

/// One frame of a file.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    Mark(Mark),
    Batch(Batch),
}

/// The frame at the start of `bytes`, which lie at `position` of their file, and its length. Batches are checked by their
/// checksum.
pub(super) fn frame(bytes: &Bytes, position: u64) -> Result<(Frame, usize), BatchError> {
    if let Some(mark) = Mark::decode(bytes, position) {
        return Ok((Frame::Mark(mark), MARK_BYTES));
    }
    let batch = Batch::checked(bytes)?;
    let length = batch.bytes().len();
    Ok((Frame::Batch(batch), length))
}

/// Length of the batch at the start of `bytes`, whatever its format: every version has it in the same place.
pub(super) fn claimed_bytes(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*bytes.get(4..8)?.first_chunk()?) as usize;
    (HEADER_BYTES..=MAX_BATCH_BYTES)
        .contains(&length)
        .then_some(length)
}

/// The format version of a batch whose checksum is right. Nothing but a batch has one: bytes that have it and cannot be read
/// were written by another version of the program.
pub(super) fn version_of_whole(bytes: &[u8]) -> Option<u8> {
    let crc = u32::from_le_bytes(*bytes.first_chunk()?);
    let is_whole = claimed_bytes(bytes)? == bytes.len() && crc == crc32c(bytes.get(4..)?);
    bytes.get(8).copied().filter(|_| is_whole)
}

/// Length and header of the frame at the start of `bytes`, without looking at the checksum; no header for a mark.
pub(super) fn peek(bytes: &[u8], position: u64) -> Result<(usize, Option<BatchHeader>), BatchError> {
    if Mark::decode(bytes, position).is_some() {
        return Ok((MARK_BYTES, None));
    }
    let Some(raw) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Err(BatchError::Incomplete {
            needed: HEADER_BYTES,
            available: bytes.len(),
        });
    };
    let header = BatchHeader::decode(raw).map_err(|reason| BatchError::Header { reason })?;
    Ok((header.bytes as usize, Some(header)))
}
