//! From a NATS message to a record.

use strandline_core::envelope::{self, Kind};
use strandline_core::record::{Fields, RecordEncoder};
use strandline_core::stream::{AckPolicy, ExpectedOffset};
use strandline_proto::wire::PublishedMessageRef;

use crate::partition::{Answer, Chunk, Delivery, PartitionInfo, Reject};
use crate::reply;

/// A message as it came over NATS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming<'a> {
    pub(super) subject: &'a str,
    pub(super) reply: Option<&'a str>,
    /// The raw header block, or empty.
    pub(super) headers: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// The message of an envelope.
#[derive(Debug)]
pub(super) struct Enveloped<'a> {
    pub(super) message: PublishedMessageRef<'a>,
    /// How its publisher is told; none = as the message says.
    pub(super) answer: Option<Answer>,
}

impl<'a> Enveloped<'a> {
    /// The message of a well-formed envelope; anything else is a plain message.
    pub(super) fn open(payload: &'a [u8]) -> Option<Self> {
        let payload = envelope::open(Kind::Publish, payload)?;
        let message = PublishedMessageRef::scan(payload).ok()?;
        Some(Self {
            message,
            answer: None,
        })
    }
}

/// Adds a message to a chunk for this partition: the message of its envelope, or the whole payload as the value.
pub(super) fn ingest(
    chunk: &mut Chunk,
    encoder: &mut RecordEncoder,
    partition: &PartitionInfo,
    incoming: &Incoming<'_>,
    enveloped: Option<Enveloped<'_>>,
) {
    match enveloped {
        Some(enveloped) => ingest_enveloped(chunk, encoder, partition, incoming, &enveloped),
        None => ingest_plain(chunk, encoder, partition, incoming),
    }
}

fn ingest_enveloped(
    chunk: &mut Chunk,
    encoder: &mut RecordEncoder,
    partition: &PartitionInfo,
    incoming: &Incoming<'_>,
    enveloped: &Enveloped<'_>,
) {
    let message = &enveloped.message;
    let asked = if message.ack_inbox.is_empty() {
        Answer::Nothing
    } else {
        Answer::Inbox
    };
    let delivery = Delivery {
        policy: message.ack_policy,
        expected: message.expected_offset,
        answer: enveloped.answer.unwrap_or(asked),
        correlation_id: message.correlation_id,
        inbox: message.ack_inbox,
    };
    if incoming.payload.len() > partition.max_message_bytes {
        return chunk.push_refused(Reject::TooLarge, incoming.subject, &delivery);
    }
    let fields = Fields {
        // On the wire an empty key is no key.
        key: Some(message.key).filter(|key| !key.is_empty()),
        value: message.value,
        subject: incoming.subject,
        reply: incoming.reply.unwrap_or_default(),
    };
    chunk.push_of_run(encoder, &fields, message.headers.iter(), &delivery);
}

fn ingest_plain(
    chunk: &mut Chunk,
    encoder: &mut RecordEncoder,
    partition: &PartitionInfo,
    incoming: &Incoming<'_>,
) {
    let delivery = wanted_reply(incoming);
    if incoming.payload.len() > partition.max_message_bytes {
        return chunk.push_refused(Reject::TooLarge, incoming.subject, &delivery);
    }
    let fields = Fields {
        key: None,
        value: incoming.payload,
        subject: incoming.subject,
        reply: incoming.reply.unwrap_or_default(),
    };
    chunk.push_of_run(encoder, &fields, [], &delivery);
}

/// What a plain message asks for: nothing, unless it is a request with our ack header.
fn wanted_reply<'a>(incoming: &Incoming<'a>) -> Delivery<'a> {
    // A plain message counts as one that expects offset 0, as with Liftbridge: under concurrency control it is refused
    // once the log has a record.
    let silent = Delivery {
        expected: ExpectedOffset::Exactly(0),
        policy: AckPolicy::None,
        ..Delivery::default()
    };
    let Some(reply) = incoming.reply.filter(|_| !incoming.headers.is_empty()) else {
        return silent;
    };
    match reply::wanted_policy(incoming.headers) {
        Some(policy) => Delivery {
            policy,
            answer: Answer::Reply,
            inbox: reply,
            ..silent
        },
        None => silent,
    }
}
