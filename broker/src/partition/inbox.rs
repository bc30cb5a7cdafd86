//! The bounded queue in front of a partition.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::chunk::{Chunk, Reject};
use super::inbox_memory::InboxMemory;

/// Memory that may wait in one inbox. One chunk is taken whatever its size.
pub(crate) const INBOX_MAX_BYTES: usize = 8 << 20;
/// How long a publisher is held back before its messages are rejected.
pub(crate) const INBOX_MAX_WAIT: Duration = Duration::from_secs(5);

/// Chunks that wait for their partition's owner.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    room: Notify,
    all: Arc<InboxMemory>,
    /// What waits, for who only wants to know: kept beside the lock so that nobody has to take it.
    shown_bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    scheduled: bool,
    closed: bool,
    taker: Taker,
}

/// Who takes chunks out of an inbox. Only one does at a time, so that chunks keep their order on the way through both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Taker {
    /// The partition's owner.
    #[default]
    Owner,
    /// The stage before it, where plugins look at the records.
    Stage,
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
    pub(super) fn new(all: Arc<InboxMemory>) -> Self {
        Self {
            state: Mutex::default(),
            room: Notify::new(),
            all,
            shown_bytes: AtomicUsize::new(0),
        }
    }

    /// Takes a chunk if there is room. Asks the caller to tell the taker, if one is named.
    #[expect(
        clippy::result_large_err,
        reason = "it comes back whole, once per chunk and only from a full inbox"
    )]
    pub(super) fn try_push(&self, chunk: Chunk) -> Result<Option<Taker>, Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed(chunk));
        }
        let bytes = chunk.bytes();
        let is_empty = state.bytes == 0;
        if !is_empty && state.bytes + bytes > INBOX_MAX_BYTES || !self.all.take(bytes, is_empty) {
            return Err(Refused::Full(chunk));
        }
        Ok(self.put(&mut state, chunk, bytes))
    }

    /// Takes a chunk whatever there is, unless the inbox is closed. For chunks that come in bounded turns.
    pub(super) fn push_any(&self, chunk: Chunk) -> Result<Option<Taker>, Box<Chunk>> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Box::new(chunk));
        }
        let bytes = chunk.bytes();
        self.all.take(bytes, true);
        Ok(self.put(&mut state, chunk, bytes))
    }

    fn put(&self, state: &mut State, chunk: Chunk, bytes: usize) -> Option<Taker> {
        state.bytes += bytes;
        self.shown_bytes.store(state.bytes, Ordering::Relaxed);
        state.chunks.push_back(chunk);
        let is_news = !std::mem::replace(&mut state.scheduled, true);
        is_news.then_some(state.taker)
    }

    /// Has another one take the chunks from now on; true when there are some, so that it has to be told.
    pub(super) fn hand_to(&self, taker: Taker) -> bool {
        let mut state = self.state.lock();
        let is_new = std::mem::replace(&mut state.taker, taker) != taker;
        is_new && !state.chunks.is_empty()
    }

    /// Waits for room until `INBOX_MAX_WAIT` is over; then, or when the inbox is closed, every message of the chunk is
    /// marked as rejected and the chunk comes back.
    pub(super) async fn push(&self, mut chunk: Chunk) -> Result<Option<Taker>, Chunk> {
        let deadline = tokio::time::Instant::now() + INBOX_MAX_WAIT;
        loop {
            let (own, all) = (self.room.notified(), self.all.room().notified());
            tokio::pin!(own, all);
            // Registered before the attempt, so that room made in between is not missed.
            own.as_mut().enable();
            all.as_mut().enable();
            chunk = match self.try_push(chunk) {
                Ok(taker) => return Ok(taker),
                Err(Refused::Full(chunk)) => chunk,
                Err(Refused::Closed(chunk)) => return Err(rejected(chunk, Reject::Closed)),
            };
            tokio::select! {
                () = own => {}
                () = all => {}
                () = tokio::time::sleep_until(deadline) => return Err(rejected(chunk, Reject::Overloaded)),
            }
        }
    }

    /// Takes chunks for one turn of a taker; nothing if another one takes them. The inbox has to be scheduled again by the next
    /// push if it is left empty; otherwise the flag says that more is there.
    pub(super) fn take(&self, taker: Taker, max_bytes: usize, out: &mut Vec<Chunk>) -> bool {
        let mut state = self.state.lock();
        if state.taker != taker {
            return false;
        }
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
            self.all.give_back(taken);
            self.room.notify_waiters();
        }
        more
    }

    /// Refuses everything from now on and hands out what waits.
    pub(super) fn close(&self) -> Vec<Chunk> {
        let mut state = self.state.lock();
        state.closed = true;
        self.all.give_back(std::mem::take(&mut state.bytes));
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

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use strandline_core::Timestamp;
    use strandline_core::record::Fields;

    use super::super::ack::Origin;
    use super::super::chunk::{ChunkRoom, Delivery};
    use super::super::inbox_memory::ALL_INBOXES_MAX_BYTES;
    use super::super::turns::TURN_MAX_BYTES;
    use super::*;

    const CHUNK_BYTES: usize = 256 << 10;

    fn chunk() -> Chunk {
        let mut chunk = Chunk::new(
            Origin::Bus,
            Timestamp::ZERO,
            ChunkRoom::default(),
            BytesMut::new(),
        );
        let fields = Fields {
            key: None,
            value: &[7; CHUNK_BYTES],
            subject: "s",
            reply: "",
        };
        chunk.push(&fields, [], &Delivery::default());
        chunk
    }

    fn fill(inbox: &Inbox) -> usize {
        (0..).take_while(|_| inbox.try_push(chunk()).is_ok()).count()
    }

    #[test]
    fn a_turn_takes_no_more_than_its_share_of_a_full_inbox() {
        let inbox = Inbox::new(Arc::default());
        let told = inbox.try_push(chunk()).unwrap();
        assert_eq!(told, Some(Taker::Owner), "the owner has to be told");
        fill(&inbox);
        let full = inbox.queued_bytes();
        assert!((INBOX_MAX_BYTES - 2 * CHUNK_BYTES..=INBOX_MAX_BYTES).contains(&full));
        let mut turn = Vec::new();
        assert!(
            inbox.take(Taker::Owner, TURN_MAX_BYTES, &mut turn),
            "there is more"
        );
        let taken: usize = turn.iter().map(Chunk::bytes).sum();
        assert!((TURN_MAX_BYTES..TURN_MAX_BYTES + turn[0].bytes()).contains(&taken));
        assert_eq!(inbox.queued_bytes(), full - taken);
        assert_eq!(inbox.try_push(chunk()).unwrap(), None, "the owner knows");
    }

    #[test]
    fn chunks_go_to_one_taker_at_a_time_and_each_hears_of_what_there_is() {
        let inbox = Inbox::new(Arc::default());
        let taken = |taker| {
            let mut turn = Vec::new();
            inbox.take(taker, usize::MAX, &mut turn);
            turn.len()
        };
        inbox.try_push(chunk()).unwrap();
        assert!(
            inbox.hand_to(Taker::Stage),
            "one was there, and only the owner knows"
        );
        assert!(!inbox.hand_to(Taker::Stage), "the stage knows");
        assert_eq!((taken(Taker::Owner), taken(Taker::Stage)), (0, 1));
        assert_eq!(inbox.try_push(chunk()).unwrap(), Some(Taker::Stage));
        assert_eq!(taken(Taker::Stage), 1);
        assert!(!inbox.hand_to(Taker::Owner));
        assert_eq!(inbox.push_any(chunk()).unwrap(), Some(Taker::Owner));
        inbox.close();
        assert!(inbox.push_any(chunk()).is_err());
    }

    #[tokio::test]
    async fn all_inboxes_together_are_bounded_and_an_empty_one_takes_a_chunk() {
        let all = Arc::new(InboxMemory::default());
        let inboxes: Vec<_> = (0..40).map(|_| Inbox::new(Arc::clone(&all))).collect();
        let filled: usize = inboxes.iter().map(fill).sum();
        let most = ALL_INBOXES_MAX_BYTES + inboxes.len() * 2 * CHUNK_BYTES;
        assert!(
            (ALL_INBOXES_MAX_BYTES - CHUNK_BYTES..most).contains(&all.bytes()),
            "{}",
            all.bytes()
        );
        assert!(filled < inboxes.len() * (INBOX_MAX_BYTES / CHUNK_BYTES - 1));
        let lone = Inbox::new(Arc::clone(&all));
        assert!(lone.try_push(chunk()).is_ok(), "others do not lock it out");
        let mut waiting = Box::pin(lone.push(chunk()));
        assert!(futures_util::FutureExt::now_or_never(waiting.as_mut()).is_none());
        for inbox in &inboxes {
            inbox.take(Taker::Owner, usize::MAX, &mut Vec::new());
        }
        waiting.await.unwrap();
        lone.close();
        assert_eq!(all.bytes(), 0);
    }
}
