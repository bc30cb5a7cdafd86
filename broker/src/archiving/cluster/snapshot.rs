//! Making points of the cluster, showing them and removing them.
//!
//! The order makes a point consistent: cursors and metadata are taken first, then the ends of what is committed, and everything
//! up to there is archived before a partition's point is registered; so no cursor of the point is beyond its records. It counts
//! from the moment at which its document is in the bucket. What an attempt that failed has registered is replaced by the next one
//! of the same name.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use strandline_core::metadata::{ClusterId, PlaceRoot, StreamEntry};
use strandline_core::{LogId, Offset, PartitionId, StreamName, Timestamp};
use strandline_storage_backends::tiered::{
    ArchiveError, Bucket, PartitionArchive, Place, PointError, PointRef, Points, is_free_point_name,
};

use super::super::{ArchivedPartition, NoArchive, Phase};
use super::cursors;
use super::export::{ExportError, keep_modules};
use super::manifest::ClusterManifest;
use super::point::{ClusterPoint, PartitionPoint, PointFailure, StreamPoint};
use crate::context::Context;

/// Partitions that are registered, or looked at, at the same time.
const AT_ONCE: usize = 16;
/// How often it is looked how far partitions are archived.
const LOOK: Duration = Duration::from_millis(50);

/// A point that was made.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) point: ClusterPoint,
    /// What is not in it besides streams, and why.
    pub(crate) problems: Vec<String>,
}

/// A partition that is to be in the point.
struct Target {
    stream: usize,
    number: PartitionId,
    /// As people name it.
    name: String,
    partition: Arc<ArchivedPartition>,
    /// All below it was committed when the point was begun; none when the partition is not archived any more.
    wanted: Option<Offset>,
    /// Turns that had failed before it was begun.
    failures: u32,
}

/// Keeps the cluster as it is now under a name.
///
/// Cancel safety: not safe; to be called from a task of its own. What is registered then is replaced by the next point of that name.
///
/// # Errors
///
/// There is no such point then, and what was registered for it is removed if the bucket answers.
pub(crate) async fn snapshot(
    context: &Arc<Context>,
    name: &str,
    timeout: Duration,
) -> Result<Snapshot, PointFailure> {
    if !is_free_point_name(name) {
        let name = name.to_owned();
        return Err(PointFailure::InvalidName { name });
    }
    let deadline = Instant::now() + timeout;
    let bucket = context.archives.bucket().ok_or(NoArchive)?;
    let _alone = context.archives.points.lock().await;
    let mut begun = begin(context, &bucket, name).await?;
    if begun.point.streams.is_empty() {
        return Err(PointFailure::Nothing);
    }
    let targets = targets(context, &begun.point)?;
    for target in &targets {
        if let Some(wanted) = target.wanted {
            target.partition.await_archived(wanted);
            context.archives.hurry.ask(log_of(target));
        }
    }
    for target in &targets {
        wait(target, deadline).await?;
    }
    let done = register(context, &targets, &mut begun.point).await;
    let done = match done {
        Ok(()) => begun.point.create(&bucket).await,
        failed => failed,
    };
    if let Err(failure) = done {
        // If that fails, too, the next one of the name does it.
        let now = context.clock.now();
        for target in &targets {
            if let Some(archive) = target.partition.archive() {
                let _ = Points::of(&archive).remove(name, now).await;
            }
        }
        return Err(failure);
    }
    tracing::info!(
        point = name,
        streams = begun.point.streams.len(),
        "point made in the archive"
    );
    Ok(begun)
}

/// The document without what is known of partitions.
async fn begin(context: &Arc<Context>, bucket: &Bucket, name: &str) -> Result<Snapshot, PointFailure> {
    let mut problems = Vec::new();
    let shared = Arc::clone(context);
    let collect = tokio::task::spawn_blocking(move || cursors::collect(&shared));
    let collected = collect.await.map_err(|_| ExportError::Stopping)?;
    let cursors = collected.map_err(ExportError::from)?.unwrap_or_else(|| {
        problems.push("cursors: there are more than a point can keep".to_owned());
        Vec::new()
    });
    let (state, taken) = (context.metadata.state(), context.clock.now());
    let Some(cluster) = state.cluster().cloned() else {
        return Err(PointFailure::Nothing);
    };
    match ClusterPoint::load(bucket, &cluster, name).await {
        Ok((found, _)) if found.removing => {
            let name = name.to_owned();
            return Err(PointFailure::Removing { cluster, name });
        }
        Ok((found, _)) => return Err(found.taken()),
        Err(PointFailure::NoSuchPoint { .. }) => {}
        Err(failure) => return Err(failure),
    }
    let known = match ClusterManifest::load(bucket, &cluster).await {
        Err(error) if error.is_missing() => None,
        loaded => Some(loaded?.0),
    };
    let modules = keep_modules(context, bucket, &cluster, (&state, known.as_ref())).await?;
    let streams = state
        .streams()
        .filter(|stream| !stream.definition.name.is_reserved());
    let (archived, others): (Vec<_>, Vec<_>) = streams.partition(|stream| stream.archive.is_some());
    let point = ClusterPoint {
        name: name.to_owned(),
        cluster,
        taken,
        removing: false,
        streams: archived
            .iter()
            .filter_map(|stream| stream_point(stream))
            .collect(),
        left_out: others
            .iter()
            .map(|stream| stream.definition.name.clone())
            .collect(),
        cursors,
        modules,
        state: (*state).clone(),
    };
    Ok(Snapshot { point, problems })
}

fn stream_point(entry: &StreamEntry) -> Option<StreamPoint> {
    Some(StreamPoint {
        stream: entry.definition.name.clone(),
        place: entry.archive.as_ref()?.root.clone(),
        partitions: vec![None; entry.partitions.len()],
    })
}

fn targets(context: &Context, point: &ClusterPoint) -> Result<Vec<Target>, PointFailure> {
    let mut targets = Vec::new();
    for (stream, of) in point.streams.iter().enumerate() {
        let Some(entry) = point.state.stream(of.stream.as_str()) else {
            continue;
        };
        for (number, known) in entry.numbered_partitions() {
            let name = named(&of.stream, number);
            let partition = context.archives.get(known.log);
            let partition = partition.ok_or_else(|| PointFailure::Gone {
                partition: name.clone(),
            })?;
            let committed = partition.handle().readable().end;
            targets.push(Target {
                stream,
                number,
                name,
                wanted: partition.archives().then_some(committed),
                failures: partition.standing().failures,
                partition,
            });
        }
    }
    Ok(targets)
}

fn named(stream: &StreamName, number: PartitionId) -> String {
    format!("stream {stream} partition {number}")
}

fn log_of(target: &Target) -> LogId {
    target.partition.handle().info().log
}

/// Waits until a partition is archived as far as it has to be.
async fn wait(target: &Target, deadline: Instant) -> Result<(), PointFailure> {
    let Some(wanted) = target.wanted else {
        return Ok(());
    };
    loop {
        let (partition, standing) = (&target.partition, target.partition.standing());
        let archived = partition.view().map_or(Offset::ZERO, |view| view.end());
        if partition.is_made() && partition.view().is_some() && archived >= wanted {
            return Ok(());
        }
        let is_over = match standing.phase {
            Phase::Fenced => true,
            // It is looked at again now: what it was before may be over.
            Phase::Refused => standing.failures > target.failures,
            Phase::Starting | Phase::Working | Phase::Failing => false,
        };
        if is_over || partition.is_closed() || Instant::now() >= deadline {
            let reason = match standing.error.as_str() {
                "" => String::new(),
                error => format!(": {error}"),
            };
            let partition = target.name.clone();
            return Err(PointFailure::Late {
                partition,
                wanted,
                archived,
                reason,
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Registers the point in every partition, over what an attempt of the same name has left.
async fn register(
    context: &Context,
    targets: &[Target],
    point: &mut ClusterPoint,
) -> Result<(), PointFailure> {
    let name = point.name.clone();
    let registered = targets.iter().map(|target| register_one(context, target, &name));
    let registered: Vec<_> = registered.collect();
    let registered: Vec<_> = stream::iter(registered)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    for (target, made) in registered.into_iter().flatten() {
        let stream = point.streams.get_mut(target.stream);
        let number = usize::try_from(target.number.get()).unwrap_or(usize::MAX);
        if let Some(of) = stream.and_then(|stream| stream.partitions.get_mut(number)) {
            *of = Some(PartitionPoint {
                object: made.object,
                start: made.start,
                end: made.end,
            });
        }
    }
    Ok(())
}

/// None when nothing of the partition is in the archive.
async fn register_one<'t>(
    context: &Context,
    target: &'t Target,
    name: &str,
) -> Result<Option<(&'t Target, PointRef)>, PointFailure> {
    let Some(archive) = target.partition.archive() else {
        return Ok(None);
    };
    let problem = |source| PointFailure::Partition {
        partition: target.name.clone(),
        source,
    };
    let (points, now) = (Points::of(&archive), context.clock.now());
    let mut made = points.register(name, now).await;
    if let Err(PointError::Taken { .. }) = made {
        // There is no document of this name: nobody restores from what it keeps.
        points.remove(name, now).await.map_err(problem)?;
        made = points.register(name, now).await;
    }
    Ok(Some((target, made.map_err(problem)?)))
}

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
    if !is_free_point_name(name) {
        let name = name.to_owned();
        return Err(PointFailure::InvalidName { name });
    }
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

pub(super) fn place(root: &PlaceRoot, partition: PartitionId) -> Place {
    Place {
        root: root.as_str().to_owned(),
        partition,
    }
}
