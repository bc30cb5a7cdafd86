//! Who appends next.

use std::collections::{HashMap, VecDeque};

use strandline_core::LogId;

/// Bytes that a partition may append before the next partition has its turn.
pub(super) const TURN_MAX_BYTES: usize = 4 << 20;
/// Bytes of one partition that may wait for a sync before it has another turn.
const PARTITION_MAX_BYTES: usize = 8 << 20;
/// Bytes of all partitions that may wait for a sync before anybody has another turn.
pub(crate) const UNSYNCED_MAX_BYTES: usize = 64 << 20;

/// Gives partitions their turns, one after another.
///
/// A partition that its publishers keep busy has one turn and then waits behind all others; one with much that is not
/// durable yet has none until some of it is. So others never wait for more than one turn of it and a sync of that much.
#[derive(Debug)]
pub(super) struct Turns {
    /// Those with something in their inboxes, in the order in which they have their turns.
    ready: VecDeque<LogId>,
    unsynced: HashMap<LogId, Unsynced>,
    unsynced_bytes: usize,
    /// Partitions that may wait for a sync: each holds a file open meanwhile.
    max_unsynced: usize,
}

/// What of a partition is appended and not answered.
#[derive(Debug, Default)]
struct Unsynced {
    bytes: usize,
    /// Whether it was passed over and has its turn once less is unsynced.
    is_held: bool,
}

impl Turns {
    pub(super) fn new(max_unsynced: usize) -> Self {
        Self {
            ready: VecDeque::new(),
            unsynced: HashMap::new(),
            unsynced_bytes: 0,
            max_unsynced: max_unsynced.max(1),
        }
    }

    /// A partition's inbox holds something, or more than its turn has taken. Said once until it has a turn.
    pub(super) fn is_ready(&mut self, log: LogId) {
        self.ready.push_back(log);
    }

    /// The partition that has its turn; none when nobody is ready, or too much waits for a sync.
    pub(super) fn next(&mut self) -> Option<LogId> {
        while self.somebody_may_go() {
            let log = self.ready.pop_front()?;
            match self.unsynced.get_mut(&log) {
                Some(unsynced) if unsynced.bytes >= PARTITION_MAX_BYTES => unsynced.is_held = true,
                _ => return Some(log),
            }
        }
        None
    }

    /// Takes note of what a turn has left to wait for a sync.
    pub(super) fn appended(&mut self, log: LogId, bytes: usize) {
        self.unsynced.entry(log).or_default().bytes += bytes;
        self.unsynced_bytes += bytes;
    }

    /// Takes note of what waits no longer.
    pub(super) fn settled(&mut self, log: LogId, bytes: usize) {
        let Some(unsynced) = self.unsynced.get_mut(&log) else {
            return;
        };
        let bytes = bytes.min(unsynced.bytes);
        unsynced.bytes -= bytes;
        self.unsynced_bytes -= bytes;
        let left = unsynced.bytes;
        if left < PARTITION_MAX_BYTES && std::mem::take(&mut unsynced.is_held) {
            self.ready.push_back(log);
        }
        if left == 0 {
            self.unsynced.remove(&log);
        }
    }

    /// Whether [`Turns::next`] has somebody to look at.
    pub(super) fn somebody_may_go(&self) -> bool {
        let is_full = self.unsynced_bytes >= UNSYNCED_MAX_BYTES || self.unsynced.len() >= self.max_unsynced;
        !self.ready.is_empty() && !is_full
    }

    /// Partitions that are ready.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Bytes that wait for a sync.
    pub(super) fn unsynced_bytes(&self) -> usize {
        self.unsynced_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOT: LogId = LogId::new(1);
    const OTHER: LogId = LogId::new(2);
    const THIRD: LogId = LogId::new(3);

    #[test]
    fn a_hot_partition_has_one_turn_and_then_waits_behind_all_others() {
        let mut turns = Turns::new(100);
        [HOT, OTHER, THIRD]
            .into_iter()
            .for_each(|log| turns.is_ready(log));
        assert_eq!(turns.next(), Some(HOT));
        turns.appended(HOT, TURN_MAX_BYTES);
        turns.is_ready(HOT);
        assert_eq!([turns.next(), turns.next()], [Some(OTHER), Some(THIRD)]);
        turns.is_ready(OTHER);
        assert_eq!([turns.next(), turns.next()], [Some(HOT), Some(OTHER)]);
        assert_eq!(turns.next(), None);
    }

    #[test]
    fn a_partition_with_much_to_sync_is_passed_over_until_some_of_it_is_durable() {
        let mut turns = Turns::new(100);
        turns.appended(HOT, TURN_MAX_BYTES);
        turns.appended(HOT, PARTITION_MAX_BYTES - TURN_MAX_BYTES);
        for _ in 0..100 {
            turns.is_ready(OTHER);
            assert_eq!(turns.next(), Some(OTHER));
        }
        turns.is_ready(HOT);
        assert_eq!((turns.next(), turns.somebody_may_go()), (None, false));
        turns.settled(HOT, TURN_MAX_BYTES);
        assert_eq!((turns.next(), turns.next()), (Some(HOT), None));
    }

    #[test]
    fn nobody_goes_while_too_much_of_all_together_is_not_durable() {
        let mut turns = Turns::new(100);
        let busy = (10..).map(LogId::new).take(UNSYNCED_MAX_BYTES / TURN_MAX_BYTES);
        for log in busy.clone() {
            turns.is_ready(log);
            assert_eq!(turns.next(), Some(log));
            turns.appended(log, TURN_MAX_BYTES);
        }
        turns.is_ready(OTHER);
        assert_eq!((turns.next(), turns.unsynced_bytes()), (None, UNSYNCED_MAX_BYTES));
        busy.for_each(|log| turns.settled(log, TURN_MAX_BYTES));
        assert_eq!((turns.next(), turns.unsynced_bytes()), (Some(OTHER), 0));
    }

    #[test]
    fn no_more_partitions_wait_for_a_sync_than_there_are_files_for_them() {
        let mut turns = Turns::new(2);
        [HOT, OTHER, THIRD]
            .into_iter()
            .for_each(|log| turns.is_ready(log));
        for log in [HOT, OTHER] {
            assert_eq!(turns.next(), Some(log));
            turns.appended(log, 10);
        }
        assert_eq!(turns.next(), None);
        turns.settled(HOT, 10);
        assert_eq!(turns.next(), Some(THIRD));
    }
}
