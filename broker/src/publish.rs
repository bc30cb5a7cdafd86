//! The door for messages that come over gRPC: from a request to the partitions and subscribers of its subject.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::BytesMut;

use strandline_core::record::{Fields, RecordEncoder};
use strandline_core::{Clock, LogId};
use strandline_proto::wire::{EnvelopeFields, HeadersRef, put_publish_envelope};

use crate::bus::{BusError, BusPublisher, Reach};
use crate::metrics::Door as Arrival;
use crate::partition::{Answer, Chunk, ChunkRoom, Delivery, Origin, PartitionHandle, Reject};

/// A message of a gRPC client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) headers: HeadersRef<'a>,
    pub(crate) delivery: Delivery<'a>,
    /// Stream that the client named; empty when it named a subject.
    pub(crate) stream: &'a str,
}

/// Collects the messages of one session by partition and hands them over a batch at a time.
pub(crate) struct Door {
    arrival: Arrival,
    bus: Box<dyn BusPublisher>,
    clock: Arc<dyn Clock>,
    chunks: Vec<(Arc<PartitionHandle>, Chunk)>,
    by_log: HashMap<LogId, usize>,
    last: Option<(LogId, usize)>,
    room: ChunkRoom,
    /// Partitions that the present subject reaches, if every message on it reaches the same.
    fixed: Option<Vec<Arc<PartitionHandle>>>,
    fixed_for: String,
    envelope: BytesMut,
    encoder: RecordEncoder,
}

impl Door {
    pub(crate) fn new(arrival: Arrival, bus: Box<dyn BusPublisher>, clock: Arc<dyn Clock>) -> Self {
        Self {
            arrival,
            bus,
            clock,
            chunks: Vec::new(),
            by_log: HashMap::new(),
            last: None,
            room: ChunkRoom::default(),
            fixed: None,
            fixed_for: String::new(),
            envelope: BytesMut::new(),
            encoder: RecordEncoder::default(),
        }
    }

    /// Publishes on the subject of a partition. `target` answers; if the load-balance group gave the message to another
    /// partition, that one does.
    pub(crate) fn publish(&mut self, target: &Arc<PartitionHandle>, origin: &Origin, message: &Outgoing<'_>) {
        let info = target.info();
        let own;
        let subject = match &info.literal_subject {
            Some(subject) => subject.as_str(),
            None => {
                own = info.subject();
                own.as_str()
            }
        };
        self.deliver(subject, origin, message, Some(target));
    }

    /// Publishes on a subject; every partition that listens to it may answer.
    pub(crate) fn publish_to_subject(&mut self, subject: &str, origin: &Origin, message: &Outgoing<'_>) {
        self.deliver(subject, origin, message, None);
    }

    /// Hands over what was collected: waits while an inbox is full.
    ///
    /// Cancel safety: a cancelled call may lose messages without an answer.
    ///
    /// # Errors
    ///
    /// An external bus did not take the messages.
    pub(crate) async fn flush(&mut self) -> Result<(), BusError> {
        // Who gets a message is asked anew for the next batch.
        (self.fixed, self.last) = (None, None);
        self.by_log.clear();
        for (partition, chunk) in self.chunks.drain(..) {
            self.room.note(&chunk);
            chunk.announce();
            if let Err(chunk) = partition.try_push(chunk) {
                partition.push(chunk).await;
            }
        }
        self.bus.flush().await
    }

    /// Bytes collected since the last flush.
    pub(crate) fn collected_bytes(&self) -> usize {
        self.chunks.iter().map(|(_, chunk)| chunk.bytes()).sum()
    }

    fn deliver(
        &mut self,
        subject: &str,
        origin: &Origin,
        message: &Outgoing<'_>,
        target: Option<&Arc<PartitionHandle>>,
    ) {
        let partitions = self.partitions(subject, origin, message);
        let found = target.and_then(|target| {
            partitions
                .iter()
                .position(|partition| Arc::ptr_eq(partition, target))
        });
        for (index, partition) in partitions.iter().enumerate() {
            // The partition that was named answers, or the one that the load-balance group chose; without a name any may.
            if target.is_none() || index == found.unwrap_or(0) {
                self.collect(partition, subject, origin, message);
            } else {
                let silent = Outgoing {
                    delivery: Delivery {
                        answer: Answer::Nothing,
                        ..message.delivery
                    },
                    ..*message
                };
                self.collect(partition, subject, &Origin::Bus, &silent);
            }
        }
        self.fixed = self.fixed.is_some().then_some(partitions);
    }

    /// The partitions that get this message. Everybody else who gets it is served on the way.
    fn partitions(
        &mut self,
        subject: &str,
        origin: &Origin,
        message: &Outgoing<'_>,
    ) -> Vec<Arc<PartitionHandle>> {
        if self.fixed_for == subject
            && let Some(fixed) = &mut self.fixed
        {
            return std::mem::take(fixed);
        }
        let mut partitions = Vec::new();
        if self.bus.fixed_partitions(subject, &mut partitions) {
            subject.clone_into(&mut self.fixed_for);
            self.fixed = Some(Vec::new());
            return partitions;
        }
        self.fixed = None;
        self.put_envelope(subject, message);
        if self.bus.publish(subject, &self.envelope, &mut partitions) == Reach::Wire {
            origin.expect(1);
        }
        partitions
    }

    fn collect(
        &mut self,
        partition: &Arc<PartitionHandle>,
        subject: &str,
        origin: &Origin,
        message: &Outgoing<'_>,
    ) {
        let max_bytes = partition.info().max_message_bytes;
        let index = self.chunk(partition, origin);
        let chunk = &mut self.chunks[index].1;
        if message.value.len() + message.key.len() + message.headers.bytes() > max_bytes {
            return chunk.push_refused(Reject::TooLarge, subject, &message.delivery);
        }
        let key = Some(message.key).filter(|key| !key.is_empty());
        let fields = Fields {
            key,
            value: message.value,
            subject,
            reply: "",
        };
        chunk.push_of_run(
            &mut self.encoder,
            &fields,
            message.headers.iter(),
            &message.delivery,
        );
    }

    /// Index of the chunk for this partition.
    fn chunk(&mut self, partition: &Arc<PartitionHandle>, origin: &Origin) -> usize {
        let log = partition.info().log;
        let known = match self.last {
            Some((last, index)) if last == log => Some(index),
            _ => self.by_log.get(&log).copied(),
        };
        let known = known.filter(|&index| self.chunks[index].1.has_origin(origin));
        let index = known.unwrap_or_else(|| {
            // Only the first is likely to be as large as those before: messages may be spread over many partitions.
            let room = if self.chunks.is_empty() {
                self.room
            } else {
                ChunkRoom::default()
            };
            self.chunks.push((
                Arc::clone(partition),
                partition
                    .new_chunk(origin.clone(), self.clock.now(), room)
                    .through(self.arrival),
            ));
            self.by_log.insert(log, self.chunks.len() - 1);
            self.chunks.len() - 1
        });
        self.last = Some((log, index));
        index
    }

    fn put_envelope(&mut self, subject: &str, message: &Outgoing<'_>) {
        self.envelope.clear();
        put_publish_envelope(
            &mut self.envelope,
            &EnvelopeFields {
                key: message.key,
                value: message.value,
                stream: message.stream,
                subject,
                headers: message.headers,
                ack_inbox: message.delivery.inbox,
                correlation_id: message.delivery.correlation_id,
                ack_policy: message.delivery.policy,
                expected_offset: message.delivery.expected,
            },
        );
    }
}
