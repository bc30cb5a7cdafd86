//! Which partition has its turn at the archive when.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use strandline_core::LogId;

/// Wait after the first failure; it doubles with each one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Wait until what was in use is free.
const BUSY_WAIT: Duration = Duration::from_millis(500);

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// There is more to do at once.
    More,
    /// There is nothing to do for now.
    Idle,
    /// Somebody else works on the segments.
    Busy,
    /// It failed; it may work later.
    Failed,
    /// There will be nothing to do any more.
    Over,
}

/// Partitions and when each has its turn. A partition is never in two turns.
#[derive(Debug)]
pub(super) struct Turns {
    /// Between turns in which there was nothing to do.
    idle_wait: Duration,
    entries: HashMap<LogId, Entry>,
}

#[derive(Debug)]
struct Entry {
    due: Option<Instant>,
    is_running: bool,
    /// Whether it is only here because it is in its turn.
    is_gone: bool,
    failures: u32,
}

impl Turns {
    pub(super) fn new(idle_wait: Duration) -> Self {
        Self {
            idle_wait,
            entries: HashMap::new(),
        }
    }

    /// Takes what there is now: who is new, or changed as the caller says, is due at once, who is gone is never again.
    pub(super) fn replace(&mut self, logs: impl IntoIterator<Item = (LogId, bool)>, now: Instant) {
        let mut before = std::mem::take(&mut self.entries);
        for (log, has_changed) in logs {
            let mut entry = before.remove(&log).unwrap_or(Entry {
                due: Some(now),
                is_running: false,
                is_gone: false,
                failures: 0,
            });
            entry.is_gone = false;
            if has_changed {
                entry.due = Some(now);
                entry.failures = 0;
            }
            self.entries.insert(log, entry);
        }
        // Who is in a turn stays known until it has ended, so that it does not get a second one when it comes back.
        let running = before.into_iter().filter(|(_, entry)| entry.is_running);
        self.entries.extend(running.map(|(log, entry)| {
            let gone = Entry {
                due: None,
                is_gone: true,
                ..entry
            };
            (log, gone)
        }));
    }

    /// Somebody waits for what this one has to do: it is due at once.
    pub(super) fn hurry(&mut self, log: LogId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&log).filter(|entry| !entry.is_gone) {
            entry.due = Some(now);
        }
    }

    /// Those whose turn it is, longest due first, as many as there may be at a time. Each is in its turn until it
    /// [ended](Self::ended).
    pub(super) fn begin(&mut self, now: Instant, max_running: usize) -> Vec<LogId> {
        let running = self.entries.values().filter(|entry| entry.is_running).count();
        let is_due = |entry: &Entry| entry.due.filter(|&due| due <= now && !entry.is_running);
        let mut due: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(&log, entry)| Some((is_due(entry)?, log)))
            .collect();
        due.sort_unstable();
        due.truncate(max_running.saturating_sub(running));
        for (_, log) in &due {
            if let Some(entry) = self.entries.get_mut(log) {
                entry.is_running = true;
                entry.due = None;
            }
        }
        due.into_iter().map(|(_, log)| log).collect()
    }

    /// A turn has ended. `chance` is anything from 0 to 1: partitions that failed together come back one by one.
    pub(super) fn ended(&mut self, log: LogId, ended: Ended, now: Instant, chance: f64) {
        let Some(entry) = self.entries.get_mut(&log) else {
            return;
        };
        if entry.is_gone {
            self.entries.remove(&log);
            return;
        }
        entry.is_running = false;
        entry.failures = match ended {
            Ended::Failed => entry.failures.saturating_add(1),
            Ended::Busy => entry.failures,
            _ => 0,
        };
        let wait = match ended {
            Ended::More => Duration::ZERO,
            Ended::Idle => self.idle_wait,
            Ended::Busy => BUSY_WAIT,
            Ended::Failed => wait_after(entry.failures, chance),
            Ended::Over => return,
        };
        // One that a change has made due meanwhile is so at once.
        entry.due = Some(entry.due.unwrap_or(now + wait));
    }

    /// When the next one is due that is not in its turn.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = self.entries.values().filter(|entry| !entry.is_running);
        waiting.filter_map(|entry| entry.due).min()
    }
}

/// Half of the wait is certain, the other half left to chance.
fn wait_after(failures: u32, chance: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    let wait = FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT);
    wait / 2 + (wait / 2).mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(5);

    fn log(number: u64) -> LogId {
        LogId::new(number)
    }

    fn turns(now: Instant, logs: &[u64]) -> Turns {
        let mut turns = Turns::new(IDLE);
        turns.replace(logs.iter().map(|&number| (log(number), false)), now);
        turns
    }

    #[test]
    fn as_many_have_their_turn_as_there_may_and_each_once() {
        let now = Instant::now();
        let mut turns = turns(now, &[1, 2, 3]);
        let first = turns.begin(now, 2);
        assert_eq!(first.len(), 2);
        assert_eq!(turns.begin(now, 2), []);
        turns.ended(first[0], Ended::Idle, now, 0.0);
        let second = turns.begin(now, 2);
        assert_eq!(second.len(), 1);
        assert!(!first.contains(&second[0]));
        assert_eq!(turns.next_due(), Some(now + IDLE));
    }

    #[test]
    fn who_has_more_to_do_waits_behind_those_who_are_longer_due() {
        let now = Instant::now();
        let mut turns = turns(now, &[1, 2]);
        let first = turns.begin(now, 1);
        turns.ended(first[0], Ended::More, now + Duration::from_secs(1), 0.0);
        let second = turns.begin(now + Duration::from_secs(1), 1);
        assert_ne!(first, second);
    }

    #[test]
    fn failures_are_tried_again_later_and_later_up_to_a_minute() {
        let seconds: Vec<_> = (1..9)
            .map(|failures| wait_after(failures, 1.0).as_secs())
            .collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(wait_after(7, 0.0), Duration::from_secs(30));
        assert_eq!(wait_after(u32::MAX, 7.0), LONGEST_WAIT);
        let now = Instant::now();
        let mut turns = turns(now, &[1]);
        for _ in 0..3 {
            turns.begin(now + LONGEST_WAIT * 9, 1);
            turns.ended(log(1), Ended::Failed, now, 1.0);
        }
        assert_eq!(turns.next_due(), Some(now + Duration::from_secs(4)));
        turns.begin(now + LONGEST_WAIT, 1);
        turns.ended(log(1), Ended::Idle, now, 1.0);
        turns.begin(now + LONGEST_WAIT, 1);
        turns.ended(log(1), Ended::Failed, now, 1.0);
        assert_eq!(
            turns.next_due(),
            Some(now + FIRST_WAIT),
            "one that worked starts anew"
        );
    }

    #[test]
    fn a_change_is_acted_on_at_once_also_when_it_comes_during_a_turn() {
        let now = Instant::now();
        let mut turns = turns(now, &[1]);
        turns.begin(now, 1);
        turns.replace([(log(1), true)], now);
        assert_eq!(turns.begin(now, 1), [], "it is in its turn");
        turns.ended(log(1), Ended::Idle, now, 0.0);
        assert_eq!(turns.begin(now, 1), [log(1)]);
    }

    #[test]
    fn one_that_somebody_waits_for_is_due_at_once_and_after_its_turn_once_more() {
        let now = Instant::now();
        let mut turns = turns(now, &[1]);
        turns.begin(now, 1);
        turns.hurry(log(1), now);
        turns.hurry(log(2), now);
        turns.ended(log(1), Ended::Idle, now, 0.0);
        assert_eq!(turns.begin(now, 2), [log(1)]);
        turns.ended(log(1), Ended::Idle, now, 0.0);
        assert_eq!(turns.begin(now, 2), []);
        turns.hurry(log(1), now);
        assert_eq!(turns.begin(now, 2), [log(1)]);
    }

    #[test]
    fn who_is_gone_has_no_turn_and_who_is_over_neither_until_something_changes() {
        let now = Instant::now();
        let mut turns = turns(now, &[1, 2]);
        turns.begin(now, 2);
        turns.replace([(log(2), false)], now);
        turns.ended(log(1), Ended::More, now, 0.0);
        assert_eq!(turns.begin(now, 2), []);
        turns.ended(log(2), Ended::Over, now, 0.0);
        turns.replace([(log(2), false)], now);
        assert_eq!(turns.begin(now + LONGEST_WAIT, 2), []);
        turns.replace([(log(2), true)], now);
        assert_eq!(turns.begin(now, 2), [log(2)]);
    }
}
