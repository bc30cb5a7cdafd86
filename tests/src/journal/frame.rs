//! What a journal file consists of.
//!
//! ```text
//! frame (little-endian)
//!    0  u32  CRC-32C of bytes 4..
//!    4  u32  length of the whole frame
//!    8  u64  position of the frame in its file
//!   16  u64  bytes of the file that were durable when it was written
//!   24  u8   kind
//!   25       body
//! ```

use bytes::Bytes;

use strandline_core::record::{Batch, BatchError, BatchIter, MAX_BATCH_BYTES, crc32c};
use strandline_core::{Offset, OffsetRange};

/// Length of a frame without its body.
pub(super) const HEAD_BYTES: usize = 25;
/// Longest frame: that of the largest batch. The others are cut to fit.
const MAX_BYTES: usize = HEAD_BYTES + MAX_BATCH_BYTES;

/// What happened to the log.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A batch was appended.
    Append(Batch),
    /// A batch that the next `Replace` puts in place of others. Without one after it, it never happened.
    Stage(Batch),
    /// The active segment was sealed as this range.
    Seal(OffsetRange),
    /// Sealed segments up to here were removed.
    Remove(Offset),
    /// The sealed segments of this range were replaced by one with the staged batches.
    Replace(OffsetRange),
    /// Everything from here on was cut off.
    Truncate(Offset),
    /// Everything was forgotten, and the log goes on here.
    Reset(Offset),
    /// Nothing, in so many bytes: says only what was durable.
    Mark(usize),
}

/// One frame of a file.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) event: Event,
    pub(super) durable: u64,
    pub(super) bytes: u64,
}

impl Event {
    /// The frame of this event at a position of a file of which so much is durable.
    pub(super) fn encode(&self, position: u64, durable: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&position.to_le_bytes());
        out.extend_from_slice(&durable.to_le_bytes());
        out.push(self.kind());
        match self {
            Self::Append(batch) | Self::Stage(batch) => out.extend_from_slice(batch.bytes()),
            Self::Seal(range) | Self::Replace(range) => {
                out.extend_from_slice(&range.start.get().to_le_bytes());
                out.extend_from_slice(&range.end.get().to_le_bytes());
            }
            Self::Remove(offset) | Self::Truncate(offset) | Self::Reset(offset) => {
                out.extend_from_slice(&offset.get().to_le_bytes());
            }
            Self::Mark(bytes) => out.resize(out.len() + bytes, 0),
        }
        let length = (out.len() - start) as u32;
        out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
        let crc = crc32c(&out[start + 4..]);
        out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    }

    /// Length of the frame.
    pub(super) fn bytes(&self) -> usize {
        HEAD_BYTES
            + match self {
                Self::Append(batch) | Self::Stage(batch) => batch.bytes().len(),
                Self::Seal(_) | Self::Replace(_) => 16,
                Self::Remove(_) | Self::Truncate(_) | Self::Reset(_) => 8,
                Self::Mark(bytes) => *bytes,
            }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Append(_) => 1,
            Self::Stage(_) => 2,
            Self::Seal(_) => 3,
            Self::Remove(_) => 4,
            Self::Replace(_) => 5,
            Self::Truncate(_) => 6,
            Self::Reset(_) => 7,
            Self::Mark(_) => 8,
        }
    }
}

/// The length that the frame at the start of `head` claims to have, if it claims to lie at this position.
pub(super) fn claimed_bytes(head: &[u8], position: u64) -> Option<usize> {
    let bytes = u32::from_le_bytes(*head.get(4..8)?.first_chunk()?) as usize;
    let is_here = number_at(head, 8)? == position;
    (is_here && (HEAD_BYTES..=MAX_BYTES).contains(&bytes)).then_some(bytes)
}

/// The frame that `bytes` are, none if they are not one of this position.
pub(super) fn decode(bytes: &Bytes, position: u64, is_trusting: bool) -> Option<Frame> {
    let whole = claimed_bytes(bytes, position)? == bytes.len();
    let crc = u32::from_le_bytes(*bytes.first_chunk()?);
    if !whole || crc != crc32c(bytes.get(4..)?) && !is_trusting {
        return None;
    }
    let body = bytes.slice(HEAD_BYTES..);
    let offset = |at| number_at(&body, at).map(Offset::new);
    let range = || Some(OffsetRange::new(offset(0)?, offset(8)?));
    let event = match bytes.get(24)? {
        1 => Event::Append(batch(&body, is_trusting).ok()?),
        2 => Event::Stage(batch(&body, is_trusting).ok()?),
        3 => Event::Seal(range()?),
        4 => Event::Remove(offset(0)?),
        5 => Event::Replace(range()?),
        6 => Event::Truncate(offset(0)?),
        7 => Event::Reset(offset(0)?),
        8 => Event::Mark(body.len()),
        _ => return None,
    };
    Some(Frame {
        event,
        durable: number_at(bytes, 16)?,
        bytes: bytes.len() as u64,
    })
}

/// The batch that `bytes` start with. Its checksum is right, unless it is taken on trust.
pub(super) fn batch(bytes: &Bytes, is_trusting: bool) -> Result<Batch, BatchError> {
    match BatchIter::new(bytes.clone()).next() {
        Some(unchecked) if is_trusting => unchecked,
        _ => Batch::checked(bytes),
    }
}

fn number_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|number| u64::from_le_bytes(*number))
}
