//! Encodes records.

use bytes::{BufMut, BytesMut};

use super::body::{
    HAS_KEY, HEADER, KEY, MAP_KEY, MAP_VALUE, MAX_HEADER_KEY_BYTES, MAX_HEADERS, PREFIX_BYTES, REPLY,
    REPLY_HEADER, RecordView, SUBJECT, SUBJECT_HEADER, VALUE,
};

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

/// Encodes records for one publisher or connection. Those that come in a run on one subject share what says so, which is
/// encoded once.
#[derive(Debug, Default)]
pub struct RecordEncoder {
    /// Subject of the run.
    subject: String,
    /// The subject's field, then the reserved headers, for records without a reply subject.
    shared: BytesMut,
    /// Where the reserved headers begin; headers of users come before them.
    headers_at: usize,
}

impl RecordEncoder {
    /// Does what [`append_record`] does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn append<'h>(
        &mut self,
        out: &mut BytesMut,
        fields: &Fields<'_>,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    ) -> Result<usize, BodyError> {
        if !fields.reply.is_empty() {
            // Each has a reply subject of its own.
            return append_record(out, fields, headers);
        }
        if self.shared.is_empty() || self.subject != fields.subject {
            self.begin_run(fields.subject);
        }
        let (subject, reserved) = self.shared.split_at(self.headers_at);
        let room = PREFIX_BYTES + key_and_value_bytes(fields) + self.shared.len();
        let puts = (
            |out: &mut BytesMut| out.put_slice(subject),
            |out: &mut BytesMut| out.put_slice(reserved),
        );
        put_record(out, room, fields, headers, puts)
    }

    fn begin_run(&mut self, subject: &str) {
        subject.clone_into(&mut self.subject);
        self.shared.clear();
        put_arrival(&mut self.shared, subject, "");
        self.headers_at = self.shared.len();
        put_reserved_headers(&mut self.shared, subject, "");
    }
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
    let puts = (
        |out: &mut BytesMut| put_arrival(out, fields.subject, fields.reply),
        |out: &mut BytesMut| put_reserved_headers(out, fields.subject, fields.reply),
    );
    put_record(out, record_bytes(fields), fields, headers, puts)
}

/// Appends a record that has no key once more, with this key, and returns its length in bytes. The record's own key, if it
/// has one, is left as it is.
///
/// # Errors
///
/// The record becomes too large; `out` is as before then.
pub fn append_with_key(out: &mut BytesMut, record: &RecordView<'_>, key: &[u8]) -> Result<usize, BodyError> {
    let start = out.len();
    out.put_slice(record.prefix());
    let has_key = record.key().is_some();
    if !has_key {
        put_bytes_field(out, KEY, key);
    }
    out.put_slice(record.body());
    let result = seal_prefix(out, start, true);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Appends a record around what puts the fields of its arrival and the reserved headers. `room` is its length without user
/// headers.
#[inline]
fn put_record<'h>(
    out: &mut BytesMut,
    room: usize,
    fields: &Fields<'_>,
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    (put_arrival, put_reserved): (impl FnOnce(&mut BytesMut), impl FnOnce(&mut BytesMut)),
) -> Result<usize, BodyError> {
    let start = out.len();
    out.reserve(room);
    out.put_slice(&[0; PREFIX_BYTES]);
    put_key_and_value(out, fields);
    put_arrival(out);
    let result = put_user_headers(out, headers).and_then(|()| {
        put_reserved(out);
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
    let header = |key: &str, value: &str| field_bytes(field_bytes(key.len()) + field_bytes(value.len()));
    PREFIX_BYTES
        + key_and_value_bytes(fields)
        + present_bytes(fields.subject.len())
        + present_bytes(fields.reply.len())
        + header(SUBJECT_HEADER, fields.subject)
        + header(REPLY_HEADER, fields.reply)
}

fn key_and_value_bytes(fields: &Fields<'_>) -> usize {
    fields.key.map_or(0, |key| field_bytes(key.len())) + present_bytes(fields.value.len())
}

fn present_bytes(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { field_bytes(bytes) }
}

fn field_bytes(bytes: usize) -> usize {
    1 + varint_bytes(bytes) + bytes
}

fn put_key_and_value(out: &mut BytesMut, fields: &Fields<'_>) {
    if let Some(key) = fields.key {
        put_bytes_field(out, KEY, key);
    }
    if !fields.value.is_empty() {
        put_bytes_field(out, VALUE, fields.value);
    }
}

fn put_arrival(out: &mut BytesMut, subject: &str, reply: &str) {
    if !subject.is_empty() {
        put_bytes_field(out, SUBJECT, subject.as_bytes());
    }
    if !reply.is_empty() {
        put_bytes_field(out, REPLY, reply.as_bytes());
    }
}

fn put_reserved_headers(out: &mut BytesMut, subject: &str, reply: &str) {
    put_header(out, SUBJECT_HEADER, subject.as_bytes());
    put_header(out, REPLY_HEADER, reply.as_bytes());
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
