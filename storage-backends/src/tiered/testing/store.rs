//! A store in memory that counts what it is asked for and can be told not to answer well.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use tokio::sync::watch;

/// How the store answers those who read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tiered) enum Answers {
    /// With what is there.
    Well,
    /// Not at all, until that changes.
    Never,
    /// With an error of the server.
    Badly,
    /// With one bit of a segment changed, so many times.
    Damaged(u32),
}

/// The store.
#[derive(Debug)]
pub(in crate::tiered) struct WatchedStore {
    inner: InMemory,
    answers: watch::Sender<Answers>,
    reads: Mutex<Vec<(String, Range<u64>)>>,
}

impl WatchedStore {
    pub(in crate::tiered) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            answers: watch::Sender::new(Answers::Well),
            reads: Mutex::default(),
        })
    }

    pub(in crate::tiered) fn answer(&self, answers: Answers) {
        self.answers.send_replace(answers);
    }

    /// Takes what was read since the last call: names of objects, and which of their bytes.
    pub(in crate::tiered) fn take_reads(&self) -> Vec<(String, Range<u64>)> {
        std::mem::take(&mut *self.reads.lock())
    }

    /// Changes one byte of an object for good.
    pub(in crate::tiered) async fn flip(&self, key: &str, position: usize) {
        let path = Path::from(key);
        let mut bytes = self
            .inner
            .get(&path)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
            .to_vec();
        bytes[position] ^= 1;
        self.inner.put(&path, bytes.into()).await.unwrap();
    }

    /// Removes an object.
    pub(in crate::tiered) async fn lose(&self, key: &str) {
        self.inner.delete(&Path::from(key)).await.unwrap();
    }

    async fn damaged(&self, result: GetResult) -> Result<GetResult> {
        let (meta, range, attributes) = (
            result.meta.clone(),
            result.range.clone(),
            result.attributes.clone(),
        );
        let mut bytes = result.bytes().await?.to_vec();
        if let Some(byte) = bytes.get_mut(100) {
            *byte ^= 1;
        }
        let body = futures_util::stream::once(async move { Ok(bytes.into()) });
        Ok(GetResult {
            payload: GetResultPayload::Stream(Box::pin(body)),
            meta,
            range,
            attributes,
            extensions: Default::default(),
        })
    }
}

impl fmt::Display for WatchedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("watched")
    }
}

#[async_trait]
impl ObjectStore for WatchedStore {
    async fn put_opts(&self, to: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(to, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, options).await
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        let range = match &options.range {
            Some(GetRange::Bounded(range)) => range.clone(),
            _ => 0..0,
        };
        self.reads.lock().push((from.to_string(), range));
        let mut changes = self.answers.subscribe();
        let answers = *changes
            .wait_for(|answers| *answers != Answers::Never)
            .await
            .map_err(|error| Error::Generic {
                store: "watched",
                source: error.into(),
            })?;
        let result = self.inner.get_opts(from, options).await;
        match answers {
            Answers::Damaged(times) if times > 0 && from.as_ref().contains("/segments/") => {
                self.answer(Answers::Damaged(times - 1));
                self.damaged(result?).await
            }
            Answers::Badly => Err(Error::Generic {
                store: "watched",
                source: "503 slow down".into(),
            }),
            _ => result,
        }
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
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
