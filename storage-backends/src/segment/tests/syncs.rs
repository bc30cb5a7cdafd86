//! Logs that are synced beside each other.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use strandline_core::LogId;
use strandline_core::disk::{DirEntry, Disk, DiskFile, DiskLock, OpenMode};
use strandline_core::storage::{Commit, Factory, Log, LogSettings, Store, SyncBy};

use super::support::*;
use crate::SegmentFactory;
use crate::sim::SimDisk;

/// The log whose syncs the gate holds up.
const SLOW: LogId = LogId::new(1);

/// A gate that syncs of one log wait at, and how many do.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    is_shut: bool,
    waiting: usize,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock();
        state.waiting += 1;
        self.changed.notify_all();
        while state.is_shut {
            self.changed.wait(&mut state);
        }
        state.waiting -= 1;
    }

    fn shut(&self) {
        self.state.lock().is_shut = true;
    }

    fn open(&self) {
        self.state.lock().is_shut = false;
        self.changed.notify_all();
    }

    fn wait_until_somebody_waits(&self) {
        let mut state = self.state.lock();
        while state.waiting == 0 {
            self.changed.wait(&mut state);
        }
    }
}

#[derive(Debug)]
struct GatedDisk {
    disk: SimDisk,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct GatedFile {
    file: Arc<dyn DiskFile>,
    gate: Arc<Gate>,
}

impl Disk for GatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path, mode)?;
        let slow = store_directory().join(SLOW.to_string());
        Ok(if path.starts_with(slow) {
            let gate = Arc::clone(&self.gate);
            Arc::new(GatedFile { file, gate })
        } else {
            file
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.disk.lock(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }
}

impl DiskFile for GatedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, position: u64, max_bytes: usize, out: &mut Vec<u8>) -> io::Result<usize> {
        self.file.read_at(position, max_bytes, out)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(position, bytes)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass();
        self.file.sync_data()
    }
}

struct Logs {
    gate: Arc<Gate>,
    store: Arc<dyn Store>,
    logs: Vec<Arc<dyn Log>>,
}

/// A store with so many logs; the first is the slow one.
fn logs(count: u64, settings: &LogSettings) -> Logs {
    let (disk, _) = empty_disk();
    let gate = Arc::new(Gate::default());
    let disk = GatedDisk {
        disk,
        gate: Arc::clone(&gate),
    };
    let store = SegmentFactory::new()
        .open(Arc::new(disk), &store_directory())
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
    gate.shut();
    let slow = append(&logs[0], 1);
    store.sync(SyncBy::Store);
    gate.wait_until_somebody_waits();
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
    gate.shut();
    let first = append(log, 1);
    store.sync(SyncBy::Store);
    gate.wait_until_somebody_waits();
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
    gate.shut();
    let commits: Vec<_> = logs.iter().map(|log| append(log, 1)).collect();
    store.sync(SyncBy::Store);
    gate.wait_until_somebody_waits();
    let again = append(&logs[0], 1);
    store.sync(SyncBy::Store);
    gate.open();
    drop(store);
    let all = commits.iter().chain([&again]);
    all.for_each(|commit| assert!(matches!(commit.outcome(), Some(Ok(())))));
}
