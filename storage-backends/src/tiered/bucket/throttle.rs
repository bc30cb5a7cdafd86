//! How fast all partitions of a broker together may upload.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

/// Bytes a second that uploads may take; shared by everybody who uploads.
#[derive(Debug)]
pub struct Throttle {
    state: Mutex<Meter>,
    begin: Instant,
}

impl Throttle {
    /// A limit; none = no limit. A limit of 0 is taken for 1 byte a second.
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        Self {
            state: Mutex::new(Meter::new(bytes_per_second)),
            begin: Instant::now(),
        }
    }

    /// Changes the limit from now on.
    pub fn set_rate(&self, bytes_per_second: Option<u64>) {
        let mut meter = self.state.lock();
        meter.bytes_per_second = bytes_per_second;
    }

    /// Waits until so many bytes may go. Cancelled, they count as gone.
    pub async fn take(&self, bytes: u64) {
        let wait = self.state.lock().take(bytes, self.begin.elapsed());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }
}

/// The arithmetic of the throttle: at which time everything that was let through will have been sent at the given speed.
#[derive(Clone, Copy, Debug)]
struct Meter {
    bytes_per_second: Option<u64>,
    sent_at: Duration,
}

impl Meter {
    /// What may go at once after a rest.
    const BURST: Duration = Duration::from_millis(500);

    fn new(bytes_per_second: Option<u64>) -> Self {
        Self {
            bytes_per_second,
            sent_at: Duration::ZERO,
        }
    }

    /// Counts bytes, and says how long their sender has to wait first.
    fn take(&mut self, bytes: u64, now: Duration) -> Duration {
        let Some(rate) = self.bytes_per_second else {
            return Duration::ZERO;
        };
        let wait = self.sent_at.saturating_sub(now);
        let cost = Duration::try_from_secs_f64(bytes as f64 / rate.max(1) as f64).unwrap_or(Duration::MAX);
        let from = self.sent_at.max(now.saturating_sub(Self::BURST));
        self.sent_at = from.saturating_add(cost);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn over_time_no_more_goes_than_the_rate_allows() {
        let mut meter = Meter::new(Some(1000));
        let (mut now, mut sent) = (10 * SECOND, 0);
        for _ in 0..100 {
            now += meter.take(500, now);
            sent += 500;
        }
        let longest = Duration::from_secs(sent / 1000);
        assert!(now >= 10 * SECOND + longest - 2 * SECOND, "{now:?}");
        assert!(now <= 10 * SECOND + longest, "{now:?}");
    }

    #[test]
    fn a_rest_is_not_saved_for_later() {
        let mut meter = Meter::new(Some(1000));
        meter.take(1, Duration::ZERO);
        let late = 1000 * SECOND;
        meter.take(1000, late);
        assert!(meter.take(1, late) >= SECOND / 2);
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let mut meter = Meter::new(None);
        assert_eq!(meter.take(u64::MAX, Duration::ZERO), Duration::ZERO);
        assert_eq!(meter.take(u64::MAX, Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_limit_of_nothing_and_endless_sizes_are_survived() {
        let mut meter = Meter::new(Some(0));
        meter.take(u64::MAX, SECOND);
        assert!(meter.take(u64::MAX, SECOND) > SECOND);
    }
}
