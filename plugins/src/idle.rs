//! Instances that nobody uses: how long and how many are kept, over all attachments.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::instance::Instance;
use crate::pool::Pool;

/// What an instance counts for at least: its tables, its stack and what the engine notes about it.
const LEAST_BYTES: u64 = 64 << 10;
/// How often at most all pools are looked through for instances whose time is over.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Bounds what idle instances hold.
#[derive(Debug)]
pub(crate) struct Idle {
    limit: u64,
    time: Duration,
    bytes: AtomicU64,
    pools: Mutex<Vec<Weak<Pool>>>,
    swept: Mutex<Instant>,
}

/// An instance that nobody uses.
pub(crate) struct Parked {
    pub(crate) instance: Instance,
    pub(crate) since: Instant,
    bytes: u64,
}

impl Idle {
    pub(crate) fn new(limit: u64, time: Duration) -> Self {
        Self {
            limit,
            time,
            bytes: AtomicU64::new(0),
            pools: Mutex::default(),
            swept: Mutex::new(Instant::now()),
        }
    }

    pub(crate) fn time(&self) -> Duration {
        self.time
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) == 0
    }

    pub(crate) fn register(&self, pool: &Arc<Pool>) {
        let mut pools = self.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    /// Counts an instance in.
    pub(crate) fn park(&self, instance: Instance, now: Instant) -> Parked {
        let bytes = (instance.memory() as u64).max(LEAST_BYTES);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        let since = now;
        Parked {
            instance,
            since,
            bytes,
        }
    }

    /// Counts it out.
    pub(crate) fn unpark(&self, parked: Parked) -> Instance {
        self.bytes.fetch_sub(parked.bytes, Ordering::SeqCst);
        parked.instance
    }

    /// Drops instances whose time is over; looks for them at most once a second.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut swept = self.swept.lock();
        if now.saturating_duration_since(*swept) < SWEEP_EVERY.min(self.time) {
            return;
        }
        *swept = now;
        drop(swept);
        for pool in self.pools() {
            pool.drop_idle_since(now.checked_sub(self.time));
        }
    }

    /// Drops the longest idle instances when all together hold more than they may, down to three quarters of it.
    pub(crate) fn trim(&self) {
        if self.bytes.load(Ordering::SeqCst) <= self.limit {
            return;
        }
        let mut oldest: Vec<(Instant, Arc<Pool>)> = Vec::new();
        for pool in self.pools() {
            oldest.extend(pool.idle_since().into_iter().map(|since| (since, pool.clone())));
        }
        oldest.sort_by_key(|(since, _)| *since);
        for (since, pool) in oldest {
            if self.bytes.load(Ordering::SeqCst) <= self.limit / 4 * 3 {
                break;
            }
            pool.drop_idle_since(Some(since));
        }
    }

    fn pools(&self) -> Vec<Arc<Pool>> {
        self.pools.lock().iter().filter_map(Weak::upgrade).collect()
    }
}
