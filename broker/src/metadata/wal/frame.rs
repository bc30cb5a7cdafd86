//! Records as bytes.
//!
//! ```text
//! 0   crc32c of everything that follows
//! 4   payload length
//! 8   segment number    \ a frame is valid only where it was written
//! 16  position in file  /
//! 24  position where the write began that this frame is part of
//! 32  kind
//! 33  payload
//! ```
//!
//! Numbers are little-endian. Every write is durable before the next begins, so everything before the position at 24
//! was durable when the frame was written: a bad frame there is damage, a bad frame from there on is a torn write.

use strandline_core::record::crc32c;

use super::{Record, WalError};

/// Bytes before the payload.
pub(super) const PREFIX_BYTES: usize = 33;
/// Largest payload.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 16 << 20;

/// Where a frame stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) position: u64,
}

/// A frame that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) write_start: u64,
    pub(super) kind: u8,
    pub(super) payload: &'a [u8],
}

impl Frame<'_> {
    /// Length in the file.
    pub(super) fn bytes(&self) -> usize {
        PREFIX_BYTES + self.payload.len()
    }
}

/// Appends a record to `out`, which is going to be written from `start` on as one write.
pub(super) fn encode(out: &mut Vec<u8>, start: Place, record: &Record) -> Result<(), WalError> {
    let (number, body) = record.parts();
    let payload_bytes = body.len() + number.map_or(0, |_| 8);
    let (Ok(length), true) = (u32::try_from(payload_bytes), payload_bytes <= MAX_PAYLOAD_BYTES) else {
        return Err(WalError::TooLarge {
            bytes: payload_bytes,
            max: MAX_PAYLOAD_BYTES,
        });
    };
    let frame = out.len();
    let position = start.position + frame as u64;
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&start.segment.to_le_bytes());
    out.extend_from_slice(&position.to_le_bytes());
    out.extend_from_slice(&start.position.to_le_bytes());
    out.push(record.kind());
    if let Some(number) = number {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(body);
    if let Some((crc, covered)) = out
        .get_mut(frame..)
        .and_then(|frame| frame.split_first_chunk_mut::<4>())
    {
        *crc = crc32c(covered).to_le_bytes();
    }
    Ok(())
}

/// Reads the frame that begins at `bytes`; none when there is no valid one at this place.
pub(super) fn decode(bytes: &[u8], place: Place) -> Option<Frame<'_>> {
    let (prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
    let length = usize::try_from(u32::from_le_bytes(*prefix[4..].first_chunk()?)).ok()?;
    let number = |at: usize| Some(u64::from_le_bytes(*prefix.get(at..)?.first_chunk()?));
    let found = Place {
        segment: number(8)?,
        position: number(16)?,
    };
    let write_start = number(24)?;
    if found != place || write_start > place.position || length > MAX_PAYLOAD_BYTES {
        return None;
    }
    let payload = rest.get(..length)?;
    let crc = u32::from_le_bytes(*prefix.first_chunk()?);
    let covered = bytes.get(4..PREFIX_BYTES + length)?;
    (crc == crc32c(covered)).then_some(Frame {
        write_start,
        kind: prefix[32],
        payload,
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn any_record() -> impl Strategy<Value = Record> {
        let body = || vec(any::<u8>(), 0..40);
        prop_oneof![
            body().prop_map(Record::Vote),
            body().prop_map(Record::Committed),
            Just(Record::Sealed),
            any::<u64>().prop_map(|since| Record::Truncate { since }),
            (any::<u64>(), body()).prop_map(|(index, body)| Record::Entry { index, body }),
            (any::<u64>(), body()).prop_map(|(upto, body)| Record::Purge { upto, body }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(records in vec(any_record(), 1..5), position in 0_u64..1 << 40) {
            let start = Place { segment: 7, position };
            let mut bytes = Vec::new();
            for record in &records {
                encode(&mut bytes, start, record).unwrap();
            }
            let mut at = 0;
            for record in &records {
                let place = Place { position: position + at as u64, ..start };
                let frame = decode(&bytes[at..], place).unwrap();
                prop_assert_eq!(frame.write_start, position);
                prop_assert_eq!(Record::decode(frame.kind, frame.payload), Some(record.clone()));
                at += frame.bytes();
            }
            prop_assert_eq!(at, bytes.len());
        }

        #[test]
        fn a_changed_bit_or_another_place_makes_a_frame_invalid(
            record in any_record(),
            bit in any::<prop::sample::Index>(),
        ) {
            let place = Place { segment: 7, position: 100 };
            let mut bytes = Vec::new();
            encode(&mut bytes, place, &record).unwrap();
            let (further, elsewhere) = (Place { position: 101, ..place }, Place { segment: 8, ..place });
            prop_assert!(decode(&bytes, further).is_none());
            prop_assert!(decode(&bytes, elsewhere).is_none());
            prop_assert!(decode(&bytes[..bytes.len() - 1], place).is_none());
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode(&bytes, place).is_none());
        }

        #[test]
        fn garbage_never_panics(bytes in vec(any::<u8>(), 0..200), kind in any::<u8>()) {
            let place = Place { segment: 0, position: 0 };
            let _ = decode(&bytes, place);
            let _ = Record::decode(kind, &bytes);
        }
    }

    #[test]
    fn a_record_over_the_limit_is_refused() {
        let record = Record::Vote(vec![0; MAX_PAYLOAD_BYTES + 1]);
        let refused = encode(
            &mut Vec::new(),
            Place {
                segment: 1,
                position: 0,
            },
            &record,
        );
        assert!(matches!(refused, Err(WalError::TooLarge { .. })));
    }
}
