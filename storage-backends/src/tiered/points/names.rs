//! What points lead to.

use std::collections::HashSet;

use super::super::point::{PointDocument, PointRef};
use super::super::{ArchiveError, BucketError, Head, PartitionArchive, document};

/// Loads the state that a point of HEAD keeps.
pub(super) async fn load(archive: &PartitionArchive, point: &PointRef) -> Result<Head, ArchiveError> {
    let key = archive.place().key(&point.object);
    let (bytes, _) = archive.bucket().get(&key).await?;
    let document: PointDocument = document::decode(PointDocument::KIND, &bytes)
        .map_err(|error| ArchiveError::damaged(&key, error.to_string()))?;
    let state = document.into_head(point, archive.place());
    state.map_err(|reason| ArchiveError::damaged(&key, reason))
}

/// The names of all objects of this place that the points of a HEAD lead to, their documents not included.
///
/// # Errors
///
/// A document is missing or damaged, or the bucket cannot be asked. Then nobody knows what is held, and nothing may be deleted.
pub(in super::super) async fn held(
    archive: &PartitionArchive,
    head: &Head,
) -> Result<HashSet<String>, ArchiveError> {
    let mut held = Names::default();
    for point in &head.points {
        held.add_point(archive, point).await?;
    }
    Ok(held.names)
}

/// Names of segments and pages of a place.
#[derive(Default)]
pub(super) struct Names {
    pub(super) names: HashSet<String>,
    /// Pages of which all entries are there. Most states share most of their pages.
    whole_pages: HashSet<String>,
}

impl Names {
    /// Adds what a point leads to.
    async fn add_point(&mut self, archive: &PartitionArchive, point: &PointRef) -> Result<(), ArchiveError> {
        let state = load(archive, point).await?;
        self.add(archive, &state).await
    }

    /// As [`add_point`](Self::add_point), as far as its document and its pages are there and whole.
    pub(super) async fn add_readable(
        &mut self,
        archive: &PartitionArchive,
        point: &PointRef,
    ) -> Result<(), ArchiveError> {
        match self.add_point(archive, point).await {
            Err(
                ArchiveError::Damaged { .. }
                | ArchiveError::Bucket(BucketError::NotFound { .. } | BucketError::Damaged { .. }),
            ) => Ok(()),
            added => added,
        }
    }

    /// Adds what a state leads to. What it borrows is not of this place.
    pub(super) async fn add(&mut self, archive: &PartitionArchive, state: &Head) -> Result<(), ArchiveError> {
        let own_pages = state.pages.iter().filter(|page| page.place.is_none());
        for page in own_pages {
            if self.whole_pages.contains(&page.name) {
                continue;
            }
            let loaded = archive.page(page).await?;
            let kept = loaded
                .entries()
                .iter()
                .filter(|entry| entry.range.end > state.start && entry.place.is_none());
            self.names.extend(kept.map(|entry| entry.name.clone()));
            self.names.insert(page.name.clone());
            if page.range.start >= state.start {
                self.whole_pages.insert(page.name.clone());
            }
        }
        let own = state.entries.iter().filter(|entry| entry.place.is_none());
        self.names.extend(own.map(|entry| entry.name.clone()));
        Ok(())
    }
}
