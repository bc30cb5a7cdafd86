//! A cluster in the bucket, served as it is by a broker that changes nothing there.
//!
//! The broker's metadata is thrown away when it ends. Its streams are restored into it as by a restore, but no HEAD is claimed;
//! their local logs stay empty and begin where the archive ends, so that everything is read from the bucket. Every few seconds
//! it is looked what the cluster has archived since: then those logs begin later, and who waits for more is woken.

mod attachments;
mod partitions;
mod plan;
mod streams;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use strandline_core::StreamName;
use strandline_core::metadata::{ClusterId, PluginRegistry, State, StreamEntry};
use strandline_storage_backends::tiered::Bucket;

use super::super::NoArchive;
use super::manifest::ClusterManifest;
use super::restore::RestoreError;
use super::source::the_other_cluster;
use crate::context::Context;
use crate::streams::describe;

/// What is served, and of what.
pub(crate) struct Mount {
    context: Arc<Context>,
    bucket: Arc<Bucket>,
    cluster: ClusterId,
    /// The bucket's word that was followed last.
    known: Option<ClusterManifest>,
    /// What the cluster has, by that.
    there: State,
    /// The plugins that were followed last, if there ever were any.
    plugins: Option<Arc<PluginRegistry>>,
    /// What kept plugins from being followed.
    told: Vec<String>,
    /// Streams that are in the metadata here and not open yet: their filters are not there.
    waiting: BTreeMap<StreamName, Arc<StreamEntry>>,
    /// Streams that cannot be served, and why.
    failing: BTreeMap<StreamName, String>,
}

/// Mounts a cluster: its streams are served when this returns.
///
/// # Errors
///
/// The bucket's word on the cluster cannot be had. What keeps single streams from being served is logged, and readers of them are
/// told.
pub(crate) async fn mount(context: &Arc<Context>, cluster: Option<ClusterId>) -> Result<Mount, RestoreError> {
    let bucket = context.archives.bucket().ok_or(NoArchive)?;
    let cluster = match cluster {
        Some(cluster) => cluster,
        None => the_other_cluster(context, &bucket).await?,
    };
    let mut mount = Mount {
        context: Arc::clone(context),
        bucket,
        cluster,
        known: None,
        there: State::default(),
        plugins: None,
        told: Vec::new(),
        waiting: BTreeMap::new(),
        failing: BTreeMap::new(),
    };
    mount.look().await?;
    tracing::info!(cluster = %mount.cluster, streams = context.streams.all().len(), "archive mounted, read-only");
    Ok(mount)
}

impl Mount {
    /// Follows what the cluster archives until the broker stops.
    pub(crate) async fn follow(mut self, interval: Duration) {
        let stopping = self.context.stopping.clone();
        let mut is_failing = false;
        loop {
            let round = async {
                tokio::time::sleep(interval).await;
                self.look().await
            };
            // Whatever was begun is thrown away when the broker ends.
            let looked = tokio::select! {
                () = stopping.cancelled() => return,
                looked = round => looked,
            };
            match &looked {
                Err(error) if !is_failing => tracing::warn!(error = %describe(error),
                    "the archive does not say what is new; what is known is served, and it is asked again"),
                Ok(()) if is_failing => tracing::info!("the archive says what is new again"),
                _ => {}
            }
            is_failing = looked.is_err();
        }
    }

    /// Follows what is in the bucket by now.
    async fn look(&mut self) -> Result<(), RestoreError> {
        let (manifest, _) = ClusterManifest::load(&self.bucket, &self.cluster).await?;
        if self.known.as_ref() != Some(&manifest) {
            self.take(manifest).await?;
        } else if !self.failing.is_empty() || !self.waiting.is_empty() {
            self.follow_streams().await;
        }
        self.follow_partitions().await;
        Ok(())
    }

    async fn take(&mut self, manifest: ClusterManifest) -> Result<(), RestoreError> {
        let known = self.known.as_ref();
        if known.is_none_or(|known| known.metadata != manifest.metadata) {
            self.there = manifest.state(&self.bucket).await?;
        }
        if known.is_none_or(|known| known.cursors != manifest.cursors) {
            let cursors = manifest.stored_cursors(&self.bucket).await?;
            let cursors = cursors
                .into_iter()
                .map(|cursor| ((cursor.stream, cursor.partition, cursor.id), cursor.position));
            self.context.cursors.mount(cursors.collect());
        }
        self.follow_streams().await;
        self.known = Some(manifest);
        Ok(())
    }
}
