//! Publish and PublishToSubject: one message, one answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tonic::Status;

use strandline_core::stream::{AckPolicy, ExpectedOffset};
use strandline_core::subject::check_literal;
use strandline_proto::api::{Ack, PublishRequest, PublishToSubjectRequest};
use strandline_proto::convert;
use strandline_proto::wire::HeadersRef;

use super::deadline::Deadline;
use super::errors;
use crate::context::Context;
use crate::metrics::Door as Arrival;
use crate::partition::{Answer, CallAck, Delivery, Origin, OwnedAck};
use crate::publish::{Door, Outgoing};
use crate::reply;

/// How long a publish without a deadline waits for its ack before it is answered without one.
const ACK_WAIT: Duration = Duration::from_secs(5);

/// Publishes to a partition by the stream's name.
pub(super) async fn publish(
    context: &Context,
    deadline: Option<Deadline>,
    request: PublishRequest,
) -> Result<Option<Ack>, Status> {
    if request.stream.is_empty() {
        return Err(errors::no_stream_provided());
    }
    let policy = convert::ack_policy(request.ack_policy)
        .ok_or_else(|| errors::unknown_ack_policy(request.ack_policy))?;
    let partition = context.streams.target(&request.stream, request.partition);
    let partition = partition.map_err(|error| errors::publish_target(&error))?;
    if partition.info().concurrency_control && policy == AckPolicy::None {
        return Err(errors::policy_missing());
    }
    let call = Call {
        context,
        deadline: deadline.map(Deadline::for_handlers),
        policy,
        expected: convert::expected_offset(request.expected_offset),
        correlation_id: &request.correlation_id,
    };
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_ref()))
        .collect();
    let content = Content {
        key: &request.key,
        value: &request.value,
        headers: &headers,
        stream: &request.stream,
    };
    let ack = call
        .run(content, |door, origin, message| {
            door.publish(&partition, origin, message);
        })
        .await?;
    match ack {
        Some(OwnedAck {
            outcome: Err(reject), ..
        }) => Err(errors::publish(reject)),
        other => Ok(other.map(|ack| wire_ack(ack, &request.correlation_id))),
    }
}

/// Publishes on a NATS subject; the first partition that records it answers.
pub(super) async fn publish_to_subject(
    context: &Context,
    deadline: Option<Deadline>,
    request: PublishToSubjectRequest,
) -> Result<Option<Ack>, Status> {
    check_literal(&request.subject).map_err(|error| errors::invalid_subject(&error))?;
    let policy = convert::ack_policy(request.ack_policy)
        .ok_or_else(|| errors::unknown_ack_policy(request.ack_policy))?;
    let call = Call {
        context,
        deadline: deadline.map(Deadline::for_handlers),
        policy,
        // As with Liftbridge: under concurrency control the message counts as one that expects offset 0.
        expected: ExpectedOffset::Exactly(0),
        correlation_id: &request.correlation_id,
    };
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_ref()))
        .collect();
    let content = Content {
        key: &request.key,
        value: &request.value,
        headers: &headers,
        stream: "",
    };
    let ack = call.run(content, |door, origin, message| {
        door.publish_to_subject(&request.subject, origin, message);
    });
    // An error in the ack is the client's to look at: this call does not turn it into a status.
    Ok(ack.await?.map(|ack| wire_ack(ack, &request.correlation_id)))
}

struct Call<'a> {
    context: &'a Context,
    deadline: Option<Instant>,
    policy: AckPolicy,
    expected: ExpectedOffset,
    correlation_id: &'a str,
}

struct Content<'a> {
    key: &'a Bytes,
    value: &'a Bytes,
    headers: &'a [(&'a str, &'a [u8])],
    stream: &'a str,
}

impl Call<'_> {
    /// Hands the message over and waits for its ack: up to the deadline, or for a bounded time if there is none.
    async fn run(
        self,
        content: Content<'_>,
        publish: impl FnOnce(&mut Door, &Origin, &Outgoing<'_>),
    ) -> Result<Option<OwnedAck>, Status> {
        let (ack, answered) = CallAck::new();
        let inbox = self.context.inboxes.open();
        inbox.listen_for_call(Arc::clone(&ack));
        let origin = Origin::Call(ack);
        let delivery = Delivery {
            policy: self.policy,
            expected: self.expected,
            answer: Answer::Origin,
            correlation_id: self.correlation_id,
            inbox: inbox.subject(),
        };
        let message = Outgoing {
            key: content.key,
            value: content.value,
            headers: HeadersRef::Pairs(content.headers),
            delivery,
            stream: content.stream,
        };
        let mut door = Door::new(
            Arrival::GrpcCall,
            self.context.bus.publisher(),
            self.context.clock.clone(),
        );
        publish(&mut door, &origin, &message);
        drop(origin);
        door.flush().await.map_err(|error| errors::bus(&error))?;
        if self.policy == AckPolicy::None {
            return Ok(None);
        }
        let limit = self.deadline.unwrap_or_else(|| Instant::now() + ACK_WAIT);
        match tokio::time::timeout_at(limit.into(), answered).await {
            Ok(Ok(ack)) => Ok(Some(ack)),
            // Nobody records the subject, or the answer does not come in time.
            Ok(Err(_)) | Err(_) if self.deadline.is_none() => Ok(None),
            Ok(Err(_)) => {
                tokio::time::sleep_until(limit.into()).await;
                Err(errors::ack_timeout())
            }
            Err(_) => Err(errors::ack_timeout()),
        }
    }
}

fn wire_ack(ack: OwnedAck, correlation_id: &str) -> Ack {
    Ack {
        stream: ack.stream,
        partition_subject: ack.partition_subject,
        msg_subject: ack.subject,
        offset: ack.outcome.map_or(0, convert::wire_ack_offset),
        ack_inbox: String::new(),
        correlation_id: correlation_id.to_owned(),
        ack_policy: convert::ack_policy_number(ack.policy),
        reception_timestamp: ack.received.nanos(),
        commit_timestamp: ack.committed.nanos(),
        ack_error: ack
            .outcome
            .err()
            .map_or(0, |reject| reply::ack_error(reject).number()),
    }
}
