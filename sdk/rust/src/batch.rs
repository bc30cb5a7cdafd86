//! Reads packed batches. The layout is in `docs/plugin-contract.md`.

use crate::needs::Needs;
use crate::record::Record;

/// Number of records and length of the fixed part.
const HEAD_BYTES: usize = 8;
/// Fixed part of a record in version 1.0; later ones may only be longer.
pub(crate) const FIXED_BYTES: usize = 24;
/// Length of a key that is not there.
pub(crate) const NO_KEY: u32 = u32::MAX;

/// A batch is not as the contract says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A packed batch: the bytes that a host gives to a plugin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch<'b> {
    count: usize,
    fixed_bytes: usize,
    records: &'b [u8],
    needs: &'b Needs,
}

impl<'b> Batch<'b> {
    /// Looks at the head only; records are checked as they are read.
    pub(crate) fn parse(bytes: &'b [u8], needs: &'b Needs) -> Result<Self, Malformed> {
        let (head, records) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(Malformed)?;
        let [count, fixed_bytes] = words(head);
        let (count, fixed_bytes) = (count as usize, fixed_bytes as usize);
        if fixed_bytes < FIXED_BYTES || count > records.len() / fixed_bytes {
            return Err(Malformed);
        }
        Ok(Self {
            count,
            fixed_bytes,
            records,
            needs,
        })
    }

    /// How many records it has.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Calls `each` for every record in order.
    #[inline]
    pub(crate) fn for_each(&self, mut each: impl FnMut(&Record<'b>)) -> Result<(), Malformed> {
        let mut rest = self.records;
        for _ in 0..self.count {
            let length = u32::from_le_bytes(*rest.first_chunk().ok_or(Malformed)?);
            let (record, next) = rest.split_at_checked(length as usize).ok_or(Malformed)?;
            each(&self.record(record)?);
            rest = next;
        }
        if rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    #[inline]
    fn record(&self, bytes: &'b [u8]) -> Result<Record<'b>, Malformed> {
        let fixed = bytes.first_chunk::<FIXED_BYTES>().ok_or(Malformed)?;
        let [_, key_len, subject_len, headers_len, value_here, value_len] = words(fixed);
        let rest = bytes.get(self.fixed_bytes..).ok_or(Malformed)?;
        let (key, rest) = match key_len {
            NO_KEY => (None, rest),
            length => {
                let (key, rest) = rest.split_at_checked(length as usize).ok_or(Malformed)?;
                (Some(key), rest)
            }
        };
        let (subject, rest) = rest.split_at_checked(subject_len as usize).ok_or(Malformed)?;
        let (headers, value) = rest.split_at_checked(headers_len as usize).ok_or(Malformed)?;
        if value.len() != value_here as usize {
            return Err(Malformed);
        }
        Ok(Record {
            key,
            subject,
            headers,
            value,
            value_len,
            needs: self.needs,
        })
    }
}

/// Little-endian numbers of 4 bytes each.
#[inline]
fn words<const BYTES: usize, const WORDS: usize>(bytes: &[u8; BYTES]) -> [u32; WORDS] {
    const { assert!(BYTES == 4 * WORDS) };
    std::array::from_fn(|at| {
        u32::from_le_bytes([
            bytes[4 * at],
            bytes[4 * at + 1],
            bytes[4 * at + 2],
            bytes[4 * at + 3],
        ])
    })
}
