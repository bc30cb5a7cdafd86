//! The bounded queue in front of a partition.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::chunk::{Chunk, Reject};

/// Memory that may wait in one inbox. One chunk is taken whatever its size.
pub(crate) const INBOX_MAX_BYTES: usize = 8 << 20;
/// How long a publisher is held back before its messages are rejected.
pub(crate) const INBOX_MAX_WAIT: Duration = Duration::from_secs(5);

/// Chunks that wait for their partition's owner.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    room: Notify,
    /// What waits, for who only wants to know: kept beside the lock so that nobody has to take it.
    shown_bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    scheduled: bool,
    closed: bool,
}

/// Why a chunk was not taken; it comes back.
#[derive(Debug)]
pub(super) enum Refused {
    /// There is no room now.
    Full(Chunk),
    /// The partition is closed for good.
    Closed(Chunk),
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            room: Notify::new(),
            shown_bytes: AtomicUsize::new(0),
        }
    }

    /// Takes a chunk if there is room. `Ok(true)` asks the caller to tell the owner.
    #[expect(
        clippy::result_large_err,
        reason = "it comes back whole, once per chunk and only from a full inbox"
    )]
    pub(super) fn try_push(&self, chunk: Chunk) -> Result<bool, Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed(chunk));
        }
        let bytes = chunk.bytes();
        if state.bytes > 0 && state.bytes + bytes > INBOX_MAX_BYTES {
            return Err(Refused::Full(chunk));
        }
        state.bytes += bytes;
        self.shown_bytes.store(state.bytes, Ordering::Relaxed);
        state.chunks.push_back(chunk);
        Ok(!std::mem::replace(&mut state.scheduled, true))
    }

    /// Waits for room until `INBOX_MAX_WAIT` is over; then, or when the inbox is closed, every message of the chunk is
    /// marked as rejected and the chunk comes back.
    pub(super) async fn push(&self, mut chunk: Chunk) -> Result<bool, Chunk> {
        let deadline = tokio::time::Instant::now() + INBOX_MAX_WAIT;
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Registered before the attempt, so that room made in between is not missed.
            room.as_mut().enable();
            chunk = match self.try_push(chunk) {
                Ok(schedule) => return Ok(schedule),
                Err(Refused::Full(chunk)) => chunk,
                Err(Refused::Closed(chunk)) => return Err(rejected(chunk, Reject::Closed)),
            };
            if tokio::time::timeout_at(deadline, room).await.is_err() {
                return Err(rejected(chunk, Reject::Overloaded));
            }
        }
    }

    /// Takes chunks for one turn of the owner. The inbox has to be scheduled again by the next push if it is left empty;
    /// otherwise the flag says that more is there.
    pub(super) fn take(&self, max_bytes: usize, out: &mut Vec<Chunk>) -> bool {
        let mut state = self.state.lock();
        let mut taken = 0;
        while taken < max_bytes
            && let Some(chunk) = state.chunks.pop_front()
        {
            taken += chunk.bytes();
            out.push(chunk);
        }
        state.bytes = state.bytes.saturating_sub(taken);
        self.shown_bytes.store(state.bytes, Ordering::Relaxed);
        let more = !state.chunks.is_empty();
        state.scheduled = more;
        drop(state);
        if taken > 0 {
            self.room.notify_waiters();
        }
        more
    }

    /// Refuses everything from now on and hands out what waits.
    pub(super) fn close(&self) -> Vec<Chunk> {
        let mut state = self.state.lock();
        state.closed = true;
        state.bytes = 0;
        self.shown_bytes.store(0, Ordering::Relaxed);
        let chunks = std::mem::take(&mut state.chunks).into();
        drop(state);
        self.room.notify_waiters();
        chunks
    }

    /// Bytes that waited a moment ago.
    pub(super) fn shown_bytes(&self) -> usize {
        self.shown_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that wait.
    pub(super) fn queued_bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

fn rejected(mut chunk: Chunk, reject: Reject) -> Chunk {
    chunk.refuse_all(reject);
    chunk
}
