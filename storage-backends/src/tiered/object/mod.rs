//! A segment as an object. All numbers are little-endian.
//!
//! ```text
//! header (16 bytes)
//!    0  [8]  "STRNDSEG"
//!    8  u32  format, 1
//!   12  [4]  0
//! batches, one after another, byte for byte as the local log has them
//! footer
//!    0  u32  number of blocks, at least 1
//!    4  u32  number of epochs, at least 1
//!    8       blocks, 36 bytes each, in order and without holes between them
//!               0  u64  position in the object; the first one is 16
//!               8  u32  length in bytes: about 1 MiB, whole batches, at least one
//!              12  u32  CRC-32C of the block
//!              16  u64  base offset of its first batch
//!              24  u32  number of records
//!              28  i64  time of its first record, nanoseconds since the Unix epoch
//!            epochs, 16 bytes each, in order
//!               0  u64  leader epoch
//!               8  u64  the offset from which on it holds
//! trailer (24 bytes)
//!    0  u64  length of the footer in bytes
//!    8  u32  CRC-32C of the footer
//!   12  u32  format, 1
//!   16  [8]  "STRNDEND"
//! ```

mod blocks;
mod footer;
mod write;

pub(super) use blocks::{Blocks, ObjectTotals};
pub use footer::{Block, Footer};
pub(super) use write::{Source, write_segment};

/// Length of the header.
pub const HEADER_BYTES: usize = 16;
/// Length of the trailer.
pub const TRAILER_BYTES: usize = 24;
/// Blocks end before the batch that would make them longer than this.
pub(super) const BLOCK_BYTES: usize = 1 << 20;
const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"STRNDSEG";
const END_MAGIC: &[u8; 8] = b"STRNDEND";

/// The header of every object.
pub(super) fn header() -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(MAGIC);
    out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    out
}

/// Whether these are the first bytes of an object that this program can read.
///
/// # Errors
///
/// What they are instead.
pub fn check_header(bytes: &[u8]) -> Result<(), String> {
    let Some(found) = bytes.get(..HEADER_BYTES) else {
        return Err("it is shorter than a header".to_owned());
    };
    if found == header() {
        return Ok(());
    }
    if found[..8] != *MAGIC {
        return Err("it is not an archived segment".to_owned());
    }
    let version = u32::from_le_bytes([found[8], found[9], found[10], found[11]]);
    Err(format!(
        "its format is {version}, and this program knows {FORMAT}: use a newer one"
    ))
}
