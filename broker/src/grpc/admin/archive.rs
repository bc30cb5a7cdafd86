//! ArchiveStatus and RestoreArchive.

use std::sync::Arc;

use tonic::Status;

use strandline_core::metadata::ClusterId;
use strandline_core::subject::SubjectFilter;
use strandline_core::{StreamName, Timestamp};
use strandline_proto::admin::{
    ArchiveState, ArchiveStatusRequest, ArchiveStatusResponse, ArchivedPartition as Described,
    RestoreArchiveRequest, RestoreArchiveResponse, RestoredPartition, RestoredStream as DescribedStream,
};
use strandline_storage_backends::tiered::View;

use super::super::errors;
use crate::archiving::{self, ArchivedPartition, ArchivedRange, Phase, Restore, RestoredStream};
use crate::context::Context;

/// How far partitions are archived.
pub(super) async fn status(
    context: &Context,
    request: &ArchiveStatusRequest,
) -> Result<ArchiveStatusResponse, Status> {
    if !request.stream.is_empty() {
        let known = context.metadata.state().stream(&request.stream).is_some();
        if !known {
            return Err(errors::stream_does_not_exist());
        }
    }
    let target = context.archives.settings().target.as_ref();
    let mut partitions = context.archives.of_interest();
    partitions.retain(|partition| {
        request.stream.is_empty() || partition.handle().info().stream.as_str() == request.stream
    });
    let order = |partition: &Arc<ArchivedPartition>| -> (StreamName, u32) {
        let info = partition.handle().info();
        (info.stream.clone(), info.partition.get())
    };
    partitions.sort_by_cached_key(order);
    let places = places(context, &partitions);
    let now = context.clock.now();
    // The summary of segments waits for whoever writes to the log.
    let look = move || {
        let described = partitions.iter().zip(places);
        described
            .map(|(partition, place)| describe(partition, place, now))
            .collect()
    };
    let partitions = tokio::task::spawn_blocking(look)
        .await
        .map_err(|_| errors::stopping())?;
    Ok(ArchiveStatusResponse {
        url: target.map_or_else(String::new, |target| target.url.clone()),
        partitions,
    })
}

/// Brings back what another cluster has archived.
pub(super) async fn restore(
    context: &Arc<Context>,
    by: String,
    request: RestoreArchiveRequest,
) -> Result<RestoreArchiveResponse, Status> {
    let wanted = Restore {
        cluster: cluster(request.cluster)?,
        streams: streams(request.streams)?,
        point: Some(request.point).filter(|point| !point.is_empty()),
        to: request.to.map(Timestamp::from_nanos),
        new_name: new_name(request.new_name)?,
        subject: subject(request.subject)?,
        only_look: request.only_look,
        by,
    };
    let shared = Arc::clone(context);
    // Whoever called may be gone before it is done.
    let restoring = context
        .tasks
        .spawn(async move { archiving::restore(&shared, wanted).await });
    let restored = restoring.await.map_err(|_| errors::stopping())?;
    let restored = restored.map_err(|error| errors::restore(&error))?;
    let failed = restored
        .failed_cursors
        .map(|(number, reason)| format!("{number} cursors: {reason}"));
    Ok(RestoreArchiveResponse {
        cluster: restored.cluster.to_string(),
        written: restored.written.nanos(),
        streams: restored.streams.into_iter().map(restored_stream).collect(),
        plugin_versions: restored.plugins.versions,
        attachments: restored.plugins.attachments,
        cursors: restored.cursors,
        problems: restored.plugins.problems.into_iter().chain(failed).collect(),
    })
}

pub(super) fn cluster(id: String) -> Result<Option<ClusterId>, Status> {
    if id.is_empty() {
        return Ok(None);
    }
    ClusterId::new(id)
        .map(Some)
        .map_err(|error| Status::invalid_argument(error.to_string()))
}

fn new_name(name: String) -> Result<Option<StreamName>, Status> {
    if name.is_empty() {
        return Ok(None);
    }
    let name = StreamName::new(name).map_err(|error| errors::invalid_name(&error))?;
    if name.is_reserved() {
        let reason = format!("{name} is a name for the server's own streams: take another one");
        return Err(Status::invalid_argument(reason));
    }
    Ok(Some(name))
}

fn subject(subject: String) -> Result<Option<SubjectFilter>, Status> {
    if subject.is_empty() {
        return Ok(None);
    }
    let subject = SubjectFilter::new(subject);
    subject.map(Some).map_err(|error| errors::invalid_subject(&error))
}

fn streams(names: Vec<String>) -> Result<Vec<StreamName>, Status> {
    let names = names.into_iter().map(StreamName::new);
    names
        .collect::<Result<_, _>>()
        .map_err(|error| errors::invalid_name(&error))
}

fn restored_stream(stream: RestoredStream) -> DescribedStream {
    DescribedStream {
        name: stream.name.to_string(),
        partitions: stream.partitions.into_iter().map(restored_partition).collect(),
        problem: stream.problem.unwrap_or_default(),
    }
}

fn restored_partition(range: ArchivedRange) -> RestoredPartition {
    RestoredPartition {
        start: range.start.get(),
        end: range.end.get(),
        last_time: range.last_time.map_or(0, Timestamp::nanos),
    }
}

/// Where each is, in their order; empty = nowhere yet.
fn places(context: &Context, partitions: &[Arc<ArchivedPartition>]) -> Vec<String> {
    let state = context.metadata.state();
    let place = |partition: &Arc<ArchivedPartition>| {
        let info = partition.handle().info();
        let entry = state.stream(info.stream.as_str());
        let place = entry.and_then(|entry| entry.archive.as_ref());
        place.map_or_else(String::new, |place| format!("{}/{}", place.root, info.partition))
    };
    partitions.iter().map(place).collect()
}

fn describe(partition: &ArchivedPartition, place: String, now: Timestamp) -> Described {
    let (handle, standing, view) = (partition.handle(), partition.standing(), partition.view());
    let (view, lag) = (view.as_deref(), partition.lag());
    let totals = view.map(View::totals);
    Described {
        stream: handle.info().stream.to_string(),
        id: handle.info().partition.get(),
        place,
        state: state(standing.phase, partition.archives()).into(),
        error: standing.error,
        archive_start: view.map(|view| view.start().get()),
        archive_end: view.map(|view| view.end().get()),
        local_start: partition.local_start().get(),
        end: handle.end().get(),
        committed_end: handle.readable().end.get(),
        lag_records: lag.records,
        lag_bytes: lag.bytes,
        lag_time: i64::try_from(lag.age(now).as_nanos()).unwrap_or(i64::MAX),
        archive_segments: totals.map(|totals| totals.segments),
        archive_bytes: totals.map(|totals| totals.bytes),
        failures: standing.failures,
    }
}

fn state(phase: Phase, archives: bool) -> ArchiveState {
    match phase {
        Phase::Fenced => ArchiveState::Fenced,
        Phase::Refused => ArchiveState::Refused,
        Phase::Failing => ArchiveState::Failing,
        Phase::Starting => ArchiveState::Starting,
        Phase::Working if archives => ArchiveState::Archiving,
        Phase::Working => ArchiveState::Off,
    }
}
