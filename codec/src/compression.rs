//! Compression of payloads: the length of the records (4 bytes, little-endian), then one compressed block or frame.

use std::fmt;

use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};

use strandline_core::record::{Codec, MAX_BATCH_BYTES};

/// Bytes of the length before what is compressed.
pub(crate) const LENGTH_BYTES: usize = 4;
/// Zstandard's level: batches are compressed while publishers wait.
const ZSTD_LEVEL: i32 = 1;
/// No LZ4 block gives more bytes for one of its own than this.
const LZ4_MAX_RATIO: usize = 255;
/// Buffers that have grown beyond this are not kept.
const KEPT_BYTES: usize = 4 << 20;

/// Tables and room that one thread compresses with, made when they are first needed.
#[derive(Default)]
pub(crate) struct Compressor {
    lz4: Option<CompressTable>,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    room: Vec<u8>,
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

impl Compressor {
    /// The compressed form of records, if it is shorter than they are.
    pub(crate) fn compress(&mut self, codec: Codec, records: &[u8]) -> Option<&[u8]> {
        if self.room.len() > KEPT_BYTES {
            self.room = Vec::new();
        }
        let length = match codec {
            Codec::None => None,
            Codec::Lz4 => self.lz4(records),
            Codec::Zstd => self.zstd(records),
        }?;
        let compressed = self.room.get(..length)?;
        (LENGTH_BYTES + compressed.len() < records.len()).then_some(compressed)
    }

    fn lz4(&mut self, records: &[u8]) -> Option<usize> {
        let room = room(&mut self.room, get_maximum_output_size(records.len()));
        let table = self.lz4.get_or_insert_default();
        compress_into_with_table(records, room, table).ok()
    }

    /// Fails, as a rule, where the result would not be shorter: there is no room for it then.
    fn zstd(&mut self, records: &[u8]) -> Option<usize> {
        if self.zstd.is_none() {
            self.zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        let room = room(&mut self.room, records.len());
        self.zstd.as_mut()?.compress_to_buffer(records, room).ok()
    }
}

fn room(room: &mut Vec<u8>, bytes: usize) -> &mut [u8] {
    if room.len() < bytes {
        room.resize(bytes, 0);
    }
    &mut room[..bytes]
}

/// Why bytes do not decompress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("its length is missing")]
    NoLength,
    #[error("it says that it is {bytes} bytes, more than any batch or more than can be in it")]
    TooLarge { bytes: usize },
    #[error("it is no {codec} data of the length that it says")]
    Malformed { codec: Codec },
}

/// Splits off the length of the records, once it is found possible: nobody allocates on the word of a damaged or malicious
/// batch more than a batch may have.
pub(crate) fn split_length(codec: Codec, payload: &[u8]) -> Result<(usize, &[u8]), Problem> {
    let (length, compressed) = payload.split_first_chunk().ok_or(Problem::NoLength)?;
    let bytes = u32::from_le_bytes(*length) as usize;
    let most = match codec {
        Codec::None => compressed.len(),
        Codec::Lz4 => compressed.len().saturating_mul(LZ4_MAX_RATIO),
        Codec::Zstd => MAX_BATCH_BYTES,
    };
    if bytes > most.min(MAX_BATCH_BYTES) {
        return Err(Problem::TooLarge { bytes });
    }
    Ok((bytes, compressed))
}

/// What batches are decompressed with, made when it is first needed.
#[derive(Default)]
pub(crate) struct Decompressor {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl Decompressor {
    /// Decompresses into exactly the room that [`split_length`] asked for.
    pub(crate) fn decompress(
        &mut self,
        codec: Codec,
        compressed: &[u8],
        records: &mut [u8],
    ) -> Result<(), Problem> {
        let wanted = records.len();
        let length = match codec {
            Codec::None => None,
            Codec::Lz4 => decompress_into(compressed, records).ok(),
            Codec::Zstd => self.zstd(compressed, records),
        };
        if length == Some(wanted) {
            Ok(())
        } else {
            Err(Problem::Malformed { codec })
        }
    }

    fn zstd(&mut self, compressed: &[u8], records: &mut [u8]) -> Option<usize> {
        if self.zstd.is_none() {
            self.zstd = zstd::bulk::Decompressor::new().ok();
        }
        self.zstd.as_mut()?.decompress_to_buffer(compressed, records).ok()
    }
}
