//! An encoded batch, and runs of them.

use bytes::{Bytes, BytesMut};

use super::body::RecordIter;
use super::header::{BatchHeader, HEADER_BYTES, u32_at};
use crate::{Offset, Timestamp};

/// A whole, checked batch in its stored form. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    /// Reads the batch that `bytes` starts with and checks its checksum and the form of every record. The records of a packed
    /// batch are left to who unpacks it.
    ///
    /// # Errors
    ///
    /// Says what is wrong; [`BatchError::Incomplete`] when `bytes` ends before the batch does.
    pub fn parse(bytes: &Bytes) -> Result<Self, BatchError> {
        let batch = Self::checked(bytes)?;
        batch.check_records()?;
        Ok(batch)
    }

    /// Checks the form of every record, as [`Batch::parse`] does.
    ///
    /// # Errors
    ///
    /// [`BatchError::Record`] names the first that is malformed.
    pub fn check_records(&self) -> Result<(), BatchError> {
        if self.header.is_packed() {
            return Ok(());
        }
        check_records(self)
    }

    /// As [`Batch::parse`], but trusts that the records are well-formed because the checksum is right. For bytes that
    /// this process or a checked log has written.
    ///
    /// # Errors
    ///
    /// As [`Batch::parse`].
    pub fn checked(bytes: &Bytes) -> Result<Self, BatchError> {
        let (raw, header) = decode_header(bytes)?;
        let length = header.bytes as usize;
        let whole = bytes.get(4..length).ok_or(BatchError::Incomplete {
            needed: length,
            available: bytes.len(),
        })?;
        let (stored, computed) = (u32_at(raw, 0), super::crc32c(whole));
        if stored != computed {
            return Err(BatchError::Checksum { stored, computed });
        }
        Ok(Self {
            header,
            bytes: bytes.slice(..length),
        })
    }

    /// The batch with this header and the payload that lies in the buffer behind [`HEADER_BYTES`] of room.
    ///
    /// # Errors
    ///
    /// As [`BatchHeader::seal`].
    pub fn seal(header: BatchHeader, mut buffer: BytesMut) -> Result<Self, BatchError> {
        let header = header.seal(&mut buffer)?;
        let bytes = buffer.freeze();
        Ok(Self { header, bytes })
    }

    /// The fields of the header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch as it is stored.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What follows the header.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// The records in order. A packed batch has to be unpacked first: to ask it for records is a mistake of the caller, which
    /// tests find out; otherwise it has none.
    pub fn records(&self) -> RecordIter<'_> {
        let is_packed = self.header.is_packed();
        debug_assert!(!is_packed, "a packed batch was asked for its records");
        RecordIter::new(if is_packed { &[] } else { self.payload() })
    }

    /// Offset of the first record at or after a point in time. Of a packed batch that holds it: the offset that the batch
    /// begins with, as far as a look from outside goes.
    pub fn first_at_or_after(&self, time: Timestamp) -> Option<Offset> {
        if self.header.is_packed() {
            return (self.header.last_time >= time).then_some(self.header.base);
        }
        let mut records = self.records();
        let first = self.header.first_time.nanos();
        let record =
            records.find(|record| first.saturating_add(i64::from(record.time_delta())) >= time.nanos());
        record.map(|record| self.header.base.plus(u64::from(record.offset_delta())))
    }
}

fn decode_header(bytes: &[u8]) -> Result<(&[u8; HEADER_BYTES], BatchHeader), BatchError> {
    let Some((raw, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(BatchError::Incomplete {
            needed: HEADER_BYTES,
            available: bytes.len(),
        });
    };
    let header = BatchHeader::decode(raw).map_err(|reason| BatchError::Header { reason })?;
    Ok((raw, header))
}

/// Checks that the payload is exactly the records which the header announces.
fn check_records(batch: &Batch) -> Result<(), BatchError> {
    let mut records = batch.records();
    let (mut count, mut last_delta) = (0, None);
    for record in records.by_ref() {
        let delta = record.offset_delta();
        let first_is_base = last_delta.is_some() || delta == 0;
        if !first_is_base || last_delta.is_some_and(|last| delta <= last) || !record.is_well_formed() {
            return Err(BatchError::Record { index: count });
        }
        last_delta = Some(delta);
        count += 1;
    }
    let whole = records.is_at_end() && count == batch.header.records;
    let last = u64::from(last_delta.unwrap_or(0)) == batch.header.last.since(batch.header.base);
    if whole && last {
        Ok(())
    } else {
        Err(BatchError::Record { index: count })
    }
}

/// Why bytes are not a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("batch is incomplete: {available} of {needed} bytes")]
    Incomplete {
        /// Bytes that the batch needs, as far as known.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// The header cannot be true.
    #[error("batch header: {reason}")]
    Header {
        /// The first rule that it breaks.
        reason: &'static str,
    },
    /// The checksum is wrong.
    #[error("batch checksum is {computed:08x} but {stored:08x} is stored")]
    Checksum {
        /// The stored value.
        stored: u32,
        /// The value of the bytes as they are.
        computed: u32,
    },
    /// A record is malformed although the checksum is right.
    #[error("record {index} of the batch is malformed")]
    Record {
        /// Number of the record within its batch, from 0.
        index: u32,
    },
}

/// The batches of a run of whole batches, one after another, as a log hands them out.
#[derive(Clone, Debug)]
pub struct BatchIter {
    rest: Bytes,
}

impl BatchIter {
    /// The batches that `run` consists of.
    pub fn new(run: Bytes) -> Self {
        Self { rest: run }
    }
}

impl Iterator for BatchIter {
    type Item = Result<Batch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let result = decode_header(&self.rest)
            .map(|(_, header)| header)
            .and_then(|header| {
                let (needed, available) = (header.bytes as usize, self.rest.len());
                if available < needed {
                    return Err(BatchError::Incomplete { needed, available });
                }
                Ok(Batch {
                    header,
                    bytes: self.rest.split_to(needed),
                })
            });
        if result.is_err() {
            self.rest.clear();
        }
        Some(result)
    }
}
