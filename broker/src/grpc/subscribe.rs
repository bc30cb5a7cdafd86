//! Subscribe: one partition's records as a stream of ready frames.

mod filtered;
mod outlet;
mod turn;
mod wishes;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::BodyExt;
use prost::Message as _;
use tonic::Status;
use tonic::body::Body;

use strandline_core::OffsetRange;
use strandline_core::record::Batch;
use strandline_core::storage::ReadError;
use strandline_proto::api::SubscribeRequest;
use strandline_proto::convert::{StartAt, StopAt, start_at, stop_at};
use strandline_proto::wire::{FrameReader, MessageFramer};

use super::admin::{Access, Caller};
use super::errors;
use super::frame_buffers::{FRAMES_MAX_BYTES, FrameBuffers};
use super::frames::{FrameBody, FrameQueue, response};
use crate::context::Context;
use crate::partition::PartitionHandle;
use crate::plugins::Outbound;
use crate::reader::{
    BackwardReader, Bounds, ForwardReader, OnTrimmed, Plan, PlanError, ReadEnd, Records, fetched,
};
use filtered::Question;
use turn::{Turn, TurnEnd};
use wishes::Wishes;

/// Bytes that may wait for a slow subscriber; then it is waited for.
pub(crate) const QUEUE_MAX_BYTES: usize = 1 << 20;
/// Largest request; names and numbers only.
const REQUEST_MAX_BYTES: usize = 64 << 10;
/// The first message of every subscription: an empty one, which clients drop.
const HANDSHAKE: [u8; 5] = [0; 5];
/// How long a subscription waits for a filter that is being loaded.
const LOADING_MAX_WAIT: Duration = Duration::from_secs(10);

/// Answers a Subscribe call: with a status, or with a body that a task of its own fills.
pub(super) async fn call(context: Arc<Context>, access: Access, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let wishes = Wishes::read(&parts.headers).and_then(|wishes| {
        if wishes.unfiltered {
            let allowed = access.check(&Caller::of(&parts.extensions, &parts.headers));
            allowed.map_err(|denied| errors::permission_denied(&denied))?;
        }
        Ok(wishes)
    });
    let started = match wishes {
        Ok(wishes) => start(&context, body, wishes).await,
        Err(status) => Err(status),
    };
    match started {
        Ok(subscription) => {
            let queue = Arc::new(FrameQueue::new(context.metrics.grpc.messages.clone()));
            let open = context.metrics.readers.subscriptions.hold();
            context.metrics.readers.subscribed.add(1);
            queue.push(Bytes::from_static(&HANDSHAKE));
            let stopping = context.stopping.clone();
            let writer = Arc::clone(&queue);
            context.tasks.spawn(async move {
                tokio::select! {
                    biased;
                    () = stopping.cancelled() => writer.end(errors::stopping()),
                    () = writer.abandoned() => {}
                    status = subscription.run(&writer) => writer.end(status),
                }
                drop(open);
            });
            response(FrameBody::new(queue))
        }
        Err(status) => status.into_http(),
    }
}

async fn start(context: &Context, body: Body, wishes: Wishes) -> Result<Subscription, Status> {
    let request = read_request(body).await?;
    if let Some(consumer) = &request.consumer
        && !consumer.group_id.is_empty()
    {
        return Err(errors::consumer_groups(&consumer.consumer_id));
    }
    let partition = context.streams.partition(&request.stream, request.partition);
    let partition = partition.map_err(|error| errors::subscribe_target(&error))?;
    let start = start_at(&request).map_err(|error| errors::unknown_position(&error))?;
    let stop = stop_at(&request).map_err(|error| errors::unknown_position(&error))?;
    let outbound = context
        .plugins
        .outbound(&partition.info().stream, wishes.filter, wishes.unfiltered)
        .await;
    let outbound = outbound.map_err(|error| errors::subscription_filter(&error))?;
    let wanted = Wanted {
        start,
        stop,
        reverse: request.reverse,
        on_trimmed: wishes.on_trimmed,
    };
    let plan = wanted.resolve(&partition).await?;
    let mut subscription = Subscription::new(partition, plan, request.reverse, outbound);
    subscription.tells_progress = wishes.progress;
    Ok(subscription)
}

async fn read_request(mut body: Body) -> Result<SubscribeRequest, Status> {
    let mut frames = FrameReader::new(REQUEST_MAX_BYTES);
    loop {
        if let Some(message) = frames.next_message().map_err(|error| errors::frame(&error))? {
            return SubscribeRequest::decode(message).map_err(|error| errors::malformed(&error));
        }
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    frames.push(data);
                }
            }
            Some(Err(status)) => return Err(status),
            None => return Err(errors::truncated_request()),
        }
    }
}

/// The positions that a subscription names.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    start: StartAt,
    stop: StopAt,
    reverse: bool,
    on_trimmed: OnTrimmed,
}

impl Wanted {
    /// Waits for what has to be fetched from an archive, for no longer than its deadline.
    async fn resolve(self, partition: &Arc<PartitionHandle>) -> Result<Plan, Status> {
        // Looking up a time may read the disk.
        let looks_up = matches!(self.start, StartAt::Time(_)) || matches!(self.stop, StopAt::Time(_));
        loop {
            let plan = if looks_up {
                let partition = Arc::clone(partition);
                tokio::task::spawn_blocking(move || self.look_up(&partition))
                    .await
                    .map_err(|_| errors::stopping())?
            } else {
                self.look_up(partition)
            };
            match plan {
                Err(PlanError::Read(ReadError::Fetching(fetch))) => {
                    let waited = fetched(partition, fetch).await;
                    waited.map_err(|error| errors::plan(&PlanError::Read(error)))?;
                }
                plan => return plan.map_err(|error| errors::plan(&error)),
            }
        }
    }

    fn look_up(self, partition: &PartitionHandle) -> Result<Plan, PlanError> {
        let bounds = Bounds::of(partition, self.start)?;
        let plan = if self.reverse {
            Plan::resolve_reverse(self.start, self.stop, bounds, partition)
        } else {
            Plan::resolve(self.start, self.stop, bounds, partition)
        };
        plan?.on_trimmed(self.on_trimmed, self.start, bounds)
    }
}

struct Subscription {
    reader: Reader,
    framer: MessageFramer,
    buffers: FrameBuffers,
    outbound: Arc<Outbound>,
    tells_progress: bool,
}

enum Reader {
    Forward(ForwardReader),
    Backward(BackwardReader),
}

impl Subscription {
    fn new(partition: Arc<PartitionHandle>, plan: Plan, reverse: bool, outbound: Arc<Outbound>) -> Self {
        let info = partition.info();
        let framer = MessageFramer::new(info.stream.as_str(), info.partition);
        let reader = if reverse {
            Reader::Backward(BackwardReader::new(partition, plan))
        } else {
            Reader::Forward(ForwardReader::new(partition, plan))
        };
        Self {
            reader,
            framer,
            buffers: FrameBuffers::default(),
            outbound,
            tells_progress: false,
        }
    }

    /// Fills the queue until the subscription is over, and says how it ended.
    async fn run(mut self, queue: &Arc<FrameQueue>) -> Status {
        loop {
            self = match self.next_step(queue).await {
                Ok(Some(subscription)) => subscription,
                Ok(None) => return Status::cancelled("the client has gone"),
                Err(end) => return errors::read_end(&end),
            };
        }
    }

    /// Reads on and queues what was read; none when the client has gone.
    async fn next_step(mut self, queue: &Arc<FrameQueue>) -> Result<Option<Self>, ReadEnd> {
        let question = match &mut self.reader {
            Reader::Forward(reader) => {
                let records = reader.next().await?;
                if !self.outbound.is_active() {
                    let is_there = forward(&self.framer, &mut self.buffers, &records, queue).await;
                    return Ok(is_there.then_some(self));
                }
                Question::forward(&records)
            }
            Reader::Backward(reader) => {
                let (batch, before, stop) = reader.next().await?;
                let wanted = OffsetRange::new(stop, before);
                if !self.outbound.is_active() {
                    let frames = backward(&self.framer, &batch, wanted);
                    let is_there = queue.push_when_room(frames, QUEUE_MAX_BYTES).await;
                    return Ok(is_there.then_some(self));
                }
                Question::backward(batch, wanted)
            }
        };
        self.filtered(question, queue).await
    }

    /// Takes a turn on a thread that may block; none when the client has gone. Waits for a bounded time for filters that are being
    /// loaded.
    async fn filtered(
        mut self,
        mut question: Question,
        queue: &Arc<FrameQueue>,
    ) -> Result<Option<Self>, ReadEnd> {
        let until = tokio::time::Instant::now() + LOADING_MAX_WAIT;
        loop {
            let mut changes = self.outbound.changes();
            let to = Arc::clone(queue);
            let turn = move || {
                let turn = self.turn(question, &to);
                (self, turn)
            };
            let taken = tokio::task::spawn_blocking(turn).await;
            let (subscription, Turn { left, end }) = taken.map_err(|_| ReadEnd::Stopping)?;
            self = subscription;
            for frames in left {
                if !queue.push_when_room(frames, QUEUE_MAX_BYTES).await {
                    return Ok(None);
                }
            }
            question = match end {
                TurnEnd::Pause => return Ok(Some(self)),
                TurnEnd::Over(end) => return Err(end),
                TurnEnd::NotReady(not_ready, question) => {
                    let changed = tokio::time::timeout_at(until, changes.changed());
                    if !not_ready.is_loading || changed.await.is_err() {
                        return Err(ReadEnd::FilterMissing(not_ready));
                    }
                    question
                }
            };
        }
    }
}

/// Queues the frames of all records of a run that are to be delivered; false when the client has gone.
async fn forward(
    framer: &MessageFramer,
    buffers: &mut FrameBuffers,
    records: &Records,
    queue: &FrameQueue,
) -> bool {
    let wanted = OffsetRange::new(records.from, records.end);
    let expected = records.run.bytes.len() + records.run.bytes.len() / 4;
    let mut out = buffers.take(expected);
    // The log has checked the run; an error can only mean that it is over.
    for batch in records.run.batches().map_while(Result::ok) {
        let mut frames = framer.batch(&batch, wanted);
        while !frames.put(&mut out, FRAMES_MAX_BYTES) {
            if !queue.push_when_room(buffers.seal(out), QUEUE_MAX_BYTES).await {
                return false;
            }
            out = buffers.take(expected);
        }
    }
    queue.push_when_room(buffers.seal(out), QUEUE_MAX_BYTES).await
}

/// The frames of the wanted records of a batch, newest first.
fn backward(framer: &MessageFramer, batch: &Batch, wanted: OffsetRange) -> Bytes {
    let header = batch.header();
    let mut records: Vec<_> = batch.records().collect();
    records.reverse();
    let mut out = BytesMut::with_capacity(batch.bytes().len() + batch.bytes().len() / 4);
    for record in records {
        let offset = header.base.plus(u64::from(record.offset_delta()));
        if wanted.contains(offset) {
            framer.frame(&mut out, offset, header.time(&record), record.body());
        }
    }
    out.freeze()
}
