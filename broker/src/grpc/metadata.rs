//! FetchMetadata and FetchPartitionMetadata.

use std::collections::HashMap;
use std::sync::Arc;

use tonic::Status;

use strandline_core::metadata::{PartitionEntry, State, StreamEntry};
use strandline_core::{BrokerId, PartitionId};
use strandline_proto::api::{
    Broker, ConsumerGroupMetadata, FetchMetadataRequest, FetchMetadataResponse,
    FetchPartitionMetadataRequest, FetchPartitionMetadataResponse, PartitionEventTimestamps,
    PartitionMetadata, StreamMetadata, consumer_group_metadata, stream_metadata,
};
use strandline_proto::convert::inclusive;

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
        brokers: brokers(&state),
        stream_metadata: streams,
        group_metadata: request.groups.iter().map(|group| unknown_group(group)).collect(),
    }
}

/// What the leader of a partition knows of it.
pub(super) fn fetch_partition(
    context: &Context,
    request: &FetchPartitionMetadataRequest,
) -> Result<FetchPartitionMetadataResponse, Status> {
    let state = context.metadata.state();
    let number = u32::try_from(request.partition).ok().map(PartitionId::new);
    let entry = state.stream(&request.stream);
    let partition = number
        .and_then(|number| entry?.partition(number))
        .ok_or_else(errors::partition_not_found)?;
    let handle = context.streams.partition(&request.stream, request.partition);
    let handle = handle.map_err(|error| errors::partition_metadata_target(&error))?;
    Ok(FetchPartitionMetadataResponse {
        metadata: Some(partition_metadata(request.partition, partition, Some(&handle))),
    })
}

fn brokers(state: &State) -> Vec<Broker> {
    let broker = |broker: &strandline_core::metadata::Broker| Broker {
        id: broker.id.to_string(),
        host: broker.host.clone(),
        port: i32::from(broker.port),
        partition_count: i32::try_from(broker.partitions).unwrap_or(i32::MAX),
        leader_count: i32::try_from(broker.leaderships).unwrap_or(i32::MAX),
    };
    state.brokers().map(broker).collect()
}

fn stream(context: &Context, entry: &Arc<StreamEntry>) -> StreamMetadata {
    let open = context.streams.get(entry.definition.name.as_str());
    let partitions = entry.partitions.iter().enumerate().map(|(number, partition)| {
        let handle = open
            .as_ref()
            .and_then(|stream| stream.open().find(|handle| handle.info().log == partition.log));
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        (
            number,
            partition_metadata(number, partition, handle.map(Arc::as_ref)),
        )
    });
    StreamMetadata {
        name: entry.definition.name.to_string(),
        subject: entry.definition.subject.to_string(),
        error: stream_metadata::Error::Ok.into(),
        partitions: partitions.collect(),
        creation_timestamp: entry.created.nanos(),
    }
}

fn unknown_stream(name: &str) -> StreamMetadata {
    StreamMetadata {
        name: name.to_owned(),
        subject: String::new(),
        error: stream_metadata::Error::UnknownStream.into(),
        partitions: HashMap::new(),
        creation_timestamp: 0,
    }
}

fn unknown_group(group: &str) -> ConsumerGroupMetadata {
    ConsumerGroupMetadata {
        group_id: group.to_owned(),
        error: consumer_group_metadata::Error::UnknownGroup.into(),
        coordinator: String::new(),
        epoch: 0,
    }
}

fn partition_metadata(
    number: i32,
    partition: &PartitionEntry,
    handle: Option<&PartitionHandle>,
) -> PartitionMetadata {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(BrokerId::to_string).collect();
    PartitionMetadata {
        id: number,
        leader: partition
            .leader
            .as_ref()
            .map(BrokerId::to_string)
            .unwrap_or_default(),
        replicas: ids(&partition.replicas),
        isr: ids(&partition.isr),
        high_watermark: handle.map_or(-1, |handle| inclusive(handle.readable().end)),
        newest_offset: handle.map_or(-1, |handle| inclusive(handle.end())),
        paused: false,
        readonly: false,
        messages_received_timestamps: handle.map(|handle| {
            let (first, latest) = handle.received_times();
            PartitionEventTimestamps {
                first_timestamp: first.nanos(),
                latest_timestamp: latest.nanos(),
            }
        }),
        pause_timestamps: Some(PartitionEventTimestamps::default()),
        readonly_timestamps: Some(PartitionEventTimestamps::default()),
    }
}
