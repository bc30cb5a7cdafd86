//! The clock by which ages are judged, for all who do.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use strandline_core::retention::{AgeClock, Step};
use strandline_core::{Clock, Timestamp};

use crate::metrics::Metrics;

/// Says how old things are without being misled by jumps of the wall clock, and says so when it jumps.
#[derive(Debug)]
pub(crate) struct Ages {
    wall: Arc<dyn Clock>,
    /// The monotonic clock counts from here.
    started: Instant,
    clock: Mutex<AgeClock>,
    metrics: Arc<Metrics>,
}

impl Ages {
    /// A clock that starts now, with the time of the newest record that is stored.
    pub(crate) fn start(wall: Arc<dyn Clock>, newest: Option<Timestamp>, metrics: Arc<Metrics>) -> Self {
        let started = Instant::now();
        let clock = AgeClock::start(wall.now(), started.elapsed(), newest);
        Self {
            wall,
            started,
            clock: Mutex::new(clock),
            metrics,
        }
    }

    /// The time by which ages are judged.
    pub(crate) fn now(&self) -> Timestamp {
        let (wall, monotonic) = (self.wall.now(), self.started.elapsed());
        let mut clock = self.clock.lock();
        let (now, step) = clock.now(wall, monotonic);
        let distrusted = clock.distrusted(wall, monotonic);
        drop(clock);
        self.metrics.retention.clock_distrusted.set(distrusted.as_secs());
        if let Some(step) = step {
            report(step);
        }
        now
    }
}

fn report(step: Step) {
    match step {
        Step::Ahead(by) => tracing::warn!(?by, believed_in = ?AgeClock::CONFIRMATION,
            "the wall clock is far ahead of the running time since the newest record or since it was read last; until it has \
             stayed there, retention and compaction judge ages as if it were not"),
        Step::Back(by) => tracing::warn!(
            ?by,
            "the wall clock has gone back; retention and compaction follow it, so that records are kept longer"
        ),
        Step::Believed => tracing::info!("the wall clock is believed again"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// A wall clock that runs with the test's time and jumps when it is told to.
    #[derive(Debug)]
    struct Wall {
        started: Instant,
        ahead_seconds: AtomicI64,
    }

    impl Clock for Wall {
        fn now(&self) -> Timestamp {
            let ahead = self.ahead_seconds.load(Ordering::Relaxed) * 1_000_000_000;
            Timestamp::from_nanos(ahead).plus(self.started.elapsed())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_is_shown_until_it_is_believed() {
        let wall = Arc::new(Wall {
            started: Instant::now(),
            ahead_seconds: AtomicI64::new(0),
        });
        let metrics = Metrics::new();
        let ages = Ages::start(Arc::clone(&wall) as Arc<dyn Clock>, None, Arc::clone(&metrics));
        let shown = || metrics.retention.clock_distrusted.get();
        tokio::time::advance(DAY).await;
        assert_eq!((ages.now(), shown()), (Timestamp::ZERO.plus(DAY), 0));
        wall.ahead_seconds.store(1_000_000, Ordering::Relaxed);
        assert_eq!((ages.now(), shown()), (Timestamp::ZERO.plus(DAY), 1_000_000));
        tokio::time::advance(DAY).await;
        assert_eq!((ages.now(), shown()), (wall.now(), 0));
    }
}
