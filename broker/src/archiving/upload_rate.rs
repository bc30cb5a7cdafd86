//! How fast segments go to the archive while somebody publishes.
//!
//! An upload at full speed takes processors and the disk from publishers, who feel it, and gains nothing: the next segment takes its
//! time to fill. So uploads go twice as fast as records come in, faster when much is waiting, and as fast as they can when hardly
//! anything comes in.

use std::time::Duration;

use tokio::time::Instant;

/// What comes in at less than this speed is nothing to be considerate of, in bytes a second.
const QUIET: f64 = (1 << 20) as f64;
/// No upload is slowed down below this, in bytes a second.
const LEAST: f64 = (8 << 20) as f64;
/// How many times as fast as records come in they go to the archive.
const TIMES: f64 = 2.0;
/// In this time all that waits has to be gone.
const DRAIN: Duration = Duration::from_secs(10);
/// For so long a change of speed is felt.
const MEMORY: Duration = Duration::from_secs(1);

/// The speed of uploads, from how fast records come in.
#[derive(Debug, Default)]
pub(super) struct UploadRate {
    seen: Option<(Instant, u64)>,
    /// Bytes a second that came in lately.
    incoming: f64,
}

impl UploadRate {
    /// What uploads may take together from now on, in bytes a second; none = as much as they can. `appended` are all bytes that ever
    /// came in, `waiting` those that could be uploaded now.
    pub(super) fn look(&mut self, appended: u64, waiting: u64, now: Instant) -> Option<u64> {
        if let Some((then, before)) = self.seen.replace((now, appended)) {
            let time = now.duration_since(then).as_secs_f64();
            let rate = appended.saturating_sub(before) as f64 / time.max(0.001);
            let share = (time / MEMORY.as_secs_f64()).min(1.0);
            self.incoming += (rate - self.incoming) * share;
        }
        if self.incoming < QUIET {
            return None;
        }
        let wanted = self.incoming * TIMES;
        let needed = waiting as f64 / DRAIN.as_secs_f64();
        Some(wanted.max(needed).max(LEAST) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Ten seconds of looks at a load.
    fn look(speed: &mut UploadRate, begin: Instant, per_second: u64, waiting: u64) -> Option<u64> {
        let at = |half: u64| begin + Duration::from_millis(500 * half);
        (0..20)
            .map(|half| speed.look(per_second * half / 2, waiting, at(half)))
            .last()
            .flatten()
    }

    #[test]
    fn nobody_is_considered_who_does_not_publish() {
        let now = Instant::now();
        assert_eq!(look(&mut UploadRate::default(), now, 0, 0), None);
        assert_eq!(look(&mut UploadRate::default(), now, MIB / 2, 1 << 40), None);
    }

    #[test]
    fn segments_go_twice_as_fast_as_records_come_in() {
        let rate = look(&mut UploadRate::default(), Instant::now(), 20 * MIB, 100 * MIB).unwrap();
        assert!(rate > 38 * MIB && rate <= 40 * MIB, "{rate}");
        let slow = look(&mut UploadRate::default(), Instant::now(), 2 * MIB, 0);
        assert_eq!(slow, Some(8 * MIB));
    }

    #[test]
    fn what_has_piled_up_goes_as_fast_as_it_takes() {
        let rate = look(&mut UploadRate::default(), Instant::now(), 20 * MIB, 5_000 * MIB);
        assert_eq!(rate, Some(500 * MIB));
    }

    #[test]
    fn when_the_load_is_over_the_rest_goes_at_full_speed() {
        let (mut speed, now) = (UploadRate::default(), Instant::now());
        look(&mut speed, now, 20 * MIB, 0);
        let later = |seconds: u64| now + Duration::from_secs(10 + seconds);
        let rates: Vec<_> = (0..30)
            .map(|seconds| speed.look(190 * MIB, 0, later(seconds)))
            .collect();
        assert!(rates[0].is_some() && rates[29].is_none(), "{rates:?}");
    }
}
