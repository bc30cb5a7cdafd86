//! Making points of the cluster.
//!
//! The order makes a point consistent: cursors and metadata are taken first, then the ends of what is committed, and everything
//! up to there is archived before a partition's point is registered; so no cursor of the point is beyond its records. It counts
//! from the moment at which its document is in the bucket. What an attempt that failed has registered is replaced by the next one
//! of the same name.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use strandline_core::metadata::StreamEntry;
use strandline_core::{LogId, Offset, PartitionId, StreamName};
use strandline_storage_backends::tiered::{Bucket, PointError, PointRef, Points};

use super::super::{ArchivedPartition, NoArchive, Phase};
use super::cursors;
use super::export::{ExportError, keep_modules};
use super::manifest::ClusterManifest;
use super::point::{ClusterPoint, PartitionPoint, PointFailure, StreamPoint};
use crate::context::Context;

/// Partitions that are registered at the same time.
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
    ClusterPoint::check_name(name)?;
    let deadline = Instant::now() + timeout;
    let bucket = context.archives.bucket().ok_or(NoArchive)?;
    let _alone = context.archives.points.lock().await;
    wait_for_places(context, deadline).await?;
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

/// Waits until every stream that is to be archived has its place in the bucket.
async fn wait_for_places(context: &Context, deadline: Instant) -> Result<(), PointFailure> {
    loop {
        let state = context.metadata.state();
        let is_waiting = |entry: &&Arc<StreamEntry>| {
            let (definition, wants) = (&entry.definition, &context.archives);
            entry.archive.is_none() && !definition.name.is_reserved() && wants.wants(&definition.settings)
        };
        let waiting = state.streams().filter(is_waiting);
        let partitions: Vec<_> = waiting
            .flat_map(|entry| entry.partitions.iter())
            .filter_map(|known| context.archives.get(known.log))
            .collect();
        let Some(first) = partitions.first() else {
            return Ok(());
        };
        if Instant::now() >= deadline {
            let info = first.handle().info();
            return Err(PointFailure::Late {
                partition: named(&info.stream, info.partition),
                wanted: first.handle().readable().end,
                archived: Offset::ZERO,
                reason: reason_of(&first.standing().error),
            });
        }
        for partition in &partitions {
            context.archives.hurry.ask(partition.handle().info().log);
        }
        tokio::time::sleep(LOOK).await;
    }
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

/// What keeps a partition from being archived, with a separator before it.
fn reason_of(error: &str) -> String {
    match error {
        "" => String::new(),
        error => format!(": {error}"),
    }
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
            return Err(PointFailure::Late {
                partition: target.name.clone(),
                wanted,
                archived,
                reason: reason_of(&standing.error),
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
