//! Where the leader epochs of a log begin: one set of rules for every engine.

use strandline_core::record::Batch;
use strandline_core::storage::{AppendError, EpochEnd};
use strandline_core::{LeaderEpoch, Offset};

/// Where an epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochStart {
    pub(crate) epoch: LeaderEpoch,
    /// At or before its first record, and behind every record of the epochs before.
    pub(crate) start: Offset,
}

/// The epochs of a log, oldest first, each with where it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epochs(Vec<EpochStart>);

impl Epochs {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, oldest first.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = EpochStart> + Clone + '_ {
        self.0.iter().copied()
    }

    /// The newest.
    pub(crate) fn last(&self) -> Option<LeaderEpoch> {
        self.0.last().map(|last| last.epoch)
    }

    /// The epoch of a record at this offset; none where the first begins later.
    pub(crate) fn at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.0.partition_point(|known| known.start <= offset);
        self.0.get(after.checked_sub(1)?).map(|known| known.epoch)
    }

    /// Where an epoch, or the one before if it has no records, ended in a log that ends here.
    pub(crate) fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<EpochEnd> {
        let after = self.0.partition_point(|known| known.epoch <= epoch);
        let found = self.0.get(after.checked_sub(1)?)?;
        Some(EpochEnd {
            epoch: found.epoch,
            end: self.0.get(after).map_or(log_end, |next| next.start),
        })
    }

    /// Whether they stand as the methods below leave them: both numbers rise. Only the first may begin where the second does,
    /// in a log that had lost all its records when the second began.
    pub(crate) fn are_in_order(&self) -> bool {
        let rise = |a: &EpochStart, b: &EpochStart| a.epoch < b.epoch && a.start < b.start;
        match self.0.as_slice() {
            [first, rest @ ..] => {
                let second_follows = rest
                    .first()
                    .is_none_or(|second| first.epoch < second.epoch && first.start <= second.start);
                second_follows && rest.is_sorted_by(rise)
            }
            [] => true,
        }
    }

    /// Checks that batches continue a log that ends here.
    ///
    /// # Errors
    ///
    /// [`AppendError::OutOfOrder`]: an offset is given twice, or an epoch falls.
    pub(crate) fn check_order(&self, log_end: Offset, batches: &[Batch]) -> Result<(), AppendError> {
        let (mut expected, mut epoch) = (log_end, self.last());
        for header in batches.iter().map(Batch::header) {
            if header.base < expected || epoch.is_some_and(|epoch| header.epoch < epoch) {
                return Err(AppendError::OutOfOrder {
                    expected,
                    found: header.base,
                });
            }
            (expected, epoch) = (header.end(), Some(header.epoch));
        }
        Ok(())
    }

    /// Takes note of a batch of this epoch at this offset, which begins the epoch unless it has begun.
    pub(crate) fn note(&mut self, epoch: LeaderEpoch, start: Offset) {
        if self.last().is_none_or(|last| last < epoch) {
            self.0.push(EpochStart { epoch, start });
        }
    }

    /// Adds what later batches say.
    pub(crate) fn note_all(&mut self, later: &Self) {
        later.iter().for_each(|found| self.note(found.epoch, found.start));
    }

    /// Takes back what was noted since there were so many.
    pub(crate) fn take_back(&mut self, count: usize) {
        self.0.truncate(count);
    }

    /// Forgets those whose records are all gone now that the log starts here; the oldest that remains begins where the log does.
    pub(crate) fn forget_before(&mut self, start: Offset) {
        let begun = self.0.partition_point(|known| known.start <= start);
        self.0.drain(..begun.saturating_sub(1));
        if let Some(first) = self.0.first_mut() {
            first.start = first.start.max(start);
        }
    }

    /// Forgets those that begin where a log that was cut does not reach any more: that is where it ends now, which compaction
    /// may have put before where it was cut.
    pub(crate) fn forget_from(&mut self, log_end: Offset) {
        self.0.retain(|known| known.start < log_end);
    }
}

/// As stored, in whatever order that is: [`Epochs::are_in_order`] tells.
impl FromIterator<EpochStart> for Epochs {
    fn from_iter<I: IntoIterator<Item = EpochStart>>(stored: I) -> Self {
        Self(stored.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(of: &[(u64, u64)]) -> Epochs {
        let start = |&(epoch, start): &(u64, u64)| EpochStart {
            epoch: LeaderEpoch::new(epoch),
            start: Offset::new(start),
        };
        of.iter().map(start).collect()
    }

    fn end_of(epochs: &Epochs, epoch: u64) -> Option<(u64, u64)> {
        let found = epochs.end_of(LeaderEpoch::new(epoch), Offset::new(100));
        found.map(|found| (found.epoch.get(), found.end.get()))
    }

    #[test]
    fn an_epoch_begins_once() {
        let mut noted = Epochs::default();
        for (epoch, start) in [(2, 0), (2, 5), (4, 7), (4, 9), (5, 12)] {
            noted.note(LeaderEpoch::new(epoch), Offset::new(start));
        }
        assert_eq!(noted, epochs(&[(2, 0), (4, 7), (5, 12)]));
        noted.take_back(1);
        assert_eq!(noted, epochs(&[(2, 0)]));
        noted.note_all(&epochs(&[(1, 3), (2, 4), (6, 20)]));
        assert_eq!(noted, epochs(&[(2, 0), (6, 20)]));
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins_and_the_last_where_the_log_does() {
        let known = epochs(&[(2, 10), (4, 17)]);
        let ends = [1, 2, 3, 4, 9].map(|epoch| end_of(&known, epoch));
        assert_eq!(
            ends,
            [None, Some((2, 17)), Some((2, 17)), Some((4, 100)), Some((4, 100))]
        );
        assert_eq!(end_of(&Epochs::default(), 9), None);
        let at = [9, 10, 16, 17, 99].map(|offset| known.at(Offset::new(offset)).map(LeaderEpoch::get));
        assert_eq!(at, [None, Some(2), Some(2), Some(4), Some(4)]);
    }

    #[test]
    fn epochs_without_records_before_the_start_are_forgotten() {
        for (start, left) in [
            (9, epochs(&[(2, 10), (4, 17), (5, 20)])),
            (10, epochs(&[(2, 10), (4, 17), (5, 20)])),
            (16, epochs(&[(2, 16), (4, 17), (5, 20)])),
            (17, epochs(&[(4, 17), (5, 20)])),
            (30, epochs(&[(5, 30)])),
        ] {
            let mut known = epochs(&[(2, 10), (4, 17), (5, 20)]);
            known.forget_before(Offset::new(start));
            assert_eq!(known, left, "start {start}");
        }
    }

    #[test]
    fn epochs_that_began_at_the_end_or_behind_it_are_forgotten() {
        for (end, left) in [(18, 2), (17, 1), (10, 0), (0, 0)] {
            let mut known = epochs(&[(2, 10), (4, 17)]);
            known.forget_from(Offset::new(end));
            assert_eq!(known.len(), left, "end {end}");
        }
    }

    #[test]
    fn only_the_first_may_begin_where_the_next_does() {
        for of in [&[][..], &[(3, 5)], &[(3, 5), (4, 5)], &[(3, 5), (4, 5), (7, 6)]] {
            assert!(epochs(of).are_in_order(), "{of:?}");
        }
        for of in [
            &[(3, 5), (3, 6)][..],
            &[(4, 5), (3, 6)],
            &[(3, 5), (4, 4)],
            &[(3, 5), (4, 6), (5, 6)],
            &[(3, 5), (4, 5), (5, 5)],
        ] {
            assert!(!epochs(of).are_in_order(), "{of:?}");
        }
    }
}
