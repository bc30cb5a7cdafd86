//! How fast background work reads, and when it stops.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Longest sleep before the work looks again whether it is to stop.
const NAP: Duration = Duration::from_millis(50);

/// A common speed limit of all work that holds a clone of it.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    stopping: CancellationToken,
    /// Bytes a second; none = as fast as it goes.
    max_rate: Option<u64>,
    /// When the next bytes may be taken.
    free: Arc<Mutex<Instant>>,
}

/// The broker is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

impl Pace {
    /// Work that ends with this token. A rate of 0 is no limit.
    pub(crate) fn new(stopping: CancellationToken, max_rate: u64) -> Self {
        Self {
            stopping,
            max_rate: Some(max_rate).filter(|&rate| rate > 0),
            free: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Accounts for bytes that were read; waits until more may be. Blocks the thread.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Stopped> {
        let Some(rate) = self.max_rate else {
            return self.go_on();
        };
        let costs = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let until = {
            let mut free = self.free.lock();
            *free = (*free).max(Instant::now()) + costs;
            *free
        };
        loop {
            self.go_on()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(NAP));
        }
    }

    fn go_on(&self) -> Result<(), Stopped> {
        if self.stopping.is_cancelled() {
            Err(Stopped)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_shares_a_pace_shares_its_rate() {
        let pace = Pace::new(CancellationToken::new(), 1_000_000);
        let begun = Instant::now();
        let other = pace.clone();
        let beside = std::thread::spawn(move || other.take(30_000).unwrap());
        pace.take(30_000).unwrap();
        beside.join().unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(60));
    }

    #[test]
    fn a_stop_ends_the_wait() {
        let token = CancellationToken::new();
        let pace = Pace::new(token.clone(), 1);
        let waiting = std::thread::spawn(move || pace.take(1_000_000));
        token.cancel();
        assert_eq!(waiting.join().unwrap(), Err(Stopped));
    }
}
