//! TrimStream and EraseKey.

use std::collections::BTreeSet;
use std::sync::Arc;

use tonic::Status;

use strandline_core::{Offset, StreamName, Timestamp};
use strandline_proto::admin::trim_stream_request::Before;
use strandline_proto::admin::{
    EraseKeyRequest, EraseKeyResponse, ErasedPartition, TrimStreamRequest, TrimStreamResponse,
    TrimmedPartition,
};

use super::super::errors;
use crate::context::Context;
use crate::pace::Pace;
use crate::partition::PartitionHandle;
use crate::removal::{RemovalError, TrimBefore, erase, trim};
use crate::streams::{NoTarget, PartitionState};

/// Partitions with their numbers.
type Partitions = Vec<(u32, Arc<PartitionHandle>)>;

/// Removes the records before a point.
pub(super) async fn trim_stream(
    context: &Context,
    request: TrimStreamRequest,
) -> Result<TrimStreamResponse, Status> {
    let before = match request.before {
        Some(Before::Offset(offset)) => TrimBefore::Offset(Offset::new(offset)),
        Some(Before::Time(time)) => TrimBefore::Time(Timestamp::from_nanos(time)),
        None => return Err(errors::no_trim_point()),
    };
    let partitions = partitions(context, ("trim", request.name), &request.partitions)?;
    let mut trimmed = Vec::with_capacity(partitions.len());
    for (id, partition) in partitions {
        let pace = Pace::new(context.stopping.clone(), 0);
        let (info, done) = on_disk(partition, move |partition| trim(partition, before, &pace)).await?;
        tracing::info!(stream = %info.info().stream, partition = id, start = %done.start, records = done.records, "partition trimmed");
        trimmed.push(TrimmedPartition {
            id,
            start: done.start.get(),
            records: done.records,
            bytes: done.bytes,
        });
    }
    Ok(TrimStreamResponse { partitions: trimmed })
}

/// Removes every record with a key.
pub(super) async fn erase_key(
    context: &Context,
    request: EraseKeyRequest,
) -> Result<EraseKeyResponse, Status> {
    if request.key.is_empty() {
        return Err(errors::no_key());
    }
    let mut erased = Vec::new();
    for (id, partition) in partitions(context, ("erase keys", request.name), &[])? {
        let (key, pace) = (request.key.clone(), Pace::new(context.stopping.clone(), 0));
        let (handle, records) = on_disk(partition, move |partition| erase(partition, &key, &pace)).await?;
        if records > 0 {
            // The key itself may be what was to be forgotten.
            tracing::info!(stream = %handle.info().stream, partition = id, records, "records with a key erased");
            erased.push(ErasedPartition { id, records });
        }
    }
    Ok(EraseKeyResponse { partitions: erased })
}

/// The partitions that are asked for, all if none is named. One that is out of service cannot be kept to what is promised
/// of all: then nothing is removed.
fn partitions(
    context: &Context,
    (action, name): (&str, String),
    wanted: &[u32],
) -> Result<Partitions, Status> {
    let name = StreamName::new(name).map_err(|_| errors::stream_does_not_exist())?;
    if name.is_reserved() {
        return Err(errors::stream_is_reserved());
    }
    let state = context.metadata.state();
    if state
        .stream(name.as_str())
        .is_some_and(|entry| entry.archive.is_some())
    {
        return Err(errors::is_archived(action));
    }
    let stream = context.streams.get(name.as_str());
    let stream = stream.ok_or_else(errors::stream_does_not_exist)?;
    let wanted: BTreeSet<u32> = wanted.iter().copied().collect();
    let count = stream.partitions().len();
    if let Some(&unknown) = wanted.iter().find(|&&number| number as usize >= count) {
        return Err(errors::no_such_partition(unknown));
    }
    let numbered = (0_u32..).zip(stream.partitions());
    let asked = numbered.filter(|(number, _)| wanted.is_empty() || wanted.contains(number));
    let open = asked.map(|(number, state)| match state {
        PartitionState::Open(open) => Ok((number, Arc::clone(open.handle()))),
        PartitionState::OutOfService { reason } => {
            let stream = name.to_string();
            Err(errors::publish_target(&NoTarget::OutOfService {
                stream,
                partition: i32::try_from(number).unwrap_or(i32::MAX),
                reason: Arc::clone(reason),
            }))
        }
    });
    open.collect()
}

/// Works on a partition on a thread that may wait for the disk; the work goes on when nobody waits for it any more.
async fn on_disk<T: Send + 'static>(
    partition: Arc<PartitionHandle>,
    work: impl FnOnce(&PartitionHandle) -> Result<T, RemovalError> + Send + 'static,
) -> Result<(Arc<PartitionHandle>, T), Status> {
    let done = tokio::task::spawn_blocking(move || {
        let done = work(&partition);
        (partition, done)
    });
    let (partition, done) = done.await.map_err(|_| errors::stopping())?;
    match done {
        Ok(done) => Ok((partition, done)),
        Err(error) => {
            let info = partition.info();
            tracing::warn!(stream = %info.stream, partition = %info.partition, error = %crate::streams::describe(&error), "records could not be removed");
            Err(errors::removal(info.partition.get(), &error))
        }
    }
}
