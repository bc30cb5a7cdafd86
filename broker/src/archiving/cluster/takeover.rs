//! Streams that go on in the places of another cluster, which is fenced off.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use strandline_core::metadata::{self, PlaceRoot, RestoredPartition, State, StreamEntry};
use strandline_core::{LeaderEpoch, Offset, PartitionId};
use strandline_storage_backends::tiered::{ArchiveError, Bucket, PartitionArchive, PointError, View};

use super::super::proof::Unfit;
use super::point::place;
use super::restore::{AT_ONCE, ArchivedRange, RestoredStream};
use crate::context::Context;
use crate::metadata::ChangeError;
use crate::streams::{Expect, KeyFailure, OpenError, describe};

/// Each start of a broker takes an epoch. One of the old cluster that still starts must not catch up soon.
const EPOCHS_AHEAD: u64 = 1 << 20;

/// Why a stream was not restored.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("a stream of this name exists here")]
    Exists,
    #[error("a stream of this name exists here: give the copy another one (--as)")]
    NameTaken,
    #[error("it is encrypted, and its keys are wrapped for its name: it comes back under that name only")]
    Encrypted,
    #[error("it is not in the point: it was not archived then")]
    NotInPoint,
    #[error("partition {partition}: the point was removed from it")]
    PointGone { partition: PartitionId },
    #[error("partition {partition}: {source}")]
    Point {
        partition: PartitionId,
        #[source]
        source: PointError,
    },
    #[error("this broker has no identity yet")]
    NoCluster,
    #[error("there are no random numbers for a new place: {reason}")]
    Random { reason: String },
    #[error(transparent)]
    Unfit(#[from] Unfit),
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

/// What all streams of one restore share.
pub(super) struct Restoring<'a> {
    pub(super) context: &'a Arc<Context>,
    pub(super) bucket: &'a Arc<Bucket>,
    pub(super) state: &'a State,
    pub(super) only_look: bool,
}

impl Restoring<'_> {
    pub(super) async fn stream(&self, entry: &StreamEntry) -> RestoredStream {
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
        let views = self.views(entry, &place.root).await?;
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
    async fn views(&self, entry: &StreamEntry, root: &PlaceRoot) -> Result<Vec<Option<Arc<View>>>, Problem> {
        let partitions = entry.numbered_partitions();
        let partitions: Vec<_> = partitions
            .map(|(partition, known)| (partition, known.is_archived))
            .collect();
        let loads = partitions.into_iter().map(|(partition, was_archived)| {
            let archive = PartitionArchive::new(Arc::clone(self.bucket), place(root, partition));
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
        epoch: epoch_beyond(epoch),
        start: view.map_or(Offset::ZERO, View::end),
        is_archived: view.is_some(),
    }
}

/// An epoch that is far beyond this one.
pub(super) fn epoch_beyond(epoch: LeaderEpoch) -> LeaderEpoch {
    LeaderEpoch::new(epoch.get().saturating_add(EPOCHS_AHEAD))
}
