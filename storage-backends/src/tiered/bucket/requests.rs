//! How many requests a bucket was asked, by what stores charge for.

use std::sync::atomic::{AtomicU64, Ordering};

/// Requests so far, tries that failed included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Of objects and of what is known of them.
    pub reads: u64,
    /// Of objects and parts.
    pub writes: u64,
    /// Listings; one may be several requests of the store.
    pub lists: u64,
    /// Deletions, which are free of charge as a rule.
    pub deletes: u64,
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    reads: AtomicU64,
    writes: AtomicU64,
    lists: AtomicU64,
    deletes: AtomicU64,
}

impl Counters {
    /// Counts a request by the verb of its action.
    pub(super) fn count(&self, action: &str) {
        let counter = match action {
            "get" | "read" | "look at" => &self.reads,
            "list" => &self.lists,
            "delete" => &self.deletes,
            _ => &self.writes,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Requests {
        Requests {
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            lists: self.lists.load(Ordering::Relaxed),
            deletes: self.deletes.load(Ordering::Relaxed),
        }
    }
}
