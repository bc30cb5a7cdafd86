//! What the records of the log add up to.

use std::collections::VecDeque;

use super::Record;

/// What the log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// The last vote.
    pub(crate) vote: Option<Vec<u8>>,
    /// The last known commit position.
    pub(crate) committed: Option<Vec<u8>>,
    /// Index of the last purged entry, and what identifies it.
    pub(crate) purged: Option<(u64, Vec<u8>)>,
    /// The entries that are neither purged nor truncated, by index without a gap.
    pub(crate) entries: VecDeque<(u64, Vec<u8>)>,
    /// Index of the next entry; none = there never was one.
    pub(super) next_index: Option<u64>,
}

impl Recovered {
    /// Adds the next record of the log.
    pub(super) fn replay(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Vote(body) => self.vote = Some(body),
            Record::Committed(body) => self.committed = Some(body),
            Record::Sealed => {}
            Record::Entry { index, body } => {
                if self.next_index.is_some_and(|next| next != index) {
                    return Err(format!(
                        "entry {index} where entry {} belongs",
                        self.next_index.unwrap_or(0)
                    ));
                }
                self.next_index = Some(index.checked_add(1).ok_or("entry with the largest number")?);
                self.entries.push_back((index, body));
            }
            Record::Truncate { since } => {
                self.entries
                    .truncate(self.entries.partition_point(|(index, _)| *index < since));
                self.next_index = Some(self.next_index.map_or(since, |next| next.min(since)));
            }
            Record::Purge { upto, body } => {
                self.entries
                    .drain(..self.entries.partition_point(|(index, _)| *index <= upto));
                let after = upto.checked_add(1).ok_or("purge up to the largest number")?;
                self.next_index = Some(self.next_index.map_or(after, |next| next.max(after)));
                self.purged = Some((upto, body));
            }
        }
        Ok(())
    }

    /// Index that the first entry must have: the one after what is purged.
    pub(super) fn first_expected(&self) -> u64 {
        self.purged.as_ref().map_or(0, |(upto, _)| upto.saturating_add(1))
    }

    /// Whether entries are missing between what is purged and what is there.
    pub(super) fn has_hole(&self) -> bool {
        self.entries
            .front()
            .is_some_and(|(first, _)| *first != self.first_expected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replayed(records: &[Record]) -> Result<Recovered, String> {
        let mut recovered = Recovered::default();
        records
            .iter()
            .try_for_each(|record| recovered.replay(record.clone()))?;
        Ok(recovered)
    }

    fn entry(index: u64) -> Record {
        Record::Entry {
            index,
            body: vec![index as u8],
        }
    }

    fn purge(upto: u64) -> Record {
        Record::Purge { upto, body: vec![9] }
    }

    fn indices(recovered: &Recovered) -> Vec<u64> {
        recovered.entries.iter().map(|(index, _)| *index).collect()
    }

    #[test]
    fn truncated_entries_are_gone_and_their_places_are_written_anew() {
        let truncated = [
            entry(0),
            entry(1),
            entry(2),
            Record::Truncate { since: 1 },
            entry(1),
        ];
        assert_eq!(indices(&replayed(&truncated).unwrap()), [0, 1]);
        let refused = [entry(0), entry(1), Record::Truncate { since: 1 }, entry(2)];
        assert!(replayed(&refused).is_err());
    }

    #[test]
    fn purged_entries_are_gone_and_the_rest_follows_them() {
        let purged = replayed(&[entry(0), entry(1), entry(2), purge(1)]).unwrap();
        assert_eq!((indices(&purged), purged.first_expected()), (vec![2], 2));
        assert!(!purged.has_hole());
        let beyond = replayed(&[entry(0), purge(7), entry(8)]).unwrap();
        assert_eq!(indices(&beyond), [8]);
        assert!(replayed(&[entry(0), purge(7), entry(1)]).is_err());
    }

    #[test]
    fn a_gap_is_seen() {
        assert!(replayed(&[entry(0), entry(2)]).is_err());
        assert!(replayed(&[entry(3)]).unwrap().has_hole());
        assert!(replayed(&[entry(u64::MAX)]).is_err());
    }

    #[test]
    fn the_last_vote_and_commit_position_count() {
        let votes = [
            Record::Vote(vec![1]),
            Record::Committed(vec![1]),
            Record::Vote(vec![2]),
            Record::Committed(vec![3]),
            Record::Sealed,
        ];
        let recovered = replayed(&votes).unwrap();
        assert_eq!(
            (recovered.vote, recovered.committed),
            (Some(vec![2]), Some(vec![3]))
        );
    }
}
