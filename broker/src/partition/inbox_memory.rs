//! Memory that the inboxes of one appender share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Memory that may wait in all inboxes together. An inbox that is empty takes one chunk all the same, so that partitions
/// whose publishers are in a hurry cannot lock out the others.
pub(crate) const ALL_INBOXES_MAX_BYTES: usize = 128 << 20;

/// What waits in all inboxes, and who waits for it to become less.
#[derive(Debug, Default)]
pub(super) struct InboxMemory {
    bytes: AtomicUsize,
    /// Whether somebody has found no room since somebody was woken last.
    is_wanted: AtomicBool,
    room: Notify,
}

impl InboxMemory {
    /// Counts so many bytes if they fit or have to be taken.
    pub(super) fn take(&self, bytes: usize, in_any_case: bool) -> bool {
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        if in_any_case || before + bytes <= ALL_INBOXES_MAX_BYTES {
            return true;
        }
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        // Room that is made just now may go unnoticed. The inbox that wants it is not empty, so its own turn comes anyway.
        self.is_wanted.store(true, Ordering::Release);
        false
    }

    /// Bytes wait no longer.
    pub(super) fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if self.is_wanted.load(Ordering::Acquire) && self.bytes() < ALL_INBOXES_MAX_BYTES {
            self.is_wanted.store(false, Ordering::Release);
            self.room.notify_waiters();
        }
    }

    /// Where to wait until there may be room again.
    pub(super) fn room(&self) -> &Notify {
        &self.room
    }

    /// Bytes that wait in all inboxes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }
}
