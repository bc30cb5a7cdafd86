//! Writing one object from pieces that come one after another, in parts once there are many.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload};

use super::room::Space;
use super::{Bucket, BucketError, Once};

/// Parts that are on their way at the same time.
const PARTS_IN_FLIGHT: usize = 2;

/// An object that is being written. Nobody sees it before [`Upload::finish`] has returned, and it is not there afterwards
/// when [`Upload::abort`] was called or the upload was dropped; then some stores keep its parts until a rule of the
/// bucket removes them.
#[derive(Debug)]
pub struct Upload {
    bucket: Bucket,
    key: String,
    part_bytes: usize,
    /// Length of the whole, as far as it is known.
    expected: Option<u64>,
    /// Room for the part that is being filled.
    space: Option<Space>,
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    total: u64,
    session: Session,
    flying: FuturesUnordered<BoxFuture<'static, Result<(usize, PartId), BucketError>>>,
    parts: Vec<Option<PartId>>,
}

/// How the parts travel.
enum Session {
    /// So little was written that one request will do.
    None,
    /// Parts by number, which can be repeated.
    Numbered {
        store: Arc<dyn MultipartStore>,
        id: String,
    },
    /// Parts in the order of the calls; for stores without numbers.
    Ordered(Box<dyn MultipartUpload>),
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Numbered { .. } => "Numbered",
            Self::Ordered(_) => "Ordered",
        })
    }
}

impl Upload {
    pub(super) fn new(bucket: Bucket, key: String, part_bytes: usize) -> Self {
        Self {
            bucket,
            key,
            part_bytes,
            expected: None,
            space: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            total: 0,
            session: Session::None,
            flying: FuturesUnordered::new(),
            parts: Vec::new(),
        }
    }

    /// About how many bytes will be written: a small object takes no room for a whole part.
    #[must_use]
    pub fn expecting(mut self, bytes: u64) -> Self {
        self.expected = Some(bytes);
        self
    }

    /// Bytes that were written so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Adds bytes at the end, and waits while two parts are on their way and a third one is full, or as long as the parts of
    /// others take all the room there is in memory. Not to be called again after it was cancelled or has failed: abort then.
    ///
    /// # Errors
    ///
    /// A part could not be sent.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BucketError> {
        self.find_room().await?;
        self.total += bytes.len() as u64;
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(bytes);
        // The last part may be short, but not empty.
        while self.waiting_bytes > self.part_bytes {
            let part = self.take(self.part_bytes);
            self.send(part).await?;
            self.find_room().await?;
        }
        Ok(())
    }

    /// Has room for the part that comes next. Parts that are on their way give theirs back meanwhile, so that uploads which wait
    /// for each other all come to an end.
    async fn find_room(&mut self) -> Result<(), BucketError> {
        if self.space.is_some() {
            return Ok(());
        }
        let left = self.expected.map(|expected| expected.saturating_sub(self.total));
        let left = left.and_then(|left| usize::try_from(left).ok());
        let bytes = left.map_or(self.part_bytes, |left| left.saturating_add(self.waiting_bytes));
        let space = self.bucket.room.take(bytes.min(self.part_bytes));
        self.space = Some(self.meanwhile(space).await?);
        Ok(())
    }

    /// Waits for something else, such as the next piece, while parts go on.
    ///
    /// # Errors
    ///
    /// A part could not be sent; the other thing is dropped then.
    pub async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> Result<T, BucketError> {
        let mut other = std::pin::pin!(other);
        while !self.flying.is_empty() {
            match select(other.as_mut(), self.flying.next()).await {
                Either::Left((output, _)) => return Ok(output),
                Either::Right((Some(part), _)) => keep(&mut self.parts, part?),
                Either::Right((None, _)) => {}
            }
        }
        Ok(other.await)
    }

    /// Sends what is left and makes the object visible. Returns its length, which the store has confirmed.
    ///
    /// # Errors
    ///
    /// The object may be there all the same when the store's answer was lost.
    pub async fn finish(mut self) -> Result<u64, BucketError> {
        let finished = self.finish_parts().await;
        if finished.is_err() {
            self.abort().await;
            return finished;
        }
        finished
    }

    async fn finish_parts(&mut self) -> Result<u64, BucketError> {
        let rest = self.take(self.waiting_bytes);
        if matches!(self.session, Session::None) {
            self.bucket.put(&self.key, rest).await?;
        } else {
            self.send(rest).await?;
            while let Some(part) = self.flying.next().await {
                keep(&mut self.parts, part?);
            }
            self.complete().await?;
        }
        let found = self.bucket.head(&self.key).await?;
        if found != self.total {
            let reason = format!("{} bytes were written but the store has {found}", self.total);
            return Err(BucketError::damaged(&self.key, reason));
        }
        Ok(found)
    }

    /// Gives the parts up, as far as the store can be reached. Failing to is logged only: nothing refers to them.
    pub async fn abort(mut self) {
        self.flying.clear();
        let path = self.bucket.path(&self.key);
        let aborted = match (&mut self.session, path) {
            (Session::Numbered { store, id }, Ok(path)) => {
                let (store, id) = (&*store, &*id);
                let abort = || async { Ok(store.abort_multipart(&path, id).await?) };
                self.bucket
                    .run("abort the upload of", &self.key, Once::No, abort)
                    .await
            }
            (Session::Ordered(upload), _) => upload.abort().await.map_err(|error| {
                BucketError::unreachable("abort the upload of", &self.key, error.to_string())
            }),
            _ => Ok(()),
        };
        if let Err(error) = aborted
            && !matches!(error, BucketError::NotFound { .. })
        {
            tracing::debug!("parts of an upload that was given up stay in the bucket: {error}");
        }
    }

    async fn send(&mut self, part: PutPayload) -> Result<(), BucketError> {
        if matches!(self.session, Session::None) {
            self.session = begin(&self.bucket, &self.key).await?;
        }
        while self.flying.len() >= PARTS_IN_FLIGHT {
            if let Some(part) = self.flying.next().await {
                keep(&mut self.parts, part?);
            }
        }
        let number = self.parts.len();
        self.parts.push(None);
        let bucket = self.bucket.clone();
        let key = self.key.clone();
        let space = self.space.take();
        let sent: BoxFuture<'static, _> = match &mut self.session {
            Session::Numbered { store, id } => {
                let (store, id) = (Arc::clone(store), id.clone());
                Box::pin(async move {
                    let path = bucket.path(&key)?;
                    let send = || async { Ok(store.put_part(&path, &id, number, part.clone()).await?) };
                    let sent = bucket.run("write a part of", &key, Once::No, send).await;
                    drop(space);
                    sent.map(|id| (number, id))
                })
            }
            Session::Ordered(upload) => {
                let sending = upload.put_part(part);
                Box::pin(async move {
                    let sent = sending.await;
                    drop(space);
                    sent.map_err(|error| super::error::classify(&error, None, "write a part of", &key))?;
                    let content_id = String::new();
                    Ok((number, PartId { content_id }))
                })
            }
            Session::None => return Ok(()),
        };
        self.flying.push(sent);
        Ok(())
    }

    /// Makes the object of its parts. A try whose answer was lost may have done it, and then another one finds no parts: the
    /// length that the caller asks for next decides.
    async fn complete(&mut self) -> Result<(), BucketError> {
        let path = self.bucket.path(&self.key)?;
        let action = "complete the upload of";
        match &mut self.session {
            Session::Numbered { store, id } => {
                let Some(parts) = self.parts.iter().cloned().collect::<Option<Vec<_>>>() else {
                    return Err(BucketError::damaged(&self.key, "a part was not sent"));
                };
                let completed = complete_numbered(&self.bucket, store.as_ref(), (&path, id), parts).await;
                match completed {
                    Err(error) if self.bucket.head(&self.key).await != Ok(self.total) => Err(error),
                    _ => Ok(()),
                }
            }
            Session::Ordered(upload) => {
                let completed = upload.complete().await.map(|_| ());
                completed.map_err(|error| super::error::classify(&error, None, action, &self.key))
            }
            Session::None => Ok(()),
        }
    }

    /// Takes exactly so many bytes, or what there is, off the beginning.
    fn take(&mut self, bytes: usize) -> PutPayload {
        let mut wanted = bytes.min(self.waiting_bytes);
        let mut taken = Vec::new();
        self.waiting_bytes -= wanted;
        while wanted > 0 {
            let Some(first) = self.waiting.front_mut() else {
                break;
            };
            let piece = first.split_to(first.len().min(wanted));
            if first.is_empty() {
                self.waiting.pop_front();
            }
            wanted -= piece.len();
            taken.push(piece);
        }
        taken.into_iter().collect()
    }
}

async fn begin(bucket: &Bucket, key: &str) -> Result<Session, BucketError> {
    let path = bucket.path(key)?;
    let action = "begin the upload of";
    let Some(store) = &bucket.multipart else {
        let begin = || async { Ok(bucket.store.put_multipart(&path).await?) };
        let begun = bucket.run(action, key, Once::Yes, begin).await;
        return begun.map(Session::Ordered);
    };
    let begin = || async { Ok(store.create_multipart(&path).await?) };
    let id = bucket.run(action, key, Once::No, begin).await?;
    let store = Arc::clone(store);
    Ok(Session::Numbered { store, id })
}

async fn complete_numbered(
    bucket: &Bucket,
    store: &dyn MultipartStore,
    (path, id): (&Path, &String),
    parts: Vec<PartId>,
) -> Result<(), BucketError> {
    let complete = || async {
        store.complete_multipart(path, id, parts.clone()).await?;
        Ok(())
    };
    bucket
        .run("complete the upload of", path.as_ref(), Once::No, complete)
        .await
}

fn keep(parts: &mut [Option<PartId>], (number, id): (usize, PartId)) {
    if let Some(part) = parts.get_mut(number) {
        *part = Some(id);
    }
}
