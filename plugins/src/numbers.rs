//! What an attachment has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::breaker::BreakerState;
use crate::failure::Cause;

/// Upper bounds of the histogram's buckets; the last bucket takes what is above.
pub const HISTOGRAM_BOUNDS: [Duration; 11] = [
    Duration::from_micros(10),
    Duration::from_micros(30),
    Duration::from_micros(100),
    Duration::from_micros(300),
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
];
const BUCKETS: usize = HISTOGRAM_BOUNDS.len() + 1;

/// What an attachment has done since it was made, but for the last three, which are as they are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Records that it was asked about.
    pub records: u64,
    /// Records that a filter passed.
    pub passed: u64,
    /// Records that a filter dropped.
    pub dropped: u64,
    /// Records that a filter sent to the dead letters.
    pub dead_lettered: u64,
    /// Records that an extractor found a key in.
    pub keyed: u64,
    /// Records that an extractor found no key in.
    pub keyless: u64,
    /// Records without an answer, for whatever reason; the error policy says what has become of them.
    pub failed: u64,
    /// Batches, those that met an open breaker included.
    pub batches: u64,
    /// Calls of the plugin.
    pub calls: u64,
    /// Calls that ended in a trap.
    pub traps: u64,
    /// Calls that did not return in time.
    pub deadlines: u64,
    /// Calls that failed for want of memory.
    pub memory_failures: u64,
    /// Calls with an answer that is none.
    pub malformed: u64,
    /// Instances that could not be made.
    pub failed_starts: u64,
    /// Batches that met an open breaker.
    pub refused_batches: u64,
    /// How often the breaker has opened.
    pub breaker_openings: u64,
    /// Time of all batches that the plugin was asked about.
    pub time: Duration,
    /// How many of them took so long; bounds are [`HISTOGRAM_BOUNDS`].
    pub histogram: [u64; BUCKETS],
    /// Instances, in use and idle.
    pub instances: u64,
    /// Their linear memory in bytes.
    pub memory_bytes: u64,
    /// What the next batch would meet.
    pub breaker: BreakerState,
}

/// The numbers while they are counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) records: AtomicU64,
    pub(crate) passed: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) dead_lettered: AtomicU64,
    pub(crate) keyed: AtomicU64,
    pub(crate) keyless: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) calls: AtomicU64,
    traps: AtomicU64,
    deadlines: AtomicU64,
    memory_failures: AtomicU64,
    malformed: AtomicU64,
    failed_starts: AtomicU64,
    pub(crate) refused_batches: AtomicU64,
    pub(crate) breaker_openings: AtomicU64,
    nanos: AtomicU64,
    histogram: [AtomicU64; BUCKETS],
    /// Picoseconds that a record takes, averaged over the last batches; 0 before the first.
    pace: AtomicU64,
}

impl Counters {
    /// A call that failed.
    pub(crate) fn failed_call(&self, cause: Cause) {
        let counter = match cause {
            Cause::Deadline => &self.deadlines,
            Cause::Memory => &self.memory_failures,
            Cause::Malformed => &self.malformed,
            Cause::Start => &self.failed_starts,
            _ => &self.traps,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// A batch of so many records that took so long.
    pub(crate) fn took(&self, records: usize, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Relaxed);
        let bucket = HISTOGRAM_BOUNDS.iter().filter(|bound| time > **bound).count();
        self.histogram[bucket].fetch_add(1, Relaxed);
        let pace = (nanos.saturating_mul(1_000) / (records as u64).max(1)).max(1);
        let before = self.pace.load(Relaxed);
        let after = if before == 0 {
            pace
        } else {
            before - before / 8 + pace / 8
        };
        self.pace.store(after, Relaxed);
    }

    /// So many records take about this time; none before the first batch.
    pub(crate) fn records_in(&self, time: Duration) -> Option<usize> {
        let pace = self.pace.load(Relaxed);
        let records = time
            .as_nanos()
            .saturating_mul(1_000)
            .checked_div(u128::from(pace))?;
        Some(usize::try_from(records).unwrap_or(usize::MAX))
    }

    /// As they are now.
    pub(crate) fn numbers(&self, instances: usize, memory_bytes: u64, breaker: BreakerState) -> Numbers {
        Numbers {
            records: self.records.load(Relaxed),
            passed: self.passed.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            dead_lettered: self.dead_lettered.load(Relaxed),
            keyed: self.keyed.load(Relaxed),
            keyless: self.keyless.load(Relaxed),
            failed: self.failed.load(Relaxed),
            batches: self.batches.load(Relaxed),
            calls: self.calls.load(Relaxed),
            traps: self.traps.load(Relaxed),
            deadlines: self.deadlines.load(Relaxed),
            memory_failures: self.memory_failures.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
            failed_starts: self.failed_starts.load(Relaxed),
            refused_batches: self.refused_batches.load(Relaxed),
            breaker_openings: self.breaker_openings.load(Relaxed),
            time: Duration::from_nanos(self.nanos.load(Relaxed)),
            histogram: std::array::from_fn(|bucket| self.histogram[bucket].load(Relaxed)),
            instances: instances as u64,
            memory_bytes,
            breaker,
        }
    }
}
