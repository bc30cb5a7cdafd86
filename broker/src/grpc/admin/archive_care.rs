//! CollectArchive and RenewArchive.

use std::sync::Arc;
use std::time::Duration;

use tonic::Status;

use strandline_core::{PartitionId, StreamName};
use strandline_proto::admin::{
    CollectArchiveRequest, CollectArchiveResponse, RenewArchiveRequest, RenewArchiveResponse,
    RenewedPartition,
};

use super::super::errors;
use crate::archiving::{self, Collect, LostRange, Renewal};
use crate::context::Context;

/// Deletes what nothing refers to in a partition's place.
pub(super) async fn collect(
    context: &Arc<Context>,
    request: CollectArchiveRequest,
) -> Result<CollectArchiveResponse, Status> {
    let older_than = u64::try_from(request.older_than)
        .map_err(|_| Status::invalid_argument("older_than cannot be negative"))?;
    let wanted = Collect {
        stream: StreamName::new(request.stream).map_err(|error| errors::invalid_name(&error))?,
        partition: PartitionId::new(request.partition),
        older_than: Duration::from_nanos(older_than),
        only_look: request.only_look,
    };
    let found = archiving::collect(context, wanted).await;
    let found = found.map_err(|error| errors::errand(&error))?;
    Ok(CollectArchiveResponse {
        deleted: found.deleted,
        spared: found.spared,
        foreign: found.foreign,
    })
}

/// Gives a stream whose archive is lost another place.
pub(super) async fn renew(
    context: &Arc<Context>,
    request: RenewArchiveRequest,
) -> Result<RenewArchiveResponse, Status> {
    let wanted = Renewal {
        stream: StreamName::new(request.stream).map_err(|error| errors::invalid_name(&error))?,
        only_look: request.only_look,
    };
    let shared = Arc::clone(context);
    // Whoever called may be gone before it is done.
    let renewing = context
        .tasks
        .spawn(async move { archiving::renew(&shared, wanted).await });
    let found = renewing.await.map_err(|_| errors::stopping())?;
    let found = found.map_err(|error| errors::renewal(&error))?;
    Ok(RenewArchiveResponse {
        partitions: found.into_iter().map(described).collect(),
    })
}

fn described(range: LostRange) -> RenewedPartition {
    RenewedPartition {
        id: range.partition.get(),
        problem: range.problem.unwrap_or_default(),
        lost_start: range.lost.start.get(),
        lost_end: range.lost.end.get(),
        kept_start: range.kept.start.get(),
        kept_end: range.kept.end.get(),
    }
}
