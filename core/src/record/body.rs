//! One record in its stored form: its prefix and the protobuf fields of its body.

use bytes::BytesMut;

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

pub(super) const HAS_KEY: u8 = 1;
pub(super) const KEY: u8 = 0x12;
pub(super) const VALUE: u8 = 0x1a;
pub(super) const SUBJECT: u8 = 0x3a;
pub(super) const REPLY: u8 = 0x42;
pub(super) const HEADER: u8 = 0x4a;
pub(super) const MAP_KEY: u8 = 0x0a;
pub(super) const MAP_VALUE: u8 = 0x12;

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

    /// Appends the record as it is.
    pub fn copy_to(&self, out: &mut BytesMut) {
        out.extend_from_slice(self.prefix);
        out.extend_from_slice(self.body);
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
