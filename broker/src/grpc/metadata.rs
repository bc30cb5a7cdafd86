//! FetchMetadata and FetchPartitionMetadata.

use std::sync::Arc;

use tonic::Status;

use strandline_core::PartitionId;
use strandline_core::metadata::StreamEntry;
use strandline_core::storage::Backend;
use strandline_proto::api::{
    FetchMetadataRequest, FetchMetadataResponse, FetchPartitionMetadataRequest,
    FetchPartitionMetadataResponse, StreamMetadata,
};
use strandline_proto::convert::{
    PartitionProgress, broker, partition_metadata, stream_metadata, unknown_group, unknown_stream,
};

use super::errors;
use crate::context::Context;
use crate::partition::PartitionHandle;

/// What this broker knows of the cluster.
pub(super) fn fetch(context: &Context, request: &FetchMetadataRequest) -> FetchMetadataResponse {
    let state = context.metadata.state();
    let streams = if request.streams.is_empty() {
        state.streams().map(|entry| stream(context, entry)).collect()
    } else {
        let known = |name: &String| match state.stream(name) {
            Some(entry) => stream(context, entry),
            None => unknown_stream(name),
        };
        request.streams.iter().map(known).collect()
    };
    FetchMetadataResponse {
        brokers: state.brokers().map(broker).collect(),
        stream_metadata: streams,
        group_metadata: request.groups.iter().map(|group| unknown_group(group)).collect(),
    }
}

/// What the leader of a partition knows of it, and the storage engine that keeps it, which the answer has no field for.
pub(super) fn fetch_partition(
    context: &Context,
    request: &FetchPartitionMetadataRequest,
) -> Result<(FetchPartitionMetadataResponse, Backend), Status> {
    let state = context.metadata.state();
    let number = u32::try_from(request.partition).map(PartitionId::new);
    let number = number.map_err(|_| errors::partition_not_found())?;
    let stream = state
        .stream(&request.stream)
        .ok_or_else(errors::partition_not_found)?;
    let entry = stream.partition(number).ok_or_else(errors::partition_not_found)?;
    let handle = context.streams.partition(&request.stream, request.partition);
    let handle = handle.map_err(|error| errors::partition_metadata_target(&error))?;
    let answer = FetchPartitionMetadataResponse {
        metadata: Some(partition_metadata(number, entry, Some(progress(&handle)))),
    };
    Ok((answer, stream.definition.settings.backend()))
}

fn stream(context: &Context, entry: &Arc<StreamEntry>) -> StreamMetadata {
    let open = context.streams.get(entry.definition.name.as_str());
    let partitions = (0..)
        .map(PartitionId::new)
        .zip(entry.partitions.iter().enumerate());
    let partitions = partitions.map(|(number, (index, partition))| {
        let handle = open.as_ref().and_then(|stream| stream.open_partition(index));
        // Of a stream that was deleted and created again meanwhile the one or the other may be the older.
        let handle = handle.filter(|handle| handle.info().log == partition.log);
        partition_metadata(number, partition, handle.map(|handle| progress(handle)))
    });
    stream_metadata(entry, partitions)
}

fn progress(handle: &PartitionHandle) -> PartitionProgress {
    PartitionProgress {
        committed_end: handle.readable().end,
        end: handle.end(),
        received: handle.received_times(),
    }
}
