//! How far a log has been compacted.

use std::time::Duration;

use crate::{Offset, Timestamp};

/// What has to be remembered of a log between two runs, also across restarts. Forgetting it costs a run over the whole
/// log and lets tombstones stay longer; it loses nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Below this offset every key has one record.
    pub clean_end: Offset,
    /// The tombstones whose grace time runs.
    pub waiting: Option<Waiting>,
    /// Whether there may be tombstones from the end of those up to the clean end.
    pub newer_tombstones: bool,
}

/// Tombstones that older records of their keys are gone before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// They lie below this offset.
    pub before: Offset,
    /// When the pass ended that made them the only record of their key.
    pub since: Timestamp,
}

impl Progress {
    /// The offset below which tombstones may leave now; none when there are none or their grace time runs.
    pub fn tombstones_due(&self, grace: Duration, now: Timestamp) -> Option<Offset> {
        let waiting = self.waiting?;
        (now.since(waiting.since) >= grace).then_some(waiting.before)
    }

    /// A pass has covered everything below `end`. `saw_tombstone`: in what it observed; `tombstones_left`: it dropped those
    /// that were due.
    pub fn pass_ended(&mut self, end: Offset, saw_tombstone: bool, tombstones_left: bool, now: Timestamp) {
        self.clean_end = self.clean_end.max(end);
        self.newer_tombstones |= saw_tombstone;
        if tombstones_left {
            self.waiting = None;
        }
        if self.waiting.is_none() && self.newer_tombstones {
            self.newer_tombstones = false;
            self.waiting = Some(Waiting {
                before: self.clean_end,
                since: now,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_tombstone_waits_from_the_pass_on_that_found_it() {
        let mut progress = Progress::default();
        progress.pass_ended(Offset::new(5), true, false, at(100));
        assert_eq!(progress.tombstones_due(GRACE, at(109)), None);
        assert_eq!(progress.tombstones_due(GRACE, at(110)), Some(Offset::new(5)));
    }

    #[test]
    fn later_tombstones_do_not_hold_up_the_earlier_ones_and_have_a_wait_of_their_own() {
        let mut progress = Progress::default();
        progress.pass_ended(Offset::new(5), true, false, at(100));
        progress.pass_ended(Offset::new(9), true, false, at(108));
        assert_eq!(progress.tombstones_due(GRACE, at(110)), Some(Offset::new(5)));
        progress.pass_ended(Offset::new(9), false, true, at(110));
        assert_eq!(progress.tombstones_due(GRACE, at(119)), None);
        assert_eq!(progress.tombstones_due(GRACE, at(120)), Some(Offset::new(9)));
        progress.pass_ended(Offset::new(9), false, true, at(120));
        assert_eq!(progress.waiting, None);
    }
}
