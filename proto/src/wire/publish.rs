//! Messages on their way in: the request of a publish, and the message in an envelope.

use strandline_core::stream::{AckPolicy, ExpectedOffset};

use super::headers::{HeaderScan, HeadersRef};
use super::scan::{ScanError, Scanner};
use crate::convert;

/// A `PublishRequest` where it lies. A field that comes twice counts as its last, unknown ones are skipped.
#[derive(Clone, Copy, Debug)]
pub struct PublishRequestRef<'a> {
    /// Key; empty = none.
    pub key: &'a [u8],
    /// Payload.
    pub value: &'a [u8],
    /// Target stream.
    pub stream: &'a str,
    /// Target partition.
    pub partition: i32,
    /// User headers.
    pub headers: HeadersRef<'a>,
    /// NATS subject for the ack.
    pub ack_inbox: &'a str,
    /// Echoed in the ack.
    pub correlation_id: &'a str,
    /// When to ack. A number that no policy has counts as the default, LEADER, which promises more than NONE.
    pub ack_policy: AckPolicy,
    /// Offset that the message must get under concurrency control.
    pub expected_offset: ExpectedOffset,
}

/// The `Message` of a publish envelope where it lies. The fields that the server sets itself are left out.
#[derive(Clone, Copy, Debug)]
pub struct PublishedMessageRef<'a> {
    /// Key; empty = none.
    pub key: &'a [u8],
    /// Payload.
    pub value: &'a [u8],
    /// Stream that the publisher named, if it named one.
    pub stream: &'a str,
    /// User headers.
    pub headers: HeadersRef<'a>,
    /// NATS subject for the ack; empty = none is wanted.
    pub ack_inbox: &'a str,
    /// Echoed in the ack.
    pub correlation_id: &'a str,
    /// When to ack; as in [`PublishRequestRef::ack_policy`].
    pub ack_policy: AckPolicy,
    /// Offset that the message must get under concurrency control.
    pub expected_offset: ExpectedOffset,
}

impl<'a> PublishRequestRef<'a> {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// The bytes are no `PublishRequest`.
    pub fn scan(message: &'a [u8]) -> Result<Self, ScanError> {
        let mut request = Self {
            key: &[],
            value: &[],
            stream: "",
            partition: 0,
            headers: HeadersRef::EMPTY,
            ack_inbox: "",
            correlation_id: "",
            ack_policy: AckPolicy::Leader,
            expected_offset: ExpectedOffset::Exactly(0),
        };
        let mut headers = HeaderScan::new(message, 5);
        let mut scanner = Scanner::new(message);
        while let Some((field, value)) = scanner.next_field()? {
            match field {
                1 => request.key = value.bytes(field)?,
                2 => request.value = value.bytes(field)?,
                3 => request.stream = value.text(field)?,
                4 => request.partition = value.number(field)? as i32,
                5 => headers.add(value, scanner.remaining())?,
                6 => request.ack_inbox = value.text(field)?,
                7 => request.correlation_id = value.text(field)?,
                8 => request.ack_policy = policy(value.number(field)?),
                9 => request.expected_offset = convert::expected_offset(value.number(field)? as i64),
                _ => {}
            }
        }
        request.headers = headers.finish();
        Ok(request)
    }
}

impl<'a> PublishedMessageRef<'a> {
    /// Reads a message.
    ///
    /// # Errors
    ///
    /// The bytes are no `Message`.
    pub fn scan(message: &'a [u8]) -> Result<Self, ScanError> {
        let mut published = Self {
            key: &[],
            value: &[],
            stream: "",
            headers: HeadersRef::EMPTY,
            ack_inbox: "",
            correlation_id: "",
            ack_policy: AckPolicy::Leader,
            expected_offset: ExpectedOffset::Exactly(0),
        };
        let mut headers = HeaderScan::new(message, 9);
        let mut scanner = Scanner::new(message);
        while let Some((field, value)) = scanner.next_field()? {
            match field {
                1 => published.expected_offset = convert::expected_offset(value.number(field)? as i64),
                2 => published.key = value.bytes(field)?,
                3 => published.value = value.bytes(field)?,
                4 | 6 => {
                    value.number(field)?;
                }
                5 => published.stream = value.text(field)?,
                7 | 8 => {
                    value.text(field)?;
                }
                9 => headers.add(value, scanner.remaining())?,
                10 => published.ack_inbox = value.text(field)?,
                11 => published.correlation_id = value.text(field)?,
                12 => published.ack_policy = policy(value.number(field)?),
                _ => {}
            }
        }
        published.headers = headers.finish();
        Ok(published)
    }
}

fn policy(number: u64) -> AckPolicy {
    convert::ack_policy(number as i32).unwrap_or_default()
}
