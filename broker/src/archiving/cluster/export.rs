//! The task that keeps the bucket's word on the cluster up to date.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use strandline_core::Offset;
use strandline_core::metadata::{ClusterId, State};
use strandline_core::plugin::Sha256;
use strandline_core::storage::ReadError;
use strandline_storage_backends::tiered::{Bucket, BucketError, Place, Version};

use super::cursors;
use super::manifest::{ClusterManifest, ManifestError, StoredCursor, encode_cursors, encode_state};
use crate::context::Context;
use crate::nonce::nonce;
use crate::plugins::PluginError;

/// Changes that come one after another are told of together.
const SETTLE: Duration = Duration::from_secs(1);
/// How often cursors are looked at, unless that takes long.
const INTERVAL: Duration = Duration::from_secs(15);
/// Share of the time that looking at cursors may take: one in so many.
const CURSORS_SHARE: u32 = 50;
/// Wait after a failure.
const RETRY: Duration = Duration::from_secs(10);

/// Why the bucket was not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// The bucket cannot be asked, or what it holds not be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The bytes of a plugin cannot be had.
    #[error("a plugin cannot be read")]
    Plugin(#[from] PluginError),
    /// The stream of cursors cannot be read.
    #[error("cursors cannot be read")]
    Cursors(#[from] ReadError),
    /// A later process of this cluster tells the bucket.
    #[error(
        "a later process of cluster {cluster}, number {process}, writes its manifest: this one leaves it alone"
    )]
    Overtaken { cluster: ClusterId, process: u32 },
    /// What was archived is not there.
    #[error("{head} is not in the bucket: it was emptied, or the URL names another one")]
    Emptied { head: String },
    /// The broker is stopping.
    #[error("the broker is stopping")]
    Stopping,
}

impl From<BucketError> for ExportError {
    fn from(error: BucketError) -> Self {
        ManifestError::from(error).into()
    }
}

/// Runs until the broker stops. Nothing is written before the first stream is archived.
pub(crate) async fn run(context: Arc<Context>) {
    let Some(bucket) = context.archives.bucket() else {
        return;
    };
    let mut exporter = Exporter::new(Arc::clone(&context), bucket);
    let mut changes = context.metadata.changes();
    let mut failing = false;
    loop {
        changes.mark_unchanged();
        // A request that is on its way is given up: a bucket that says nothing would hold up the stop of the broker.
        let told = tokio::select! {
            () = context.stopping.cancelled() => return,
            told = exporter.tell() => told,
        };
        let told = match told {
            Err(error @ ExportError::Overtaken { .. }) => {
                tracing::error!(%error, "the archive is no longer told of streams, cursors and plugins");
                return;
            }
            told => told,
        };
        if let Err(error) = &told
            && !failing
        {
            tracing::warn!(error = %crate::streams::describe(error),
                "the archive could not be told of streams, cursors and plugins; it is tried again");
        }
        failing = told.is_err();
        let wait = if failing { RETRY } else { INTERVAL };
        tokio::select! {
            () = context.stopping.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            _ = changes.changed(), if !failing => tokio::time::sleep(SETTLE).await,
        }
    }
}

struct Exporter {
    context: Arc<Context>,
    bucket: Arc<Bucket>,
    /// What the bucket holds.
    known: Option<(ClusterManifest, Version)>,
    cursors: KnownCursors,
}

/// What was told of cursors.
#[derive(Default)]
struct KnownCursors {
    ends: Option<Vec<Offset>>,
    told: Vec<StoredCursor>,
    next_look: Option<Instant>,
}

impl Exporter {
    fn new(context: Arc<Context>, bucket: Arc<Bucket>) -> Self {
        Self {
            context,
            bucket,
            known: None,
            cursors: KnownCursors::default(),
        }
    }

    /// Writes what is new.
    async fn tell(&mut self) -> Result<(), ExportError> {
        let state = self.context.metadata.state();
        // Not before: the bucket is tried before the first HEAD is made.
        let mut partitions = state.streams().flat_map(|stream| &stream.partitions);
        let is_archived = partitions.any(|partition| partition.is_archived);
        let Some(cluster) = state.cluster().filter(|_| is_archived) else {
            return Ok(());
        };
        if self.known.is_none() {
            self.known = self.load(cluster, &state).await?;
        }
        let told = self.write(cluster, &state).await;
        if told.is_err() {
            // Whether it was written is not known.
            self.known = None;
            self.cursors.ends = None;
        }
        told
    }

    async fn load(
        &self,
        cluster: &ClusterId,
        state: &State,
    ) -> Result<Option<(ClusterManifest, Version)>, ExportError> {
        let loaded = match ClusterManifest::load(&self.bucket, cluster).await {
            Err(error) if error.is_missing() => {
                self.check_not_emptied(state).await?;
                return Ok(None);
            }
            loaded => loaded?,
        };
        if loaded.0.process > self.context.metadata.process() {
            let (cluster, process) = (cluster.clone(), loaded.0.process);
            return Err(ExportError::Overtaken { cluster, process });
        }
        Ok(Some(loaded))
    }

    /// That a manifest which is missing is a new one: a bucket that has lost an archive gets nothing until it is put right.
    async fn check_not_emptied(&self, state: &State) -> Result<(), ExportError> {
        let archived = state.streams().find_map(|stream| {
            let (number, _) = stream
                .numbered_partitions()
                .find(|(_, partition)| partition.is_archived)?;
            Some(format!(
                "{}/{number}/{}",
                stream.archive.as_ref()?.root,
                Place::HEAD
            ))
        });
        let Some(head) = archived else {
            return Ok(());
        };
        match self.bucket.head(&head).await {
            Err(BucketError::NotFound { .. }) => Err(ExportError::Emptied { head }),
            looked => Ok(looked.map(|_| ())?),
        }
    }

    async fn write(&mut self, cluster: &ClusterId, state: &State) -> Result<(), ExportError> {
        let new_cursors = self.new_cursors().await?;
        let before = self.known.as_ref().map(|(manifest, _)| manifest);
        let is_same = before.is_some_and(|before| before.revision == state.revision());
        if is_same && new_cursors.is_none() {
            return Ok(());
        }
        let (nonce, now) = (nonce(&*self.context.clock), self.context.clock.now());
        let mut next = next(before, cluster, &self.context);
        if !is_same {
            let known = (state, before);
            next.modules = keep_modules(&self.context, &self.bucket, cluster, known).await?;
            let name = ClusterManifest::metadata_name(state.revision(), &nonce);
            let key = format!("{cluster}/{name}");
            self.bucket.put(&key, encode_state(&key, state)?).await?;
            let before = std::mem::replace(&mut next.metadata, name);
            next.revision = state.revision();
            if !before.is_empty() {
                next.leave(before, now);
            }
        }
        if let Some(cursors) = &new_cursors {
            let name = ClusterManifest::cursors_name(next.sequence, &nonce);
            let key = format!("{cluster}/{name}");
            self.bucket.put(&key, encode_cursors(&key, cursors)?).await?;
            if let Some(before) = next.cursors.replace(name) {
                next.leave(before, now);
            }
        }
        for gone in next.take_overdue(now) {
            self.bucket.delete(&format!("{cluster}/{}", gone.name)).await?;
        }
        self.publish(next).await?;
        if let Some(cursors) = new_cursors {
            self.cursors.told = cursors;
        }
        Ok(())
    }

    async fn publish(&mut self, next: ClusterManifest) -> Result<(), ExportError> {
        let (key, bytes) = (ClusterManifest::key(&next.cluster), next.encode()?);
        let version = match &self.known {
            Some((_, version)) => self.bucket.replace(&key, bytes, version).await?,
            None => self.bucket.create(&key, bytes).await?,
        };
        self.known = Some((next, version));
        Ok(())
    }

    /// The cursors, if they are not those that were told of, and not looked at too often.
    async fn new_cursors(&mut self) -> Result<Option<Vec<StoredCursor>>, ExportError> {
        let (known, now) = (&mut self.cursors, Instant::now());
        let ends = cursors::ends(&self.context);
        let is_due = known.next_look.is_none_or(|at| at <= now);
        if !is_due || known.ends.as_ref() == Some(&ends) {
            return Ok(None);
        }
        let context = Arc::clone(&self.context);
        let collect = tokio::task::spawn_blocking(move || cursors::collect(&context));
        let collected = collect.await.map_err(|_| ExportError::Stopping)??;
        known.next_look = Some(now + now.elapsed() * CURSORS_SHARE);
        known.ends = Some(ends);
        let Some(cursors) = collected else {
            tracing::warn!(
                "there are more cursors than the archive is told of; a restored cluster will not have them"
            );
            return Ok(None);
        };
        Ok(Some(cursors).filter(|cursors| *cursors != known.told))
    }
}

/// Makes sure that the bytes of every plugin are in the bucket; `before` are there. Returns all that are.
pub(super) async fn keep_modules(
    context: &Context,
    bucket: &Bucket,
    cluster: &ClusterId,
    (state, before): (&State, Option<&ClusterManifest>),
) -> Result<BTreeSet<Sha256>, ExportError> {
    let mut kept = before.map_or_else(BTreeSet::new, |before| before.modules.clone());
    for module in state.plugins().modules() {
        for version in &module.versions {
            let sum = version.facts.sha256;
            if kept.contains(&sum) {
                continue;
            }
            let (name, number) = (module.name.clone(), Some(version.number));
            let (_, bytes) = context.plugins.fetch(name, number).await?;
            bucket
                .put(&ClusterManifest::module_key(cluster, &sum), bytes)
                .await?;
            kept.insert(sum);
        }
    }
    Ok(kept)
}

/// The version after this one, with nothing new in it yet.
fn next(before: Option<&ClusterManifest>, cluster: &ClusterId, context: &Context) -> ClusterManifest {
    let mut next = before.cloned().unwrap_or_else(|| ClusterManifest {
        cluster: cluster.clone(),
        sequence: 0,
        writer: context.metadata.broker().clone(),
        process: 0,
        written: context.clock.now(),
        revision: 0,
        metadata: String::new(),
        cursors: None,
        modules: BTreeSet::new(),
        gone: Vec::new(),
    });
    next.sequence = next.sequence.saturating_add(1);
    next.writer = context.metadata.broker().clone();
    next.process = context.metadata.process();
    next.written = context.clock.now();
    next
}
