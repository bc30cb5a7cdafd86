//! What waits to be written to a connection.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::pool;
use super::wire::{Outgoing, Wire};

/// The first buffer that gathers small pieces for a busy connection.
const SMALL_BUFFER: usize = 4 * 1024;
/// A buffer that is at least this full is queued as it is, others are copied together.
const WORTH_MOVING: usize = pool::BUFFER_SIZE / 2;

/// The queue between those who publish and the socket. At most one writer at a time holds the socket; the lock is held to
/// exchange buffers, never while writing.
#[derive(Debug)]
pub(crate) struct Outbound {
    state: Mutex<State>,
    max_pending: usize,
    /// There is room again, or the socket was given up.
    relieved: Notify,
}

#[derive(Debug)]
struct State {
    queued: VecDeque<Vec<u8>>,
    /// Bytes queued or with the writer.
    pending: usize,
    /// Somebody writes. What is queued meanwhile is found by that writer before it stops.
    writing: bool,
    /// The cipher has something to say of its own.
    nudged: bool,
    /// Gone once the connection is closed; the socket closes with its last user.
    wire: Option<Arc<Wire>>,
}

/// The right to write, and what to write.
#[derive(Debug)]
pub(crate) struct Writing {
    pub(super) wire: Arc<Wire>,
    pub(super) outgoing: Outgoing,
}

/// The queue is longer than the connection may have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow;

impl Outbound {
    pub(crate) fn new(wire: Arc<Wire>, max_pending: usize) -> Self {
        let state = State {
            queued: VecDeque::new(),
            pending: 0,
            writing: false,
            nudged: false,
            wire: Some(wire),
        };
        Self {
            state: Mutex::new(state),
            max_pending,
            relieved: Notify::new(),
        }
    }

    /// Queues the bytes and leaves the buffer empty. To a closed connection nothing is queued.
    pub(crate) fn push(&self, bytes: &mut Vec<u8>) -> Result<(), Overflow> {
        let mut state = self.state.lock();
        if state.wire.is_none() {
            bytes.clear();
            return Ok(());
        }
        let pending = state.pending.saturating_add(bytes.len());
        if pending > self.max_pending {
            bytes.clear();
            return Err(Overflow);
        }
        state.pending = pending;
        if bytes.len() >= WORTH_MOVING || (state.queued.is_empty() && !state.writing) {
            state.queued.push_back(std::mem::take(bytes));
        } else {
            state.gather(bytes);
            bytes.clear();
        }
        Ok(())
    }

    /// The right to write, if there is something to write and nobody does.
    pub(crate) fn begin(&self) -> Option<Writing> {
        let mut state = self.state.lock();
        if state.writing || (state.queued.is_empty() && !state.nudged) {
            return None;
        }
        let wire = state.wire.clone()?;
        state.writing = true;
        state.nudged = false;
        let outgoing = Outgoing::new(std::mem::take(&mut state.queued));
        Some(Writing { wire, outgoing })
    }

    /// Accounts for what was written. True: there is more, which the writer now has; false: it is no longer the writer.
    pub(crate) fn proceed(&self, writing: &mut Writing) -> bool {
        let mut state = self.state.lock();
        let was_stalling = self.is_stalling(state.pending);
        state.pending = state.pending.saturating_sub(writing.outgoing.take_written());
        if was_stalling && !self.is_stalling(state.pending) {
            self.relieved.notify_waiters();
        }
        if !writing.outgoing.buffers.is_empty() {
            return true;
        }
        let open = state.wire.is_some();
        if open && (!state.queued.is_empty() || state.nudged) {
            state.nudged = false;
            std::mem::swap(&mut state.queued, &mut writing.outgoing.buffers);
            return true;
        }
        state.writing = false;
        if open && state.queued.capacity() == 0 {
            // The list's memory serves again.
            state.queued = std::mem::take(&mut writing.outgoing.buffers);
        }
        false
    }

    /// Makes the next writer call the cipher even if nothing is queued.
    pub(crate) fn nudge(&self) {
        self.state.lock().nudged = true;
    }

    /// Forgets the socket and everything queued.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.wire = None;
        state.queued = VecDeque::new();
        state.pending = 0;
        self.relieved.notify_waiters();
    }

    /// Waits until the socket is given up. Cancel safe.
    pub(crate) async fn closed(&self) {
        loop {
            let changed = self.relieved.notified();
            if self.state.lock().wire.is_none() {
                return;
            }
            changed.await;
        }
    }

    /// Whether everything queued is with the kernel.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        !state.writing && state.queued.is_empty()
    }

    /// Bytes that wait.
    pub(crate) fn pending(&self) -> usize {
        self.state.lock().pending
    }

    /// Whether whoever feeds this connection should pause: three quarters of the limit wait.
    pub(crate) fn must_stall(&self) -> bool {
        self.is_stalling(self.pending())
    }

    /// Waits until a stalled connection has room again; the caller bounds the wait. Cancel safe.
    pub(crate) async fn relieved(&self) {
        let relieved = self.relieved.notified();
        if self.must_stall() {
            relieved.await;
        }
    }

    fn is_stalling(&self, pending: usize) -> bool {
        pending > self.max_pending / 4 * 3
    }
}

impl State {
    fn gather(&mut self, bytes: &[u8]) {
        if let Some(last) = self.queued.back_mut()
            && last.capacity() - last.len() >= bytes.len()
        {
            last.extend_from_slice(bytes);
            return;
        }
        // A consumer that is behind gets large buffers, one that is only just busy costs little.
        let mut buffer = if self.queued.is_empty() {
            Vec::with_capacity(SMALL_BUFFER.max(bytes.len()))
        } else {
            pool::take()
        };
        buffer.extend_from_slice(bytes);
        self.queued.push_back(buffer);
    }
}
