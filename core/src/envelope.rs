//! The frame that Liftbridge clients put around a message on NATS.
//!
//! ```text
//! 0      magic B9 0E 43 B4
//! 4      version 00
//! 5      header length = offset of the payload: 08, or 0C with a CRC
//! 6      flags: bit 0 = a CRC-32C of the payload stands at 8
//! 7      kind: 0 publish, 1 ack, others belong to Liftbridge servers
//! 8      CRC-32C of the payload, big-endian, only with flag bit 0
//! ```
//!
//! The payload is a protobuf message, which `strandline-proto` reads. Anything that is not a well-formed frame is an
//! opaque value: a plain NATS message may hold any bytes.

/// The first four bytes of a frame.
pub const MAGIC: [u8; 4] = [0xB9, 0x0E, 0x43, 0xB4];
/// Length of the header that this server writes.
pub const HEADER_BYTES: usize = 8;

const HEADER_BYTES_WITH_CRC: usize = 12;
const VERSION: u8 = 0;
const FLAG_CRC: u8 = 1;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message to store.
    Publish,
    /// An acknowledgement.
    Ack,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Publish => 0,
            Self::Ack => 1,
        }
    }
}

/// The header of a frame with this kind, without a CRC, as Liftbridge's server and clients write it.
pub const fn header(kind: Kind) -> [u8; HEADER_BYTES] {
    let [a, b, c, d] = MAGIC;
    [a, b, c, d, VERSION, HEADER_BYTES as u8, 0, kind.byte()]
}

/// The payload of a well-formed frame of this kind, or nothing when the bytes are anything else.
pub fn open(kind: Kind, bytes: &[u8]) -> Option<&[u8]> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let [a, b, c, d, version, header_length, flags, found_kind] = *header;
    if [a, b, c, d] != MAGIC || version != VERSION || found_kind != kind.byte() {
        return None;
    }
    if flags & FLAG_CRC == 0 {
        // The header may be longer than what this version defines; the payload starts where it says.
        return bytes
            .get(usize::from(header_length)..)
            .filter(|_| usize::from(header_length) >= HEADER_BYTES);
    }
    if usize::from(header_length) != HEADER_BYTES_WITH_CRC {
        return None;
    }
    let (crc, payload) = rest.split_first_chunk::<4>()?;
    (u32::from_be_bytes(*crc) == crate::record::crc32c(payload)).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &[u8] = &[0x1a, 0x01, 0x78];

    fn framed(header: &[u8], payload: &[u8]) -> Vec<u8> {
        [header, payload].concat()
    }

    #[test]
    fn a_frame_without_a_crc_gives_its_payload() {
        let bytes = framed(&header(Kind::Publish), PAYLOAD);
        assert_eq!(open(Kind::Publish, &bytes), Some(PAYLOAD));
        assert_eq!(open(Kind::Ack, &bytes), None);
    }

    #[test]
    fn a_crc_is_checked_when_present() {
        let mut bytes = framed(
            &[0xB9, 0x0E, 0x43, 0xB4, 0, 12, 1, 0],
            &crate::record::crc32c(PAYLOAD).to_be_bytes(),
        );
        bytes.extend_from_slice(PAYLOAD);
        assert_eq!(open(Kind::Publish, &bytes), Some(PAYLOAD));
        bytes[12] ^= 1;
        assert_eq!(open(Kind::Publish, &bytes), None);
    }

    #[test]
    fn a_header_length_beyond_the_payload_is_an_opaque_value() {
        // Liftbridge's server ends its process on this input.
        for length in [9, 200, 255] {
            let bytes = framed(&[0xB9, 0x0E, 0x43, 0xB4, 0, length, 0, 0], &[]);
            assert_eq!(open(Kind::Publish, &bytes), None);
        }
    }

    #[test]
    fn everything_that_is_not_a_frame_is_an_opaque_value() {
        let good = framed(&header(Kind::Publish), PAYLOAD);
        for length in 0..HEADER_BYTES {
            assert_eq!(open(Kind::Publish, &good[..length]), None);
        }
        for position in [0, 1, 2, 3, 4, 7] {
            let mut bytes = good.clone();
            bytes[position] ^= 0x40;
            assert_eq!(open(Kind::Publish, &bytes), None, "byte {position}");
        }
        for length in 0..8 {
            let mut bytes = good.clone();
            bytes[5] = length;
            assert_eq!(open(Kind::Publish, &bytes), None, "header length {length}");
        }
    }
}
