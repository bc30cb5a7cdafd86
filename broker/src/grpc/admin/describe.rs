//! DescribeStream.

use std::sync::Arc;

use tonic::Status;

use strandline_core::metadata::{PartitionEntry, StreamEntry};
use strandline_core::storage::{Log, SegmentSummary};
use strandline_proto::admin::{
    DescribeStreamRequest, DescribeStreamResponse, PartitionDescription, PartitionState, SegmentDescription,
};

use super::super::errors;
use super::settings::ServerSettings;
use crate::context::Context;
use crate::partition::PartitionHandle;
use crate::streams::{self, Stream};

/// A stream as it is in force and stored here.
pub(super) async fn describe(
    context: &Context,
    request: DescribeStreamRequest,
) -> Result<DescribeStreamResponse, Status> {
    let state = context.metadata.state();
    let entry = state.stream(&request.name);
    let entry = Arc::clone(entry.ok_or_else(errors::stream_does_not_exist)?);
    let open = context.streams.get(&request.name);
    let definition = &entry.definition;
    let answer = DescribeStreamResponse {
        name: definition.name.to_string(),
        subject: definition.subject.to_string(),
        group: definition.group.clone().unwrap_or_default(),
        created: entry.created.nanos(),
        replication_factor: definition.replication_factor,
        settings: ServerSettings::of(context).in_force(&definition.settings),
        partitions: Vec::new(),
    };
    // The summary of segments waits for whoever writes to the log.
    let look = move || partitions(&entry, open.as_deref(), request.segments);
    let partitions = tokio::task::spawn_blocking(look)
        .await
        .map_err(|_| errors::stopping())?;
    Ok(DescribeStreamResponse { partitions, ..answer })
}

fn partitions(entry: &StreamEntry, open: Option<&Stream>, segments: bool) -> Vec<PartitionDescription> {
    let numbered = entry.partitions.iter().enumerate();
    let described = numbered.map(|(number, partition)| {
        let known = PartitionDescription {
            id: u32::try_from(number).unwrap_or(u32::MAX),
            leader: partition
                .leader
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            leader_epoch: partition.leader_epoch.get(),
            ..PartitionDescription::default()
        };
        match state_of(partition, number, open) {
            Ok(handle) => describe_open(known, handle, segments),
            Err(reason) => PartitionDescription {
                state: PartitionState::OutOfService.into(),
                reason: reason.to_owned(),
                ..known
            },
        }
    });
    described.collect()
}

/// The partition, or why it is not served.
fn state_of<'a>(
    partition: &PartitionEntry,
    number: usize,
    open: Option<&'a Stream>,
) -> Result<&'a Arc<PartitionHandle>, &'a str> {
    const MOVING: &str = "the stream is being created or deleted";
    match open.and_then(|stream| stream.partitions().get(number)) {
        Some(streams::PartitionState::Open(open)) if open.handle().info().log == partition.log => {
            Ok(open.handle())
        }
        Some(streams::PartitionState::OutOfService { reason }) => Err(reason),
        // Of a stream that was deleted and created again meanwhile the one or the other may be the older.
        _ => Err(MOVING),
    }
}

fn describe_open(
    known: PartitionDescription,
    handle: &PartitionHandle,
    with_segments: bool,
) -> PartitionDescription {
    let segments = handle.log().segments();
    let (state, reason) = if handle.is_failed() {
        let reason = "a write to its log failed; the broker's log says what";
        (PartitionState::Failed, reason)
    } else {
        (PartitionState::Serving, "")
    };
    PartitionDescription {
        state: state.into(),
        reason: reason.to_owned(),
        start: handle.log().start().get(),
        end: handle.end().get(),
        committed_end: handle.readable().end.get(),
        records: segments.iter().map(|segment| segment.records).sum(),
        bytes: segments.iter().map(|segment| segment.bytes).sum(),
        segment_count: u32::try_from(segments.len()).unwrap_or(u32::MAX),
        segments: if with_segments {
            segments.iter().map(segment).collect()
        } else {
            Vec::new()
        },
        ..known
    }
}

fn segment(summary: &SegmentSummary) -> SegmentDescription {
    SegmentDescription {
        start: summary.range.start.get(),
        end: summary.range.end.get(),
        records: summary.records,
        bytes: summary.bytes,
        first_time: summary.first_time.map_or(0, |time| time.nanos()),
        last_time: summary.last_time.map_or(0, |time| time.nanos()),
        sealed: summary.sealed,
    }
}
