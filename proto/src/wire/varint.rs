//! Protobuf's variable-length numbers and the fields made of them.

use bytes::{BufMut, BytesMut};

use super::frame_reader::FRAME_PREFIX_BYTES;

/// Length of a number in bytes, 1 to 10.
#[inline]
pub(super) fn varint_bytes(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// A few bytes that go into a buffer together: every append checks the buffer's room, which costs more than a byte. They are
/// written eight at a time: bytes that are written one by one and moved together stall the processor at every move, which was a
/// quarter of all that replaying a message took.
pub(super) struct Short {
    bytes: [u8; Self::ROOM + Self::SPARE],
    length: usize,
}

impl Short {
    /// Enough for a frame prefix and two number fields, which is the most that anybody puts in.
    const ROOM: usize = FRAME_PREFIX_BYTES + 2 * 11;
    /// What a word that is written last may write behind them.
    const SPARE: usize = 8;

    #[inline]
    pub(super) fn new() -> Self {
        Self {
            bytes: [0; Self::ROOM + Self::SPARE],
            length: 0,
        }
    }

    /// The five bytes before a message of this length in a gRPC stream.
    #[inline]
    pub(super) fn frame_prefix(&mut self, message_bytes: usize) -> &mut Self {
        // Messages are bounded far below 4 GiB.
        let length = (message_bytes as u32).swap_bytes();
        self.word(u64::from(length) << 8, FRAME_PREFIX_BYTES)
    }

    #[inline]
    pub(super) fn byte(&mut self, byte: u8) -> &mut Self {
        self.word(u64::from(byte), 1)
    }

    #[inline]
    pub(super) fn varint(&mut self, value: u64) -> &mut Self {
        let bytes = varint_bytes(value);
        // All of these bytes but the last say that another one follows.
        let goes_on = match bytes {
            1..=8 => CONTINUES >> (8 * (8 - bytes)) >> 8,
            _ => CONTINUES,
        };
        self.word(sevens(value) | goes_on, bytes.min(8));
        match bytes {
            9 => self.word(value >> 56, 1),
            10 => self.word(value >> 56 & 0x7f | 0x80 | value >> 63 << 8, 2),
            _ => self,
        }
    }

    /// A number field with a one-byte tag, unless it is 0.
    #[inline]
    pub(super) fn number_field(&mut self, field: u8, value: i64) -> &mut Self {
        if value == 0 {
            self
        } else {
            self.byte(field << 3).varint(value as u64)
        }
    }

    #[inline]
    pub(super) fn put_into(&self, out: &mut BytesMut) {
        out.put_slice(&self.bytes[..self.length]);
    }

    /// The first of a word's bytes, the lowest first; what it writes behind them is written over.
    #[inline]
    fn word(&mut self, word: u64, bytes: usize) -> &mut Self {
        self.bytes[self.length..self.length + 8].copy_from_slice(&word.to_le_bytes());
        self.length += bytes;
        self
    }
}

/// The highest bit of each byte.
const CONTINUES: u64 = 0x8080_8080_8080_8080;

/// The lowest 56 bits, seven in each byte.
#[inline]
fn sevens(value: u64) -> u64 {
    let halves = value & 0x0fff_ffff | (value & 0x00ff_ffff_f000_0000) << 4;
    let quarters = halves & 0x0000_3fff_0000_3fff | (halves & 0x0fff_c000_0fff_c000) << 2;
    quarters & 0x007f_007f_007f_007f | (quarters & 0x3f80_3f80_3f80_3f80) << 1
}

/// Appends a number.
pub(super) fn put_varint(out: &mut BytesMut, value: u64) {
    Short::new().varint(value).put_into(out);
}

/// Reads a number: the value and its length in bytes.
#[inline]
pub(super) fn read_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    match bytes.first() {
        Some(&byte) if byte < 0x80 => Some((u64::from(byte), 1)),
        _ => read_long_varint(bytes),
    }
}

fn read_long_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(10).enumerate() {
        // The tenth byte holds the highest bit alone.
        if index == 9 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((value, index + 1));
        }
    }
    None
}

/// Length of a length-delimited field with a one-byte tag; 0 when it is empty and so left out.
#[inline]
pub(super) fn bytes_field_bytes(length: usize) -> usize {
    if length == 0 {
        0
    } else {
        1 + varint_bytes(length as u64) + length
    }
}

/// Appends a length-delimited field with a one-byte tag, unless it is empty.
pub(super) fn put_bytes_field(out: &mut BytesMut, field: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        Short::new()
            .byte(field << 3 | 2)
            .varint(bytes.len() as u64)
            .put_into(out);
        out.put_slice(bytes);
    }
}

/// Length of a number field with a one-byte tag; 0 when it is 0 and so left out.
#[inline]
pub(super) fn number_field_bytes(value: i64) -> usize {
    if value == 0 {
        0
    } else {
        1 + varint_bytes(value as u64)
    }
}

/// Appends a number field with a one-byte tag, unless it is 0.
pub(super) fn put_number_field(out: &mut BytesMut, field: u8, value: i64) {
    Short::new().number_field(field, value).put_into(out);
}

/// Appends the five bytes before a message of this length in a gRPC stream.
pub(super) fn put_frame_prefix(out: &mut BytesMut, message_bytes: usize) {
    Short::new().frame_prefix(message_bytes).put_into(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_are_written_as_the_generated_code_writes_them() {
        let edges = (0..u64::BITS).map(|bit| 1 << bit);
        let around = edges.flat_map(|edge: u64| [edge - 1, edge, edge + 1, edge | 0x55_5555_5555_5555]);
        for value in around.chain([u64::MAX, u64::MAX - 1, i64::MAX as u64]) {
            let (mut ours, mut generated) = (BytesMut::new(), Vec::new());
            // Where something stands before and behind it.
            Short::new().byte(7).varint(value).byte(9).put_into(&mut ours);
            prost::encoding::encode_varint(value, &mut generated);
            assert_eq!(ours[1..ours.len() - 1], generated, "{value:#x}");
            assert_eq!((ours[0], ours[ours.len() - 1]), (7, 9), "{value:#x}");
            assert_eq!(read_varint(&generated), Some((value, varint_bytes(value))));
        }
    }
}
