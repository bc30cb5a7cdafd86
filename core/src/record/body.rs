//! One record: its prefix and the protobuf fields of its body.

use bytes::{BufMut, BytesMut};

/// Length of a record's prefix in bytes.
pub const PREFIX_BYTES: usize = 13;
/// Header that the server sets to the NATS subject a record arrived on.
pub const SUBJECT_HEADER: &str = "subject";
/// Header that the server sets to the NATS reply subject, empty when there is none.
pub const REPLY_HEADER: &str = "reply";
/// Most user headers of a record.
pub const MAX_HEADERS: usize = 32_767;
/// Longest header key in bytes.
pub const MAX_HEADER_KEY_BYTES: usize = 32_767;

const HAS_KEY: u8 = 1;
const KEY: u8 = 0x12;
const VALUE: u8 = 0x1a;
const SUBJECT: u8 = 0x3a;
const REPLY: u8 = 0x42;
const HEADER: u8 = 0x4a;
const MAP_KEY: u8 = 0x0a;
const MAP_VALUE: u8 = 0x12;

/// What a record is made of.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// The key; empty is not the same as none.
    pub key: Option<&'a [u8]>,
    /// The payload.
    pub value: &'a [u8],
    /// NATS subject the message arrived on.
    pub subject: &'a str,
    /// NATS reply subject, empty when there is none.
    pub reply: &'a str,
}

/// Why a record cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Over [`MAX_HEADERS`].
    #[error("message has more than {MAX_HEADERS} headers")]
    TooManyHeaders,
    /// Over [`MAX_HEADER_KEY_BYTES`].
    #[error("a header key is longer than {MAX_HEADER_KEY_BYTES} bytes: {bytes} bytes")]
    HeaderKeyTooLong {
        /// Length of the key.
        bytes: usize,
    },
    /// The record does not fit the prefix's length field.
    #[error("message is too large for a record: {bytes} bytes")]
    TooLarge {
        /// Length of the encoded record.
        bytes: usize,
    },
}

/// Appends one record with both deltas 0 to `out` and returns its length in bytes.
///
/// The reserved headers `subject` and `reply` are always written, last; user headers of these names are left out.
/// A header that comes twice stays twice: protobuf's last one wins, as it would have on the wire.
///
/// # Errors
///
/// A limit is crossed; `out` is as before then.
pub fn append_record<'h>(
    out: &mut BytesMut,
    fields: &Fields<'_>,
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
) -> Result<usize, BodyError> {
    let start = out.len();
    out.reserve(record_bytes(fields));
    out.put_bytes(0, PREFIX_BYTES);
    put_fields(out, fields);
    let result = put_user_headers(out, headers).and_then(|()| {
        put_header(out, SUBJECT_HEADER, fields.subject.as_bytes());
        put_header(out, REPLY_HEADER, fields.reply.as_bytes());
        seal_prefix(out, start, fields.key.is_some())
    });
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Length of a record without user headers. Exact: a buffer that has held such records before has room for as many again, and
/// to ask for more would have it grow, which copies it.
fn record_bytes(fields: &Fields<'_>) -> usize {
    let present = |bytes: usize| if bytes == 0 { 0 } else { field_bytes(bytes) };
    let header = |key: &str, value: &str| field_bytes(field_bytes(key.len()) + field_bytes(value.len()));
    PREFIX_BYTES
        + fields.key.map_or(0, |key| field_bytes(key.len()))
        + present(fields.value.len())
        + present(fields.subject.len())
        + present(fields.reply.len())
        + header(SUBJECT_HEADER, fields.subject)
        + header(REPLY_HEADER, fields.reply)
}

fn field_bytes(bytes: usize) -> usize {
    1 + varint_bytes(bytes) + bytes
}

fn put_fields(out: &mut BytesMut, fields: &Fields<'_>) {
    if let Some(key) = fields.key {
        put_bytes_field(out, KEY, key);
    }
    if !fields.value.is_empty() {
        put_bytes_field(out, VALUE, fields.value);
    }
    if !fields.subject.is_empty() {
        put_bytes_field(out, SUBJECT, fields.subject.as_bytes());
    }
    if !fields.reply.is_empty() {
        put_bytes_field(out, REPLY, fields.reply.as_bytes());
    }
}

fn put_user_headers<'h>(
    out: &mut BytesMut,
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
) -> Result<(), BodyError> {
    let mut count = 0;
    for (key, value) in headers {
        if key == SUBJECT_HEADER || key == REPLY_HEADER {
            continue;
        }
        count += 1;
        if count > MAX_HEADERS {
            return Err(BodyError::TooManyHeaders);
        }
        if key.len() > MAX_HEADER_KEY_BYTES {
            return Err(BodyError::HeaderKeyTooLong { bytes: key.len() });
        }
        put_header(out, key, value);
    }
    Ok(())
}

fn seal_prefix(out: &mut BytesMut, start: usize, has_key: bool) -> Result<usize, BodyError> {
    let bytes = out.len() - start;
    let length = u32::try_from(bytes).map_err(|_| BodyError::TooLarge { bytes })?;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 12] = if has_key { HAS_KEY } else { 0 };
    Ok(bytes)
}

fn put_header(out: &mut BytesMut, key: &str, value: &[u8]) {
    let entry = 2 + varint_bytes(key.len()) + varint_bytes(value.len()) + key.len() + value.len();
    out.put_u8(HEADER);
    put_varint(out, entry);
    put_bytes_field(out, MAP_KEY, key.as_bytes());
    put_bytes_field(out, MAP_VALUE, value);
}

fn put_bytes_field(out: &mut BytesMut, tag: u8, bytes: &[u8]) {
    out.put_u8(tag);
    put_varint(out, bytes.len());
    out.put_slice(bytes);
}

fn put_varint(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn varint_bytes(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// A record in its stored form.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    prefix: &'a [u8; PREFIX_BYTES],
    body: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Offset relative to the base of its batch.
    pub fn offset_delta(&self) -> u32 {
        prefix_u32(self.prefix, 4)
    }

    /// Nanoseconds after the first timestamp of its batch.
    pub fn time_delta(&self) -> u32 {
        prefix_u32(self.prefix, 8)
    }

    /// The protobuf fields that never change, ready to be copied into a wire message.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The prefix as stored.
    pub(super) fn prefix(&self) -> &'a [u8; PREFIX_BYTES] {
        self.prefix
    }

    /// Length of the record in bytes, prefix included.
    pub fn bytes(&self) -> usize {
        PREFIX_BYTES + self.body.len()
    }

    /// The key; none is not the same as empty.
    pub fn key(&self) -> Option<&'a [u8]> {
        if self.prefix[12] & HAS_KEY == 0 {
            return None;
        }
        self.field(KEY)
    }

    /// The payload.
    pub fn value(&self) -> &'a [u8] {
        self.field(VALUE).unwrap_or_default()
    }

    /// NATS subject the message arrived on.
    pub fn subject(&self) -> &'a [u8] {
        self.field(SUBJECT).unwrap_or_default()
    }

    /// NATS reply subject, empty when there is none.
    pub fn reply(&self) -> &'a [u8] {
        self.field(REPLY).unwrap_or_default()
    }

    /// All headers in order, the reserved ones last.
    pub fn headers(&self) -> HeaderIter<'a> {
        HeaderIter {
            fields: FieldIter { rest: self.body },
        }
    }

    /// Whether the body is a sequence of the fields that this module writes.
    pub fn is_well_formed(&self) -> bool {
        let mut fields = FieldIter { rest: self.body };
        let mut order = 0;
        for (tag, bytes) in fields.by_ref() {
            let known = matches!(tag, KEY | VALUE | SUBJECT | REPLY | HEADER);
            if !known || tag < order || (tag == HEADER && split_header(bytes).is_none()) {
                return false;
            }
            order = tag;
        }
        fields.rest.is_empty()
    }

    fn field(&self, wanted: u8) -> Option<&'a [u8]> {
        let mut fields = FieldIter { rest: self.body };
        fields
            .find(|(tag, _)| *tag >= wanted)
            .filter(|(tag, _)| *tag == wanted)
            .map(|(_, bytes)| bytes)
    }
}

fn prefix_u32(prefix: &[u8; PREFIX_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([prefix[at], prefix[at + 1], prefix[at + 2], prefix[at + 3]])
}

/// The records of a payload, in order; ends early at the first that is malformed.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    rest: &'a [u8],
}

impl<'a> RecordIter<'a> {
    /// The records that `payload` consists of.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// Whether everything was a record.
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = RecordView<'a>;

    fn next(&mut self) -> Option<RecordView<'a>> {
        let (prefix, _) = self.rest.split_first_chunk::<PREFIX_BYTES>()?;
        let length = prefix_u32(prefix, 0) as usize;
        let body = self.rest.get(PREFIX_BYTES..length)?;
        self.rest = self.rest.get(length..)?;
        Some(RecordView { prefix, body })
    }
}

/// The headers of a record.
#[derive(Clone, Debug)]
pub struct HeaderIter<'a> {
    fields: FieldIter<'a>,
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (_, entry) = self.fields.find(|(tag, _)| *tag == HEADER)?;
        split_header(entry)
    }
}

fn split_header(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = FieldIter { rest: entry };
    let (_, key) = parts.next().filter(|(tag, _)| *tag == MAP_KEY)?;
    let (_, value) = parts.next().filter(|(tag, _)| *tag == MAP_VALUE)?;
    parts.rest.is_empty().then_some((key, value))
}

/// Length-delimited protobuf fields with one-byte tags.
#[derive(Clone, Debug)]
struct FieldIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for FieldIter<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.rest.split_first()?;
        let (length, used) = read_varint(rest)?;
        let end = used.checked_add(length)?;
        let bytes = rest.get(used..end)?;
        self.rest = rest.get(end..)?;
        Some((tag, bytes))
    }
}

/// The value and its length in bytes; at most five bytes, which is all that a record's length allows.
fn read_varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((value, index + 1));
        }
    }
    None
}
