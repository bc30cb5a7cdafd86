//! Deleting objects: those that left the manifest, after a grace time; and those that never were in it.

use std::collections::HashSet;
use std::time::Duration;

use strandline_core::{LeaderEpoch, Timestamp};

use super::super::bucket::Listed;
use super::super::point::PointRef;
use super::super::{ArchiveError, Place};
use super::{Archiver, Situation, Step};

/// Objects that one step deletes.
const AT_ONCE: usize = 64;
/// As that where there are points: each step has to look at all that they lead to.
const AT_ONCE_BESIDE_POINTS: usize = 512;

/// What a collection of left-over objects found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orphans {
    /// Names of the objects that are deleted: no manifest names them, and none will.
    pub deleted: Vec<String>,
    /// Names of those that are too young to know, or of a newer leader.
    pub spared: Vec<String>,
    /// Names that no archive gives. They are left alone.
    pub foreign: Vec<String>,
}

impl Archiver {
    /// Deletes what left the manifest long enough ago, and then forgets the names.
    pub(super) async fn delete_gone(&mut self, situation: &Situation) -> Result<Option<Step>, ArchiveError> {
        let Some(held) = self.held().cloned() else {
            return Ok(None);
        };
        let is_due = |since: Timestamp| situation.now.since(since) > self.settings.grace;
        let due = held.head.gone.iter().filter(|gone| is_due(gone.since));
        let due: Vec<&String> = due.map(|gone| &gone.name).collect();
        if due.is_empty() {
            return Ok(None);
        }
        // What a point leads to stays. It is on the list again once the point is removed.
        let kept = self.held_by_points(&held.head).await?;
        let most = if held.head.points.is_empty() {
            AT_ONCE
        } else {
            AT_ONCE_BESIDE_POINTS
        };
        let is_kept = |name: &&String| kept.contains(*name);
        let deleted: Vec<_> = due
            .iter()
            .copied()
            .filter(|name| !is_kept(name))
            .take(most)
            .collect();
        for name in &deleted {
            self.archive
                .bucket()
                .delete(&self.archive.place().key(name))
                .await?;
        }
        let mut names: HashSet<_> = due.into_iter().filter(is_kept).collect();
        names.extend(&deleted);
        let number = deleted.len();
        let mut next = held.head.clone();
        next.gone.retain(|gone| !names.contains(&gone.name));
        let is_done = self.publish(held, next).await?;
        Ok(Some(if is_done {
            Step::Deleted(number)
        } else {
            Step::Resumed
        }))
    }

    /// Looks for objects that crashes and overtaken leaders left, and deletes those that nobody can refer to any more: not in
    /// the manifest that we hold, not of a newer leader, and older than `older_than`, which has to be longer than any upload takes.
    /// Lists the whole place: not for every day. Can be cancelled.
    ///
    /// # Errors
    ///
    /// As [`Archiver::step`]. HEAD has to be ours, before and after the listing; otherwise nothing is deleted.
    pub async fn collect(&mut self, now: Timestamp, older_than: Duration) -> Result<Orphans, ArchiveError> {
        let found = self.find_orphans(now, older_than).await?;
        for name in &found.deleted {
            let key = self.archive.place().key(name);
            self.archive.bucket().delete(&key).await?;
        }
        Ok(found)
    }

    /// As [`collect`](Self::collect), and deletes nothing: what is [`deleted`](Orphans::deleted) would be.
    ///
    /// # Errors
    ///
    /// As [`Archiver::collect`].
    pub async fn find_orphans(
        &mut self,
        now: Timestamp,
        older_than: Duration,
    ) -> Result<Orphans, ArchiveError> {
        self.recheck_or_claim().await?;
        let place = self.archive.place().clone();
        let listed = place.list(self.archive.bucket()).await?;
        // What is published after the listing is not in it or is in the manifest that is read now.
        self.recheck().await?;
        let Some(held) = self.held().cloned() else {
            return Ok(Orphans::default());
        };
        let mut known: HashSet<String> = HashSet::new();
        for page in &held.head.pages {
            known.insert(page.name.clone());
            let page = self.archive.page(page).await?;
            known.extend(page.entries().iter().map(|entry| entry.name.clone()));
        }
        known.extend(held.head.entries.iter().map(|entry| entry.name.clone()));
        known.extend(held.head.gone.iter().map(|gone| gone.name.clone()));
        known.extend(held.head.points.iter().map(|point| point.object.clone()));
        known.extend(self.held_by_points(&held.head).await?);
        let judge = Judge {
            place: &place,
            known: &known,
            epoch: self.settings.epoch,
            now,
            older_than,
        };
        Ok(judge.sort(&listed))
    }

    /// Finds out what became of a write whose answer was lost, if there was one.
    pub(super) async fn recheck_if_in_doubt(&mut self) -> Result<(), ArchiveError> {
        match &self.state {
            super::State::Doubt => self.recheck().await,
            super::State::Lost(error) => Err(error.clone()),
            super::State::Unclaimed | super::State::Held(_) => Ok(()),
        }
    }

    async fn recheck_or_claim(&mut self) -> Result<(), ArchiveError> {
        match &self.state {
            super::State::Unclaimed => self.claim().await,
            super::State::Lost(error) => Err(error.clone()),
            super::State::Held(_) | super::State::Doubt => self.recheck().await,
        }
    }
}

/// By what left-over objects are known.
struct Judge<'a> {
    place: &'a Place,
    known: &'a HashSet<String>,
    epoch: LeaderEpoch,
    now: Timestamp,
    older_than: Duration,
}

impl Judge<'_> {
    fn sort(&self, listed: &[Listed]) -> Orphans {
        let mut orphans = Orphans::default();
        for object in listed {
            let Some(name) = self.place.name_of(&object.key) else {
                continue;
            };
            if name == Place::HEAD || self.known.contains(name) {
                continue;
            }
            let list = match writer_epoch(name) {
                None => &mut orphans.foreign,
                Some(epoch) if epoch > self.epoch => &mut orphans.spared,
                Some(_) if self.now.since(object.modified) <= self.older_than => &mut orphans.spared,
                Some(_) => &mut orphans.deleted,
            };
            list.push(name.to_owned());
        }
        orphans
    }
}

/// The epoch of the leader that wrote an object, by its name; of pages and points, which do not tell it, the first one. None for a name that
/// no archive gives.
fn writer_epoch(name: &str) -> Option<LeaderEpoch> {
    let is_number = |text: &str| text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_nonce = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let document = ["manifest/", PointRef::DIRECTORY];
    if let Some(document) = document.iter().find_map(|directory| name.strip_prefix(directory)) {
        let (sequence, nonce) = document.split_once('.')?;
        return (is_number(sequence) && is_nonce(nonce)).then_some(LeaderEpoch::ZERO);
    }
    let mut parts = name.strip_prefix("segments/")?.split('-');
    let (base, end) = (parts.next()?, parts.next()?);
    let (epoch, nonce) = (parts.next()?, parts.next()?);
    let is_ours = is_number(base) && is_number(end) && is_nonce(nonce) && parts.next().is_none();
    epoch.parse().ok().filter(|_| is_ours).map(LeaderEpoch::new)
}

#[cfg(test)]
mod tests {
    use strandline_core::PartitionId;

    use super::*;

    #[test]
    fn only_old_objects_that_nobody_names_are_deleted() {
        let place = Place {
            root: "c/s.1".to_owned(),
            partition: PartitionId::new(0),
        };
        let segment =
            |base: u64, epoch: u64| format!("segments/{base:020}-{:020}-{epoch}-0123456789abcdef", base + 1);
        let page = "manifest/00000000000000000003.0123456789abcdef".to_owned();
        let (kept, old, newer, young) = (segment(0, 1), segment(1, 1), segment(2, 9), segment(3, 1));
        let strange = "segments/notes.txt".to_owned();
        let listed = [
            ("HEAD", 0),
            (&kept, 0),
            (&old, 0),
            (&newer, 0),
            (&young, 95),
            (&page, 0),
            (&strange, 0),
        ];
        let listed = listed.map(|(name, at)| Listed {
            key: place.key(name),
            bytes: 1,
            modified: Timestamp::from_nanos(at),
        });
        let judge = Judge {
            place: &place,
            known: &HashSet::from([kept]),
            epoch: LeaderEpoch::new(3),
            now: Timestamp::from_nanos(100),
            older_than: Duration::from_nanos(10),
        };
        let found = judge.sort(&listed);
        assert_eq!(found.deleted, [old, page]);
        assert_eq!(found.spared, [newer, young]);
        assert_eq!(found.foreign, [strange]);
    }
}
