//! What a place holds for a reason, and what lies there besides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use strandline_core::Offset;

use super::super::entry::is_name;
use super::super::{ArchiveError, BucketError, Entry, PartitionArchive, Place, PointRef, Points, View};
use super::{RESTORE, Witness};
use crate::check::Finding;

/// What to do about a point whose document is damaged or missing.
const REMOVE_POINT: &str = "restore the object from a copy or an earlier version of the bucket, or remove the point; until then \
                            nothing of this place is deleted";
/// What to do about what no manifest names.
const LEFT_OVER: &str = "nothing: an upload that a crash or another leader ended, or one that is under way";
/// What to do about other people's objects.
const FOREIGN: &str = "nothing: the archive leaves it alone; remove it if it is not yours";

/// What the manifest and the points of a place lead to.
#[derive(Default)]
pub(super) struct Kept {
    /// Segments by key.
    pub(super) entries: BTreeMap<String, Arc<Entry>>,
    /// Keys of pages.
    pages: BTreeSet<String>,
    /// Those of them that cannot be read.
    bad_pages: BTreeSet<String>,
}

impl Kept {
    /// Adds what a state of the manifest leads to.
    pub(super) async fn add(
        &mut self,
        archive: &PartitionArchive,
        view: &View,
        witness: &mut dyn Witness,
    ) -> Result<(), BucketError> {
        let place = archive.place();
        for page in view.pages() {
            let key = page.key(place);
            if self.bad_pages.contains(&key) {
                continue;
            }
            self.pages.insert(key.clone());
            match archive.page(page).await {
                Ok(page) => {
                    let kept = page.entries().iter();
                    let kept = kept.filter(|entry| entry.range.end > view.start());
                    self.entries
                        .extend(kept.map(|entry| (entry.key(place), Arc::clone(entry))));
                }
                Err(ArchiveError::Bucket(error)) if !matches!(error, BucketError::NotFound { .. }) => {
                    return Err(error);
                }
                Err(error) => {
                    witness.found(Finding::damage(&key, error.to_string(), RESTORE));
                    self.bad_pages.insert(key);
                }
            }
        }
        let entries = view.entries().iter();
        self.entries
            .extend(entries.map(|entry| (entry.key(place), Arc::clone(entry))));
        Ok(())
    }

    /// Adds what the points of a manifest lead to.
    pub(super) async fn add_points(
        &mut self,
        archive: &Arc<PartitionArchive>,
        view: &View,
        witness: &mut dyn Witness,
    ) -> Result<(), BucketError> {
        for point in &view.head().points {
            match Points::of(archive).load(point).await {
                Ok(state) => self.add(archive, &View::of(state), witness).await?,
                Err(ArchiveError::Bucket(error)) if !matches!(error, BucketError::NotFound { .. }) => {
                    return Err(error);
                }
                Err(error) => {
                    let key = archive.place().key(&point.object);
                    let problem = format!("point {}: {error}", point.name);
                    witness.found(Finding::damage(key, problem, REMOVE_POINT));
                }
            }
        }
        Ok(())
    }
}

/// Tells of the objects that neither the manifest nor a point leads to.
pub(super) fn strangers(
    place: &Place,
    view: &View,
    (kept, lengths): (&Kept, &BTreeMap<&str, u64>),
    witness: &mut dyn Witness,
) {
    let head = view.head();
    let gone = head.gone.iter().map(|gone| gone.name.as_str());
    let points = head.points.iter().map(|point| point.object.as_str());
    let known: BTreeSet<_> = gone.chain(points).chain([Place::HEAD]).collect();
    let is_known = |name: &str| {
        let key = place.key(name);
        known.contains(name) || kept.entries.contains_key(&key) || kept.pages.contains(&key)
    };
    for (name, bytes) in lengths.iter().filter(|(name, _)| !is_known(name)) {
        let directories = ["segments/", "manifest/", PointRef::DIRECTORY];
        let is_ours = directories.iter().any(|directory| is_name(name, directory));
        let (problem, advice) = match is_ours {
            // What lies below the start went by retention with the page that lists it still there.
            true if below(name, view.start()) => continue,
            true => (
                format!("the manifest does not name it; it has {bytes} bytes"),
                LEFT_OVER,
            ),
            false => ("it is none of the archive's".to_owned(), FOREIGN),
        };
        witness.found(Finding::harmless(place.key(name), problem, advice));
    }
}

/// Whether a segment's name says that all of it lies below an offset.
fn below(name: &str, start: Offset) -> bool {
    let end = name
        .strip_prefix("segments/")
        .and_then(|rest| rest.split('-').nth(1));
    end.and_then(|end| end.parse().ok())
        .is_some_and(|end: u64| end <= start.get())
}
