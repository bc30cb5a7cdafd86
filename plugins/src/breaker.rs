//! Leaves a plugin alone that keeps failing.

use std::time::{Duration, Instant};

/// When the breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// So many bad batches open it; 0: never.
    pub failures: u32,
    /// Of so many last ones; 32 at the most.
    pub window: u32,
    /// How long it stays open before a batch may try again.
    pub cool_down: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            window: 10,
            cool_down: Duration::from_secs(10),
        }
    }
}

/// What a breaker does with the next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// The plugin is asked.
    Closed,
    /// The plugin is not asked; every record fails at once.
    Open,
    /// One batch is trying whether the plugin works again; the others fail at once.
    HalfOpen,
}

/// A batch that may be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admission(u64);

/// The state of a breaker. Time comes from outside.
///
/// A batch is *bad* when its budget ended before everything was known, or when calls failed for at least half of its records.
/// A poison record among good ones does not make it bad: it costs itself and what finding it takes.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: State,
    /// A bit for each of the last batches, the newest lowest; 1: bad.
    history: u32,
    /// Counts changes of the state. What a batch from before a change brings home is not news any more.
    generation: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    OpenUntil(Instant),
    HalfOpen,
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            state: State::Closed,
            history: 0,
            generation: 0,
        }
    }

    /// Whether a batch may be asked about now. Every admission is answered by [`Breaker::settle`].
    pub(crate) fn admit(&mut self, now: Instant) -> Option<Admission> {
        match self.state {
            State::Closed => {}
            State::OpenUntil(until) if now >= until => self.change(State::HalfOpen),
            State::OpenUntil(_) | State::HalfOpen => return None,
        }
        Some(Admission(self.generation))
    }

    /// What has become of the batch. True when that opens the breaker.
    pub(crate) fn settle(&mut self, admission: Admission, now: Instant, is_bad: bool) -> bool {
        if admission.0 != self.generation {
            return false;
        }
        self.history = (self.history << 1) | u32::from(is_bad);
        let opens = match self.state {
            State::HalfOpen => is_bad,
            _ => self.settings.failures > 0 && self.bad_batches() >= self.settings.failures,
        };
        if opens {
            self.change(State::OpenUntil(now + self.settings.cool_down));
        } else if self.state == State::HalfOpen {
            self.change(State::Closed);
        }
        opens
    }

    /// What the next batch would meet.
    pub(crate) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::OpenUntil(_) => BreakerState::Open,
            State::HalfOpen => BreakerState::HalfOpen,
        }
    }

    fn bad_batches(&self) -> u32 {
        let window = u32::MAX >> (32 - self.settings.window.clamp(1, 32));
        (self.history & window).count_ones()
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.history = 0;
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOL_DOWN: Duration = Duration::from_secs(10);

    fn breaker(failures: u32, window: u32) -> Breaker {
        Breaker::new(BreakerSettings {
            failures,
            window,
            cool_down: COOL_DOWN,
        })
    }

    /// Sends a batch through.
    fn batch(breaker: &mut Breaker, now: Instant, is_bad: bool) -> bool {
        let admission = breaker.admit(now).expect("closed");
        breaker.settle(admission, now, is_bad)
    }

    #[test]
    fn opens_at_so_many_bad_batches_of_the_last_ones() {
        let now = Instant::now();
        let mut breaker = breaker(3, 5);
        for is_bad in [true, false, true, false, false, false] {
            assert!(!batch(&mut breaker, now, is_bad));
        }
        // The first two have left the window.
        assert!(!batch(&mut breaker, now, true));
        assert!(!batch(&mut breaker, now, true));
        assert!(batch(&mut breaker, now, true));
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.admit(now + COOL_DOWN / 2), None);
    }

    #[test]
    fn lets_one_batch_try_after_the_cool_down() {
        let start = Instant::now();
        let mut breaker = breaker(1, 1);
        assert!(batch(&mut breaker, start, true));
        let later = start + COOL_DOWN;
        let probe = breaker.admit(later).expect("half-open");
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert_eq!(breaker.admit(later), None, "one at a time");
        assert!(breaker.settle(probe, later, true), "opens again");
        assert_eq!(breaker.admit(later + COOL_DOWN / 2), None);
        let probe = breaker.admit(later + COOL_DOWN).expect("half-open");
        assert!(!breaker.settle(probe, later + COOL_DOWN, false));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_batch_from_before_it_opened_does_not_close_it() {
        let now = Instant::now();
        let mut breaker = breaker(1, 1);
        let slow = breaker.admit(now).expect("closed");
        assert!(batch(&mut breaker, now, true));
        assert!(!breaker.settle(slow, now, false));
        assert_eq!(breaker.state(), BreakerState::Open);
        let probe = breaker.admit(now + COOL_DOWN).expect("half-open");
        assert!(!breaker.settle(slow, now, false));
        assert_eq!(breaker.state(), BreakerState::HalfOpen, "only the probe says");
        assert!(!breaker.settle(probe, now, false));
    }

    #[test]
    fn zero_failures_never_open_it() {
        let now = Instant::now();
        let mut breaker = breaker(0, 32);
        for _ in 0..100 {
            assert!(!batch(&mut breaker, now, true));
        }
    }
}
