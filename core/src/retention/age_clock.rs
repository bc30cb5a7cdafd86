//! The time by which retention and compaction judge ages: the wall clock, but never misled by its jumps.

use std::time::Duration;

use crate::Timestamp;

/// A clock for ages.
///
/// A wall clock that jumps forward makes everything look old, and what is removed by age does not come back when the clock
/// is set right. So this clock advances with a monotonic one and follows a wall clock that is ahead of it only after the
/// wall clock has stayed ahead for [`AgeClock::CONFIRMATION`]. A wall clock that is behind is followed at once: that only
/// keeps records longer. Small differences, as between any two clocks, are followed as they come, slowly.
///
/// A process that starts has nothing to compare its wall clock with but the newest record that is stored. Within
/// [`AgeClock::BELIEVED_GAP`] of it the wall clock is believed; else the broker stood still for long, or the clock has
/// jumped meanwhile, and the age clock starts at that record until the wall clock has stayed where it is.
///
/// A value with one method: both clocks are read by whoever asks.
#[derive(Clone, Debug)]
pub struct AgeClock {
    /// Wall clock minus monotonic clock, as believed: what is above is not followed. Nanoseconds.
    believed: i64,
    /// The last reading of the monotonic clock.
    at: Duration,
    doubt: Option<Doubt>,
}

/// The wall clock has left what is believed.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    since: Duration,
    /// The wall clock minus the monotonic one that is closest to what is believed since then.
    closest: i64,
}

/// What the wall clock was found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It has jumped forward by so much; ages are judged as if it had not.
    Ahead(Duration),
    /// It has jumped back by so much; ages follow it.
    Back(Duration),
    /// It has stayed after a jump and is believed from now on, or it is back where it was.
    Believed,
}

impl AgeClock {
    /// How long a wall clock that has jumped has to stay before it is believed.
    pub const CONFIRMATION: Duration = Duration::from_secs(24 * 3600);
    /// How far behind the newest stored record may be at start.
    pub const BELIEVED_GAP: Duration = Duration::from_secs(24 * 3600);
    /// Differences up to here are no jump.
    pub const TOLERANCE: Duration = Duration::from_secs(60);
    /// The clock gains on the monotonic one at most one part in so many.
    const SLOWNESS: i64 = 10;

    /// The clock of a process that starts, with the time of the newest record that is stored.
    pub fn start(wall: Timestamp, monotonic: Duration, newest: Option<Timestamp>) -> Self {
        let is_far = newest.filter(|&newest| wall.since(newest) > Self::BELIEVED_GAP);
        Self {
            believed: difference(is_far.unwrap_or(wall), monotonic),
            at: monotonic,
            doubt: None,
        }
    }

    /// The time to judge ages by, and what happened to the wall clock if that is news.
    pub fn now(&mut self, wall: Timestamp, monotonic: Duration) -> (Timestamp, Option<Step>) {
        let elapsed = nanos(monotonic.saturating_sub(self.at));
        self.at = self.at.max(monotonic);
        let shown = difference(wall, monotonic);
        let ahead = shown.saturating_sub(self.believed);
        let step = if ahead.unsigned_abs() <= Self::TOLERANCE.as_nanos() as u64 {
            self.believed = self.believed.saturating_add(ahead.min(elapsed / Self::SLOWNESS));
            self.doubt.take().map(|_| Step::Believed)
        } else {
            self.doubt(shown, ahead, monotonic)
        };
        let followed = self.believed.min(shown);
        (
            Timestamp::from_nanos(nanos(monotonic).saturating_add(followed)),
            step,
        )
    }

    /// How far the wall clock is ahead of what ages are judged by, as of now.
    pub fn distrusted(&self, wall: Timestamp, monotonic: Duration) -> Duration {
        let ahead = difference(wall, monotonic).saturating_sub(self.believed);
        Duration::from_nanos(u64::try_from(ahead).unwrap_or(0))
    }

    fn doubt(&mut self, shown: i64, ahead: i64, monotonic: Duration) -> Option<Step> {
        // On the other side of what is believed a doubt begins anew.
        let known = self
            .doubt
            .filter(|doubt| (doubt.closest > self.believed) == (ahead > 0));
        let Some(doubt) = known else {
            self.doubt = Some(Doubt {
                since: monotonic,
                closest: shown,
            });
            let size = Duration::from_nanos(ahead.unsigned_abs());
            return Some(if ahead > 0 {
                Step::Ahead(size)
            } else {
                Step::Back(size)
            });
        };
        let closest = if ahead > 0 {
            doubt.closest.min(shown)
        } else {
            doubt.closest.max(shown)
        };
        if monotonic.saturating_sub(doubt.since) < Self::CONFIRMATION {
            self.doubt = Some(Doubt { closest, ..doubt });
            return None;
        }
        self.believed = closest;
        self.doubt = None;
        Some(Step::Believed)
    }
}

fn difference(wall: Timestamp, monotonic: Duration) -> i64 {
    wall.nanos().saturating_sub(nanos(monotonic))
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;
    const YEAR: u64 = 365 * DAY;
    /// When the tests take place.
    const START: u64 = 50 * YEAR;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO.plus(Duration::from_secs(seconds))
    }

    /// A clock that started at `START` beside a record of that time, and what it says so many seconds later, in seconds
    /// since then.
    struct Story(AgeClock);

    impl Story {
        fn begin() -> Self {
            Self(AgeClock::start(at(START), Duration::ZERO, Some(at(START))))
        }

        fn look(&mut self, elapsed: u64, wall: u64) -> (i64, Option<Step>) {
            let (now, step) = self.0.now(at(wall), Duration::from_secs(elapsed));
            ((now.nanos() / 1_000_000_000) - START as i64, step)
        }
    }

    #[test]
    fn a_wall_clock_that_behaves_is_followed() {
        let mut story = Story::begin();
        for hour in 1..100 {
            assert_eq!(
                story.look(hour * HOUR, START + hour * HOUR),
                ((hour * HOUR) as i64, None)
            );
        }
    }

    #[test]
    fn a_jump_forward_that_is_taken_back_never_had_an_effect() {
        let mut story = Story::begin();
        story.look(HOUR, START + HOUR);
        let (now, step) = story.look(2 * HOUR, START + YEAR);
        assert_eq!(now, 2 * HOUR as i64);
        assert!(matches!(step, Some(Step::Ahead(_))));
        assert_eq!(
            story.look(20 * HOUR, START + YEAR + 18 * HOUR),
            (20 * HOUR as i64, None)
        );
        assert_eq!(
            story.look(21 * HOUR, START + 21 * HOUR),
            (21 * HOUR as i64, Some(Step::Believed))
        );
    }

    #[test]
    fn a_jump_forward_that_stays_is_believed_after_a_day() {
        let mut story = Story::begin();
        story.look(HOUR, START + YEAR);
        assert_eq!(
            story.look(24 * HOUR, START + YEAR + 23 * HOUR),
            (24 * HOUR as i64, None)
        );
        let believed = (YEAR + DAY) as i64;
        assert_eq!(
            story.look(25 * HOUR, START + YEAR + DAY),
            (believed, Some(Step::Believed))
        );
    }

    #[test]
    fn a_jump_back_is_followed_at_once_and_the_way_back_needs_no_day() {
        let mut story = Story::begin();
        let (now, step) = story.look(HOUR, START - 3 * DAY);
        assert_eq!(now, -3 * DAY as i64);
        assert!(matches!(step, Some(Step::Back(_))));
        assert_eq!(
            story.look(2 * HOUR, START + 2 * HOUR),
            (2 * HOUR as i64, Some(Step::Believed))
        );
    }

    #[test]
    fn a_jump_back_that_stays_leaves_no_trust_in_where_the_clock_was() {
        let mut story = Story::begin();
        story.look(HOUR, START - YEAR);
        story.look(HOUR + DAY, START - YEAR + DAY);
        let (now, step) = story.look(2 * HOUR + DAY, START + 2 * HOUR + DAY);
        assert_eq!(now, (HOUR + DAY + HOUR) as i64 - (YEAR + HOUR) as i64);
        assert!(matches!(step, Some(Step::Ahead(_))));
    }

    #[test]
    fn many_small_jumps_do_not_add_up() {
        let mut story = Story::begin();
        for second in 1..1000 {
            let (now, _) = story.look(second, START + 50 * second);
            assert!(now <= (second + second / 10 + 1) as i64, "{now} after {second}");
        }
    }

    #[test]
    fn a_start_long_after_the_newest_record_waits_a_day() {
        let mut clock = AgeClock::start(at(START + YEAR), Duration::ZERO, Some(at(START)));
        let (now, step) = clock.now(at(START + YEAR), Duration::ZERO);
        assert_eq!(now, at(START));
        assert!(matches!(step, Some(Step::Ahead(_))));
        let day = Duration::from_secs(DAY);
        assert_eq!(
            clock.distrusted(at(START + YEAR + DAY), day),
            Duration::from_secs(YEAR)
        );
        assert_eq!(
            clock.now(at(START + YEAR + DAY), day),
            (at(START + YEAR + DAY), Some(Step::Believed))
        );
        for newest in [None, Some(at(START + YEAR - DAY)), Some(at(START + 2 * YEAR))] {
            let mut clock = AgeClock::start(at(START + YEAR), Duration::ZERO, newest);
            assert_eq!(
                clock.now(at(START + YEAR), Duration::ZERO),
                (at(START + YEAR), None)
            );
        }
    }

    proptest! {
        /// Whatever the wall clock does for less than a day, no age is judged higher than it is, but for the tenth by which
        /// small differences are followed.
        #[test]
        fn within_a_day_nothing_looks_older_than_it_is(
            walls in prop::collection::vec((1_u64..600, -3_000_000_i64..100_000_000), 1..100),
        ) {
            let mut story = Story::begin();
            let mut elapsed = 0;
            for (pause, jump) in walls {
                elapsed += pause;
                let wall = (START + elapsed).saturating_add_signed(jump);
                let (now, _) = story.look(elapsed, wall);
                prop_assert!(now <= (elapsed + elapsed / 10 + 1) as i64, "{} after {}", now, elapsed);
            }
        }
    }
}
