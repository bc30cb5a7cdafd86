//! The decisions of a partition's owner: which offset a record gets, whether it may be appended, what is committed.
//!
//! A value with methods: no clock, no storage, no task. The owner asks before it appends ([`Partition::admit`]), reports
//! what the log did ([`Partition::accepted`], [`Partition::withdrawn`], [`Partition::durable_to`]) and acts on the
//! answers. Replication puts its own state machine beside this one; the rule for one copy is here.

use std::collections::VecDeque;

use crate::stream::ExpectedOffset;
use crate::{LeaderEpoch, Offset, OffsetRange, Timestamp};

/// The state of a partition that this broker leads.
#[derive(Debug)]
pub struct Partition {
    epoch: LeaderEpoch,
    concurrency_control: bool,
    next: Offset,
    accepted: Offset,
    committed: Offset,
    last_time: Timestamp,
}

/// Why a record is not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The record was to get another offset than its publisher expects.
    #[error("incorrect expected offset")]
    IncorrectOffset,
    /// The partition is out of numbers; only a damaged or hostile log gets here.
    #[error("the partition has no offsets left")]
    Exhausted,
}

impl Partition {
    /// The state after the log was opened: everything in it is durable and, with one copy, committed.
    pub fn opened(
        epoch: LeaderEpoch,
        log_end: Offset,
        last_time: Option<Timestamp>,
        concurrency_control: bool,
    ) -> Self {
        Self {
            epoch,
            concurrency_control,
            next: log_end,
            accepted: log_end,
            committed: log_end,
            last_time: last_time.unwrap_or(Timestamp::from_nanos(i64::MIN)),
        }
    }

    /// The epoch that new batches carry.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Offset that the next admitted record gets (LEO once it is appended).
    pub fn next(&self) -> Offset {
        self.next
    }

    /// First offset that is not committed (HW); readers see what is below.
    pub fn committed_end(&self) -> Offset {
        self.committed
    }

    /// The time to stamp on the batch that is received now: the clock's, but never before an earlier record's, so that
    /// look-ups by time stay right when the clock steps back.
    pub fn stamp(&mut self, now: Timestamp) -> Timestamp {
        self.last_time = self.last_time.max(now);
        self.last_time
    }

    /// Gives the next offset to a record, or says why it is refused.
    ///
    /// # Errors
    ///
    /// The reason; no offset is used then.
    pub fn admit(&mut self, expected: ExpectedOffset) -> Result<Offset, Refusal> {
        if self.next >= Offset::MAX {
            return Err(Refusal::Exhausted);
        }
        if let (true, ExpectedOffset::Exactly(expected)) = (self.concurrency_control, expected)
            && u64::try_from(expected) != Ok(self.next.get())
        {
            return Err(Refusal::IncorrectOffset);
        }
        let offset = self.next;
        self.next = offset.plus(1);
        Ok(offset)
    }

    /// The log has accepted everything that was admitted.
    pub fn accepted(&mut self) {
        self.accepted = self.next;
    }

    /// The log has not accepted what was admitted since the last [`Partition::accepted`]; its offsets are given anew.
    /// Returns them.
    pub fn withdrawn(&mut self) -> OffsetRange {
        let lost = OffsetRange::new(self.accepted, self.next);
        self.next = self.accepted;
        lost
    }

    /// Everything below `end` is durable here. With one copy that commits it. Returns the new high watermark if it
    /// moved; it never goes back.
    pub fn durable_to(&mut self, end: Offset) -> Option<Offset> {
        let end = end.min(self.accepted);
        if end <= self.committed {
            return None;
        }
        self.committed = end;
        Some(end)
    }
}

/// Answers that wait until their records are durable or committed, in the order of their offsets.
///
/// `T` stands for the answers of one appended batch.
#[derive(Debug)]
pub struct AckQueue<T> {
    waiting: VecDeque<(Offset, T)>,
}

impl<T> Default for AckQueue<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
        }
    }
}

impl<T> AckQueue<T> {
    /// Adds the answers of a batch that ends at `end`; ends grow.
    pub fn push(&mut self, end: Offset, answers: T) {
        debug_assert!(
            self.waiting.back().is_none_or(|(last, _)| *last <= end),
            "batches end in order"
        );
        self.waiting.push_back((end, answers));
    }

    /// Takes the answers of the next batch that ends at or before `end`.
    pub fn pop_up_to(&mut self, end: Offset) -> Option<T> {
        if self
            .waiting
            .front()
            .is_some_and(|(batch_end, _)| *batch_end <= end)
        {
            return self.waiting.pop_front().map(|(_, answers)| answers);
        }
        None
    }

    /// Takes all answers, for when none of their records will ever be durable.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.waiting.drain(..).map(|(_, answers)| answers)
    }

    /// Batches that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(concurrency_control: bool) -> Partition {
        Partition::opened(LeaderEpoch::new(1), Offset::new(5), None, concurrency_control)
    }

    #[test]
    fn offsets_are_given_one_after_another() {
        let mut partition = partition(false);
        assert_eq!(partition.admit(ExpectedOffset::Any), Ok(Offset::new(5)));
        assert_eq!(partition.admit(ExpectedOffset::Exactly(0)), Ok(Offset::new(6)));
    }

    #[test]
    fn under_concurrency_control_one_of_two_publishers_of_an_offset_wins() {
        let mut partition = partition(true);
        assert_eq!(
            partition.admit(ExpectedOffset::Exactly(100)),
            Err(Refusal::IncorrectOffset)
        );
        assert_eq!(partition.admit(ExpectedOffset::Exactly(5)), Ok(Offset::new(5)));
        assert_eq!(
            partition.admit(ExpectedOffset::Exactly(5)),
            Err(Refusal::IncorrectOffset)
        );
        assert_eq!(
            partition.admit(ExpectedOffset::Exactly(-2)),
            Err(Refusal::IncorrectOffset)
        );
        assert_eq!(partition.admit(ExpectedOffset::Any), Ok(Offset::new(6)));
    }

    #[test]
    fn a_batch_that_the_log_refused_gives_its_offsets_back() {
        let mut partition = partition(false);
        partition.admit(ExpectedOffset::Any).unwrap();
        partition.accepted();
        partition.admit(ExpectedOffset::Any).unwrap();
        partition.admit(ExpectedOffset::Any).unwrap();
        assert_eq!(
            partition.withdrawn(),
            OffsetRange::new(Offset::new(6), Offset::new(8))
        );
        assert_eq!(partition.admit(ExpectedOffset::Any), Ok(Offset::new(6)));
    }

    #[test]
    fn only_what_is_accepted_and_durable_is_committed_and_never_taken_back() {
        let mut partition = partition(false);
        partition.admit(ExpectedOffset::Any).unwrap();
        assert_eq!(partition.durable_to(Offset::new(6)), None);
        partition.accepted();
        assert_eq!(partition.durable_to(Offset::new(6)), Some(Offset::new(6)));
        assert_eq!(partition.durable_to(Offset::new(5)), None);
        assert_eq!(partition.committed_end(), Offset::new(6));
    }

    #[test]
    fn a_clock_that_steps_back_does_not_take_the_stamps_with_it() {
        let mut partition = partition(false);
        assert_eq!(
            partition.stamp(Timestamp::from_nanos(10)),
            Timestamp::from_nanos(10)
        );
        assert_eq!(
            partition.stamp(Timestamp::from_nanos(7)),
            Timestamp::from_nanos(10)
        );
    }

    #[test]
    fn answers_come_out_in_order_and_not_before_their_end() {
        let mut queue = AckQueue::default();
        queue.push(Offset::new(3), "a");
        queue.push(Offset::new(5), "b");
        assert_eq!(queue.pop_up_to(Offset::new(4)), Some("a"));
        assert_eq!(queue.pop_up_to(Offset::new(4)), None);
        assert_eq!(queue.drain().collect::<Vec<_>>(), ["b"]);
    }
}
