//! PublishAsync: a long-lived stream of requests, answered in the order in which their records are committed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use strandline_core::stream::AckPolicy;
use strandline_proto::wire::{FrameReader, PublishRequestRef};

use super::errors;
use super::frames::FrameQueue;
use super::session::Session;
use crate::metrics::Refusal;
use crate::partition::{AckSink, Answer, Delivery, Origin, PartitionHandle, Reject};
use crate::publish::{Door, Outgoing};
use crate::streams::{NoTarget, Streams};

/// How long a client that has half-closed waits for outstanding answers.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// Bytes of answers that may wait for a client before its requests are no longer read.
pub(crate) const ANSWERS_MAX_BYTES: usize = 4 << 20;
/// Bytes of requests that are collected before they are handed over, if they keep coming.
const COLLECT_MAX_BYTES: usize = 256 << 10;

/// The reading half of a call. Ends when the client does, or the broker stops.
pub(super) struct PublishAsync {
    pub(super) streams: Arc<Streams>,
    pub(super) door: Door,
    pub(super) session: Arc<Session>,
    pub(super) queue: Arc<FrameQueue>,
    pub(super) max_message_bytes: usize,
    pub(super) stopping: CancellationToken,
}

/// The partition of the last request: runs of requests to one partition look it up once.
#[derive(Default)]
struct LastTarget {
    stream: String,
    partition: i32,
    handle: Option<Arc<PartitionHandle>>,
}

impl PublishAsync {
    /// Serves the call to its end.
    pub(super) async fn run(mut self, body: tonic::body::Body) {
        let status = match self.read_requests(body).await {
            Ok(()) => {
                let settled = tokio::time::timeout(DRAIN_TIME, self.session.settled());
                // Answers that do not come in time are the client's to miss, as with Liftbridge.
                let _ = settled.await;
                Status::ok("")
            }
            Err(status) => status,
        };
        self.queue.end(status);
    }

    async fn read_requests(&mut self, mut body: tonic::body::Body) -> Result<(), Status> {
        let mut frames = FrameReader::new(self.max_message_bytes);
        let stopping = self.stopping.clone();
        loop {
            let data = tokio::select! {
                biased;
                () = stopping.cancelled() => return Err(errors::stopping()),
                data = next_data(&mut body) => data?,
            };
            let Some(data) = data else { break };
            self.take(&mut frames, data)?;
            self.take_what_is_there(&mut frames, &mut body).await?;
            self.hand_over().await?;
        }
        if frames.is_mid_frame() {
            Err(errors::truncated_request())
        } else {
            Ok(())
        }
    }

    /// Goes on with data that has arrived already, so that a fast client's requests travel in large chunks.
    async fn take_what_is_there(
        &mut self,
        frames: &mut FrameReader,
        body: &mut tonic::body::Body,
    ) -> Result<(), Status> {
        while self.door.collected_bytes() < COLLECT_MAX_BYTES {
            let ready = tokio::select! {
                biased;
                data = next_data(body) => data?,
                () = std::future::ready(()) => return Ok(()),
            };
            match ready {
                Some(data) => self.take(frames, data)?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    async fn hand_over(&mut self) -> Result<(), Status> {
        self.door.flush().await.map_err(|error| errors::bus(&error))?;
        if !self.queue.room(ANSWERS_MAX_BYTES).await {
            return Err(Status::cancelled("the client has gone"));
        }
        Ok(())
    }

    fn take(&mut self, frames: &mut FrameReader, data: Bytes) -> Result<(), Status> {
        let Self {
            streams,
            door,
            session,
            ..
        } = self;
        let origin = Origin::Session(Arc::clone(session) as Arc<dyn AckSink>);
        let mut last = LastTarget::default();
        frames.push(data);
        while let Some(message) = frames.next_message().map_err(|error| errors::frame(&error))? {
            let request = PublishRequestRef::scan(message).map_err(|error| errors::malformed(&error))?;
            match last.find(streams, &request) {
                Ok(partition) => publish(door, session, &origin, partition, &request),
                Err(error) => {
                    let reply = errors::async_target(&error);
                    session.refuse(request.correlation_id, &reply, Refusal::NoTarget);
                }
            }
        }
        Ok(())
    }
}

fn publish(
    door: &mut Door,
    session: &Session,
    origin: &Origin,
    partition: &Arc<PartitionHandle>,
    request: &PublishRequestRef<'_>,
) {
    if partition.info().concurrency_control && request.ack_policy == AckPolicy::None {
        return session.refuse(
            request.correlation_id,
            &errors::async_error(Reject::PolicyMissing),
            Refusal::Partition(Reject::PolicyMissing),
        );
    }
    let delivery = Delivery {
        policy: request.ack_policy,
        expected: request.expected_offset,
        answer: Answer::Origin,
        correlation_id: request.correlation_id,
        inbox: session.inbox(),
    };
    let message = Outgoing {
        key: request.key,
        value: request.value,
        headers: request.headers,
        delivery,
        stream: request.stream,
    };
    door.publish(partition, origin, &message);
}

impl LastTarget {
    fn find(
        &mut self,
        streams: &Streams,
        request: &PublishRequestRef<'_>,
    ) -> Result<&Arc<PartitionHandle>, NoTarget> {
        if self.partition != request.partition || self.stream != request.stream {
            self.handle = None;
        }
        if self.handle.is_none() {
            self.handle = Some(streams.target(request.stream, request.partition)?);
            request.stream.clone_into(&mut self.stream);
            self.partition = request.partition;
        }
        self.handle.as_ref().ok_or_else(|| NoTarget::Stream {
            name: request.stream.to_owned(),
        })
    }
}

async fn next_data(body: &mut tonic::body::Body) -> Result<Option<Bytes>, Status> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(status)) => return Err(status),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}
