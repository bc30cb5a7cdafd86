//! CreateArchivePoint, ListArchivePoints and RemoveArchivePoint.

use std::sync::Arc;
use std::time::Duration;

use tonic::Status;

use strandline_proto::admin::{
    ArchivePoint, ArchivePointPartition, ArchivePointStream, CreateArchivePointRequest,
    CreateArchivePointResponse, ListArchivePointsRequest, ListArchivePointsResponse,
    RemoveArchivePointRequest, RemoveArchivePointResponse,
};

use super::super::errors;
use super::archive::cluster;
use crate::archiving::{self, ClusterPoint};
use crate::context::Context;

/// How long to wait if nothing is said.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Keeps the cluster as it is.
pub(super) async fn create(
    context: &Arc<Context>,
    request: CreateArchivePointRequest,
) -> Result<CreateArchivePointResponse, Status> {
    let timeout = match request.timeout {
        0 => TIMEOUT,
        nanos => Duration::from_nanos(nanos),
    };
    let shared = Arc::clone(context);
    // Whoever called may be gone before it is done.
    let making = context
        .tasks
        .spawn(async move { archiving::snapshot(&shared, &request.name, timeout).await });
    let made = making.await.map_err(|_| errors::stopping())?;
    let made = made.map_err(|error| errors::point(&error))?;
    Ok(CreateArchivePointResponse {
        point: Some(described(made.point)),
        problems: made.problems,
    })
}

/// The points of a cluster.
pub(super) async fn list(
    context: &Context,
    request: ListArchivePointsRequest,
) -> Result<ListArchivePointsResponse, Status> {
    let points = archiving::list_points(context, cluster(request.cluster)?).await;
    let points = points.map_err(|error| errors::point(&error))?;
    let described = points.into_iter().map(|point| match point {
        Ok(point) => described(point),
        Err((name, problem)) => ArchivePoint {
            name,
            problem,
            ..ArchivePoint::default()
        },
    });
    Ok(ListArchivePointsResponse {
        points: described.collect(),
    })
}

/// Removes a point.
pub(super) async fn remove(
    context: &Arc<Context>,
    request: RemoveArchivePointRequest,
) -> Result<RemoveArchivePointResponse, Status> {
    let (cluster, name) = (cluster(request.cluster)?, request.name);
    let shared = Arc::clone(context);
    let removing = context
        .tasks
        .spawn(async move { archiving::remove_point(&shared, cluster, &name).await });
    let removed = removing.await.map_err(|_| errors::stopping())?;
    removed.map_err(|error| errors::point(&error))?;
    Ok(RemoveArchivePointResponse {})
}

fn described(point: ClusterPoint) -> ArchivePoint {
    let streams = point.streams.into_iter().map(|stream| ArchivePointStream {
        name: stream.stream.to_string(),
        partitions: stream
            .partitions
            .into_iter()
            .map(|partition| {
                partition.map_or_else(ArchivePointPartition::default, |partition| {
                    ArchivePointPartition {
                        start: partition.start.get(),
                        end: partition.end.get(),
                    }
                })
            })
            .collect(),
    });
    ArchivePoint {
        name: point.name,
        taken: point.taken.nanos(),
        streams: streams.collect(),
        left_out: point.left_out.iter().map(ToString::to_string).collect(),
        cursors: point.cursors.len() as u64,
        modules: point.modules.len() as u64,
        removing: point.removing,
        problem: String::new(),
    }
}
