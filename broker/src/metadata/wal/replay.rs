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
