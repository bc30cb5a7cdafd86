//! Protobuf's variable-length numbers and the fields made of them.

use bytes::{BufMut, BytesMut};

use super::frame_reader::FRAME_PREFIX_BYTES;

/// Length of a number in bytes, 1 to 10.
#[inline]
pub(super) fn varint_bytes(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// A few bytes that go into a buffer together: every append checks the buffer's room, which costs more than a byte.
pub(super) struct Short {
    bytes: [u8; Self::ROOM],
    length: usize,
}

impl Short {
    /// Enough for a frame prefix and two number fields, which is the most that anybody puts in.
    const ROOM: usize = FRAME_PREFIX_BYTES + 2 * 11;

    #[inline]
    pub(super) fn new() -> Self {
        Self {
            bytes: [0; Self::ROOM],
            length: 0,
        }
    }

    /// The five bytes before a message of this length in a gRPC stream.
    #[inline]
    pub(super) fn frame_prefix(self, message_bytes: usize) -> Self {
        // Messages are bounded far below 4 GiB.
        let [a, b, c, d] = (message_bytes as u32).to_be_bytes();
        self.byte(0).byte(a).byte(b).byte(c).byte(d)
    }

    #[inline]
    pub(super) fn byte(mut self, byte: u8) -> Self {
        self.bytes[self.length] = byte;
        self.length += 1;
        self
    }

    #[inline]
    pub(super) fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self = self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8)
    }

    /// A number field with a one-byte tag, unless it is 0.
    #[inline]
    pub(super) fn number_field(self, field: u8, value: i64) -> Self {
        if value == 0 {
            self
        } else {
            self.byte(field << 3).varint(value as u64)
        }
    }

    #[inline]
    pub(super) fn put_into(self, out: &mut BytesMut) {
        out.put_slice(&self.bytes[..self.length]);
    }
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
