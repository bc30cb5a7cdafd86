//! Sends answers to where their publishers listen.

use std::sync::Arc;

use bytes::BytesMut;

use strandline_core::stream::AckPolicy;
use strandline_core::{LogId, Timestamp};
use strandline_proto::wire::{AckFields, AckTemplate};

use super::ack::{Ack, Answers, Origin};
use super::chunk::{Answer, Chunk};
use super::handle::PartitionInfo;
use crate::bus::AckPublisher;
use crate::metrics::{Metrics, Refusal};
use crate::reply;

/// Turns the outcomes of chunks into answers. Used by one appender.
pub(crate) struct Answerer {
    bus: Box<dyn AckPublisher>,
    metrics: Arc<Metrics>,
    scratch: BytesMut,
    /// The template of the last envelope: acks come in runs of one partition and policy.
    template: Option<(LogId, AckPolicy, AckTemplate)>,
}

impl Answerer {
    pub(crate) fn new(bus: Box<dyn AckPublisher>, metrics: Arc<Metrics>) -> Self {
        Self {
            bus,
            metrics,
            scratch: BytesMut::new(),
            template: None,
        }
    }

    /// Answers the messages of these chunks.
    pub(super) fn answer(&mut self, partition: &PartitionInfo, chunks: &[Chunk], now: Timestamp) {
        for chunk in chunks {
            // Before the answer goes out: who has it finds it counted.
            self.count(chunk, now);
            let answers = Answers {
                chunk,
                partition,
                committed: now,
            };
            match &chunk.origin {
                Origin::Session(session) => session.answer(&answers),
                Origin::Call(call) => call.answer(&answers),
                Origin::Bus => self.answer_over_bus(&answers),
            }
        }
    }

    fn count(&self, chunk: &Chunk, now: Timestamp) {
        let append = &self.metrics.append;
        append
            .acks
            .add(chunk.tally(|reject| self.metrics.refused(Refusal::Partition(reject), 1)));
        append.publish_time.observe_time(now.since(chunk.received));
    }

    /// Sends what was published since the last call.
    pub(super) fn flush(&mut self) {
        self.bus.flush();
    }

    fn answer_over_bus(&mut self, answers: &Answers<'_>) {
        let partition = answers.partition();
        for ack in answers.iter() {
            match ack.answer {
                Answer::Inbox => self.ack_envelope(partition, &ack),
                Answer::Reply => {
                    let message = reply::ack_reply(partition, &ack);
                    self.bus.publish(ack.inbox, &message.headers, &message.payload);
                }
                Answer::Origin | Answer::Nothing => {}
            }
        }
    }

    fn ack_envelope(&mut self, partition: &PartitionInfo, ack: &Ack<'_>) {
        self.scratch.clear();
        let fits = |(log, policy, _): &(LogId, AckPolicy, AckTemplate)| {
            (*log, *policy) == (partition.log, ack.policy)
        };
        let known = self.template.take().filter(fits);
        let new = || {
            AckTemplate::new(
                partition.stream.as_str(),
                partition.base_subject.as_str(),
                ack.policy,
            )
        };
        let (.., template) = self
            .template
            .insert(known.unwrap_or_else(|| (partition.log, ack.policy, new())));
        template.envelope(&mut self.scratch, &AckFields::from(ack));
        self.bus.publish(ack.inbox, b"", &self.scratch);
    }
}

impl<'a> From<&Ack<'a>> for AckFields<'a> {
    fn from(ack: &Ack<'a>) -> Self {
        AckFields {
            offset: ack.outcome.unwrap_or_default(),
            msg_subject: ack.subject,
            ack_inbox: ack.inbox,
            correlation_id: ack.correlation_id,
            reception: ack.received,
            commit: ack.committed,
            error: ack.outcome.err().map(reply::ack_error),
        }
    }
}
