//! Subscribe: one partition's records as a stream of ready frames.

mod filtered;
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
use strandline_core::storage::Log;
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
use crate::reader::{BackwardReader, Bounds, ForwardReader, OnTrimmed, Plan, ReadEnd, Records};
use filtered::{Frames, Order, Question, filter};
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
    let plan = resolve(&partition, start, stop, request.reverse, wishes.on_trimmed).await?;
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

async fn resolve(
    partition: &Arc<PartitionHandle>,
    start: StartAt,
    stop: StopAt,
    reverse: bool,
    on_trimmed: OnTrimmed,
) -> Result<Plan, Status> {
    let partition = Arc::clone(partition);
    let look_up = move || {
        let log = partition.log();
        let bounds = Bounds {
            start: log.start(),
            committed_end: partition.readable().end,
            end: log.end(),
        };
        let plan = if reverse {
            Plan::resolve_reverse(start, stop, bounds, &partition)
        } else {
            Plan::resolve(start, stop, bounds, &partition)
        };
        plan.and_then(|plan| plan.on_trimmed(on_trimmed, start, bounds))
    };
    // Looking up a time may read the disk.
    let looks_up = matches!(start, StartAt::Time(_)) || matches!(stop, StopAt::Time(_));
    let plan = if looks_up {
        tokio::task::spawn_blocking(look_up)
            .await
            .map_err(|_| errors::stopping())?
    } else {
        look_up()
    };
    plan.map_err(|error| errors::plan(&error))
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
    async fn run(mut self, queue: &FrameQueue) -> Status {
        loop {
            let is_there = match self.next_step(queue).await {
                Ok(is_there) => is_there,
                Err(end) => return errors::read_end(&end),
            };
            if !is_there {
                return Status::cancelled("the client has gone");
            }
        }
    }

    /// Reads on and queues what was read; false when the client has gone.
    async fn next_step(&mut self, queue: &FrameQueue) -> Result<bool, ReadEnd> {
        match &mut self.reader {
            Reader::Forward(reader) => {
                let records = reader.next().await?;
                if !self.outbound.is_active() {
                    return Ok(forward(&self.framer, &mut self.buffers, &records, queue).await);
                }
                let wanted = OffsetRange::new(records.from, records.end);
                // The log has checked the run; an error can only mean that it is over.
                let batches = records.run.batches().map_while(Result::ok).collect();
                self.filtered(batches, wanted, Order::OldestFirst, queue).await
            }
            Reader::Backward(reader) => {
                let (batch, before, stop) = reader.next().await?;
                let wanted = OffsetRange::new(stop, before);
                if !self.outbound.is_active() {
                    let frames = backward(&self.framer, &batch, wanted);
                    return Ok(queue.push_when_room(frames, QUEUE_MAX_BYTES).await);
                }
                self.filtered(vec![batch], wanted, Order::NewestFirst, queue)
                    .await
            }
        }
    }

    /// Queues the frames of those records that pass the filters; false when the client has gone.
    async fn filtered(
        &self,
        batches: Vec<Batch>,
        wanted: OffsetRange,
        order: Order,
        queue: &FrameQueue,
    ) -> Result<bool, ReadEnd> {
        let question = Question {
            wanted,
            order,
            tells_progress: self.tells_progress,
        };
        let frames = self.ask(batches.into(), question).await?;
        for piece in frames.pieces {
            if !queue.push_when_room(piece, QUEUE_MAX_BYTES).await {
                return Ok(false);
            }
        }
        match frames.failure {
            None => Ok(true),
            Some((offset, reason)) => Err(ReadEnd::FilterFailed { offset, reason }),
        }
    }

    /// Asks the filters, on a thread that may block; waits for a bounded time for filters that are being loaded.
    async fn ask(&self, batches: Arc<[Batch]>, question: Question) -> Result<Frames, ReadEnd> {
        let until = tokio::time::Instant::now() + LOADING_MAX_WAIT;
        loop {
            let mut changes = self.outbound.changes();
            let (outbound, framer, batches) = (
                Arc::clone(&self.outbound),
                self.framer.clone(),
                Arc::clone(&batches),
            );
            let ask = move || filter(&outbound, &framer, &batches, question);
            let asked = tokio::task::spawn_blocking(ask);
            match asked.await {
                Ok(Ok(frames)) => return Ok(frames),
                Ok(Err(not_ready)) => {
                    let changed = tokio::time::timeout_at(until, changes.changed());
                    if !not_ready.is_loading || changed.await.is_err() {
                        return Err(ReadEnd::FilterMissing(not_ready));
                    }
                }
                Err(_) => return Err(ReadEnd::Stopping),
            }
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
