//! Beginning an archive anew whose objects are lost: the stream gets another place, and what is on the disk is archived there.
//!
//! What was in the old place and on no disk is gone. So it is done only when somebody asks for it by name, and never while
//! all of the old archive can be read.

use std::sync::Arc;

use tokio::runtime::Handle;

use strandline_core::metadata::{PartitionEntry, StreamEntry};
use strandline_core::{Offset, OffsetRange, PartitionId, StreamName};
use strandline_storage_backends::tiered::ArchiveError;

use super::NoArchive;
use super::errand::turn_of;
use super::partition::ArchivedPartition;
use crate::context::Context;
use crate::metadata::ChangeError;
use crate::streams::describe;

/// What is to begin anew.
#[derive(Clone, Debug)]
pub(crate) struct Renewal {
    pub(crate) stream: StreamName,
    /// Only say what would be lost.
    pub(crate) only_look: bool,
}

/// What a partition loses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LostRange {
    pub(crate) partition: PartitionId,
    /// What is wrong with its archive; none = it could be read.
    pub(crate) problem: Option<String>,
    /// What was in the archive alone, as far as that is known.
    pub(crate) lost: OffsetRange,
    /// What is on the disk, and is archived anew.
    pub(crate) kept: OffsetRange,
}

/// Why nothing begins anew.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenewalError {
    /// There is no archive.
    #[error(transparent)]
    NoArchive(#[from] NoArchive),
    /// There is no such stream.
    #[error("there is no stream {stream}")]
    NoSuchStream { stream: StreamName },
    /// It has nothing to lose.
    #[error("stream {stream} was never archived: there is nothing to begin anew")]
    NeverArchived { stream: StreamName },
    /// The archive is as it should be.
    #[error(
        "the archive of stream {stream} in {place} is there and can be read: nothing is begun anew. What it holds would be lost"
    )]
    Fine { stream: StreamName, place: String },
    /// Nobody knows.
    #[error("whether the archive of stream {stream} is lost cannot be told")]
    Unknown {
        stream: StreamName,
        #[source]
        source: ArchiveError,
    },
    /// The metadata.
    #[error("the new place could not be recorded in the metadata")]
    Change(#[from] ChangeError),
    /// The broker stops.
    #[error("the broker is stopping")]
    Stopping,
}

/// Says what would be lost, and unless it is only to look, gives the stream its new place.
///
/// Cancel safety: it may be done all the same.
pub(crate) async fn renew(context: &Arc<Context>, wanted: Renewal) -> Result<Vec<LostRange>, RenewalError> {
    let Renewal { stream, only_look } = wanted;
    if !context.archives.is_configured() {
        return Err(NoArchive.into());
    }
    let state = context.metadata.state();
    let entry = state.stream(stream.as_str()).cloned();
    let entry = entry.ok_or_else(|| RenewalError::NoSuchStream {
        stream: stream.clone(),
    })?;
    let lost = look(context, &entry).await?;
    if !only_look {
        let (shared, runtime) = (Arc::clone(context), Handle::current());
        let done = context
            .tasks
            .spawn_blocking(move || begin(&shared, &entry, &runtime));
        done.await.map_err(|_| RenewalError::Stopping)??;
        tracing::warn!(%stream, "the archive begins anew: what it held before is given up");
    }
    Ok(lost)
}

/// What each partition would lose.
async fn look(context: &Context, entry: &StreamEntry) -> Result<Vec<LostRange>, RenewalError> {
    let stream = &entry.definition.name;
    let is_made = entry.partitions.iter().any(|partition| partition.is_archived);
    let Some(place) = entry.archive.as_ref().filter(|_| is_made) else {
        let stream = stream.clone();
        return Err(RenewalError::NeverArchived { stream });
    };
    let mut found = Vec::new();
    for (number, partition) in entry.numbered_partitions() {
        let archive = context
            .archives
            .archive(place, number)
            .filter(|_| partition.is_archived);
        let (start, problem) = match archive {
            // It has nothing there yet.
            None => (None, None),
            Some(archive) => match archive.load().await {
                Ok(view) => (Some(view.start()), None),
                Err(source @ (ArchiveError::Bucket(_) | ArchiveError::Local { .. })) => {
                    let stream = stream.clone();
                    return Err(RenewalError::Unknown { stream, source });
                }
                // It was there once.
                Err(ArchiveError::Missing { key }) => {
                    let error = ArchiveError::Emptied { key };
                    (known_start(context, partition), Some(error.to_string()))
                }
                Err(error) => (known_start(context, partition), Some(describe(&error))),
            },
        };
        found.push(lost_range(context, (number, partition), start, problem));
    }
    if found.iter().all(|range| range.problem.is_none()) {
        return Err(RenewalError::Fine {
            stream: stream.clone(),
            place: place.root.to_string(),
        });
    }
    Ok(found)
}

/// Where the archive began when it was seen last; from the first offset on if it was not.
fn known_start(context: &Context, partition: &PartitionEntry) -> Option<Offset> {
    let view = context.archives.get(partition.log)?.view();
    Some(view.map_or(Offset::ZERO, |view| view.start()))
}

fn lost_range(
    context: &Context,
    (number, partition): (PartitionId, &PartitionEntry),
    start: Option<Offset>,
    problem: Option<String>,
) -> LostRange {
    let here = context.archives.get(partition.log);
    let local = here.as_ref().map_or(Offset::ZERO, |here| here.local_start());
    let end = here.map_or(local, |here| here.handle().end());
    LostRange {
        partition: number,
        problem,
        lost: OffsetRange::new(start.unwrap_or(local).min(local), local),
        kept: OffsetRange::new(local, end),
    }
}

/// Gives the stream its new place while no partition of it is in its turn. Blocks the thread.
fn begin(context: &Context, entry: &StreamEntry, runtime: &Handle) -> Result<(), RenewalError> {
    let logs = entry.partitions.iter();
    let partitions: Vec<Arc<ArchivedPartition>> = logs
        .filter_map(|partition| context.archives.get(partition.log))
        .collect();
    let mut turns = Vec::new();
    for partition in &partitions {
        let turn = turn_of(partition.handle().archive_hold(), || {
            context.stopping.is_cancelled()
        });
        turns.push(turn.ok_or(RenewalError::Stopping)?);
    }
    runtime.block_on(context.metadata.renew_archive(entry))?;
    for partition in &partitions {
        partition.begin_anew(&mut partition.archiver.lock());
    }
    drop(turns);
    context.archives.renewed();
    Ok(())
}
