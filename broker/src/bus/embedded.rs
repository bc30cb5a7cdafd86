//! The embedded NATS server as the bus.

use std::any::Any;
use std::sync::Arc;

use strandline_core::Clock;
use strandline_core::record::RecordEncoder;
use strandline_nats::{Flush, LocalBatch, LocalPublisher, LocalSink, LocalSubscription, Message, Server};

use super::ingest::{Enveloped, Incoming, ingest};
use super::{AckPublisher, Bus, BusError, BusFuture, BusNumbers, BusPublisher, Reach, Subscription};
use crate::partition::{Chunk, ChunkRoom, Origin, PartitionHandle};

/// The bus of a broker with a NATS server of its own.
#[derive(Debug)]
pub(crate) struct EmbeddedBus {
    server: Server,
    clock: Arc<dyn Clock>,
}

impl EmbeddedBus {
    pub(crate) fn new(server: Server, clock: Arc<dyn Clock>) -> Self {
        Self { server, clock }
    }
}

impl Bus for EmbeddedBus {
    fn subscribe(
        &self,
        partition: Arc<PartitionHandle>,
    ) -> BusFuture<'_, Result<Box<dyn Subscription>, BusError>> {
        let subject = partition.info().subject();
        let group = partition.info().group.clone();
        let sink = Arc::new(PartitionSink {
            partition,
            clock: Arc::clone(&self.clock),
        });
        let subscribed = self.server.subscribe(&subject, group.as_deref(), sink);
        let result = subscribed
            .map(|subscription| Box::new(EmbeddedSubscription(subscription)) as Box<dyn Subscription>)
            .map_err(|error| BusError::Subscribe {
                subject,
                reason: error.to_string(),
            });
        Box::pin(std::future::ready(result))
    }

    fn publisher(&self) -> Box<dyn BusPublisher> {
        Box::new(EmbeddedPublisher {
            publisher: self.server.publisher(),
            sinks: Vec::new(),
        })
    }

    fn ack_publisher(&self) -> Box<dyn AckPublisher> {
        Box::new(EmbeddedAckPublisher {
            publisher: self.server.publisher(),
        })
    }

    fn is_connected(&self) -> bool {
        true
    }

    fn numbers(&self) -> BusNumbers {
        BusNumbers::Embedded(self.server.stats())
    }

    fn shutdown(&self) -> BusFuture<'_, ()> {
        Box::pin(self.server.shutdown())
    }
}

#[derive(Debug)]
struct EmbeddedSubscription(#[expect(dead_code, reason = "held for its drop")] LocalSubscription);

impl Subscription for EmbeddedSubscription {}

/// A partition as a subscriber of the embedded server.
#[derive(Debug)]
struct PartitionSink {
    partition: Arc<PartitionHandle>,
    clock: Arc<dyn Clock>,
}

impl LocalSink for PartitionSink {
    fn open(&self) -> Box<dyn LocalBatch> {
        let (partition, clock) = (Arc::clone(&self.partition), Arc::clone(&self.clock));
        Box::new(PartitionBatch {
            partition,
            clock,
            chunk: None,
            room: ChunkRoom::default(),
            encoder: RecordEncoder::default(),
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The messages of one connection for one partition.
struct PartitionBatch {
    partition: Arc<PartitionHandle>,
    clock: Arc<dyn Clock>,
    chunk: Option<Chunk>,
    room: ChunkRoom,
    encoder: RecordEncoder,
}

impl LocalBatch for PartitionBatch {
    fn push(&mut self, message: &Message<'_>) {
        let Ok(subject) = str::from_utf8(message.subject) else {
            return;
        };
        let (partition, now, room) = (&self.partition, || self.clock.now(), self.room);
        let chunk = self
            .chunk
            .get_or_insert_with(|| partition.new_chunk(Origin::Bus, now(), room));
        let incoming = Incoming {
            subject,
            reply: message.reply.and_then(|reply| str::from_utf8(reply).ok()),
            headers: message.headers,
            payload: message.payload,
        };
        ingest(
            chunk,
            &mut self.encoder,
            self.partition.info(),
            &incoming,
            Enveloped::open(message.payload),
        );
    }

    fn flush(&mut self) -> Flush {
        let Some(chunk) = self.chunk.take().filter(|chunk| !chunk.is_empty()) else {
            return Flush::Done;
        };
        self.room.note(&chunk);
        match self.partition.try_push(chunk) {
            Ok(()) => Flush::Done,
            Err(chunk) => {
                let partition = Arc::clone(&self.partition);
                Flush::Wait(Box::pin(async move { partition.push(chunk).await }))
            }
        }
    }
}

struct EmbeddedPublisher {
    publisher: LocalPublisher,
    sinks: Vec<Arc<dyn LocalSink>>,
}

impl BusPublisher for EmbeddedPublisher {
    fn fixed_partitions(&mut self, subject: &str, out: &mut Vec<Arc<PartitionHandle>>) -> bool {
        let route = self.publisher.route(subject);
        let Some(sinks) = route.static_local() else {
            return false;
        };
        out.extend(sinks.iter().filter_map(|sink| partition_of(sink.as_ref())));
        true
    }

    fn publish(&mut self, subject: &str, payload: &[u8], out: &mut Vec<Arc<PartitionHandle>>) -> Reach {
        let message = Message {
            subject: subject.as_bytes(),
            reply: None,
            headers: b"",
            payload,
        };
        self.publisher.publish_apart(&message, &mut self.sinks);
        out.extend(
            self.sinks
                .drain(..)
                .filter_map(|sink| partition_of(sink.as_ref())),
        );
        Reach::Known
    }

    fn flush(&mut self) -> BusFuture<'_, Result<(), BusError>> {
        match self.publisher.flush() {
            Flush::Done => Box::pin(std::future::ready(Ok(()))),
            Flush::Wait(wait) => Box::pin(async move {
                wait.await;
                Ok(())
            }),
        }
    }
}

fn partition_of(sink: &dyn LocalSink) -> Option<Arc<PartitionHandle>> {
    sink.as_any()
        .downcast_ref::<PartitionSink>()
        .map(|sink| Arc::clone(&sink.partition))
}

struct EmbeddedAckPublisher {
    publisher: LocalPublisher,
}

impl AckPublisher for EmbeddedAckPublisher {
    fn publish(&mut self, subject: &str, headers: &[u8], payload: &[u8]) {
        self.publisher.publish(&Message {
            subject: subject.as_bytes(),
            reply: None,
            headers,
            payload,
        });
    }

    fn flush(&mut self) {
        // An inbox that a stream records may be full; the appender must not wait for itself, and an answer that is lost is
        // no wrong answer.
        drop(self.publisher.flush());
    }
}
