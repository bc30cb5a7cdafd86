//! A store in memory that fails as it is told, call by call.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::pending;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartId, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use super::super::{Bucket, BucketOptions};

/// How one call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NotFound,
    Denied,
    Conflict,
    /// As 429, 500 and a lost connection are seen.
    Busy,
    /// It works, and then the answer is an error.
    BusyAfter,
    /// No answer ever.
    Silence,
    /// It works, and then there is no answer.
    SilenceAfter,
    /// The answer ends early.
    Truncated,
    /// The process ends before the call.
    KilledBefore,
    /// The process ends after the call, before its answer.
    KilledAfter,
    /// No answer, and the write reaches the store only right before the call of this number.
    LandsAt(usize),
}

impl Fault {
    /// Those that a store brings on its own.
    pub(super) const ANSWERS: [Self; 8] = [
        Self::NotFound,
        Self::Denied,
        Self::Conflict,
        Self::Busy,
        Self::BusyAfter,
        Self::Silence,
        Self::SilenceAfter,
        Self::Truncated,
    ];
}

/// A process's way to the store. Several can share the store.
#[derive(Clone, Debug)]
pub(super) struct Faulty {
    inner: Arc<InMemory>,
    state: Arc<Mutex<State>>,
    killed: Arc<Notify>,
    /// Calls that may be made; none = any.
    turns: Option<Arc<Semaphore>>,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<String>,
    faults: BTreeMap<usize, Fault>,
    late: BTreeMap<usize, (Path, PutPayload, PutOptions)>,
    is_dead: bool,
    done: usize,
}

impl Faulty {
    pub(super) fn new(inner: &Arc<InMemory>) -> Self {
        Self {
            inner: Arc::clone(inner),
            state: Arc::default(),
            killed: Arc::new(Notify::new()),
            turns: None,
        }
    }

    /// A way on which every call needs a turn.
    pub(super) fn with_turns(inner: &Arc<InMemory>, turns: &Arc<Semaphore>) -> Self {
        Self {
            turns: Some(Arc::clone(turns)),
            ..Self::new(inner)
        }
    }

    pub(super) fn fail(self, call: usize, fault: Fault) -> Self {
        self.state.lock().faults.insert(call, fault);
        self
    }

    pub(super) fn bucket(&self) -> Arc<Bucket> {
        let options = BucketOptions {
            timeout: Duration::from_secs(1),
            deadline: Duration::from_secs(5),
            tries: 2,
            ..BucketOptions::default()
        };
        let store = Arc::new(self.clone());
        Arc::new(Bucket::of_stores(Arc::clone(&store) as _, Some(store), &options))
    }

    /// What was called so far.
    pub(super) fn calls(&self) -> Vec<String> {
        self.state.lock().calls.clone()
    }

    /// Calls that have ended.
    pub(super) fn done(&self) -> usize {
        self.state.lock().done
    }

    /// Resolves when the process is to end.
    pub(super) async fn killed(&self) {
        self.killed.notified().await;
    }

    /// Begins a call: says how it fails.
    async fn begin(&self, what: &str, path: &Path) -> Option<Fault> {
        if let Some(turns) = &self.turns {
            turns.acquire().await.unwrap().forget();
        }
        let (late, fault) = {
            let mut state = self.state.lock();
            let number = state.calls.len();
            state.calls.push(format!("{what} {path}"));
            let fault = state.faults.get(&number).copied();
            (
                state.late.remove(&number),
                fault
                    .filter(|_| !state.is_dead)
                    .or(state.is_dead.then_some(Fault::Silence)),
            )
        };
        if let Some((path, payload, options)) = late {
            let _ = self.inner.put_opts(&path, payload, options).await;
        }
        fault
    }

    async fn kill(&self) -> ! {
        self.state.lock().is_dead = true;
        self.killed.notify_one();
        pending().await
    }

    /// Makes a call, or not, as the fault says.
    async fn call<T>(&self, what: &str, path: &Path, work: impl Future<Output = Result<T>>) -> Result<T> {
        let fault = self.begin(what, path).await;
        let failed = || Error::Generic {
            store: "faulty",
            source: "500 for a test".into(),
        };
        let path_text = path.to_string();
        let result = match fault {
            None | Some(Fault::Truncated) => work.await,
            Some(Fault::NotFound) => Err(Error::NotFound {
                path: path_text,
                source: "404 for a test".into(),
            }),
            Some(Fault::Denied) => Err(Error::PermissionDenied {
                path: path_text,
                source: "403 for a test".into(),
            }),
            Some(Fault::Conflict) => Err(Error::Precondition {
                path: path_text,
                source: "412 for a test".into(),
            }),
            Some(Fault::Busy) => Err(failed()),
            Some(Fault::BusyAfter) => work.await.and(Err(failed())),
            Some(Fault::Silence | Fault::LandsAt(_)) => pending().await,
            Some(Fault::SilenceAfter) => {
                let _ = work.await;
                pending().await
            }
            Some(Fault::KilledBefore) => self.kill().await,
            Some(Fault::KilledAfter) => {
                let _ = work.await;
                self.kill().await
            }
        };
        self.state.lock().done += 1;
        result
    }

    fn next_fault(&self) -> Option<Fault> {
        let state = self.state.lock();
        state.faults.get(&state.calls.len()).copied()
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        if let Some(Fault::LandsAt(later)) = self.next_fault() {
            let late = (location.clone(), payload.clone(), opts.clone());
            self.state.lock().late.insert(later, late);
        }
        self.call("put", location, self.inner.put_opts(location, payload, opts))
            .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let is_truncated = self.next_fault() == Some(Fault::Truncated) && !options.head;
        let get = async {
            let mut result = self.inner.get_opts(location, options).await?;
            if is_truncated {
                let (meta, range) = (result.meta.clone(), result.range.clone());
                let bytes = result.bytes().await?;
                let half = bytes.slice(..bytes.len() / 2);
                result = GetResult {
                    payload: GetResultPayload::Stream(stream::iter([Ok(half)]).boxed()),
                    meta,
                    range,
                    attributes: Default::default(),
                    extensions: Default::default(),
                };
            }
            Ok(result)
        };
        self.call("get", location, get).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |location: Result<Path>| {
            let store = store.clone();
            async move {
                let location = location?;
                store
                    .call("delete", &location, store.inner.delete(&location))
                    .await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl MultipartStore for Faulty {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.call("begin", path, self.inner.create_multipart(path)).await
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, part: usize, data: PutPayload) -> Result<PartId> {
        self.call("part", path, self.inner.put_part(path, id, part, data))
            .await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.call("complete", path, self.inner.complete_multipart(path, id, parts))
            .await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.call("abort", path, self.inner.abort_multipart(path, id))
            .await
    }
}
