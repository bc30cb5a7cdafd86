//! The stream that holds the cursors.

use strandline_core::StreamName;
use strandline_core::storage::Durability;
use strandline_core::stream::{StreamDefinition, StreamSettings};
use strandline_core::subject::SubjectFilter;

use crate::context::Context;
use crate::streams::{Expect, describe};

/// Its name, which is reserved.
pub(crate) const STREAM: &str = "__cursors";
/// Size at which its segments are sealed: compaction, and a look-up from the newest on, work segment by segment.
const SEGMENT_MAX_BYTES: u64 = 16 << 20;

/// Creates the stream if it is wanted and not there. A broker that cannot create it serves everything else.
pub(crate) async fn prepare_stream(context: &Context, namespace: &str, partitions: u32) {
    let state = context.metadata.state();
    let existing = state.stream(STREAM).map(|entry| entry.definition.partitions);
    match existing {
        None if partitions == 0 => {}
        None => {
            if let Err(reason) = create(context, namespace, partitions).await {
                tracing::error!(%reason, "the stream for cursors could not be created, cursors are refused");
            }
        }
        Some(existing) if partitions != 0 && existing != partitions => {
            tracing::warn!(
                partitions,
                existing,
                "cursors.stream.partitions has no effect: the stream for cursors exists"
            );
        }
        Some(_) => {}
    }
}

async fn create(context: &Context, namespace: &str, partitions: u32) -> Result<(), String> {
    let definition = definition(namespace, partitions)?;
    let created = context.metadata.create_internal_stream(definition).await;
    let entry = created.map_err(|error| describe(&error))?;
    let stream = context.opener.open(&entry, Expect::New).await;
    if let Some(reason) = stream.first_failure() {
        return Err(reason.to_owned());
    }
    let remembered = context.metadata.logs_created(&entry).await;
    remembered.map_err(|error| describe(&error))
}

/// Cursors stay until they are overwritten, and are durable whatever other streams are.
fn definition(namespace: &str, partitions: u32) -> Result<StreamDefinition, String> {
    Ok(StreamDefinition {
        name: StreamName::new(STREAM).map_err(|error| error.to_string())?,
        subject: SubjectFilter::new(format!("{namespace}.cursors")).map_err(|error| error.to_string())?,
        group: None,
        partitions,
        replication_factor: 1,
        settings: StreamSettings {
            retention_max_bytes: Some(0),
            retention_max_messages: Some(0),
            retention_max_age_ms: Some(0),
            segment_max_bytes: Some(SEGMENT_MAX_BYTES),
            compact_enabled: Some(true),
            optimistic_concurrency_control: Some(false),
            durability: Some(Durability::Fsync),
            ..StreamSettings::default()
        },
    })
}
