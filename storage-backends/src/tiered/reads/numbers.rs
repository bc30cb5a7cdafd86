//! What reading archives has cost so far.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start of the process.
#[derive(Debug, Default)]
pub struct ReadNumbers {
    requests: AtomicU64,
    bytes: AtomicU64,
    memory_hits: AtomicU64,
    disk_hits: AtomicU64,
    misses: AtomicU64,
    failures: AtomicU64,
    damages: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadCounts {
    /// Requests for blocks that were sent, repeated ones included.
    pub requests: u64,
    /// Bytes that they gave.
    pub bytes: u64,
    /// Reads of blocks that were in memory.
    pub memory_hits: u64,
    /// Reads of blocks that were on the disk.
    pub disk_hits: u64,
    /// Reads of blocks that had to be waited for.
    pub misses: u64,
    /// Fetches after which readers were told that the archive does not answer.
    pub failures: u64,
    /// Fetches of what proved damaged or gone.
    pub damages: u64,
}

/// Which counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    MemoryHit,
    DiskHit,
    Miss,
    Failure,
    Damage,
}

impl ReadNumbers {
    /// The counters now.
    pub fn counts(&self) -> ReadCounts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ReadCounts {
            requests: load(&self.requests),
            bytes: load(&self.bytes),
            memory_hits: load(&self.memory_hits),
            disk_hits: load(&self.disk_hits),
            misses: load(&self.misses),
            failures: load(&self.failures),
            damages: load(&self.damages),
        }
    }

    pub(super) fn requested(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn got(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn count(&self, count: Count) {
        let counter = match count {
            Count::MemoryHit => &self.memory_hits,
            Count::DiskHit => &self.disk_hits,
            Count::Miss => &self.misses,
            Count::Failure => &self.failures,
            Count::Damage => &self.damages,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
