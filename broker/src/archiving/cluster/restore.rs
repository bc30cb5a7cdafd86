//! A cluster's streams, plugins and cursors out of the bucket.
//!
//! Nothing is copied: a restored stream goes on in the place where it is archived, under leader epochs above all that the
//! archive knows, so that a broker of the cluster that wrote it is fenced off. Its log begins here where its archive ends; what
//! lies before is read from the archive. Each stream is restored as a whole or not at all, and says why.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use strandline_core::metadata::{self, ClusterId, RestoredPartition, State, StreamEntry};
use strandline_core::{LeaderEpoch, Offset, PartitionId, StreamName, Timestamp};
use strandline_storage_backends::tiered::{ArchiveError, Bucket, BucketError, PartitionArchive, Place, View};

use super::super::NoArchive;
use super::manifest::{ClusterManifest, ManifestError, StoredCursor};
use super::plugins::{RestoredPlugins, restore_plugins};
use crate::context::Context;
use crate::cursors::{self, CursorKey};
use crate::metadata::ChangeError;
use crate::streams::{Expect, KeyFailure, OpenError, describe};

/// Requests for HEADs, and stores of cursors, that are under way at the same time.
pub(super) const AT_ONCE: usize = 16;
/// Each start of a broker takes an epoch. One of the old cluster that still starts must not catch up soon.
const EPOCHS_AHEAD: u64 = 1 << 20;

/// What is to be restored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restore {
    /// Of which cluster; none = the only other one in the bucket.
    pub(crate) cluster: Option<ClusterId>,
    /// Only these streams, without plugins and cursors; empty = everything.
    pub(crate) streams: Vec<StreamName>,
    /// Only say what would be restored.
    pub(crate) only_look: bool,
    /// Who asks.
    pub(crate) by: String,
}

/// What was restored, or would be.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) cluster: ClusterId,
    /// When the cluster last told the archive of its streams, plugins and cursors.
    pub(crate) written: Timestamp,
    pub(crate) streams: Vec<RestoredStream>,
    pub(crate) plugins: RestoredPlugins,
    /// How many.
    pub(crate) cursors: u64,
    /// How many could not be stored, and why the first of them.
    pub(crate) failed_cursors: Option<(u64, String)>,
}

/// What became of a stream.
#[derive(Debug)]
pub(crate) struct RestoredStream {
    pub(crate) name: StreamName,
    pub(crate) partitions: Vec<ArchivedRange>,
    /// Why it was not restored.
    pub(crate) problem: Option<String>,
}

/// What the archive has of a partition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ArchivedRange {
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    pub(crate) last_time: Option<Timestamp>,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// There is nowhere to restore from.
    #[error(transparent)]
    NoArchive(#[from] NoArchive),
    /// The bucket has no other cluster.
    #[error("{url} holds no cluster that could be restored")]
    NoCluster { url: String },
    /// The bucket has several.
    #[error("{url} holds several clusters, say which: {}", clusters.join(", "))]
    SeveralClusters { url: String, clusters: Vec<String> },
    /// It is this one.
    #[error("cluster {cluster} is the one that this broker serves: there is nothing to restore from it")]
    Itself { cluster: ClusterId },
    /// It has no such stream.
    #[error("cluster {cluster} had no stream {stream} when it last told the archive")]
    NoSuchStream { cluster: ClusterId, stream: StreamName },
    /// What the bucket says of it cannot be had.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl From<BucketError> for RestoreError {
    fn from(error: BucketError) -> Self {
        ManifestError::from(error).into()
    }
}

/// Why a stream was not restored.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("a stream of this name exists here")]
    Exists,
    #[error("it was never archived: only the broker that had it knows its records")]
    NeverArchived,
    #[error("partition {partition}: {source}")]
    Archive {
        partition: PartitionId,
        #[source]
        source: ArchiveError,
    },
    #[error(transparent)]
    Keys(#[from] KeyFailure),
    #[error(transparent)]
    Engine(#[from] OpenError),
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error("it is there, but out of service: {0}")]
    OutOfService(String),
}

/// Restores what is asked for.
///
/// Cancel safety: not safe; to be called from a task of its own. What was restored until then stays.
///
/// # Errors
///
/// Nothing was restored. What keeps single streams, plugins or cursors from being restored is said of each of them.
pub(crate) async fn restore(context: &Arc<Context>, wanted: Restore) -> Result<Restored, RestoreError> {
    let bucket = context.archives.bucket().ok_or(NoArchive)?;
    let cluster = match wanted.cluster.clone() {
        Some(cluster) => cluster,
        None => the_other_cluster(context, &bucket).await?,
    };
    if context.metadata.state().cluster() == Some(&cluster) {
        return Err(RestoreError::Itself { cluster });
    }
    let (manifest, _) = ClusterManifest::load(&bucket, &cluster).await?;
    let state = manifest.state(&bucket).await?;
    let entries = chosen(&state, &cluster, &wanted.streams)?;
    let restoring = Restoring {
        context,
        bucket: &bucket,
        state: &state,
        only_look: wanted.only_look,
    };
    let mut restored = Restored {
        cluster,
        written: manifest.written,
        streams: Vec::with_capacity(entries.len()),
        plugins: RestoredPlugins::default(),
        cursors: 0,
        failed_cursors: None,
    };
    for entry in entries {
        restored.streams.push(restoring.stream(&entry).await);
    }
    if wanted.streams.is_empty() {
        let cursors = manifest.stored_cursors(&bucket).await?;
        if wanted.only_look {
            restored.plugins = RestoredPlugins::of(&state);
            restored.cursors = cursors.len() as u64;
        } else {
            restored.plugins =
                restore_plugins(context, &bucket, (&restored.cluster, &state), &wanted.by).await;
            (restored.cursors, restored.failed_cursors) = restore_cursors(context, cursors).await;
        }
    }
    Ok(restored)
}

pub(super) async fn the_other_cluster(context: &Context, bucket: &Bucket) -> Result<ClusterId, RestoreError> {
    let state = context.metadata.state();
    let is_other = |found: &ClusterId| Some(found) != state.cluster();
    let found = ClusterManifest::candidates(bucket).await?;
    let mut clusters = Vec::new();
    for cluster in found.into_iter().filter(is_other) {
        match bucket.head(&ClusterManifest::key(&cluster)).await {
            Ok(_) => clusters.push(cluster),
            Err(BucketError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let url = bucket.url().to_owned();
    match <[ClusterId; 1]>::try_from(clusters) {
        Ok([cluster]) => Ok(cluster),
        Err(clusters) if clusters.is_empty() => Err(RestoreError::NoCluster { url }),
        Err(clusters) => {
            let clusters = clusters.iter().map(ToString::to_string).collect();
            Err(RestoreError::SeveralClusters { url, clusters })
        }
    }
}

/// The streams of the manifest that are wanted. Those of the server's own are not: it makes them itself.
fn chosen(
    state: &State,
    cluster: &ClusterId,
    wanted: &[StreamName],
) -> Result<Vec<Arc<StreamEntry>>, RestoreError> {
    if wanted.is_empty() {
        let ordinary = |entry: &&Arc<StreamEntry>| !entry.definition.name.is_reserved();
        return Ok(state.streams().filter(ordinary).cloned().collect());
    }
    let find = |name: &StreamName| {
        let found = state.stream(name.as_str()).filter(|_| !name.is_reserved());
        found.cloned().ok_or_else(|| RestoreError::NoSuchStream {
            cluster: cluster.clone(),
            stream: name.clone(),
        })
    };
    wanted.iter().map(find).collect()
}

/// What all streams of one restore share.
struct Restoring<'a> {
    context: &'a Arc<Context>,
    bucket: &'a Arc<Bucket>,
    state: &'a State,
    only_look: bool,
}

impl Restoring<'_> {
    async fn stream(&self, entry: &StreamEntry) -> RestoredStream {
        let name = entry.definition.name.clone();
        let mut restored = RestoredStream {
            name,
            partitions: Vec::new(),
            problem: None,
        };
        if let Err(problem) = self.try_stream(entry, &mut restored.partitions).await {
            let reason = describe(&problem);
            tracing::warn!(stream = %restored.name, %reason, "stream was not restored");
            restored.problem = Some(reason);
        }
        restored
    }

    async fn try_stream(&self, entry: &StreamEntry, ranges: &mut Vec<ArchivedRange>) -> Result<(), Problem> {
        let (context, name) = (self.context, &entry.definition.name);
        let Some(place) = &entry.archive else {
            return Err(Problem::NeverArchived);
        };
        let views = self.views(entry, place.root.as_str()).await?;
        ranges.extend(
            views
                .iter()
                .map(|view| view.as_deref().map_or_else(ArchivedRange::default, range)),
        );
        if context.metadata.state().stream(name.as_str()).is_some() {
            return Err(Problem::Exists);
        }
        let keys = &context.opener.keys;
        let new_key = keys.for_restored(entry)?;
        if self.only_look {
            return Ok(());
        }
        // Before there is a stream that would be out of service.
        context
            .opener
            .stores
            .engine(entry.definition.settings.backend())
            .await?;
        let partitions = entry.partitions.iter().zip(&views);
        let restored = metadata::RestoredStream {
            place: place.clone(),
            keys: entry.keys.clone(),
            keys_given: self.state.keys_given(),
            new_key,
            partitions: partitions
                .map(|(partition, view)| go_on(partition.leader_epoch, view.as_deref()))
                .collect(),
        };
        let mut definition = entry.definition.clone();
        // There may be fewer brokers here.
        definition.replication_factor = 1;
        let entry = context.metadata.restore_stream(definition, restored).await?;
        let opened = context.opener.open(&entry, Expect::New).await;
        if let Some(reason) = opened.first_failure() {
            return Err(Problem::OutOfService(reason.to_owned()));
        }
        context.metadata.logs_created(&entry).await?;
        tracing::info!(stream = %entry.definition.name, %place.root, "stream restored from the archive");
        Ok(())
    }

    /// What the archive says of each partition; none of one that was never archived.
    async fn views(&self, entry: &StreamEntry, root: &str) -> Result<Vec<Option<Arc<View>>>, Problem> {
        let partitions = entry.numbered_partitions();
        let partitions: Vec<_> = partitions
            .map(|(partition, known)| (partition, known.is_archived))
            .collect();
        let loads = partitions.into_iter().map(|(partition, was_archived)| {
            let place = Place {
                root: root.to_owned(),
                partition,
            };
            let archive = PartitionArchive::new(Arc::clone(self.bucket), place);
            async move {
                match archive.load().await {
                    Ok(view) => Ok(Some(view)),
                    // Its HEAD may have been about to be made.
                    Err(ArchiveError::Missing { .. }) if !was_archived => Ok(None),
                    Err(source) => Err(Problem::Archive { partition, source }),
                }
            }
        });
        let loads: Vec<_> = stream::iter(loads).buffered(AT_ONCE).collect().await;
        loads.into_iter().collect()
    }
}

fn range(view: &View) -> ArchivedRange {
    ArchivedRange {
        start: view.start(),
        end: view.end(),
        last_time: view.last_time(),
    }
}

/// How a partition goes on here: under an epoch that its cluster has not given, whatever it did since.
fn go_on(known: LeaderEpoch, view: Option<&View>) -> RestoredPartition {
    let epoch = view.map_or(known, |view| view.epoch().max(known));
    RestoredPartition {
        epoch: LeaderEpoch::new(epoch.get().saturating_add(EPOCHS_AHEAD)),
        start: view.map_or(Offset::ZERO, View::end),
        is_archived: view.is_some(),
    }
}

async fn restore_cursors(context: &Arc<Context>, stored: Vec<StoredCursor>) -> (u64, Option<(u64, String)>) {
    let stores = stored.into_iter().map(|cursor| async move {
        let key = CursorKey::new(cursor.stream, cursor.partition, cursor.id);
        let key = key.map_err(|error| error.to_string())?;
        let stored = cursors::set(context, &key, cursor.position).await;
        stored.map_err(|error| describe(&error))
    });
    let results: Vec<_> = stream::iter(stores).buffer_unordered(AT_ONCE).collect().await;
    let failed = results.iter().filter(|result| result.is_err()).count() as u64;
    let first = results.iter().find_map(|result| result.as_ref().err());
    let restored = results.len() as u64 - failed;
    (restored, first.map(|reason: &String| (failed, reason.clone())))
}
