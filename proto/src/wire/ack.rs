//! Acks on their way out.

use bytes::{BufMut, BytesMut};

use strandline_core::envelope::{self, Kind};
use strandline_core::stream::AckPolicy;
use strandline_core::{Offset, Timestamp};

use super::frame_reader::FRAME_PREFIX_BYTES;
use super::varint::{
    bytes_field_bytes, number_field_bytes, put_bytes_field, put_frame_prefix, put_number_field, put_varint,
    varint_bytes,
};
use crate::convert;

const RESPONSE_ACK: u8 = 1;
const RESPONSE_CORRELATION_ID: u8 = 3;

/// What went wrong, in an ack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckError {
    /// Anything that has no number of its own.
    Unknown,
    /// The message was to get another offset than expected.
    IncorrectOffset,
    /// The message is over the limit.
    TooLarge,
    /// The message could not be encrypted.
    Encryption,
}

impl AckError {
    /// The number on the wire.
    pub fn number(self) -> i32 {
        match self {
            Self::Unknown => 1,
            Self::IncorrectOffset => 2,
            Self::TooLarge => 3,
            Self::Encryption => 4,
        }
    }
}

/// What changes from ack to ack.
#[derive(Clone, Copy, Debug, Default)]
pub struct AckFields<'a> {
    /// Offset that the record got; not sent with an error.
    pub offset: Offset,
    /// NATS subject that the message arrived on.
    pub msg_subject: &'a str,
    /// Inbox that the ack goes to.
    pub ack_inbox: &'a str,
    /// Echo of the message's.
    pub correlation_id: &'a str,
    /// When the message came in.
    pub reception: Timestamp,
    /// When the ack was made; not sent with [`AckError::TooLarge`], as Liftbridge has it.
    pub commit: Timestamp,
    /// What went wrong, if anything.
    pub error: Option<AckError>,
}

/// Acks of one partition and policy: what they share is encoded once.
#[derive(Clone, Debug)]
pub struct AckTemplate {
    /// Stream and partition subject, encoded.
    fixed: BytesMut,
    policy: i64,
}

impl AckTemplate {
    /// For messages to this stream with this policy.
    pub fn new(stream: &str, partition_subject: &str, policy: AckPolicy) -> Self {
        let mut fixed = BytesMut::with_capacity(stream.len() + partition_subject.len() + 8);
        put_bytes_field(&mut fixed, 1, stream.as_bytes());
        put_bytes_field(&mut fixed, 2, partition_subject.as_bytes());
        Self {
            fixed,
            policy: i64::from(convert::ack_policy_number(policy)),
        }
    }

    /// Appends a gRPC frame of a `PublishResponse` with this ack and its correlation id.
    pub fn response_frame(&self, out: &mut BytesMut, ack: &AckFields<'_>) {
        let ack_bytes = self.bytes(ack);
        let response_bytes =
            1 + varint_bytes(ack_bytes as u64) + ack_bytes + bytes_field_bytes(ack.correlation_id.len());
        out.reserve(FRAME_PREFIX_BYTES + response_bytes);
        put_frame_prefix(out, response_bytes);
        out.put_u8(RESPONSE_ACK << 3 | 2);
        put_varint(out, ack_bytes as u64);
        self.put(out, ack);
        put_bytes_field(out, RESPONSE_CORRELATION_ID, ack.correlation_id.as_bytes());
    }

    /// Appends an ack envelope, as it goes over NATS.
    pub fn envelope(&self, out: &mut BytesMut, ack: &AckFields<'_>) {
        out.reserve(envelope::HEADER_BYTES + self.bytes(ack));
        out.put_slice(&envelope::header(Kind::Ack));
        self.put(out, ack);
    }

    fn bytes(&self, ack: &AckFields<'_>) -> usize {
        self.fixed.len()
            + bytes_field_bytes(ack.msg_subject.len())
            + number_field_bytes(offset_number(ack))
            + bytes_field_bytes(ack.ack_inbox.len())
            + bytes_field_bytes(ack.correlation_id.len())
            + number_field_bytes(self.policy)
            + number_field_bytes(ack.reception.nanos())
            + number_field_bytes(commit_number(ack))
            + number_field_bytes(error_number(ack))
    }

    fn put(&self, out: &mut BytesMut, ack: &AckFields<'_>) {
        out.put_slice(&self.fixed);
        put_bytes_field(out, 3, ack.msg_subject.as_bytes());
        put_number_field(out, 4, offset_number(ack));
        put_bytes_field(out, 5, ack.ack_inbox.as_bytes());
        put_bytes_field(out, 6, ack.correlation_id.as_bytes());
        put_number_field(out, 7, self.policy);
        put_number_field(out, 8, ack.reception.nanos());
        put_number_field(out, 9, commit_number(ack));
        put_number_field(out, 10, error_number(ack));
    }
}

fn offset_number(ack: &AckFields<'_>) -> i64 {
    if ack.error.is_none() {
        convert::wire_offset(ack.offset)
    } else {
        0
    }
}

fn commit_number(ack: &AckFields<'_>) -> i64 {
    if ack.error == Some(AckError::TooLarge) {
        0
    } else {
        ack.commit.nanos()
    }
}

fn error_number(ack: &AckFields<'_>) -> i64 {
    ack.error.map_or(0, |error| i64::from(error.number()))
}
