//! The door for messages that come over gRPC: from a request to the partitions and subscribers of its subject.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::BytesMut;

use strandline_core::record::Fields;
use strandline_core::{Clock, LogId};
use strandline_proto::wire::{EnvelopeFields, HeadersRef, put_publish_envelope};

use crate::bus::{BusError, BusPublisher, Targets};
use crate::partition::{Answer, Chunk, Delivery, Origin, PartitionHandle, Reject};

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
    bus: Box<dyn BusPublisher>,
    clock: Arc<dyn Clock>,
    chunks: Vec<(Arc<PartitionHandle>, Chunk)>,
    by_log: HashMap<LogId, usize>,
    last: Option<(LogId, usize)>,
    targets: Targets,
    targets_of: String,
    envelope: BytesMut,
}

impl Door {
    pub(crate) fn new(bus: Box<dyn BusPublisher>, clock: Arc<dyn Clock>) -> Self {
        Self {
            bus,
            clock,
            chunks: Vec::new(),
            by_log: HashMap::new(),
            last: None,
            targets: Targets::default(),
            targets_of: String::new(),
            envelope: BytesMut::new(),
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
        self.find_targets(subject);
        let answering = self.answering(target);
        self.deliver(subject, origin, message, answering);
    }

    /// Publishes on a subject; every partition that listens to it may answer.
    pub(crate) fn publish_to_subject(&mut self, subject: &str, origin: &Origin, message: &Outgoing<'_>) {
        self.find_targets(subject);
        self.deliver(subject, origin, message, Answering::All);
    }

    /// Hands over what was collected: waits while an inbox is full.
    ///
    /// Cancel safety: a cancelled call may lose messages without an answer.
    ///
    /// # Errors
    ///
    /// An external bus did not take the messages.
    pub(crate) async fn flush(&mut self) -> Result<(), BusError> {
        self.targets_of.clear();
        self.last = None;
        self.by_log.clear();
        for (partition, chunk) in self.chunks.drain(..) {
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

    fn find_targets(&mut self, subject: &str) {
        if self.targets.fixed && !self.targets_of.is_empty() && self.targets_of == subject {
            return;
        }
        self.targets.clear();
        self.bus.targets(subject, &mut self.targets);
        self.targets_of.clear();
        self.targets_of.push_str(subject);
    }

    fn answering(&self, target: &Arc<PartitionHandle>) -> Answering {
        let index = self.targets.partitions.iter().position(|partition| Arc::ptr_eq(partition, target));
        Answering::One(index.unwrap_or(0))
    }

    fn deliver(&mut self, subject: &str, origin: &Origin, message: &Outgoing<'_>, answering: Answering) {
        let targets = std::mem::take(&mut self.targets);
        for (index, partition) in targets.partitions.iter().enumerate() {
            if answering.includes(index) {
                self.collect(partition, subject, origin, message);
            } else {
                let silent = Outgoing { delivery: Delivery { answer: Answer::Nothing, ..message.delivery }, ..*message };
                self.collect(partition, subject, &Origin::Bus, &silent);
            }
        }
        if targets.others || targets.over_the_wire {
            self.publish_envelope(subject, message);
        }
        self.targets = targets;
    }

    fn collect(&mut self, partition: &Arc<PartitionHandle>, subject: &str, origin: &Origin, message: &Outgoing<'_>) {
        let max_bytes = partition.info().max_message_bytes;
        let chunk = self.chunk(partition, origin);
        if message.value.len() + message.key.len() + message.headers.bytes() > max_bytes {
            return chunk.push_refused(Reject::TooLarge, subject, &message.delivery);
        }
        let key = Some(message.key).filter(|key| !key.is_empty());
        let fields = Fields { key, value: message.value, subject, reply: "" };
        chunk.push(&fields, message.headers.iter(), &message.delivery);
    }

    fn chunk(&mut self, partition: &Arc<PartitionHandle>, origin: &Origin) -> &mut Chunk {
        let log = partition.info().log;
        let known = match self.last {
            Some((last, index)) if last == log => Some(index),
            _ => self.by_log.get(&log).copied(),
        };
        let known = known.filter(|&index| self.chunks[index].1.has_origin(origin));
        let index = known.unwrap_or_else(|| {
            self.chunks.push((Arc::clone(partition), Chunk::new(origin.clone(), self.clock.now())));
            self.by_log.insert(log, self.chunks.len() - 1);
            self.chunks.len() - 1
        });
        self.last = Some((log, index));
        &mut self.chunks[index].1
    }

    fn publish_envelope(&mut self, subject: &str, message: &Outgoing<'_>) {
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
        self.bus.publish(subject, &self.envelope);
    }
}

/// Which of the partitions that get a message answer it.
#[derive(Clone, Copy, Debug)]
enum Answering {
    All,
    One(usize),
}

impl Answering {
    fn includes(self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => one == index,
        }
    }
}
