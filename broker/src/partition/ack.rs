//! Telling publishers what became of their messages.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use strandline_core::record::RecordIter;
use strandline_core::stream::AckPolicy;
use strandline_core::{Offset, Timestamp};

use super::chunk::{Answer, Chunk, Fate, Reject};
use super::handle::PartitionInfo;
use crate::metrics::Door;

/// Where the answers of a chunk go.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// Each message says so itself: to its ack inbox or its reply subject, over the bus.
    Bus,
    /// To a session of this process that publishes many messages.
    Session(Arc<dyn AckSink>),
    /// To one call that waits for one answer.
    Call(Arc<CallAck>),
}

impl Origin {
    /// Tells a session that so many of its messages are on their way.
    pub(crate) fn expect(&self, messages: usize) {
        if let Self::Session(session) = self {
            session.expect(messages);
        }
    }

    /// The door that messages with such answers come in by, unless it is known better.
    pub(super) fn door(&self) -> Door {
        match self {
            Self::Bus => Door::Nats,
            Self::Session(_) => Door::GrpcSession,
            Self::Call(_) => Door::GrpcCall,
        }
    }

    /// Whether both are the same place.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bus, Self::Bus) => true,
            (Self::Session(a), Self::Session(b)) => Arc::ptr_eq(a, b),
            (Self::Call(a), Self::Call(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// A session that hears the outcome of its messages. Called by the owner of the partition: must not block.
pub(crate) trait AckSink: fmt::Debug + Send + Sync {
    /// Takes note that so many messages are on their way to a partition; each is answered, or counted, once.
    fn expect(&self, messages: usize);

    /// Takes the answers of a whole chunk.
    fn answer(&self, answers: &Answers<'_>);
}

/// The outcome of every message of a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers<'a> {
    pub(super) chunk: &'a Chunk,
    pub(super) partition: &'a PartitionInfo,
    pub(super) committed: Timestamp,
}

/// The outcome of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack<'a> {
    /// The record's offset; none when a filter kept it out of the stream.
    pub(crate) outcome: Result<Option<Offset>, Reject>,
    pub(crate) policy: AckPolicy,
    pub(crate) answer: Answer,
    pub(crate) correlation_id: &'a str,
    pub(crate) inbox: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) received: Timestamp,
    pub(crate) committed: Timestamp,
}

impl<'a> Answers<'a> {
    /// The partition that answers.
    pub(crate) fn partition(&self) -> &'a PartitionInfo {
        self.partition
    }

    /// Messages of the chunk, answered or not.
    pub(crate) fn len(&self) -> usize {
        self.chunk.len()
    }

    /// The outcomes that somebody listens for, in the order of the messages: errors always, offsets unless the policy is
    /// NONE.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Ack<'a>> + use<'a> {
        let Self {
            chunk,
            partition,
            committed,
        } = *self;
        let mut records = RecordIter::new(&chunk.records);
        let mut next = chunk.first_offset;
        chunk.entries().filter_map(move |(entry, texts)| {
            let record = if entry.has_record { records.next() } else { None };
            let outcome = match entry.fate {
                Fate::Refused(reject) => Err(reject),
                Fate::Dropped => Ok(None),
                Fate::Append => {
                    let offset = next;
                    next = next.plus(1);
                    Ok(Some(offset))
                }
            };
            if entry.answer == Answer::Nothing || (outcome.is_ok() && entry.policy == AckPolicy::None) {
                return None;
            }
            let recorded = || record.map(|r| std::str::from_utf8(r.subject()).unwrap_or_default());
            let subject = match &partition.literal_subject {
                Some(subject) => subject.as_str(),
                None => recorded().unwrap_or(texts.subject),
            };
            Some(Ack {
                outcome,
                policy: entry.policy,
                answer: entry.answer,
                correlation_id: texts.correlation_id,
                inbox: texts.inbox,
                subject,
                received: chunk.received,
                committed,
            })
        })
    }
}

/// An owned answer, for a call that waits for one.
#[derive(Clone, Debug)]
pub(crate) struct OwnedAck {
    /// As [`Ack::outcome`].
    pub(crate) outcome: Result<Option<Offset>, Reject>,
    pub(crate) stream: String,
    pub(crate) partition_subject: String,
    pub(crate) subject: String,
    pub(crate) policy: AckPolicy,
    pub(crate) received: Timestamp,
    pub(crate) committed: Timestamp,
}

/// One call that takes the first answer and lets the others go.
#[derive(Debug)]
pub(crate) struct CallAck {
    sender: Mutex<Option<oneshot::Sender<OwnedAck>>>,
}

impl CallAck {
    /// The place for the answer and where to wait for it.
    pub(crate) fn new() -> (Arc<Self>, oneshot::Receiver<OwnedAck>) {
        let (sender, receiver) = oneshot::channel();
        (
            Arc::new(Self {
                sender: Mutex::new(Some(sender)),
            }),
            receiver,
        )
    }

    pub(super) fn answer(&self, answers: &Answers<'_>) {
        let Some(ack) = answers.iter().next() else { return };
        let Some(sender) = self.sender.lock().take() else {
            return;
        };
        let partition = answers.partition();
        // The call may have given up; then nobody needs the answer.
        let _ = sender.send(OwnedAck {
            outcome: ack.outcome,
            stream: partition.stream.to_string(),
            partition_subject: partition.base_subject.to_string(),
            subject: ack.subject.to_owned(),
            policy: ack.policy,
            received: ack.received,
            committed: ack.committed,
        });
    }
}
