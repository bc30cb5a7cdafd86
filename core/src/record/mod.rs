//! Records and batches as they are stored, replicated and archived.
//!
//! All numbers of the header and of the prefix are little-endian. `docs/file-formats.md` draws the same layout.
//!
//! ```text
//! batch:  header (72 bytes) | payload
//!    0  u32  CRC-32C of bytes 4.. of the batch
//!    4  u32  length of the whole batch in bytes, header included
//!    8  u8   format version, 1
//!    9  u8   flags, 0
//!   10  u8   codec of the payload: 0 none, 1 lz4, 2 zstd
//!   11  u8   0
//!   12  u32  number of records
//!   16  u64  leader epoch
//!   24  u64  base offset: offset of the first record
//!   32  u64  last offset: offset of the last record
//!   40  i64  first timestamp, nanoseconds since the Unix epoch
//!   48  i64  last timestamp
//!   56  u32  key id, 0 = not encrypted
//!   60  [12] nonce, 0 without a key
//!   72       payload: records one after another; packed, when there is a codec or a key
//!
//! record: prefix (13 bytes) | body
//!    0  u32  length of the record in bytes, prefix included
//!    4  u32  offset - base offset
//!    8  u32  timestamp - first timestamp, nanoseconds
//!   12  u8   attributes: bit 0 = has a key
//!   13       body: protobuf fields 2 key, 3 value, 7 subject, 8 reply subject, 9 headers of the wire's `Message`
//! ```
//!
//! The body is valid protobuf in this order, so that a reader puts offset, timestamp, stream and partition before it
//! and copies the rest. A key that is present but empty is written as an empty field 2 with its attribute set.
//!
//! A packed payload is compressed, then encrypted; the checksum goes over what that gives. Nothing in this crate looks into
//! one: to logs and replicas it is bytes.

mod batch;
mod body;
mod builder;
mod codec;
mod encode;
mod header;

pub use batch::{Batch, BatchError, BatchIter};
pub use body::{
    HeaderIter, MAX_HEADER_KEY_BYTES, MAX_HEADERS, PREFIX_BYTES, REPLY_HEADER, RecordIter, RecordView,
    SUBJECT_HEADER,
};
pub use builder::BatchBuilder;
pub use codec::{Codec, Encryption, KeyId, NONCE_BYTES, UnknownCodec};
pub use encode::{BodyError, Fields, RecordEncoder, append_record, append_with_key};
pub use header::{BatchHeader, FORMAT_VERSION, HEADER_BYTES, MAX_BATCH_BYTES, MAX_BUILT_BYTES};

/// CRC-32C (Castagnoli), the checksum of every stored byte and of NATS envelopes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    // crc-fast returns every width as u64; the value of a 32-bit algorithm fits.
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// CRC-32 (IEEE), by which clients spread keys over partitions.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes) as u32
}

#[cfg(test)]
mod tests;
