//! Showing the points of a cluster, and removing them.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use strandline_core::metadata::{ClusterId, StreamEntry};
use strandline_core::{PartitionId, Timestamp};
use strandline_storage_backends::tiered::{ArchiveError, PartitionArchive, Place, PointError, Points};

use super::super::NoArchive;
use super::point::{ClusterPoint, PointFailure, StreamPoint, place};
use crate::context::Context;

/// Partitions that are looked at at the same time.
const AT_ONCE: usize = 16;

/// The points of a cluster, this one if none is named, by name; instead of one that cannot be read its name and why.
///
/// # Errors
///
/// The bucket cannot be asked.
pub(crate) async fn list(
    context: &Context,
    cluster: Option<ClusterId>,
) -> Result<Vec<Result<ClusterPoint, (String, String)>>, PointFailure> {
    let bucket = context.archives.bucket().ok_or(NoArchive)?;
    let Some(cluster) = cluster.or_else(|| context.metadata.state().cluster().cloned()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for name in ClusterPoint::names(&bucket, &cluster).await? {
        match ClusterPoint::load(&bucket, &cluster, &name).await {
            Ok((point, _)) => found.push(Ok(point)),
            // Removed since.
            Err(PointFailure::NoSuchPoint { .. }) => {}
            Err(failure) => found.push(Err((name, crate::streams::describe(&failure)))),
        }
    }
    Ok(found)
}

/// Removes a point of a cluster, this one if none is named; what only it kept is deleted after the grace time. One whose removal, or
/// making, was interrupted is removed as well.
///
/// Cancel safety: not safe; to be called from a task of its own. Repeating it goes on.
///
/// # Errors
///
/// There is none, or the bucket cannot be asked.
pub(crate) async fn remove(
    context: &Context,
    cluster: Option<ClusterId>,
    name: &str,
) -> Result<(), PointFailure> {
    let bucket = context.archives.bucket().ok_or(NoArchive)?;
    let _alone = context.archives.points.lock().await;
    let own = context.metadata.state().cluster().cloned();
    let Some(cluster) = cluster.or_else(|| own.clone()) else {
        return Err(PointFailure::Nothing);
    };
    let removing = ClusterPoint::begin_removal(&bucket, &cluster, name).await;
    let places: Vec<Place> = match &removing {
        Ok(point) => point.streams.iter().flat_map(places_of).collect(),
        // An attempt to make it may have left something.
        Err(PointFailure::NoSuchPoint { .. }) if own.as_ref() == Some(&cluster) => places_here(context),
        Err(_) => Vec::new(),
    };
    if !matches!(&removing, Ok(_) | Err(PointFailure::NoSuchPoint { .. })) {
        return removing.map(|_| ());
    }
    let now = context.clock.now();
    let removals: Vec<_> = places
        .into_iter()
        .map(|place| remove_one(PartitionArchive::new(Arc::clone(&bucket), place), name, now))
        .collect();
    let removed: Vec<bool> = stream::iter(removals)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    match removing {
        Ok(_) => ClusterPoint::delete(&bucket, &cluster, name).await,
        Err(_) if removed.contains(&true) => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// Whether there was one.
async fn remove_one(
    archive: Arc<PartitionArchive>,
    name: &str,
    now: Timestamp,
) -> Result<bool, PointFailure> {
    match Points::of(&archive).remove(name, now).await {
        // The place was purged.
        Err(PointError::Archive(ArchiveError::Missing { .. })) => Ok(false),
        removed => removed.map_err(|source| PointFailure::Partition {
            partition: archive.place().to_string(),
            source,
        }),
    }
}

fn places_of(stream: &StreamPoint) -> Vec<Place> {
    let numbered = (0..).map(PartitionId::new).zip(&stream.partitions);
    numbered
        .filter(|(_, point)| point.is_some())
        .map(|(number, _)| place(&stream.place, number))
        .collect()
}

fn places_here(context: &Context) -> Vec<Place> {
    let state = context.metadata.state();
    let of_stream = |stream: &StreamEntry| -> Vec<Place> {
        let archived = stream
            .numbered_partitions()
            .filter(|(_, known)| known.is_archived);
        let root = stream.archive.as_ref().map(|place| &place.root);
        root.map_or_else(Vec::new, |root| {
            archived.map(|(number, _)| place(root, number)).collect()
        })
    };
    state.streams().flat_map(|stream| of_stream(stream)).collect()
}
