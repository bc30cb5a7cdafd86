//! Protobuf's variable-length numbers and the fields made of them.

use bytes::{BufMut, BytesMut};

/// Length of a number in bytes, 1 to 10.
pub(super) fn varint_bytes(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Appends a number.
pub(super) fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
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
        out.put_u8(field << 3 | 2);
        put_varint(out, bytes.len() as u64);
        out.put_slice(bytes);
    }
}

/// Length of a number field with a one-byte tag; 0 when it is 0 and so left out.
pub(super) fn number_field_bytes(value: i64) -> usize {
    if value == 0 {
        0
    } else {
        1 + varint_bytes(value as u64)
    }
}

/// Appends a number field with a one-byte tag, unless it is 0.
pub(super) fn put_number_field(out: &mut BytesMut, field: u8, value: i64) {
    if value != 0 {
        out.put_u8(field << 3);
        put_varint(out, value as u64);
    }
}

/// Appends the five bytes before a message of this length in a gRPC stream.
pub(super) fn put_frame_prefix(out: &mut BytesMut, message_bytes: usize) {
    out.put_u8(0);
    // Messages are bounded far below 4 GiB.
    out.put_u32(message_bytes as u32);
}
