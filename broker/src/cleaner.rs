//! Seals segments that are due and removes what retention no longer keeps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use strandline_core::LogId;
use strandline_core::Timestamp;
use strandline_core::retention::{Retention, RetentionLimits};
use strandline_core::storage::{Log, StorageError};

use crate::context::Context;
use crate::partition::PartitionHandle;
use crate::settings::RetentionDefaults;

/// How often the cleaner looks for partitions that are due.
const TICK: Duration = Duration::from_secs(1);

/// Runs until it is aborted. Partitions are cleaned one after another, each at its own interval.
pub(crate) async fn run(context: Arc<Context>, defaults: RetentionDefaults) {
    let mut due: BTreeMap<LogId, Instant> = BTreeMap::new();
    loop {
        tokio::time::sleep(TICK).await;
        let now = Instant::now();
        for (handle, plan) in plans(&context, &defaults) {
            let log = handle.info().log;
            let at = *due.entry(log).or_insert(now + plan.interval);
            if at > now {
                continue;
            }
            due.insert(log, now + plan.interval);
            let time = context.clock.now();
            let cleaned = tokio::task::spawn_blocking(move || clean(&handle, &plan.limits, time)).await;
            if let Ok(Err(error)) = cleaned {
                tracing::warn!(%log, error = %crate::streams::describe(&error), "retention could not be applied");
            }
        }
        // Logs of deleted streams are forgotten.
        due.retain(|_, at| *at > now);
    }
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    limits: RetentionLimits,
    interval: Duration,
}

fn plans(context: &Context, defaults: &RetentionDefaults) -> Vec<(Arc<PartitionHandle>, Plan)> {
    let state = context.metadata.state();
    let mut plans = Vec::new();
    for stream in context.streams.all() {
        let Some(entry) = state.stream(stream.name().as_str()) else {
            continue;
        };
        let settings = &entry.definition.settings;
        let interval = settings
            .cleaner_interval_ms
            .filter(|&milliseconds| milliseconds > 0);
        let plan = Plan {
            limits: settings.retention_limits(&defaults.limits),
            interval: interval.map_or(defaults.interval, Duration::from_millis),
        };
        plans.extend(stream.open().map(|handle| (Arc::clone(handle), plan)));
    }
    plans
}

/// One partition: a tick that seals the active segment leaves the removal to what is there then.
fn clean(handle: &PartitionHandle, limits: &RetentionLimits, now: Timestamp) -> Result<(), StorageError> {
    let log = handle.log();
    log.roll_if_due(now)?;
    if limits.is_unlimited() {
        return Ok(());
    }
    let segments = log.segments();
    let Some(before) = limits.removable_before(&segments, now) else {
        return Ok(());
    };
    // What is not committed is never removed.
    let before = before.min(handle.readable().end);
    tracing::info!(stream = %handle.info().stream, partition = %handle.info().partition, %before,
        "retention removes old segments");
    let removed = log.remove_before(before);
    let gone = segments.iter().filter(|segment| segment.range.end <= log.start());
    let retention = &handle.metrics().retention;
    for segment in gone.filter(|segment| segment.sealed) {
        retention.segments.add(1);
        retention.records.add(segment.records);
    }
    removed
}
