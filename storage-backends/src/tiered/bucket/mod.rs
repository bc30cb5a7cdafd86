//! The bucket as the archive sees it: few kinds of calls, each with a deadline, bounded tries and an error that says what to do.

mod body;
mod call;
mod crypto;
mod error;
mod http;
mod local;
mod open;
mod options;
mod pace;
mod profile;
mod requests;
mod retry;
mod room;
#[cfg(test)]
mod tests;
mod throttle;
mod upload;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::TryStreamExt as _;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{
    GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use strandline_core::Timestamp;

use body::{pieces, whole};
use call::{Failure, Once};
pub use error::BucketError;
pub use options::BucketOptions;
use pace::Pace;
use requests::Counters;
pub use requests::Requests;
use room::Room;
pub use throttle::Throttle;
pub use upload::Upload;

/// Larger documents are not read: what is that long was not written by an archive.
pub const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// A bucket, or a part of one below a prefix. Cloning shares the connections.
#[derive(Clone)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    multipart: Option<Arc<dyn MultipartStore>>,
    url: Arc<str>,
    prefix: Arc<str>,
    options: Arc<BucketOptions>,
    /// The store takes no smaller parts, except the last one of an object.
    least_part_bytes: usize,
    counters: Arc<Counters>,
    /// Of bodies.
    pace: Pace,
    /// For parts of uploads.
    room: Room,
}

/// The store's name for one state of an object, to replace exactly that state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    e_tag: Option<String>,
    version: Option<String>,
}

/// An object as a listing tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was written, by the store's clock.
    pub modified: Timestamp,
}

impl Bucket {
    /// Opens the bucket of a URL: `s3://BUCKET/PREFIX`, `gs://…`, `az://…`, or `file:///DIRECTORY`. Nothing is asked of the
    /// store yet.
    ///
    /// # Errors
    ///
    /// [`BucketError::Invalid`] says what is wrong with URL or options.
    pub fn open(url: &str, options: &BucketOptions) -> Result<Self, BucketError> {
        Self::open_with(url, options, &open::environment())
    }

    /// As [`Bucket::open`], with these variables instead of those of the process.
    ///
    /// # Errors
    ///
    /// [`BucketError::Invalid`] says what is wrong with URL or options.
    pub fn open_with(
        url: &str,
        options: &BucketOptions,
        variables: &BTreeMap<String, String>,
    ) -> Result<Self, BucketError> {
        let pace = Pace::default();
        let opened = open::open(url, options, variables, &pace)?;
        Ok(Self {
            pace,
            store: opened.store,
            multipart: opened.multipart,
            url: url.into(),
            prefix: opened.prefix.into(),
            options: Arc::new(options.clone()),
            least_part_bytes: BucketOptions::MIN_PART_BYTES,
            counters: Arc::default(),
            room: Room::new(options.upload_bytes),
        })
    }

    /// A bucket in memory, for tests.
    #[cfg(any(test, feature = "test-util"))]
    pub fn in_memory() -> Self {
        let store = Arc::new(object_store::memory::InMemory::new());
        Self::of_stores(Arc::clone(&store) as _, Some(store), &BucketOptions::default())
    }

    /// A bucket on stores of one's own, for tests.
    #[cfg(any(test, feature = "test-util"))]
    pub fn of_stores(
        store: Arc<dyn ObjectStore>,
        multipart: Option<Arc<dyn MultipartStore>>,
        options: &BucketOptions,
    ) -> Self {
        Self {
            store,
            multipart,
            pace: Pace::default(),
            url: "memory://".into(),
            prefix: "".into(),
            options: Arc::new(options.clone()),
            least_part_bytes: 1,
            counters: Arc::default(),
            room: Room::new(options.upload_bytes),
        }
    }

    /// The URL that the bucket was opened with.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends each body at this speed from now on, in bytes a second, instead of in a burst; none = as fast as the connection takes it.
    /// A directory knows no such thing.
    pub fn set_pace(&self, rate: Option<u64>) {
        self.pace.set(rate);
    }

    /// Requests so far, of all that share this bucket.
    pub fn requests(&self) -> Requests {
        self.counters.now()
    }

    /// Reads a whole document, with the version to replace it by.
    ///
    /// # Errors
    ///
    /// [`BucketError::NotFound`]; [`BucketError::Damaged`] when it is larger than [`MAX_DOCUMENT_BYTES`]; or the store
    /// cannot be asked.
    pub async fn get(&self, key: &str) -> Result<(Bytes, Version), BucketError> {
        let path = self.path(key)?;
        let get = || async {
            let result = self.store.get_opts(&path, GetOptions::default()).await?;
            let size = result.meta.size;
            if size > MAX_DOCUMENT_BYTES {
                let reason =
                    format!("it has {size} bytes and no document is longer than {MAX_DOCUMENT_BYTES}");
                return Err(Failure::Answer(BucketError::damaged(key, reason)));
            }
            let version = Version {
                e_tag: result.meta.e_tag.clone(),
                version: result.meta.version.clone(),
            };
            Ok((whole(result, size, key).await?, version))
        };
        self.run("get", key, Once::No, get).await
    }

    /// Reads exactly these bytes of an object. An empty range is not asked for.
    ///
    /// # Errors
    ///
    /// [`BucketError::NotFound`]; [`BucketError::Damaged`] when the object ends before the range does; or the store cannot be
    /// asked.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let mut pieces = self
            .get_pieces(key, range.start, &[range.end - range.start])
            .await?;
        Ok(pieces.pop().unwrap_or_default())
    }

    /// Reads consecutive pieces of an object in one request: from a position on those of these lengths. Each has memory of its own,
    /// so that who keeps one does not keep the others.
    ///
    /// # Errors
    ///
    /// As of [`Bucket::get_range`].
    pub async fn get_pieces(
        &self,
        key: &str,
        start: u64,
        lengths: &[u64],
    ) -> Result<Vec<Bytes>, BucketError> {
        let range = start..start + lengths.iter().sum::<u64>();
        let path = self.path(key)?;
        let get = || async {
            let options = GetOptions::new().with_range(Some(range.clone()));
            let result = self.store.get_opts(&path, options).await?;
            let size = result.meta.size;
            if size < range.end || result.range != range {
                let reason = format!("bytes {range:?} are not in its {size} bytes");
                return Err(Failure::Answer(BucketError::damaged(key, reason)));
            }
            pieces(result, lengths, key).await
        };
        self.run("read", key, Once::No, get).await
    }

    /// Writes a document where there is none. Made once only: see [`BucketError::leaves_doubt`].
    ///
    /// # Errors
    ///
    /// [`BucketError::Conflict`] when there is one.
    pub async fn create(&self, key: &str, bytes: Bytes) -> Result<Version, BucketError> {
        self.put_if(key, bytes, PutMode::Create).await
    }

    /// Replaces exactly this version of a document. Made once only: see [`BucketError::leaves_doubt`].
    ///
    /// # Errors
    ///
    /// [`BucketError::Conflict`] when it is another version or gone.
    pub async fn replace(&self, key: &str, bytes: Bytes, version: &Version) -> Result<Version, BucketError> {
        let version = UpdateVersion {
            e_tag: version.e_tag.clone(),
            version: version.version.clone(),
        };
        self.put_if(key, bytes, PutMode::Update(version)).await
    }

    async fn put_if(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<Version, BucketError> {
        let path = self.path(key)?;
        let put = || async {
            let options = PutOptions::from(mode.clone());
            let payload = PutPayload::from(bytes.clone());
            Ok(self.store.put_opts(&path, payload, options).await?)
        };
        let put = self.run("write", key, Once::Yes, put).await?;
        Ok(Version {
            e_tag: put.e_tag,
            version: put.version,
        })
    }

    /// Writes an object under a name that nobody else uses.
    ///
    /// # Errors
    ///
    /// The store cannot be asked or refuses.
    pub async fn put(&self, key: &str, payload: impl Into<PutPayload>) -> Result<(), BucketError> {
        let (path, payload) = (self.path(key)?, payload.into());
        let put = || async {
            self.store.put(&path, payload.clone()).await?;
            Ok(())
        };
        self.run("write", key, Once::No, put).await
    }

    /// Begins to write an object piece by piece, under a name that nobody else uses, in parts of the size that the options say.
    pub fn upload(&self, key: &str) -> Upload {
        self.upload_in_parts(key, self.options.part_bytes)
    }

    /// As [`Bucket::upload`], with parts of another size, as far as the store takes it.
    pub fn upload_in_parts(&self, key: &str, part_bytes: usize) -> Upload {
        let least = self.least_part_bytes;
        let part_bytes = part_bytes.clamp(least, BucketOptions::MAX_PART_BYTES);
        Upload::new(self.clone(), key.to_owned(), part_bytes)
    }

    /// Length of an object in bytes.
    ///
    /// # Errors
    ///
    /// [`BucketError::NotFound`], or the store cannot be asked.
    pub async fn head(&self, key: &str) -> Result<u64, BucketError> {
        let path = self.path(key)?;
        let head = || async { Ok(self.store.head(&path).await?.size) };
        self.run("look at", key, Once::No, head).await
    }

    /// Deletes an object. That it is not there is no error.
    ///
    /// # Errors
    ///
    /// The store cannot be asked or refuses.
    pub async fn delete(&self, key: &str) -> Result<(), BucketError> {
        let path = self.path(key)?;
        let delete = || async { Ok(self.store.delete(&path).await?) };
        match self.run("delete", key, Once::No, delete).await {
            Err(BucketError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    /// All objects below a prefix of whole path segments, in the order of their keys.
    ///
    /// # Errors
    ///
    /// There are more than `limit`, or the store cannot be asked.
    pub async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Listed>, BucketError> {
        let path = self.path(prefix)?;
        let list = || async {
            let mut found = Vec::new();
            let mut listing = self.store.list(Some(&path));
            while let Some(meta) = listing.try_next().await? {
                if found.len() >= limit {
                    return Err(Failure::Answer(BucketError::Refused {
                        action: "list",
                        key: prefix.to_owned(),
                        reason: format!("there are more than {limit} objects"),
                    }));
                }
                found.extend(self.key_of(&meta.location).map(|key| Listed {
                    key: key.to_owned(),
                    bytes: meta.size,
                    modified: Timestamp::from_nanos(
                        meta.last_modified.timestamp_nanos_opt().unwrap_or(i64::MAX),
                    ),
                }));
            }
            Ok(found)
        };
        let mut found = self.run("list", prefix, Once::No, list).await?;
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// The names directly below a prefix that have something below them, as directories have.
    ///
    /// # Errors
    ///
    /// The store cannot be asked.
    pub async fn directories(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        let path = self.path(prefix)?;
        let list = || async { Ok(self.store.list_with_delimiter(Some(&path)).await?) };
        let listed = self.run("list", prefix, Once::No, list).await?;
        let mut names: Vec<_> = listed
            .common_prefixes
            .iter()
            .filter_map(|path| path.parts().next_back().map(|part| part.as_ref().to_owned()))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn path(&self, key: &str) -> Result<Path, BucketError> {
        let full = match (self.prefix.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.prefix.to_string(),
            (false, false) => format!("{}/{key}", self.prefix),
        };
        Path::parse(&full).map_err(|error| BucketError::Refused {
            action: "name",
            key: key.to_owned(),
            reason: error.to_string(),
        })
    }

    fn key_of<'a>(&self, path: &'a Path) -> Option<&'a str> {
        let below = path.as_ref().strip_prefix(&*self.prefix)?;
        Some(below.strip_prefix('/').unwrap_or(below))
    }
}

impl fmt::Debug for Bucket {
    /// Only the URL: stores may print credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
