//! Memory that many tail caches share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::tail_cache::Tail;

/// Caches that one call looks at when there is too much; the next call goes on from there.
const LOOK_AT: usize = 128;

/// A limit for all tail caches together. Those that were not used for the longest time are emptied first.
#[derive(Debug)]
pub struct TailMemory {
    max_bytes: usize,
    bytes: AtomicUsize,
    /// Caches that hold something, the next to be looked at first.
    holders: Mutex<VecDeque<Weak<Mutex<Tail>>>>,
}

impl TailMemory {
    /// Memory for so many bytes, and a little more while somebody appends.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            bytes: AtomicUsize::new(0),
            holders: Mutex::default(),
        }
    }

    /// Bytes of all caches.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Most of them.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Empties caches, some of them if there are many, while there is too much.
    fn shrink(&self) {
        let mut holders = self.holders.lock();
        for _ in 0..LOOK_AT {
            if self.bytes() <= self.max_bytes {
                return;
            }
            let Some(holder) = holders.pop_front() else { return };
            let Some(tail) = holder.upgrade() else { continue };
            let mut tail = tail.lock();
            if tail.is_used_again() {
                holders.push_back(holder);
            } else {
                self.bytes.fetch_sub(tail.empty(), Ordering::Relaxed);
            }
        }
    }
}

impl Default for TailMemory {
    /// Without a limit of its own.
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

/// A cache's way to its own content and to the memory that it shares.
#[derive(Debug)]
pub(crate) struct SharedTail {
    pub(crate) tail: Arc<Mutex<Tail>>,
    memory: Arc<TailMemory>,
}

impl SharedTail {
    pub(crate) fn new(memory: Arc<TailMemory>) -> Self {
        Self {
            tail: Arc::default(),
            memory,
        }
    }

    /// Changes the content and accounts for it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Tail)) {
        let memory = &self.memory;
        let mut tail = self.tail.lock();
        let before = tail.bytes();
        change(&mut tail);
        // Under the lock: nobody takes away what is not counted yet.
        memory.bytes.fetch_add(tail.bytes(), Ordering::Relaxed);
        memory.bytes.fetch_sub(before, Ordering::Relaxed);
        let is_new = tail.is_new_holder();
        drop(tail);
        if is_new {
            memory.holders.lock().push_back(Arc::downgrade(&self.tail));
        }
        if memory.bytes() > memory.max_bytes {
            memory.shrink();
        }
    }
}

impl Drop for SharedTail {
    fn drop(&mut self) {
        self.change(Tail::clear);
    }
}
