//! Logs that are synced beside each other.

use std::sync::Arc;
use std::time::Duration;

use strandline_core::LogId;
use strandline_core::storage::{Commit, Factory, Log, LogSettings, Store, SyncBy};

use super::support::*;
use crate::SegmentFactory;
use crate::sim::Gate;

/// The log whose syncs the gate holds up.
const SLOW: LogId = LogId::new(1);
const PATIENCE: Duration = Duration::from_secs(10);

struct Logs {
    gate: Gate,
    store: Arc<dyn Store>,
    logs: Vec<Arc<dyn Log>>,
}

/// A store with so many logs; the first is the slow one.
fn logs(count: u64, settings: &LogSettings) -> Logs {
    let (disk, _) = empty_disk();
    let gate = Gate::new(disk).only_below(&store_directory().join(SLOW.to_string()));
    let store = SegmentFactory::new()
        .open(Arc::new(gate.clone()), &store_directory())
        .unwrap();
    let logs = (0..count)
        .map(|index| store.create(LogId::new(SLOW.get() + index), settings).unwrap())
        .collect();
    Logs { gate, store, logs }
}

fn append(log: &Arc<dyn Log>, count: u64) -> Commit {
    log.append(&[batch(log.end().get(), count, 1)]).unwrap()
}

#[test]
fn a_log_does_not_wait_for_the_sync_of_another() {
    // One round of syncs resolved its handles together: a lone record waited for the megabytes of a hot partition.
    let Logs { gate, store, logs } = logs(40, &LogSettings::default());
    gate.close();
    let slow = append(&logs[0], 1);
    store.sync(SyncBy::Store);
    assert!(gate.wait_for_sync(PATIENCE));
    for by in [SyncBy::Store, SyncBy::Caller] {
        let others: Vec<_> = logs[1..].iter().map(|log| append(log, 1)).collect();
        store.sync(by);
        others.into_iter().for_each(|commit| commit.wait().unwrap());
        assert!(logs[1..].iter().all(|log| log.durable_end() == log.end()));
    }
    assert!(slow.outcome().is_none());
    gate.open();
    slow.wait().unwrap();
}

#[test]
fn appends_of_one_log_become_durable_in_their_order_across_segments() {
    let Logs { gate, store, logs } = logs(1, &tiny());
    let log = &logs[0];
    gate.close();
    let first = append(log, 1);
    store.sync(SyncBy::Store);
    assert!(gate.wait_for_sync(PATIENCE));
    // In the next segment and the one after it; there are more threads than this log may use.
    gate.open();
    let later: Vec<_> = (0..20).map(|_| append(log, 3)).collect();
    for _ in 0..3 {
        store.sync(SyncBy::Store);
    }
    let mut ends = Vec::new();
    for commit in std::iter::once(first).chain(later) {
        commit.wait().unwrap();
        ends.push(log.durable_end());
    }
    assert!(ends.is_sorted());
    assert_eq!(log.durable_end(), log.end());
}

#[test]
fn a_caller_makes_all_logs_durable_before_it_returns() {
    let Logs { store, logs, .. } = logs(40, &LogSettings::default());
    let commits: Vec<_> = logs.iter().map(|log| append(log, 2)).collect();
    store.sync(SyncBy::Caller);
    assert!(commits.iter().all(|commit| commit.outcome().is_some()));
    assert!(logs.iter().all(|log| log.durable_end() == log.end()));
}

#[test]
fn what_was_asked_for_is_synced_before_the_store_is_gone() {
    let Logs { gate, store, logs } = logs(3, &LogSettings::default());
    gate.close();
    let commits: Vec<_> = logs.iter().map(|log| append(log, 1)).collect();
    store.sync(SyncBy::Store);
    assert!(gate.wait_for_sync(PATIENCE));
    let again = append(&logs[0], 1);
    store.sync(SyncBy::Store);
    gate.open();
    drop(store);
    let all = commits.iter().chain([&again]);
    all.for_each(|commit| assert!(matches!(commit.outcome(), Some(Ok(())))));
}
