//! What readers of a partition wait for.

use tokio::sync::watch;

use strandline_core::Offset;

/// How far a partition can be read, and whether it can be at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readable {
    /// First offset that is not committed (HW).
    pub(crate) end: Offset,
    /// Whether more may come.
    pub(crate) state: ReadState,
}

/// Whether a partition serves readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadState {
    /// It does.
    Open,
    /// The stream was deleted.
    Deleted,
    /// The broker is stopping.
    Stopping,
}

/// The writing end, held by the partition's handle.
#[derive(Debug)]
pub(super) struct Watch {
    sender: watch::Sender<Readable>,
}

impl Watch {
    pub(super) fn new(end: Offset) -> Self {
        Self {
            sender: watch::Sender::new(Readable {
                end,
                state: ReadState::Open,
            }),
        }
    }

    /// Moves the high watermark; one wake-up per waiting reader and call.
    pub(super) fn advance(&self, end: Offset) {
        self.sender.send_if_modified(|readable| {
            let moved = end > readable.end;
            readable.end = readable.end.max(end);
            moved
        });
    }

    pub(super) fn close(&self, state: ReadState) {
        self.sender.send_modify(|readable| readable.state = state);
    }

    pub(super) fn now(&self) -> Readable {
        *self.sender.borrow()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Readable> {
        self.sender.subscribe()
    }
}
