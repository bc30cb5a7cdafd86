//! What is counted while the broker works: plain atomics, read when somebody asks.
//!
//! Nothing here waits or allocates once it is made. Numbers are written with relaxed ordering: a scrape sees each of them
//! right, but not all of them of the same instant.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        if more > 0 {
            self.0.fetch_add(more, Ordering::Relaxed);
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down. Cheap to clone: clones are the same gauge.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Changes the number by the difference.
    pub(crate) fn add(&self, difference: i64) {
        self.0.fetch_add(difference, Ordering::Relaxed);
    }

    /// Makes it this number, whoever changed it before.
    pub(crate) fn set(&self, number: u64) {
        self.0
            .store(i64::try_from(number).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Counts one more until the guard is dropped.
    pub(crate) fn hold(&self) -> Held {
        self.add(1);
        Held(self.clone())
    }

    /// The number. Threads that pass one another can make it negative for a moment; that reads as zero.
    pub(crate) fn get(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or_default()
    }
}

/// One that a [`Gauge`] counts.
#[derive(Debug)]
pub(crate) struct Held(Gauge);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

/// Upper bounds of a histogram's buckets, in whole units of what is observed.
#[derive(Debug)]
pub(crate) struct Buckets {
    bounds: &'static [u64],
    /// Observed units in one shown unit.
    divisor: f64,
}

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// Times from 10 µs to 10 s: observed in nanoseconds, shown in seconds.
pub(crate) const TIMES: Buckets = Buckets {
    bounds: &[
        10 * MICROSECOND,
        25 * MICROSECOND,
        50 * MICROSECOND,
        100 * MICROSECOND,
        250 * MICROSECOND,
        500 * MICROSECOND,
        MILLISECOND,
        2 * MILLISECOND + 500 * MICROSECOND,
        5 * MILLISECOND,
        10 * MILLISECOND,
        25 * MILLISECOND,
        50 * MILLISECOND,
        100 * MILLISECOND,
        250 * MILLISECOND,
        500 * MILLISECOND,
        SECOND,
        2 * SECOND + 500 * MILLISECOND,
        5 * SECOND,
        10 * SECOND,
    ],
    divisor: 1e9,
};

/// Records of a batch or a sync.
pub(crate) const RECORDS: Buckets = Buckets {
    bounds: &[
        1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 65536,
    ],
    divisor: 1.0,
};

/// Bytes of a batch.
pub(crate) const SIZES: Buckets = Buckets {
    bounds: &[
        256,
        1 << 10,
        4 << 10,
        16 << 10,
        64 << 10,
        256 << 10,
        1 << 20,
        4 << 20,
        16 << 20,
        64 << 20,
    ],
    divisor: 1.0,
};

/// How observations spread over fixed buckets.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: &'static Buckets,
    /// One for each bound, and one for what is above them.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    pub(crate) fn new(buckets: &'static Buckets) -> Self {
        let counts = (0..=buckets.bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self {
            buckets,
            counts,
            sum: AtomicU64::new(0),
        }
    }

    /// Takes note of one observation, in the unit of the buckets.
    pub(crate) fn observe(&self, value: u64) {
        let index = self.buckets.bounds.partition_point(|&bound| bound < value);
        if let Some(count) = self.counts.get(index) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Takes note of a time; for buckets in nanoseconds.
    pub(crate) fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// What was observed so far.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut total = 0u64;
        let mut below = Vec::with_capacity(self.buckets.bounds.len());
        let mut counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        for (&bound, count) in self.buckets.bounds.iter().zip(&mut counts) {
            total = total.saturating_add(count);
            below.push((self.shown(bound), total));
        }
        let above: u64 = counts.sum();
        Snapshot {
            below,
            count: total.saturating_add(above),
            sum: self.shown(self.sum.load(Ordering::Relaxed)),
        }
    }

    fn shown(&self, observed: u64) -> f64 {
        observed as f64 / self.buckets.divisor
    }
}

/// A histogram as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Snapshot {
    /// Upper bounds, and how many observations were at most that.
    pub(crate) below: Vec<(f64, u64)>,
    /// All observations.
    pub(crate) count: u64,
    /// Their sum.
    pub(crate) sum: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_counts_in_the_first_bucket_that_holds_it_and_in_all_above() {
        let histogram = Histogram::new(&RECORDS);
        for value in [0, 1, 2, 3, 65_536, 65_537] {
            histogram.observe(value);
        }
        let snapshot = histogram.snapshot();
        let at = |bound: f64| {
            let found = snapshot.below.iter().find(|(upper, _)| *upper == bound);
            found.map(|(_, count)| *count)
        };
        assert_eq!((at(1.0), at(2.0), at(4.0)), (Some(2), Some(3), Some(4)));
        assert_eq!((at(16_384.0), at(65_536.0)), (Some(4), Some(5)));
        assert_eq!((snapshot.count, snapshot.sum), (6, 131_079.0));
    }

    #[test]
    fn times_are_shown_in_seconds() {
        let histogram = Histogram::new(&TIMES);
        histogram.observe_time(Duration::from_millis(1));
        histogram.observe_time(Duration::from_secs(30));
        let snapshot = histogram.snapshot();
        assert!(snapshot.below.contains(&(0.0005, 0)) && snapshot.below.contains(&(0.001, 1)));
        assert_eq!(snapshot.below.last(), Some(&(10.0, 1)));
        assert_eq!((snapshot.count, snapshot.sum), (2, 30.001));
    }

    #[test]
    fn the_bounds_of_all_buckets_rise() {
        for buckets in [&TIMES, &RECORDS, &SIZES] {
            assert!(buckets.bounds.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn what_a_gauge_holds_goes_with_its_guard() {
        let gauge = Gauge::default();
        let (first, second) = (gauge.hold(), gauge.hold());
        assert_eq!(gauge.get(), 2);
        drop(first);
        assert_eq!(gauge.get(), 1);
        drop(second);
        gauge.add(-1);
        assert_eq!(gauge.get(), 0);
    }
}
