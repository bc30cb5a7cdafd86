//! What is asked of archives, and what their answers mean to readers.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use strandline_core::OffsetRange;
use strandline_core::storage::{Damage, FetchFailure};

use super::attempts::{Deadline, Trouble};
use super::segment::Segment;
use crate::tiered::{
    ArchiveError, BucketError, Entry, Footer, Found, Page, PageRef, PartitionArchive, Place,
};

/// An object with the bucket that it is in, as messages and caches name it.
pub(super) fn key_of(archive: &PartitionArchive, key: &str) -> String {
    let url = archive.bucket().url();
    format!("{}/{key}", url.strip_suffix('/').unwrap_or(url))
}

/// Loads the manifest.
pub(super) async fn load(archive: Arc<PartitionArchive>) -> Result<(), Trouble> {
    let loaded = archive.load().await;
    loaded.map(drop).map_err(|error| trouble_of(&archive, &error, 0))
}

/// Fetches a page of the manifest.
pub(super) async fn page(archive: Arc<PartitionArchive>, page: PageRef) -> Result<Arc<Page>, Trouble> {
    let fetched = archive.page(&page).await;
    fetched.map_err(|error| trouble_of(&archive, &error, 0))
}

/// Fetches the footer of a segment.
pub(super) async fn footer(
    archive: Arc<PartitionArchive>,
    entry: Arc<Entry>,
) -> Result<Arc<Footer>, Trouble> {
    let fetched = archive.footer(&entry).await;
    let at = Footer::range_of(&entry).start;
    fetched.map_err(|error| trouble_of(&archive, &error, at))
}

/// Fetches consecutive blocks of a segment.
pub(super) async fn blocks(segment: &Segment, numbers: &Range<usize>) -> Result<Vec<Bytes>, Trouble> {
    let read = segment.read(numbers).await;
    read.map_err(|error| trouble_of(segment.archive(), &error.into(), segment.position(numbers.start)))
}

/// Why an object that the manifest named is not there: no reason to worry when a newer manifest does not name it.
///
/// # Errors
///
/// It does; or that cannot be found out.
pub(super) async fn explain_missing(
    archive: &Arc<PartitionArchive>,
    key: &str,
    range: OffsetRange,
    deadline: &Deadline,
) -> Result<(), FetchFailure> {
    let head = key_of(archive, &archive.place().key(Place::HEAD));
    deadline.repeat(&head, || load(Arc::clone(archive))).await?;
    let Some(view) = archive.view() else { return Ok(()) };
    let place = archive.place();
    let is_named = match view.find(range.start) {
        Some(Found::Entry(entry)) => entry.key(place) == key,
        Some(Found::Page(found)) if found.key(place) == key => true,
        Some(Found::Page(found)) => {
            let what = key_of(archive, &found.key(place));
            let fetch = || page(Arc::clone(archive), found.clone());
            let found = deadline.repeat(&what, fetch).await?.find(range.start);
            matches!(found, Some(Found::Entry(entry)) if entry.key(place) == key)
        }
        Some(Found::Gap(_)) | None => false,
    };
    if !is_named {
        return Ok(());
    }
    Err(FetchFailure::Damaged(Damage {
        file: key_of(archive, key).into(),
        position: 0,
        reason: "it is not in the bucket, although the manifest names it".to_owned(),
    }))
}

/// What an error means to a reader of a place in an object.
fn trouble_of(archive: &PartitionArchive, error: &ArchiveError, position: u64) -> Trouble {
    let in_bucket = format!("{}: {error}", archive.bucket().url());
    match error {
        ArchiveError::Bucket(BucketError::NotFound { .. }) => Trouble::Missing(in_bucket),
        ArchiveError::Bucket(BucketError::Damaged { key, reason })
        | ArchiveError::Damaged { key, reason } => Trouble::Damage(Damage {
            file: key_of(archive, key).into(),
            position,
            reason: reason.clone(),
        }),
        error if error.is_transient() => Trouble::Silence(error.to_string()),
        _ => Trouble::Refusal(in_bucket),
    }
}
