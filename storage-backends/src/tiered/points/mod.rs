//! Registering and removing points of a partition's archive: by anybody, beside its leader.
//!
//! HEAD keeps epoch and writer and counts on, so that a leader who publishes at the same time finds its own HEAD with another
//! content, takes that and decides anew. What a point leads to was in the manifest at the moment at which HEAD was replaced, or a
//! point led to it that was there at that moment: so nobody was about to delete it.

mod error;
mod names;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use strandline_core::Timestamp;

use super::head::Gone;
use super::nonce::nonce;
use super::point::{MAX_POINTS, PointDocument, PointRef, is_point_name, lent_name};
use super::{ArchiveError, BucketError, Found, Head, PartitionArchive, Place, Version, View, document};
pub use error::PointError;
pub(super) use names::held;
use names::{Names, load};

/// How often a change is tried while others change HEAD or answers are lost.
const TRIES: u32 = 8;
/// Wait before the second try; before each later one so much more.
const WAIT: Duration = Duration::from_millis(50);
/// Names that removing a point puts on the list of what is to be deleted. What is beyond is left to the collection of garbage.
const MOST_RELEASED: usize = 4096;

/// What a state that is lent was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// HEAD.
    Head,
    /// A point, by the name of its document.
    Point(String),
}

/// The points of a partition's archive.
#[derive(Clone, Debug)]
pub struct Points {
    archive: Arc<PartitionArchive>,
}

/// A point that is being registered.
struct Registration<'a> {
    name: &'a str,
    /// What to keep and what it was read from; none = HEAD as it is.
    lent: Option<(&'a Head, &'a Base)>,
    now: Timestamp,
}

/// A write of HEAD whose outcome is not known.
struct Tried {
    before: Head,
    next: Head,
    point: PointRef,
}

impl Points {
    /// Those of this archive.
    pub fn of(archive: &Arc<PartitionArchive>) -> Self {
        Self {
            archive: Arc::clone(archive),
        }
    }

    /// HEAD as it is now, with its points.
    ///
    /// # Errors
    ///
    /// As [`PartitionArchive::load`].
    pub async fn head(&self) -> Result<Head, ArchiveError> {
        Ok(self.archive.read_head().await?.0)
    }

    /// The state that a point of HEAD keeps.
    ///
    /// # Errors
    ///
    /// Its document is missing or damaged, or the bucket cannot be asked.
    pub async fn load(&self, point: &PointRef) -> Result<Head, ArchiveError> {
        load(&self.archive, point).await
    }

    /// Keeps the manifest as it is now, under a name that people may give.
    ///
    /// Cancel safety: it is registered or not; a document that nothing names can be left over, which is garbage.
    ///
    /// # Errors
    ///
    /// The name is taken or none, there are too many points, or the bucket cannot be asked.
    pub async fn register(&self, name: &str, now: Timestamp) -> Result<PointRef, PointError> {
        if !super::point::is_free_point_name(name) {
            let name = name.to_owned();
            return Err(PointError::InvalidName { name });
        }
        let lent = None;
        self.add(&Registration { name, lent, now }).await
    }

    /// The name of a point by which somebody borrows, for [`Points::lend`].
    ///
    /// # Errors
    ///
    /// There are no random numbers.
    pub fn lent_name() -> Result<String, ArchiveError> {
        Ok(lent_name(&nonce::<16>()?))
    }

    /// Keeps a state of the manifest, which was read before, for somebody who borrows what it leads to.
    ///
    /// Cancel safety: as [`Points::register`].
    ///
    /// # Errors
    ///
    /// As [`Points::register`]; [`PointError::Outdated`] when something of it has left the manifest since.
    pub async fn lend(
        &self,
        name: &str,
        (state, base): (&Head, &Base),
        now: Timestamp,
    ) -> Result<PointRef, PointError> {
        if !is_point_name(name) {
            let name = name.to_owned();
            return Err(PointError::InvalidName { name });
        }
        let lent = Some((state, base));
        self.add(&Registration { name, lent, now }).await
    }

    async fn add(&self, registration: &Registration<'_>) -> Result<PointRef, PointError> {
        let (mut tried, mut doubt): (Option<Tried>, Option<BucketError>) = (None, None);
        for number in 0..TRIES {
            tokio::time::sleep(WAIT * number).await;
            let (head, version) = self.archive.read_head().await?;
            let ours = tried.as_ref().map(|tried| &tried.point);
            if let Some(point) = ours.filter(|point| head.points.contains(point)) {
                return Ok(point.clone());
            }
            let next = match tried.take() {
                // As it was: the same write once more, which can happen only once.
                Some(tried) if tried.before == head => tried,
                _ => self.prepare(registration, head).await?,
            };
            match self.replace(&next.next, &version).await? {
                Ok(()) => return Ok(next.point),
                Err(error) => (tried, doubt) = (Some(next), Some(error)),
            }
        }
        Err(self.given_up(doubt))
    }

    /// Writes the document, under a name that is new.
    async fn prepare(&self, registration: &Registration<'_>, before: Head) -> Result<Tried, PointError> {
        let (name, place) = (registration.name.to_owned(), self.archive.place());
        not_purged(&before, place)?;
        if before.points.iter().any(|point| point.name == name) {
            let place = place.to_string();
            return Err(PointError::Taken { place, name });
        }
        if before.points.len() >= MAX_POINTS {
            let place = place.to_string();
            return Err(PointError::TooMany { place });
        }
        let state = match registration.lent {
            None => &before,
            Some((state, base)) if self.keeps(&before, state, base).await? => state,
            Some(_) => {
                let place = place.to_string();
                return Err(PointError::Outdated { place });
            }
        };
        let state = Head {
            gone: Vec::new(),
            points: Vec::new(),
            ..state.clone()
        };
        let point = PointRef {
            name,
            object: format!("{}{:020}.{}", PointRef::DIRECTORY, state.sequence, nonce::<8>()?),
            sequence: state.sequence,
            start: state.start,
            end: state.end,
            since: registration.now,
        };
        let document = PointDocument {
            name: point.name.clone(),
            head: state,
        };
        let key = place.key(&point.object);
        let bytes = document::encode(PointDocument::KIND, &document)
            .map_err(|error| ArchiveError::damaged(&key, error.to_string()))?;
        self.archive.bucket().put(&key, bytes).await?;
        let mut next = before.clone();
        next.sequence = next.sequence.saturating_add(1);
        next.points.push(point.clone());
        Ok(Tried { before, next, point })
    }

    /// Whether all that a state leads to is in HEAD, or in the point of HEAD that it was read from.
    async fn keeps(&self, head: &Head, state: &Head, base: &Base) -> Result<bool, ArchiveError> {
        if let Base::Point(object) = base {
            return Ok(head.points.iter().any(|point| point.object == *object));
        }
        if head.start > state.start {
            return Ok(false);
        }
        let has_page = |name: &str| head.pages.iter().any(|page| page.name == name);
        if !state.pages.iter().all(|page| has_page(&page.name)) {
            return Ok(false);
        }
        let view = View::of(head.clone());
        for entry in &state.entries {
            let found = match view.find(entry.range.start) {
                Some(Found::Page(page)) => self.archive.page(&page).await?.find(entry.range.start),
                found => found,
            };
            if !matches!(found, Some(Found::Entry(found)) if found.name == entry.name) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes a point; what only it led to is deleted after the grace time. False when there is none.
    ///
    /// Cancel safety: it is removed or not.
    ///
    /// # Errors
    ///
    /// HEAD is not there or damaged, or the bucket cannot be asked.
    pub async fn remove(&self, name: &str, now: Timestamp) -> Result<bool, PointError> {
        let (mut was_there, mut doubt) = (false, None);
        for number in 0..TRIES {
            tokio::time::sleep(WAIT * number).await;
            let (head, version) = self.archive.read_head().await?;
            let Some(point) = head.points.iter().find(|point| point.name == name) else {
                return Ok(was_there);
            };
            was_there = true;
            let released = self.released(&head, point).await?;
            let mut next = head.clone();
            next.sequence = next.sequence.saturating_add(1);
            next.points.retain(|point| point.name != name);
            let gone = |name| Gone { name, since: now };
            next.gone.extend(released.into_iter().map(gone));
            match self.replace(&next, &version).await? {
                Ok(()) => return Ok(true),
                Err(error) => doubt = Some(error),
            }
        }
        Err(self.given_up(doubt))
    }

    /// What only this point leads to, and its document.
    async fn released(&self, head: &Head, point: &PointRef) -> Result<Vec<String>, ArchiveError> {
        let mut released = Names::default();
        // What nobody can tell any more is garbage, and collected as such.
        released.add_readable(&self.archive, point).await?;
        let mut kept = Names::default();
        kept.add(&self.archive, head).await?;
        for other in head.points.iter().filter(|other| *other != point) {
            // What one keeps that cannot be read is not deleted as long as it is registered.
            kept.add_readable(&self.archive, other).await?;
        }
        let mut names = released.names;
        names.retain(|name| !kept.names.contains(name));
        let known: HashSet<_> = head.gone.iter().map(|gone| &gone.name).collect();
        let mut names: Vec<_> = names.into_iter().filter(|name| !known.contains(name)).collect();
        names.sort_unstable();
        names.truncate(MOST_RELEASED);
        names.push(point.object.clone());
        Ok(names)
    }

    /// Replaces HEAD. The inner error says that it has to be looked at again.
    async fn replace(&self, next: &Head, version: &Version) -> Result<Result<(), BucketError>, ArchiveError> {
        match self.archive.replace_head(next, version).await? {
            Ok(_) => {
                self.archive.show(next.clone());
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn given_up(&self, doubt: Option<BucketError>) -> PointError {
        let key = self.archive.place().key(Place::HEAD);
        doubt.unwrap_or(BucketError::Conflict { key }).into()
    }
}

/// Refuses what is being purged.
pub(super) fn not_purged(head: &Head, place: &Place) -> Result<(), ArchiveError> {
    if head.purging {
        let key = place.key(Place::HEAD);
        return Err(ArchiveError::Purging { key });
    }
    Ok(())
}
