//! CreateStream and DeleteStream.

use std::sync::Arc;

use tonic::Status;
use tonic::metadata::MetadataMap;

use strandline_core::metadata::StreamEntry;
use strandline_core::record::Codec;
use strandline_core::storage::{Backend, Durability};
use strandline_core::stream::{MAX_PARTITIONS, StreamDefinition, StreamSettings};
use strandline_core::subject::SubjectFilter;
use strandline_core::{InvalidName, StreamName};
use strandline_proto::api::{CreateStreamRequest, DeleteStreamRequest};
use strandline_proto::convert::stream_settings;

use super::errors;
use crate::context::Context;
use crate::streams::{Expect, check_served, describe};

/// Request metadata by which an API client, whose request has no field for it, chooses a stream's durability.
const DURABILITY_METADATA: &str = "strandline-durability";
/// As that, of the storage engine that keeps the stream.
pub(super) const BACKEND_METADATA: &str = "strandline-backend";
/// As that, of how its batches are compressed.
const COMPRESSION_METADATA: &str = "strandline-compression";
/// As that, of whether its sealed segments move to the archive.
const ARCHIVE_METADATA: &str = "strandline-archive";
/// Request metadata by which an API client chooses how a compacted stream is compacted.
const COMPACT_TOMBSTONE_GRACE_METADATA: &str = "strandline-compact-tombstone-grace-ms";
const COMPACT_MIN_LAG_METADATA: &str = "strandline-compact-min-lag-ms";
const COMPACT_MIN_DIRTY_METADATA: &str = "strandline-compact-min-dirty-percent";
/// Longest load-balance group, in bytes; it becomes a NATS queue group.
const GROUP_MAX_BYTES: usize = 255;

/// Creates a stream; it takes messages and subscribers when this returns.
pub(super) async fn create_stream(
    context: &Context,
    metadata: &MetadataMap,
    request: CreateStreamRequest,
) -> Result<(), Status> {
    let stores = &context.opener.stores;
    let backend = backend(metadata)?.unwrap_or(stores.default_backend());
    let mut definition = definition(&request, durability(metadata)?, backend)?;
    definition.settings.compression = compression(metadata)?;
    definition.settings.archive = archive(metadata)?;
    compaction(metadata, &mut definition.settings)?;
    check_served(&definition, stores.capabilities(backend)).map_err(|what| errors::not_built(&what))?;
    let archives = &context.archives;
    archives
        .check(&definition.settings)
        .map_err(|error| errors::no_archive(&error))?;
    let keys = &context.opener.keys;
    keys.check(&definition.settings)
        .map_err(|error| errors::no_master_key(&error))?;
    // Before there is a stream that would be out of service.
    let opened = stores.engine(backend).await;
    opened.map_err(|error| errors::stream_not_opened(&describe(&error)))?;
    let entry = context
        .metadata
        .create_stream(definition)
        .await
        .map_err(|error| errors::create(&error))?;
    let stream = context.opener.open(&entry, Expect::New).await;
    if has_changed(context, &entry) {
        // Somebody was faster than the opening.
        let followed = context
            .opener
            .follow(&context.metadata, entry.definition.name.as_str());
        followed
            .await
            .map_err(|error| errors::stream_not_opened(&describe(&error)))?;
    }
    match stream.first_failure() {
        None => {
            remember_created(context, entry);
            Ok(())
        }
        Some(reason) => Err(errors::stream_not_opened(reason)),
    }
}

/// Deletes a stream with its data.
pub(super) async fn delete_stream(context: &Context, request: DeleteStreamRequest) -> Result<(), Status> {
    let unknown = || errors::stream_does_not_exist();
    let name = StreamName::new(request.name).map_err(|_| unknown())?;
    if name.is_reserved() {
        return Err(errors::stream_is_reserved());
    }
    let entry = context
        .metadata
        .delete_stream(&name)
        .await
        .map_err(|error| errors::delete(&error))?;
    context
        .opener
        .delete(&entry)
        .await
        .map_err(|error| errors::delete_failed(&error))?;
    let logs = entry.partitions.iter().map(|partition| partition.log).collect();
    // The logs are gone already; a start after a crash would only look for them again.
    if let Err(error) = context.metadata.logs_removed(logs).await {
        tracing::warn!(%error, "the removal of a stream's logs could not be recorded");
    }
    Ok(())
}

/// Whether the stream has other settings by now.
fn has_changed(context: &Context, entry: &StreamEntry) -> bool {
    let state = context.metadata.state();
    let now = state.stream(entry.definition.name.as_str());
    now.is_some_and(|now| now.definition.settings != entry.definition.settings)
}

/// Records that the stream's logs exist. Nobody waits for it: until it is recorded a log that is missing after a crash
/// counts as never finished, which is true of one that the file system lost.
fn remember_created(context: &Context, entry: Arc<StreamEntry>) {
    let metadata = context.metadata.clone();
    context.tasks.spawn(async move {
        if let Err(error) = metadata.logs_created(&entry).await {
            tracing::warn!(%error, "the creation of a stream's logs could not be recorded");
        }
    });
}

fn durability(metadata: &MetadataMap) -> Result<Option<Durability>, Status> {
    let Some(value) = metadata.get(DURABILITY_METADATA) else {
        return Ok(None);
    };
    match value.as_bytes() {
        b"fsync" => Ok(Some(Durability::Fsync)),
        b"os" => Ok(Some(Durability::Os)),
        _ => Err(errors::invalid_durability(DURABILITY_METADATA)),
    }
}

fn backend(metadata: &MetadataMap) -> Result<Option<Backend>, Status> {
    let Some(value) = metadata.get(BACKEND_METADATA) else {
        return Ok(None);
    };
    let found = value.to_str().ok().and_then(Backend::of_name);
    found
        .map(Some)
        .ok_or_else(|| errors::invalid_backend(BACKEND_METADATA))
}

fn compression(metadata: &MetadataMap) -> Result<Option<Codec>, Status> {
    let Some(value) = metadata.get(COMPRESSION_METADATA) else {
        return Ok(None);
    };
    let codec = value.to_str().ok().and_then(|name| name.parse().ok());
    let codec = codec.ok_or_else(|| errors::invalid_compression(COMPRESSION_METADATA))?;
    Ok(Some(codec))
}

fn archive(metadata: &MetadataMap) -> Result<Option<bool>, Status> {
    let Some(value) = metadata.get(ARCHIVE_METADATA) else {
        return Ok(None);
    };
    match value.as_bytes() {
        b"true" => Ok(Some(true)),
        b"false" => Ok(Some(false)),
        _ => Err(errors::invalid_flag(ARCHIVE_METADATA)),
    }
}

fn compaction(metadata: &MetadataMap, settings: &mut StreamSettings) -> Result<(), Status> {
    settings.compact_tombstone_grace_ms =
        number(metadata, COMPACT_TOMBSTONE_GRACE_METADATA, i64::MAX as u64)?;
    settings.compact_min_lag_ms = number(metadata, COMPACT_MIN_LAG_METADATA, i64::MAX as u64)?;
    let percent = number(metadata, COMPACT_MIN_DIRTY_METADATA, 100)?;
    settings.compact_min_dirty_percent = percent.and_then(|percent| u8::try_from(percent).ok());
    Ok(())
}

fn number(metadata: &MetadataMap, key: &'static str, max: u64) -> Result<Option<u64>, Status> {
    let Some(value) = metadata.get(key) else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    match number.filter(|&number: &u64| number <= max) {
        None => Err(errors::invalid_number(key, max)),
        number => Ok(number),
    }
}

/// Checks a request in the order in which Liftbridge does.
fn definition(
    request: &CreateStreamRequest,
    durability: Option<Durability>,
    backend: Backend,
) -> Result<StreamDefinition, Status> {
    let name = StreamName::new(request.name.as_str()).map_err(|error| match error {
        InvalidName::Empty => errors::name_is_empty(),
        other => errors::invalid_name(&other),
    })?;
    let subject =
        SubjectFilter::new(request.subject.as_str()).map_err(|error| errors::invalid_subject(&error))?;
    if name.is_reserved() {
        return Err(errors::stream_is_reserved());
    }
    let partitions = u32::try_from(request.partitions).ok().map(|count| count.max(1));
    let partitions = partitions.filter(|&count| count <= MAX_PARTITIONS);
    let partitions = partitions.ok_or_else(|| errors::invalid_partitions(request.partitions))?;
    // The longest of its subjects has to be valid too.
    SubjectFilter::new(subject.for_partition(partitions - 1))
        .map_err(|error| errors::invalid_subject(&error))?;
    let replication_factor = match request.replication_factor {
        -1..=1 => 1,
        factor if factor < 0 => return Err(errors::invalid_replication_factor(factor)),
        factor => u32::try_from(factor).unwrap_or(u32::MAX),
    };
    Ok(StreamDefinition {
        name,
        subject,
        group: group(&request.group)?,
        partitions,
        replication_factor,
        settings: StreamSettings {
            durability,
            // Stored, so that the stream stays where it is when the default changes.
            backend: Some(backend),
            ..stream_settings(request).map_err(|error| errors::negative_setting(&error))?
        },
    })
}

fn group(group: &str) -> Result<Option<String>, Status> {
    if group.is_empty() {
        return Ok(None);
    }
    if group.len() > GROUP_MAX_BYTES || group.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(errors::invalid_group(group));
    }
    Ok(Some(group.to_owned()))
}
