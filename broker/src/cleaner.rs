//! Seals segments that are due, removes what retention no longer keeps, and then has compacted what is left.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use strandline_core::LogId;
use strandline_core::Timestamp;
use strandline_core::retention::{Retention, RetentionLimits};
use strandline_core::storage::{Log, StorageError};
use strandline_core::stream::{CompactionDefaults, StreamCompaction};

use crate::ages::Ages;
use crate::compaction::Compactor;
use crate::context::Context;
use crate::partition::PartitionHandle;
use crate::settings::RetentionDefaults;

/// How often the cleaner looks for partitions that are due.
const TICK: Duration = Duration::from_secs(1);

/// What streams that do not say otherwise keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    pub(crate) retention: RetentionDefaults,
    pub(crate) compaction: CompactionDefaults,
}

/// Runs until it is aborted. Partitions are cleaned one after another, each at its own interval; those that are not due cost
/// nothing.
pub(crate) async fn run(
    context: Arc<Context>,
    defaults: Defaults,
    ages: Arc<Ages>,
    compactor: Arc<Compactor>,
) {
    let mut schedule = Schedule::default();
    let mut known = None;
    loop {
        tokio::time::sleep(TICK).await;
        let now = Instant::now();
        // Also when nothing is due: jumps of the wall clock are seen as they come.
        let age = ages.now();
        let changes = context.streams.changes();
        if known.replace(changes) != Some(changes) {
            schedule.replace(plans(&context, &defaults), now);
            compactor.keep_only(|log| schedule.plan(log).is_some_and(|plan| plan.compaction.is_some()));
        }
        let due = schedule.due(now);
        if !due.is_empty() {
            let compactor = Arc::clone(&compactor);
            let times = Times {
                wall: context.clock.now(),
                age,
            };
            // Nothing waits for it but the next tick.
            let _ = tokio::task::spawn_blocking(move || clean_all(&due, times, &compactor)).await;
        }
    }
}

/// The time of a turn.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// As records are stamped. Seals segments: early or late, that loses nothing.
    wall: Timestamp,
    /// As ages are judged.
    age: Timestamp,
}

/// What is kept of a partition, and how often it is cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    limits: RetentionLimits,
    compaction: Option<StreamCompaction>,
    interval: Duration,
}

/// Partitions in the order in which they are due.
#[derive(Debug)]
struct Schedule<T> {
    due: BinaryHeap<Reverse<(Instant, LogId)>>,
    plans: HashMap<LogId, Planned<T>>,
}

#[derive(Debug)]
struct Planned<T> {
    partition: T,
    plan: Plan,
    /// When its turn is; what else stands in the heap for it is out of date.
    at: Instant,
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self {
            due: BinaryHeap::new(),
            plans: HashMap::new(),
        }
    }
}

impl<T: Clone> Schedule<T> {
    /// Takes what there is now: partitions that are new, or have another interval than before, have their turn after their
    /// interval, those that are gone have none.
    fn replace(&mut self, plans: impl IntoIterator<Item = (LogId, T, Plan)>, now: Instant) {
        let before = std::mem::take(&mut self.plans);
        for (log, partition, plan) in plans {
            let same = before
                .get(&log)
                .filter(|before| before.plan.interval == plan.interval);
            let at = same.map_or(now + plan.interval, |before| before.at);
            if same.is_none() {
                self.due.push(Reverse((at, log)));
            }
            self.plans.insert(log, Planned { partition, plan, at });
        }
    }

    /// The partitions whose turn it is. Each has its next after its interval.
    fn due(&mut self, now: Instant) -> Vec<(T, Plan)> {
        let mut found = Vec::new();
        while let Some(&Reverse((at, log))) = self.due.peek()
            && at <= now
        {
            self.due.pop();
            if let Some(planned) = self.plans.get_mut(&log).filter(|planned| planned.at == at) {
                found.push((planned.partition.clone(), planned.plan));
                // At least a tick: whatever the interval, one turn at a time.
                planned.at = now + planned.plan.interval.max(TICK / 2);
                self.due.push(Reverse((planned.at, log)));
            }
        }
        found
    }
}

impl<T> Schedule<T> {
    fn plan(&self, log: LogId) -> Option<&Plan> {
        self.plans.get(&log).map(|planned| &planned.plan)
    }
}

type Partition = Arc<PartitionHandle>;

fn plans(context: &Context, defaults: &Defaults) -> Vec<(LogId, Partition, Plan)> {
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
            limits: settings.retention_limits(&defaults.retention.limits),
            compaction: settings.compaction(&defaults.compaction),
            interval: interval.map_or(defaults.retention.interval, Duration::from_millis),
        };
        plans.extend(
            stream
                .open()
                .map(|handle| (handle.info().log, Arc::clone(handle), plan)),
        );
    }
    plans
}

fn clean_all(partitions: &[(Partition, Plan)], now: Times, compactor: &Arc<Compactor>) {
    for (partition, plan) in partitions {
        if let Err(error) = clean(partition, &plan.limits, now) {
            let info = partition.info();
            tracing::warn!(stream = %info.stream, partition = %info.partition,
                error = %crate::streams::describe(&error), "retention could not be applied");
        }
        // Afterwards: what retention removes is not compacted first.
        if let Some(compaction) = plan.compaction {
            compactor.offer(partition, compaction);
        }
    }
}

/// One partition: a tick that seals the active segment leaves the removal to what is there then.
fn clean(handle: &PartitionHandle, limits: &RetentionLimits, now: Times) -> Result<(), StorageError> {
    let Some(_turn) = handle.maintenance().try_lock() else {
        // Its segments are being rewritten; there will be another turn.
        return Ok(());
    };
    let log = handle.log();
    log.roll_if_due(now.wall)?;
    // Who archives them alone knows which of them the archive has.
    if limits.is_unlimited() || handle.archive_hold().removes_segments() {
        return Ok(());
    }
    let segments = log.segments();
    let Some(before) = limits.removable_before(&segments, now.age) else {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seconds: u64) -> Plan {
        Plan {
            limits: RetentionLimits::default(),
            compaction: None,
            interval: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn each_partition_has_its_turn_after_its_interval() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut schedule = Schedule::default();
        let (a, b) = (LogId::new(1), LogId::new(2));
        schedule.replace([(a, "a", plan(10)), (b, "b", plan(25))], start);
        let mut due = |seconds| {
            schedule
                .due(at(seconds))
                .into_iter()
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
        };
        assert_eq!(due(9), Vec::<&str>::new());
        assert_eq!(due(10), ["a"]);
        assert_eq!(due(19), Vec::<&str>::new());
        assert_eq!(due(26), ["a", "b"]);
        assert_eq!(due(36), ["a"]);
    }

    #[test]
    fn another_interval_holds_at_once_and_other_limits_at_the_next_turn() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut schedule = Schedule::default();
        let (a, b) = (LogId::new(1), LogId::new(2));
        schedule.replace([(a, "a", plan(100)), (b, "b", plan(20))], start);
        let limits = RetentionLimits {
            max_bytes: Some(1),
            ..RetentionLimits::default()
        };
        let limited = Plan { limits, ..plan(20) };
        schedule.replace([(a, "a", plan(5)), (b, "b", limited)], at(10));
        assert_eq!(schedule.due(at(15)), [("a", plan(5))]);
        assert_eq!(schedule.due(at(20)), [("a", plan(5)), ("b", limited)]);
        schedule.replace([(a, "a", plan(300))], at(20));
        assert_eq!(schedule.due(at(200)), []);
        assert_eq!(schedule.due(at(320)).len(), 1);
    }

    #[test]
    fn what_is_gone_is_forgotten_and_what_stays_keeps_its_turn() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        let (a, b) = (LogId::new(1), LogId::new(2));
        schedule.replace([(a, "a", plan(10)), (b, "b", plan(10))], start);
        schedule.replace([(b, "b", plan(10))], start + Duration::from_secs(5));
        let due = schedule.due(start + Duration::from_secs(10));
        assert_eq!(due, [("b", plan(10))]);
        assert_eq!((schedule.due.len(), schedule.plans.len()), (1, 1));
    }
}
