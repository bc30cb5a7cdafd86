//! When a call is tried again: a decision from numbers, without clock and randomness of its own.

use std::time::Duration;

/// The first wait is at most this long; the bound doubles with every try.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The tries of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    tries_left: u32,
    deadline: Duration,
    bound: Duration,
}

impl Retry {
    /// A call that may be tried so often until `deadline` has passed since its beginning.
    pub(super) fn new(tries: u32, deadline: Duration) -> Self {
        Self {
            tries_left: tries.saturating_sub(1),
            deadline,
            bound: FIRST_WAIT,
        }
    }

    /// How long to wait before the next try; none when there is none. `chance` is a random number: the wait is spread evenly from
    /// nothing to its bound, so that many callers do not come back together.
    pub(super) fn next(&mut self, elapsed: Duration, chance: u32) -> Option<Duration> {
        self.tries_left = self.tries_left.checked_sub(1)?;
        let wait = self.bound.mul_f64(f64::from(chance) / f64::from(u32::MAX));
        self.bound = (self.bound * 2).min(LONGEST_WAIT);
        (elapsed + wait < self.deadline).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn waits_grow_up_to_their_bound_and_end_with_the_tries() {
        let mut retry = Retry::new(12, 100 * MINUTE);
        let waits: Vec<_> = std::iter::from_fn(|| retry.next(Duration::ZERO, u32::MAX)).collect();
        assert_eq!(waits.len(), 11);
        assert_eq!(waits[..3], [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]);
        assert_eq!(waits[10], LONGEST_WAIT);
    }

    #[test]
    fn a_wait_can_be_anything_up_to_its_bound() {
        assert_eq!(
            Retry::new(2, MINUTE).next(Duration::ZERO, 0),
            Some(Duration::ZERO)
        );
        let half = Retry::new(2, MINUTE).next(Duration::ZERO, u32::MAX / 2).unwrap();
        assert!(half < FIRST_WAIT * 51 / 100 && half > FIRST_WAIT * 49 / 100);
    }

    #[test]
    fn nothing_is_tried_after_the_deadline_or_more_often_than_asked() {
        assert_eq!(Retry::new(9, MINUTE).next(MINUTE, 0), None);
        assert_eq!(Retry::new(1, MINUTE).next(Duration::ZERO, 0), None);
        assert_eq!(Retry::new(0, MINUTE).next(Duration::ZERO, 0), None);
    }
}
