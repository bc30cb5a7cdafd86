//! The partitions of a mount: how far the archive has each of them by now.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use strandline_core::storage::{Log as _, StorageError};
use strandline_storage_backends::tiered::{ArchiveError, PartitionArchive};

use super::super::super::partition::{ArchivedPartition, Phase};
use super::super::restore::AT_ONCE;
use super::Mount;
use crate::context::Context;
use crate::streams::describe;

/// Why it is not known how far a partition is archived.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the broker is stopping")]
    Stopping,
}

impl Mount {
    /// Looks at every partition's HEAD. One that cannot be read keeps the others from nothing; its readers go on with what is
    /// known.
    pub(super) async fn follow_partitions(&self) {
        let followed = self
            .context
            .archives
            .all()
            .into_iter()
            .map(|partition| async move {
                match follow(&self.context, &partition).await {
                    Ok(()) => partition.went_well(),
                    Err(problem) => note(&partition, &problem),
                }
            });
        stream::iter(followed)
            .buffer_unordered(AT_ONCE)
            .collect::<()>()
            .await;
    }
}

async fn follow(context: &Context, partition: &ArchivedPartition) -> Result<(), Problem> {
    let archive = match partition.tiers.archive() {
        Some(archive) => archive,
        None => match begun(context, partition).await? {
            Some(archive) => archive,
            None => return Ok(()),
        },
    };
    let end = archive.load().await?.end();
    partition.made(archive);
    let handle = Arc::clone(partition.handle());
    if end <= handle.end() {
        return Ok(());
    }
    // What lies below the new start is read from the archive.
    let moved = tokio::task::spawn_blocking(move || {
        handle.log().reset(end)?;
        handle.advance_to(end);
        Ok::<_, StorageError>(())
    });
    Ok(moved.await.map_err(|_| Problem::Stopping)??)
}

/// The archive of a partition that had none when it was mounted, if it has one now.
async fn begun(
    context: &Context,
    partition: &ArchivedPartition,
) -> Result<Option<Arc<PartitionArchive>>, ArchiveError> {
    let info = partition.handle().info();
    let state = context.metadata.state();
    let place = state
        .stream(info.stream.as_str())
        .and_then(|entry| entry.archive.as_ref());
    let Some(archive) = place.and_then(|place| context.archives.archive(place, info.partition)) else {
        return Ok(None);
    };
    match archive.load().await {
        Ok(_) => Ok(Some(archive)),
        Err(ArchiveError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn note(partition: &ArchivedPartition, problem: &Problem) {
    let (reason, info) = (describe(problem), partition.handle().info());
    if partition.went_wrong(Phase::Failing, reason.clone()) {
        tracing::warn!(stream = %info.stream, partition = %info.partition, %reason,
            "it is not known how far a partition is archived by now; what is known is served");
    }
}
