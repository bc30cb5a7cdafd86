//! Takes a subscription's messages to their partition.

use std::sync::Arc;

use async_nats::{Message, Subscriber};
use futures_util::{FutureExt, StreamExt};

use strandline_core::Clock;
use strandline_core::envelope::{self, Kind};
use strandline_core::record::RecordEncoder;
use strandline_proto::wire::PublishedMessageRef;

use super::AckInboxes;
use crate::bus::ingest::{Enveloped, Incoming, ingest};
use crate::partition::{Answer, Chunk, ChunkRoom, Origin, PartitionHandle};

/// Bytes that one chunk collects while messages are there.
const COLLECT_MAX_BYTES: usize = 256 << 10;

/// One partition's side of an external subscription.
pub(super) struct Sink {
    partition: Arc<PartitionHandle>,
    clock: Arc<dyn Clock>,
    inboxes: Arc<AckInboxes>,
    encoder: RecordEncoder,
}

impl Sink {
    pub(super) fn new(
        partition: Arc<PartitionHandle>,
        clock: Arc<dyn Clock>,
        inboxes: Arc<AckInboxes>,
    ) -> Self {
        Self {
            partition,
            clock,
            inboxes,
            encoder: RecordEncoder::default(),
        }
    }

    /// Runs until the subscription ends. A full inbox holds the subscription back; what the client library then drops is
    /// counted by the connection's events.
    pub(super) async fn run(mut self, mut messages: Subscriber) {
        while let Some(message) = messages.next().await {
            let mut chunk = self.new_chunk(Origin::Bus);
            self.take(&mut chunk, &message).await;
            while chunk.bytes() < COLLECT_MAX_BYTES
                && let Some(Some(message)) = messages.next().now_or_never()
            {
                self.take(&mut chunk, &message).await;
            }
            self.hand_over(chunk).await;
        }
    }

    fn new_chunk(&self, origin: Origin) -> Chunk {
        self.partition
            .new_chunk(origin, self.clock.now(), ChunkRoom::default())
    }

    async fn take(&mut self, chunk: &mut Chunk, message: &Message) {
        let headers = message.headers.as_ref().map(raw_headers).unwrap_or_default();
        let incoming = Incoming {
            subject: message.subject.as_str(),
            reply: message.reply.as_ref().map(async_nats::Subject::as_str),
            headers: &headers,
            payload: &message.payload,
        };
        let enveloped = envelope::open(Kind::Publish, &message.payload)
            .and_then(|payload| PublishedMessageRef::scan(payload).ok());
        let local = enveloped.as_ref().and_then(|message| self.local_origin(message));
        let (origin, answer) = local.unwrap_or((Origin::Bus, None));
        if !chunk.has_origin(&origin) {
            let next = self.new_chunk(origin);
            self.hand_over(std::mem::replace(chunk, next)).await;
        }
        ingest(
            chunk,
            &mut self.encoder,
            self.partition.info(),
            &incoming,
            enveloped.map(|message| Enveloped { message, answer }),
        );
    }

    /// The listener of a message that this process published itself: the stream that was named answers, or any when a
    /// subject was named or the load-balance group chose.
    fn local_origin(&self, message: &PublishedMessageRef<'_>) -> Option<(Origin, Option<Answer>)> {
        let origin = self.inboxes.listener(message.ack_inbox)?;
        let info = self.partition.info();
        let ours =
            message.stream.is_empty() || info.group.is_some() || info.stream.as_str() == message.stream;
        Some(if ours {
            (origin, Some(Answer::Origin))
        } else {
            (Origin::Bus, Some(Answer::Nothing))
        })
    }

    async fn hand_over(&self, chunk: Chunk) {
        if !chunk.is_empty() {
            self.partition.push(chunk).await;
        }
    }
}

/// A header block as it stood on the wire, as far as the ack header is concerned.
fn raw_headers(headers: &async_nats::HeaderMap) -> Vec<u8> {
    let mut block = b"NATS/1.0\r\n".to_vec();
    for (name, values) in headers.iter() {
        for value in values {
            block.extend_from_slice(name.to_string().as_bytes());
            block.extend_from_slice(b": ");
            block.extend_from_slice(value.as_str().as_bytes());
            block.extend_from_slice(b"\r\n");
        }
    }
    block.extend_from_slice(b"\r\n");
    block
}
