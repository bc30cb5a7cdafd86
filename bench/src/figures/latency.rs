//! How long things took.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Shortest and longest time that is told apart from others, in nanoseconds.
const RANGE: (u64, u64) = (100, 600_000_000_000);

/// A distribution of times, exact to three digits.
#[derive(Clone, Debug)]
pub struct Latency(Option<Histogram<u64>>);

impl Default for Latency {
    fn default() -> Self {
        // The bounds are sound; were they not, nothing would be recorded.
        Self(Histogram::new_with_bounds(RANGE.0, RANGE.1, 3).ok())
    }
}

impl Latency {
    /// Counts so many things that took so long.
    pub(crate) fn record(&mut self, time: Duration, count: u64) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record_n(nanos.max(RANGE.0), count);
        }
    }

    /// Takes in what another has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        if let (Some(histogram), Some(other)) = (&mut self.0, &other.0) {
            // Both have the same bounds.
            let _ = histogram.add(other);
        }
    }

    /// The time within which this share of things was done; none when nothing was counted.
    pub fn within(&self, share: f64) -> Option<Duration> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        Some(Duration::from_nanos(histogram.value_at_quantile(share)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        let mut latency = Latency::default();
        assert_eq!(latency.within(0.5), None);
        latency.record(Duration::from_micros(100), 98);
        let mut slow = Latency::default();
        slow.record(Duration::from_millis(50), 2);
        latency.merge(&slow);
        let close = |share: f64, expected: u128| {
            let micros = latency.within(share).unwrap().as_micros();
            assert!(
                micros.abs_diff(expected) * 500 <= expected,
                "{micros} for {expected}"
            );
        };
        close(0.5, 100);
        close(0.98, 100);
        close(0.99, 50_000);
    }
}
