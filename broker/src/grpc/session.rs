//! The answering half of a PublishAsync call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::sync::Notify;

use strandline_core::stream::AckPolicy;
use strandline_proto::wire::{AckFields, AckTemplate, AsyncError, put_async_error};

use super::errors;
use super::frames::FrameQueue;
use crate::bus::AckInbox;
use crate::metrics::{Metrics, Refusal};
use crate::partition::{Ack, AckSink, Answers, PartitionInfo};

/// Turns outcomes into response frames and queues them. Shared by the session's reader and the appenders.
#[derive(Debug)]
pub(super) struct Session {
    /// Stands in the acks.
    inbox: AckInbox,
    queue: Arc<FrameQueue>,
    scratch: Mutex<BytesMut>,
    pending: AtomicU64,
    settled: Notify,
    metrics: Arc<Metrics>,
}

impl Session {
    pub(super) fn new(inbox: AckInbox, queue: Arc<FrameQueue>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new_cyclic(|session: &Weak<Self>| {
            inbox.listen_for_session(session.clone());
            let scratch = Mutex::new(BytesMut::new());
            Self {
                inbox,
                queue,
                scratch,
                pending: AtomicU64::new(0),
                settled: Notify::new(),
                metrics,
            }
        })
    }

    pub(super) fn inbox(&self) -> &str {
        self.inbox.subject()
    }

    /// Queues the answer to a request that never got to a partition.
    pub(super) fn refuse(&self, correlation_id: &str, error: &AsyncError, reason: Refusal) {
        self.metrics.refused(reason, 1);
        let mut scratch = self.scratch.lock();
        put_async_error(&mut scratch, correlation_id, error);
        self.queue.push(scratch.split().freeze());
    }

    /// Waits until every expected outcome is there.
    pub(super) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if self.pending.load(Ordering::Acquire) == 0 {
                return;
            }
            settled.await;
        }
    }

    fn put(&self, out: &mut BytesMut, templates: &mut Templates<'_>, ack: &Ack<'_>) {
        match ack.outcome {
            Ok(_) => {
                let fields = AckFields {
                    ack_inbox: self.inbox.subject(),
                    ..AckFields::from(ack)
                };
                templates.of(ack.policy).response_frame(out, &fields);
            }
            Err(reject) => put_async_error(out, ack.correlation_id, &errors::async_error(reject)),
        }
    }
}

impl AckSink for Session {
    fn expect(&self, messages: usize) {
        self.pending.fetch_add(messages as u64, Ordering::AcqRel);
        self.metrics.grpc.unanswered.add(messages as i64);
    }

    fn answer(&self, answers: &Answers<'_>) {
        let mut scratch = self.scratch.lock();
        let mut templates = Templates::new(answers.partition());
        for ack in answers.iter() {
            self.put(&mut scratch, &mut templates, &ack);
        }
        self.queue.push(scratch.split().freeze());
        drop(scratch);
        let messages = answers.len() as u64;
        self.metrics.grpc.unanswered.add(-(messages as i64));
        if self.pending.fetch_sub(messages, Ordering::AcqRel) <= messages {
            self.settled.notify_waiters();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Answers that went missing with an external NATS are not waited for any more.
        let missing = *self.pending.get_mut();
        self.metrics.grpc.unanswered.add(-(missing as i64));
    }
}

/// The encoded part of acks that does not change along a chunk, by policy.
struct Templates<'a> {
    partition: &'a PartitionInfo,
    last: Option<(AckPolicy, AckTemplate)>,
}

impl<'a> Templates<'a> {
    fn new(partition: &'a PartitionInfo) -> Self {
        Self {
            partition,
            last: None,
        }
    }

    fn of(&mut self, policy: AckPolicy) -> &mut AckTemplate {
        let fits = self.last.as_ref().is_some_and(|(last, _)| *last == policy);
        if !fits {
            self.last = None;
        }
        let Self { partition, last } = self;
        let make = || {
            (
                policy,
                AckTemplate::new(partition.stream.as_str(), partition.base_subject.as_str(), policy),
            )
        };
        &mut last.get_or_insert_with(make).1
    }
}
