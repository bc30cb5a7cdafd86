//! The envelope that subscribers on plain NATS see of a message published over gRPC.

use bytes::{BufMut, BytesMut};

use strandline_core::envelope::{self, Kind};
use strandline_core::stream::{AckPolicy, ExpectedOffset};

use super::headers::HeadersRef;
use super::varint::{bytes_field_bytes, put_bytes_field, put_number_field, put_varint};
use crate::convert;

/// What goes into a publish envelope.
#[derive(Clone, Copy, Debug)]
pub struct EnvelopeFields<'a> {
    /// Key; empty = none.
    pub key: &'a [u8],
    /// Payload.
    pub value: &'a [u8],
    /// Stream that the publisher named; empty when it named a subject.
    pub stream: &'a str,
    /// NATS subject that the envelope goes to.
    pub subject: &'a str,
    /// User headers.
    pub headers: HeadersRef<'a>,
    /// NATS subject for the ack.
    pub ack_inbox: &'a str,
    /// Echoed in the ack.
    pub correlation_id: &'a str,
    /// When to ack.
    pub ack_policy: AckPolicy,
    /// Offset that the message must get.
    pub expected_offset: ExpectedOffset,
}

/// Appends a publish envelope.
pub fn put_publish_envelope(out: &mut BytesMut, fields: &EnvelopeFields<'_>) {
    out.reserve(128 + fields.key.len() + fields.value.len() + fields.headers.bytes());
    out.put_slice(&envelope::header(Kind::Publish));
    put_number_field(out, 1, convert::expected_offset_number(fields.expected_offset));
    put_bytes_field(out, 2, fields.key);
    put_bytes_field(out, 3, fields.value);
    put_bytes_field(out, 5, fields.stream.as_bytes());
    put_bytes_field(out, 7, fields.subject.as_bytes());
    for (key, value) in fields.headers.iter() {
        out.put_u8(9 << 3 | 2);
        put_varint(
            out,
            (bytes_field_bytes(key.len()) + bytes_field_bytes(value.len())) as u64,
        );
        put_bytes_field(out, 1, key.as_bytes());
        put_bytes_field(out, 2, value);
    }
    put_bytes_field(out, 10, fields.ack_inbox.as_bytes());
    put_bytes_field(out, 11, fields.correlation_id.as_bytes());
    put_number_field(out, 12, i64::from(convert::ack_policy_number(fields.ack_policy)));
}
