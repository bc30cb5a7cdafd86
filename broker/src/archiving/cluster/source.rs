//! What is restored: of which cluster, as of when, and which of its streams.

use std::sync::Arc;

use strandline_core::metadata::{ClusterId, State, StreamEntry};
use strandline_core::{StreamName, Timestamp};
use strandline_storage_backends::tiered::{Bucket, BucketError};

use super::copy::Copying;
use super::manifest::{ClusterManifest, StoredCursor};
use super::point::{ClusterPoint, PointFailure};
use super::restore::{Restore, RestoreError, RestoredStream};
use super::takeover::Restoring;
use crate::context::Context;

/// This cluster, if a stream of its own is to be copied.
pub(super) fn own_of(context: &Context, wanted: &Restore) -> Option<ClusterId> {
    let (state, name) = (context.metadata.state(), wanted.streams.first()?);
    let is_own = wanted.new_name.is_some() && state.stream(name.as_str()).is_some();
    state.cluster().filter(|_| is_own).cloned()
}

/// What is restored.
pub(super) struct Source {
    pub(super) state: State,
    /// When it was so.
    pub(super) written: Timestamp,
    /// The manifest that names the cursors, unless it is a point or this cluster.
    manifest: Option<ClusterManifest>,
    point: Option<ClusterPoint>,
}

impl Source {
    pub(super) async fn load(
        context: &Context,
        bucket: &Bucket,
        cluster: &ClusterId,
        wanted: &Restore,
    ) -> Result<Self, RestoreError> {
        let here = context.metadata.state();
        let is_own = here.cluster() == Some(cluster);
        if is_own && (wanted.streams.is_empty() || !wanted.copies()) {
            let cluster = cluster.clone();
            return Err(RestoreError::Itself { cluster });
        }
        if let Some(name) = &wanted.point {
            let (point, _) = ClusterPoint::load(bucket, cluster, name).await?;
            if point.removing {
                let (cluster, name) = (cluster.clone(), name.clone());
                return Err(PointFailure::Removing { cluster, name }.into());
            }
            return Ok(Self {
                state: point.state.clone(),
                written: point.taken,
                manifest: None,
                point: Some(point),
            });
        }
        if is_own {
            return Ok(Self {
                state: (*here).clone(),
                written: context.clock.now(),
                manifest: None,
                point: None,
            });
        }
        let (manifest, _) = ClusterManifest::load(bucket, cluster).await?;
        Ok(Self {
            state: manifest.state(bucket).await?,
            written: manifest.written,
            manifest: Some(manifest),
            point: None,
        })
    }

    pub(super) async fn cursors(&self, bucket: &Bucket) -> Result<Vec<StoredCursor>, RestoreError> {
        match (&self.point, &self.manifest) {
            (Some(point), _) => Ok(point.cursors.clone()),
            (None, Some(manifest)) => Ok(manifest.stored_cursors(bucket).await?),
            (None, None) => Ok(Vec::new()),
        }
    }

    pub(super) async fn restore_stream(
        &self,
        context: &Arc<Context>,
        (bucket, wanted): (&Arc<Bucket>, &Restore),
        entry: &StreamEntry,
    ) -> RestoredStream {
        if wanted.copies() {
            let copying = Copying {
                context,
                bucket,
                state: &self.state,
                point: self.point.as_ref(),
                wanted,
            };
            return copying.stream(entry).await;
        }
        let restoring = Restoring {
            context,
            bucket,
            state: &self.state,
            only_look: wanted.only_look,
        };
        restoring.stream(entry).await
    }
}

/// The only cluster of the bucket besides this one.
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
pub(super) fn chosen(
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
