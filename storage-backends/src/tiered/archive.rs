//! One partition's archive, as its readers and its writer share it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use parking_lot::Mutex;

use super::page::PageDocument;
use super::{
    ArchiveError, Bucket, BucketError, Entry, Footer, Head, Page, PageRef, Place, Version, View, document,
};

/// Pages that are kept after they were loaded.
const KEPT_PAGES: usize = 4;
/// Footers that are kept after they were loaded. One of a segment of 256 MiB takes about 10 KB.
const KEPT_FOOTERS: usize = 16;

/// What is archived of a partition: the state of the manifest that was seen last, and the way to the objects.
pub struct PartitionArchive {
    bucket: Arc<Bucket>,
    place: Place,
    view: ArcSwapOption<View>,
    /// Held while the view is replaced, so that it never goes back.
    replacing: Mutex<()>,
    pages: Recent<Page>,
    footers: Recent<Footer>,
}

impl PartitionArchive {
    /// The archive in this place. Nothing is asked of the bucket yet.
    pub fn new(bucket: Arc<Bucket>, place: Place) -> Arc<Self> {
        Arc::new(Self {
            bucket,
            place,
            view: ArcSwapOption::empty(),
            replacing: Mutex::new(()),
            pages: Recent::new(KEPT_PAGES),
            footers: Recent::new(KEPT_FOOTERS),
        })
    }

    /// The bucket.
    pub fn bucket(&self) -> &Arc<Bucket> {
        &self.bucket
    }

    /// The place in the bucket.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The state of the manifest that was seen last; none before the first load.
    pub fn view(&self) -> Option<Arc<View>> {
        self.view.load_full()
    }

    /// Loads the manifest's state of now. Can be cancelled at any time.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Missing`] when there is none, or [`ArchiveError::Emptied`] when there was one; HEAD is damaged, foreign
    /// or older than what was seen before; somebody is purging the archive; or the bucket cannot be asked.
    pub async fn load(&self) -> Result<Arc<View>, ArchiveError> {
        let (head, _) = self.read_head().await?;
        if head.purging {
            let key = self.place.key(Place::HEAD);
            return Err(ArchiveError::Purging { key });
        }
        Ok(self.show(head))
    }

    /// Loads a page of the manifest. Can be cancelled at any time.
    ///
    /// # Errors
    ///
    /// The page is missing, damaged or not the one that HEAD means; or the bucket cannot be asked.
    pub async fn page(&self, page: &PageRef) -> Result<Arc<Page>, ArchiveError> {
        let key = page.key(&self.place);
        if let Some(kept) = self.pages.get(&key) {
            return Ok(kept);
        }
        let (bytes, _) = self.bucket.get(&key).await?;
        let document: PageDocument = document::decode(PageDocument::KIND, &bytes)
            .map_err(|error| ArchiveError::damaged(&key, error.to_string()))?;
        let loaded = Page::of(document, page, &self.place);
        let loaded = Arc::new(loaded.map_err(|reason| ArchiveError::damaged(&key, reason))?);
        self.pages.keep(&key, &loaded);
        Ok(loaded)
    }

    /// Loads the footer of a segment. Can be cancelled at any time.
    ///
    /// # Errors
    ///
    /// The object is missing, damaged or not the one that the manifest means; or the bucket cannot be asked.
    pub async fn footer(&self, entry: &Entry) -> Result<Arc<Footer>, ArchiveError> {
        let key = entry.key(&self.place);
        if let Some(kept) = self.footers.get(&key) {
            return Ok(kept);
        }
        let bytes = self.bucket.get_range(&key, Footer::range_of(entry)).await?;
        let footer = Footer::parse(&bytes, entry);
        let footer = Arc::new(footer.map_err(|reason| ArchiveError::damaged(&key, reason))?);
        self.footers.keep(&key, &footer);
        Ok(footer)
    }

    /// Reads HEAD as it is now, checked, with the version to replace it by.
    pub(super) async fn read_head(&self) -> Result<(Head, Version), ArchiveError> {
        let key = self.place.key(Place::HEAD);
        // As it was before the request: what others show meanwhile may be newer than the answer.
        let known = self.view();
        let (bytes, version) = match self.bucket.get(&key).await {
            Err(BucketError::NotFound { .. }) if known.is_some() => {
                return Err(ArchiveError::Emptied { key });
            }
            Err(BucketError::NotFound { .. }) => return Err(ArchiveError::Missing { key }),
            other => other?,
        };
        let head: Head = document::decode(Head::KIND, &bytes)
            .map_err(|error| ArchiveError::damaged(&key, error.to_string()))?;
        if head.place != self.place.root || head.partition != self.place.partition {
            return Err(ArchiveError::Foreign {
                key,
                found: format!("{}/{}", head.place, head.partition),
                expected: self.place.to_string(),
            });
        }
        head.check()
            .map_err(|reason| ArchiveError::damaged(&key, reason))?;
        match known {
            Some(known) if known.sequence() > head.sequence => Err(ArchiveError::WentBack {
                key,
                known: known.sequence(),
                found: head.sequence,
            }),
            _ => Ok((head, version)),
        }
    }

    /// Replaces this version of HEAD, once. The inner error says that it is not known whether that was done.
    pub(super) async fn replace_head(
        &self,
        next: &Head,
        version: &Version,
    ) -> Result<Result<Version, BucketError>, ArchiveError> {
        let (key, bytes) = (self.place.key(Place::HEAD), self.encode_head(next)?);
        match self.bucket.replace(&key, bytes, version).await {
            Err(error) if error.leaves_doubt() => Ok(Err(error)),
            replaced => Ok(Ok(replaced?)),
        }
    }

    /// HEAD as it is stored, if it can be true.
    pub(super) fn encode_head(&self, head: &Head) -> Result<Bytes, ArchiveError> {
        let mistake = |reason: String| {
            let key = self.place.key(Place::HEAD);
            ArchiveError::damaged(&key, format!("it was about to be: {reason}"))
        };
        head.check().map_err(mistake)?;
        document::encode(Head::KIND, head).map_err(|error| mistake(error.to_string()))
    }

    /// Shows this state to the readers from now on, unless they see a newer one. Returns what they see.
    pub(super) fn show(&self, head: Head) -> Arc<View> {
        let _replacing = self.replacing.lock();
        if let Some(known) = self.view().filter(|known| known.sequence() >= head.sequence) {
            return known;
        }
        let view = Arc::new(View::of(head));
        self.view.store(Some(Arc::clone(&view)));
        view
    }
}

impl fmt::Debug for PartitionArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionArchive")
            .field("bucket", &self.bucket)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// The things that were used last, by name. Few, so that a walk through them is cheap.
struct Recent<T> {
    kept: Mutex<VecDeque<(String, Arc<T>)>>,
    limit: usize,
}

impl<T> Recent<T> {
    fn new(limit: usize) -> Self {
        Self {
            kept: Mutex::new(VecDeque::new()),
            limit,
        }
    }

    fn get(&self, name: &str) -> Option<Arc<T>> {
        let mut kept = self.kept.lock();
        let at = kept.iter().position(|(known, _)| known == name)?;
        let found = kept.remove(at)?;
        let thing = Arc::clone(&found.1);
        kept.push_front(found);
        Some(thing)
    }

    fn keep(&self, name: &str, thing: &Arc<T>) {
        let mut kept = self.kept.lock();
        if kept.iter().all(|(known, _)| known != name) {
            kept.push_front((name.to_owned(), Arc::clone(thing)));
            kept.truncate(self.limit);
        }
    }
}
