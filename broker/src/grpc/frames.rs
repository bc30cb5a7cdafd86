//! Response bodies made of ready frames.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tonic::Status;

use crate::metrics::QueueNumbers;

/// Frames between those who make them and the connection that sends them.
///
/// Bounded by its users: a subscription waits for [`FrameQueue::room`] before it reads on, and a publisher's session before
/// it reads the next requests, so that answers stop coming.
#[derive(Debug)]
pub(super) struct FrameQueue {
    state: Mutex<State>,
    drained: Notify,
    numbers: QueueNumbers,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Bytes>,
    bytes: usize,
    end: Option<Status>,
    waker: Option<Waker>,
    abandoned: bool,
}

impl State {
    fn has_room(&self, bytes: usize) -> bool {
        !self.abandoned && self.bytes <= bytes
    }
}

impl FrameQueue {
    pub(super) fn new(numbers: QueueNumbers) -> Self {
        Self {
            state: Mutex::default(),
            drained: Notify::new(),
            numbers,
        }
    }

    /// Queues a frame; nothing happens after the end.
    pub(super) fn push(&self, frame: Bytes) {
        let mut state = self.state.lock();
        if state.end.is_some() || state.abandoned || frame.is_empty() {
            return;
        }
        state.bytes += frame.len();
        self.numbers.bytes.add(frame.len() as i64);
        state.frames.push_back(frame);
        wake(state);
    }

    /// Queues a frame once no more than so many bytes wait before it; false when the client has gone.
    ///
    /// Cancel safety: the frame may be lost.
    pub(super) async fn push_when_room(&self, frame: Bytes, bytes: usize) -> bool {
        let is_there = self.room(bytes).await;
        if is_there {
            self.push(frame);
        }
        is_there
    }

    /// Whether no more than so many bytes wait, and somebody for them.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.state.lock().has_room(bytes)
    }

    /// Ends the body with this status once everything queued is sent. The first end stays.
    pub(super) fn end(&self, status: Status) {
        let mut state = self.state.lock();
        state.end.get_or_insert(status);
        wake(state);
    }

    /// Whether the client has gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.state.lock().abandoned
    }

    /// Waits until no more than so many bytes are queued; false when the client has gone.
    ///
    /// Cancel safety: safe.
    pub(super) async fn room(&self, bytes: usize) -> bool {
        let mut waited = false;
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            {
                let state = self.state.lock();
                if state.abandoned || state.has_room(bytes) {
                    return !state.abandoned;
                }
            }
            if !std::mem::replace(&mut waited, true) {
                self.numbers.waits.add(1);
            }
            drained.await;
        }
    }

    /// Waits until the client has gone.
    pub(super) async fn abandoned(&self) {
        while self.room(usize::MAX).await {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.is_abandoned() {
                return;
            }
            drained.await;
        }
    }
}

fn wake(mut state: parking_lot::MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The body that sends a queue's frames and then its status.
#[derive(Debug)]
pub(super) struct FrameBody {
    queue: Arc<FrameQueue>,
    done: bool,
}

impl FrameBody {
    pub(super) fn new(queue: Arc<FrameQueue>) -> Self {
        Self { queue, done: false }
    }
}

impl Body for FrameBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let mut state = self.queue.state.lock();
        if let Some(frame) = state.frames.pop_front() {
            state.bytes -= frame.len();
            drop(state);
            self.queue.numbers.bytes.add(-(frame.len() as i64));
            self.queue.drained.notify_waiters();
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        if let Some(status) = state.end.take() {
            drop(state);
            self.done = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.done
    }
}

impl Drop for FrameBody {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        state.abandoned = true;
        state.frames.clear();
        let forgotten = std::mem::take(&mut state.bytes);
        drop(state);
        self.queue.numbers.bytes.add(-(forgotten as i64));
        self.queue.drained.notify_waiters();
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // A status whose text cannot be a header still has to end the stream with its code.
    if status.add_header(&mut headers).is_err() {
        headers.insert("grpc-status", http::HeaderValue::from(status.code() as i32));
    }
    headers
}

/// A response that carries this body, or only a status.
pub(super) fn response(body: FrameBody) -> http::Response<tonic::body::Body> {
    let mut response = http::Response::new(tonic::body::Body::new(body));
    let grpc = http::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(http::header::CONTENT_TYPE, grpc);
    response
}
