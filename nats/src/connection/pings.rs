//! When to ask a silent client whether it is still there.

use std::time::{Duration, Instant};

/// The first ping, which also tells a monitoring reader the round trip time, comes this soon.
const FIRST_PING: Duration = Duration::from_secs(2);
/// A client that is never silent is asked anyway this often.
const REMEASURE: Duration = Duration::from_secs(3600);

/// The keep-alive state of one connection.
#[derive(Debug)]
pub(crate) struct Pings {
    interval: Duration,
    max_outstanding: u32,
    outstanding: u32,
    last_activity: Option<Instant>,
    measured: Option<Instant>,
    next: Instant,
}

/// What to do at the appointed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    Quiet,
    Ping,
    Stale,
}

impl Pings {
    /// `jitter` of 0 to 1 spreads the first pings of clients that came together.
    pub(crate) fn new(interval: Duration, max_outstanding: u32, now: Instant, jitter: f64) -> Self {
        let first = interval.min(FIRST_PING);
        let first = first + first.mul_f64(jitter.clamp(0.0, 1.0) / 5.0);
        Self {
            interval,
            max_outstanding,
            outstanding: 0,
            last_activity: None,
            measured: None,
            next: now + first,
        }
    }

    /// When [`tick`](Self::tick) is due.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// The client did something.
    pub(crate) fn active(&mut self, now: Instant) {
        self.last_activity = Some(now);
    }

    /// The client answered. An unprompted answer saves nobody.
    pub(crate) fn answered(&mut self, now: Instant) {
        if self.outstanding > 0 {
            self.measured = Some(now);
        }
        self.outstanding = 0;
    }

    /// The time has come.
    pub(crate) fn tick(&mut self, now: Instant) -> Tick {
        if now < self.next {
            return Tick::Quiet;
        }
        self.next = now + self.interval;
        let within =
            |moment: Option<Instant>, span| moment.is_some_and(|moment| now.duration_since(moment) < span);
        if within(self.measured, REMEASURE) && within(self.last_activity, self.interval) {
            return Tick::Quiet;
        }
        if self.outstanding >= self.max_outstanding {
            return Tick::Stale;
        }
        self.outstanding += 1;
        Tick::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(50);

    fn pings(start: Instant) -> Pings {
        Pings::new(INTERVAL, 2, start, 0.0)
    }

    #[test]
    fn a_silent_client_sees_two_pings_and_is_stale() {
        let start = Instant::now();
        let mut pings = pings(start);
        assert_eq!(pings.tick(start), Tick::Quiet, "too early");
        let ticks: Vec<Tick> = (1..=3)
            .map(|number| pings.tick(start + INTERVAL * number))
            .collect();
        assert_eq!(ticks, [Tick::Ping, Tick::Ping, Tick::Stale]);
    }

    #[test]
    fn unprompted_answers_do_not_postpone_a_ping() {
        let start = Instant::now();
        let mut pings = pings(start);
        (0..100).for_each(|_| pings.answered(start + INTERVAL / 2));
        assert_eq!(pings.tick(start + INTERVAL), Tick::Ping);
    }

    #[test]
    fn activity_suppresses_pings_once_the_round_trip_is_known() {
        let start = Instant::now();
        let mut pings = pings(start);
        pings.active(start + INTERVAL / 2);
        assert_eq!(
            pings.tick(start + INTERVAL),
            Tick::Ping,
            "round trip not known yet"
        );
        pings.answered(start + INTERVAL);
        pings.active(start + INTERVAL * 3 / 2);
        assert_eq!(pings.tick(start + INTERVAL * 2), Tick::Quiet);
        assert_eq!(pings.tick(start + INTERVAL * 3), Tick::Ping);
        pings.active(start + INTERVAL * 3 + INTERVAL / 2);
        assert_eq!(pings.tick(start + INTERVAL * 4 + INTERVAL), Tick::Ping);
    }

    #[test]
    fn the_first_ping_comes_early_and_spread() {
        let start = Instant::now();
        let minutes = Duration::from_secs(120);
        assert_eq!(Pings::new(minutes, 2, start, 0.0).next(), start + FIRST_PING);
        assert_eq!(
            Pings::new(minutes, 2, start, 1.0).next(),
            start + FIRST_PING + FIRST_PING / 5
        );
    }
}
