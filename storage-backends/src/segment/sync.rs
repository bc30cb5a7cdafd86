//! Group commit: one sync for what many appends of many logs have written.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use strandline_core::Offset;
use strandline_core::disk::DiskFile;
use strandline_core::storage::{CommitSetter, SyncBy, SyncFailure};

use super::active::Active;
use super::log::SegmentLog;

/// Files that are synced at the same time.
const AT_ONCE: usize = 8;

/// An append that waits to become durable.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) log: Arc<SegmentLog>,
    pub(super) active: Arc<Active>,
    /// What the append was written with.
    pub(super) file: Arc<dyn DiskFile>,
    /// End of the file after the append.
    pub(super) position: u64,
    /// End of the log after the append.
    pub(super) end: Offset,
    /// How often the log had been cut by then.
    pub(super) cuts: u64,
    pub(super) setter: CommitSetter,
}

/// Appends that wait, and the thread that syncs them when no caller does.
#[derive(Debug, Default)]
pub(super) struct SyncQueue {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiting>,
    in_flight: bool,
    requested: bool,
    stopping: bool,
}

impl SyncQueue {
    /// Adds an append. It waits for the next round that begins.
    pub(super) fn push(&self, waiting: Waiting) {
        self.state.lock().waiting.push(waiting);
    }

    /// Makes durable what waits; see [`strandline_core::storage::Store::sync`].
    pub(super) fn sync(&self, by: SyncBy) {
        let mut state = self.state.lock();
        if by == SyncBy::Store || state.in_flight {
            state.requested = true;
            drop(state);
            self.work.notify_one();
            return;
        }
        state.in_flight = true;
        let round = std::mem::take(&mut state.waiting);
        drop(state);
        run_round(round);
        self.finish_round();
    }

    /// Starts the store's own thread.
    pub(super) fn start(self: &Arc<Self>) -> std::io::Result<JoinHandle<()>> {
        let queue = Arc::clone(self);
        std::thread::Builder::new()
            .name("sync".to_owned())
            .spawn(move || queue.run())
    }

    /// Ends the thread once everything is done that was asked for.
    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.work.notify_one();
    }

    fn run(&self) {
        loop {
            let mut state = self.state.lock();
            while !state.requested || state.in_flight {
                if state.stopping && !state.requested {
                    return;
                }
                self.work.wait(&mut state);
            }
            (state.requested, state.in_flight) = (false, true);
            let round = std::mem::take(&mut state.waiting);
            drop(state);
            run_round(round);
            self.finish_round();
        }
    }

    fn finish_round(&self) {
        let mut state = self.state.lock();
        state.in_flight = false;
        let more = state.requested || state.stopping;
        drop(state);
        if more {
            self.work.notify_one();
        }
    }
}

/// Syncs each file once and resolves the handles in the order of the appends.
fn run_round(round: Vec<Waiting>) {
    let mut files: Vec<Arc<dyn DiskFile>> = Vec::new();
    let mut numbers: HashMap<*const (), usize> = HashMap::new();
    for waiting in &round {
        numbers.entry(identity(&waiting.file)).or_insert_with(|| {
            files.push(Arc::clone(&waiting.file));
            files.len() - 1
        });
    }
    let outcomes = sync_all(&files);
    let mut grown: Vec<Arc<SegmentLog>> = Vec::new();
    for waiting in round {
        let number = numbers.get(&identity(&waiting.file));
        let outcome = number.and_then(|&number| outcomes.get(number));
        let outcome = outcome.cloned().unwrap_or(Ok(()));
        let outcome = waiting.log.synced(&waiting, outcome);
        if outcome.is_ok() && !grown.last().is_some_and(|log| Arc::ptr_eq(log, &waiting.log)) {
            grown.push(Arc::clone(&waiting.log));
        }
        waiting.setter.set(outcome);
    }
    for log in grown {
        log.checkpoint_if_due();
    }
}

fn identity(file: &Arc<dyn DiskFile>) -> *const () {
    Arc::as_ptr(file).cast()
}

/// Syncs files, several at a time: a file system that is asked for many syncs at once does them with few commits of its
/// journal.
fn sync_all(files: &[Arc<dyn DiskFile>]) -> Vec<Result<(), SyncFailure>> {
    let share = files.len().div_ceil(AT_ONCE).max(1);
    let mut shares = files.chunks(share);
    let own = shares.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let others: Vec<_> = shares
            .map(|share| {
                let thread = std::thread::Builder::new().name("sync".to_owned());
                (share, thread.spawn_scoped(scope, move || sync_each(share)))
            })
            .collect();
        let mut outcomes = sync_each(own);
        for (share, thread) in others {
            outcomes.extend(match thread {
                // A file whose sync has an unknown outcome must not be synced again: that could succeed and mean nothing.
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|_| share.iter().map(|_| Err(lost())).collect()),
                // There is no thread to be had; they have not been tried.
                Err(_) => sync_each(share),
            });
        }
        outcomes
    })
}

fn sync_each(files: &[Arc<dyn DiskFile>]) -> Vec<Result<(), SyncFailure>> {
    let failure = |source| SyncFailure {
        source: Arc::new(source),
    };
    files
        .iter()
        .map(|file| file.sync_data().map_err(failure))
        .collect()
}

fn lost() -> SyncFailure {
    SyncFailure {
        source: Arc::new(std::io::Error::other("the thread that synced it was lost")),
    }
}
