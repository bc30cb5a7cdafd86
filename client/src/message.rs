//! Messages on their way in, acks and records on their way back.

use std::collections::HashMap;

use bytes::Bytes;

use strandline_proto::api;

/// When a publish is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AckPolicy {
    /// Once the record is durable on the partition's leader.
    #[default]
    Leader,
    /// Once it is committed.
    All,
    /// Never.
    None,
}

/// A message to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub(crate) key: Bytes,
    pub(crate) value: Bytes,
    pub(crate) headers: HashMap<String, Bytes>,
    pub(crate) policy: AckPolicy,
    pub(crate) expected_offset: Option<u64>,
    pub(crate) partition: Option<u32>,
}

impl Message {
    /// A message with this payload.
    pub fn new(value: impl Into<Bytes>) -> Self {
        Self {
            value: value.into(),
            ..Self::default()
        }
    }

    /// Sets the key; an empty one is none.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = key.into();
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Sets when the publish is acknowledged.
    #[must_use]
    pub fn ack_policy(mut self, policy: AckPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the offset that the record must get, on streams with concurrency control.
    #[must_use]
    pub fn expected_offset(mut self, offset: u64) -> Self {
        self.expected_offset = Some(offset);
        self
    }

    /// Sets the partition, whatever the publisher's partitioning.
    #[must_use]
    pub fn partition(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }

    pub(crate) fn into_request(
        self,
        stream: &str,
        partition: u32,
        correlation_id: String,
    ) -> api::PublishRequest {
        api::PublishRequest {
            key: self.key,
            value: self.value,
            stream: stream.to_owned(),
            partition: partition as i32,
            headers: self.headers,
            ack_inbox: String::new(),
            correlation_id,
            ack_policy: match self.policy {
                AckPolicy::Leader => api::AckPolicy::Leader.into(),
                AckPolicy::All => api::AckPolicy::All.into(),
                AckPolicy::None => api::AckPolicy::None.into(),
            },
            expected_offset: self
                .expected_offset
                .map_or(-1, |offset| i64::try_from(offset).unwrap_or(i64::MAX)),
        }
    }
}

/// A record's place, from its ack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Stream that recorded the message.
    pub stream: String,
    /// NATS subject that it arrived on.
    pub subject: String,
    /// Offset of the record; none: a filter of the stream kept the message out, which is no error, or no ack was asked for.
    pub offset: Option<u64>,
}

impl From<api::Ack> for Ack {
    fn from(ack: api::Ack) -> Self {
        Self {
            stream: ack.stream,
            subject: ack.msg_subject,
            offset: u64::try_from(ack.offset).ok(),
        }
    }
}

/// A record of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Partition that holds it.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// When the partition's leader received it: nanoseconds since the Unix epoch.
    pub timestamp: i64,
    /// Its key; empty = none.
    pub key: Bytes,
    /// Its payload.
    pub value: Bytes,
    /// NATS subject that it arrived on.
    pub subject: String,
    /// Its headers, with the server's `subject` and `reply`.
    pub headers: HashMap<String, Bytes>,
}

impl From<api::Message> for Record {
    fn from(message: api::Message) -> Self {
        Self {
            partition: u32::try_from(message.partition).unwrap_or(0),
            offset: u64::try_from(message.offset).unwrap_or(0),
            timestamp: message.timestamp,
            key: message.key,
            value: message.value,
            subject: message.subject,
            headers: message.headers,
        }
    }
}
