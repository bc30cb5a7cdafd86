//! The header of a batch.

use super::codec::{Codec, Encryption, KeyId, NONCE_BYTES};
use super::{BatchError, RecordView};
use crate::{LeaderEpoch, Offset, OffsetRange, Timestamp};

/// Length of an encoded header in bytes.
pub const HEADER_BYTES: usize = 72;
/// The format version that this code writes and reads.
pub const FORMAT_VERSION: u8 = 1;
/// Largest batch, header included. Bounds what recovery and readers allocate on the word of a length field.
pub const MAX_BATCH_BYTES: usize = 64 << 20;
/// Largest batch that is built, header included: leaves room for what encryption adds.
pub const MAX_BUILT_BYTES: usize = MAX_BATCH_BYTES - 64;
/// Where the nonce begins; it reaches to the end of the header.
const NONCE_AT: usize = HEADER_BYTES - NONCE_BYTES;

/// The fields of a batch header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchHeader {
    /// Length of the whole batch in bytes, header included.
    pub bytes: u32,
    /// Number of records.
    pub records: u32,
    /// Generation of the leader that wrote the batch.
    pub epoch: LeaderEpoch,
    /// Offset of the first record.
    pub base: Offset,
    /// Offset of the last record. Compaction leaves gaps, so the count does not give it.
    pub last: Offset,
    /// Timestamp of the first record.
    pub first_time: Timestamp,
    /// Timestamp of the last record, the largest of the batch.
    pub last_time: Timestamp,
    /// How the payload is compressed.
    pub codec: Codec,
    /// With what the payload is encrypted, after it was compressed; none = it is not.
    pub encryption: Option<Encryption>,
}

impl BatchHeader {
    /// The offsets from the first record to the end of the batch.
    pub fn range(&self) -> OffsetRange {
        OffsetRange::new(self.base, self.end())
    }

    /// The first offset after the batch.
    pub fn end(&self) -> Offset {
        self.last.plus(1)
    }

    /// When a record of the batch was accepted.
    pub fn time(&self, record: &RecordView<'_>) -> Timestamp {
        let delta = i64::from(record.time_delta());
        Timestamp::from_nanos(self.first_time.nanos().saturating_add(delta))
    }

    /// Writes the header into the first [`HEADER_BYTES`] of a batch, with the batch's length and checksum. Returns it with that
    /// length.
    ///
    /// # Errors
    ///
    /// The batch is shorter than a header or longer than [`MAX_BATCH_BYTES`].
    pub fn seal(self, batch: &mut [u8]) -> Result<Self, BatchError> {
        let length = batch.len();
        let header = Self {
            bytes: length as u32,
            ..self
        };
        match batch.first_chunk_mut() {
            Some(head) if length <= MAX_BATCH_BYTES => *head = header.encode(),
            _ => {
                let reason = "length is out of range";
                return Err(BatchError::Header { reason });
            }
        }
        let crc = super::crc32c(&batch[4..]);
        batch[..4].copy_from_slice(&crc.to_le_bytes());
        Ok(header)
    }

    /// Whether the payload has to be unpacked before its records can be read.
    pub fn is_packed(&self) -> bool {
        self.codec != Codec::None || self.encryption.is_some()
    }

    /// The encoded header with a CRC field of 0; the batch's own checksum goes over it.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[4..8].copy_from_slice(&self.bytes.to_le_bytes());
        out[8] = FORMAT_VERSION;
        out[10] = self.codec.number();
        out[12..16].copy_from_slice(&self.records.to_le_bytes());
        out[16..24].copy_from_slice(&self.epoch.get().to_le_bytes());
        out[24..32].copy_from_slice(&self.base.get().to_le_bytes());
        out[32..40].copy_from_slice(&self.last.get().to_le_bytes());
        out[40..48].copy_from_slice(&self.first_time.nanos().to_le_bytes());
        out[48..56].copy_from_slice(&self.last_time.nanos().to_le_bytes());
        if let Some(Encryption { key, nonce }) = self.encryption {
            out[56..60].copy_from_slice(&key.get().to_le_bytes());
            out[NONCE_AT..].copy_from_slice(&nonce);
        }
        out
    }

    /// Reads a header and checks that its fields can be true, without looking at the checksum.
    ///
    /// # Errors
    ///
    /// The reason as text that completes "batch header: ".
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, &'static str> {
        if bytes[8] != FORMAT_VERSION {
            return Err("format version is not 1");
        }
        if bytes[9] != 0 || bytes[11] != 0 {
            return Err("a flag is set that this version does not know");
        }
        let codec = Codec::from_number(bytes[10]);
        let codec = codec.ok_or("the payload has a codec that this version does not know")?;
        let header = Self {
            bytes: u32_at(bytes, 4),
            records: u32_at(bytes, 12),
            epoch: LeaderEpoch::new(u64_at(bytes, 16)),
            base: Offset::new(u64_at(bytes, 24)),
            last: Offset::new(u64_at(bytes, 32)),
            first_time: Timestamp::from_nanos(u64_at(bytes, 40) as i64),
            last_time: Timestamp::from_nanos(u64_at(bytes, 48) as i64),
            codec,
            encryption: encryption(bytes)?,
        };
        header.plausible()?;
        Ok(header)
    }

    fn plausible(&self) -> Result<(), &'static str> {
        let bytes = self.bytes as usize;
        if !(HEADER_BYTES..=MAX_BATCH_BYTES).contains(&bytes) {
            return Err("length is out of range");
        }
        if self.records == 0 {
            return Err("there are no records");
        }
        if self.last < self.base || self.last > Offset::MAX {
            return Err("last offset is out of range");
        }
        if self.last.since(self.base) > u64::from(u32::MAX)
            || self.last.since(self.base) < u64::from(self.records) - 1
        {
            return Err("offsets and number of records contradict");
        }
        if self.last_time < self.first_time {
            return Err("last timestamp is before the first");
        }
        Ok(())
    }
}

fn encryption(bytes: &[u8; HEADER_BYTES]) -> Result<Option<Encryption>, &'static str> {
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&bytes[NONCE_AT..]);
    match KeyId::new(u32_at(bytes, 56)) {
        Some(key) => Ok(Some(Encryption { key, nonce })),
        None if nonce == [0; NONCE_BYTES] => Ok(None),
        None => Err("there is a nonce without a key"),
    }
}

pub(super) fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
