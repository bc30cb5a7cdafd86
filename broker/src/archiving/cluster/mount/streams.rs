//! The streams of a mount: those of the bucket, opened and closed as they come and go there.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use strandline_core::metadata::{RestoredPartition, RestoredStream, StreamEntry};
use strandline_core::stream::SettingChange;
use strandline_core::{LeaderEpoch, Offset, PartitionId, StreamName};
use strandline_storage_backends::tiered::{ArchiveError, PartitionArchive, Place, View};

use super::super::restore::AT_ONCE;
use super::Mount;
use super::plan::plan;
use crate::metadata::ChangeError;
use crate::streams::{Expect, Stream, describe};

/// Data keys that the metadata of a mount gives begin here, far from those of clusters. They stand for keys of new batches, of
/// which there are none.
const FIRST_KEY: u32 = 1 << 30;

/// Why a stream is not served.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("partition {partition}: {source}")]
    Archive {
        partition: PartitionId,
        #[source]
        source: ArchiveError,
    },
    #[error("it has no place in the archive")]
    NoPlace,
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Mount {
    /// Makes the streams here those of the bucket. What cannot be is tried again in the next round.
    pub(super) async fn follow_streams(&mut self) {
        let plan = plan(&self.context.metadata.state(), &self.there);
        for entry in plan.gone {
            self.unmount(&entry).await;
        }
        for (name, changes) in plan.changed {
            self.set(&name, changes).await;
        }
        self.forget_failures(&plan.new);
        for entry in plan.new {
            self.mount(&entry).await;
        }
        // Before a stream is opened whose records have to pass filters.
        self.follow_plugins().await;
        self.close_unfiltered().await;
        self.open_waiting().await;
    }

    /// Takes out what stands for streams that could not be served, and are not in the bucket any more.
    fn forget_failures(&mut self, new: &[Arc<StreamEntry>]) {
        let (waiting, streams) = (&self.waiting, &self.context.streams);
        self.failing.retain(|name, _| {
            let is_wanted =
                waiting.contains_key(name) || new.iter().any(|entry| entry.definition.name == *name);
            if !is_wanted {
                streams.remove(name.as_str());
            }
            is_wanted
        });
    }

    /// Takes a stream into the metadata here.
    async fn mount(&mut self, entry: &StreamEntry) {
        let name = entry.definition.name.clone();
        match self.try_mount(entry).await {
            Ok(mounted) => drop(self.waiting.insert(name, mounted)),
            Err(problem) => self.fail(&name, entry.partitions.len(), &describe(&problem)),
        }
    }

    async fn try_mount(&self, entry: &StreamEntry) -> Result<Arc<StreamEntry>, Problem> {
        let place = entry.archive.as_ref().ok_or(Problem::NoPlace)?;
        let views = self.views(entry, place.root.as_str()).await?;
        let partitions = entry.partitions.iter().zip(&views);
        let restored = RestoredStream {
            place: place.clone(),
            keys: entry.keys.clone(),
            keys_given: FIRST_KEY,
            new_key: entry.keys.last().map(|key| key.wrapped.clone()),
            partitions: partitions
                .map(|(partition, view)| as_it_is(partition.leader_epoch, view.as_deref()))
                .collect(),
        };
        let mut definition = entry.definition.clone();
        definition.replication_factor = 1;
        Ok(self.context.metadata.restore_stream(definition, restored).await?)
    }

    /// What the archive says of each partition; none of one that was never archived.
    async fn views(&self, entry: &StreamEntry, root: &str) -> Result<Vec<Option<Arc<View>>>, Problem> {
        let partitions = entry.numbered_partitions();
        let loads: Vec<_> = partitions
            .map(|(partition, known)| {
                let place = Place {
                    root: root.to_owned(),
                    partition,
                };
                (
                    PartitionArchive::new(Arc::clone(&self.bucket), place),
                    known.is_archived,
                )
            })
            .collect();
        let loads = loads.into_iter().map(|(archive, was_archived)| async move {
            match archive.load().await {
                Ok(view) => Ok(Some(view)),
                // Its HEAD may be about to be made.
                Err(ArchiveError::Missing { .. }) if !was_archived => Ok(None),
                Err(source) => Err(Problem::Archive {
                    partition: archive.place().partition,
                    source,
                }),
            }
        });
        let loads: Vec<_> = stream::iter(loads).buffered(AT_ONCE).collect().await;
        loads.into_iter().collect()
    }

    /// Closes streams that got a filter in the cluster which is not here: they wait for it as new ones do.
    async fn close_unfiltered(&mut self) {
        let here = self.context.metadata.state();
        let open = here
            .streams()
            .filter(|entry| !self.waiting.contains_key(&entry.definition.name));
        let unfiltered: Vec<_> = open
            .filter(|entry| self.missing_filter(&entry.definition.name).is_some())
            .cloned()
            .collect();
        for entry in unfiltered {
            self.unmount(&entry).await;
            if let Some(there) = self.there.stream(entry.definition.name.as_str()).cloned() {
                self.mount(&there).await;
            }
        }
    }

    /// Opens the streams whose filters are there.
    async fn open_waiting(&mut self) {
        for (name, entry) in std::mem::take(&mut self.waiting) {
            if let Some(reason) = self.missing_filter(&name) {
                self.fail(&name, entry.partitions.len(), &reason);
                self.waiting.insert(name, entry);
                continue;
            }
            self.failing.remove(&name);
            let opened = self.context.opener.open(&entry, Expect::New).await;
            if let Err(error) = self.context.metadata.logs_created(&entry).await {
                tracing::warn!(stream = %name, %error, "a mounted stream could not be recorded");
            }
            if opened.first_failure().is_none() {
                tracing::info!(stream = %name, "stream of the archive is served");
            }
        }
    }

    /// Has readers of a stream be told why it is not served.
    fn fail(&mut self, name: &StreamName, partitions: usize, reason: &str) {
        let before = self.failing.insert(name.clone(), reason.to_owned());
        if before.as_deref() == Some(reason) {
            return;
        }
        tracing::warn!(stream = %name, %reason, "stream of the archive is out of service; it is tried again");
        let stream = Stream::out_of_service(name.clone(), partitions, reason);
        self.context.streams.insert(Arc::new(stream));
    }

    async fn set(&self, name: &StreamName, changes: Vec<SettingChange>) {
        let context = &self.context;
        let reason = match context.metadata.update_stream(name, changes).await {
            Ok(_) => match context.opener.follow(&context.metadata, name.as_str()).await {
                Ok(()) => return,
                Err(error) => describe(&error),
            },
            Err(error) => describe(&error),
        };
        tracing::warn!(stream = %name, %reason, "settings of a stream of the archive could not be followed");
    }

    async fn unmount(&mut self, entry: &StreamEntry) {
        let (context, name) = (&self.context, &entry.definition.name);
        self.waiting.remove(name);
        self.failing.remove(name);
        let deleted = context.metadata.delete_stream(name).await;
        if let Err(error) = deleted.map_err(|error| describe(&error)) {
            tracing::warn!(stream = %name, %error, "a stream that the archive has no more could not be taken out");
            return;
        }
        if let Err(error) = context.opener.delete(entry).await {
            tracing::warn!(stream = %name, error = %describe(&error), "the empty log of a stream could not be removed");
        }
        let logs = entry.partitions.iter().map(|partition| partition.log).collect();
        if let Err(error) = context.metadata.logs_removed(logs).await {
            tracing::warn!(stream = %name, %error, "a removed log could not be recorded");
        }
        tracing::info!(stream = %name, "stream is not in the archive's cluster any more");
    }
}

/// A partition as the archive has it.
fn as_it_is(known: LeaderEpoch, view: Option<&View>) -> RestoredPartition {
    let epoch = view.map_or(known, |view| view.epoch().max(known));
    RestoredPartition {
        epoch: LeaderEpoch::new(epoch.get().max(1)),
        start: view.map_or(Offset::ZERO, View::end),
        is_archived: view.is_some(),
    }
}
