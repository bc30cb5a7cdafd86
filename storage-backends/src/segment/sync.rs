//! Group commit: one sync for what many appends of many logs have written.

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use strandline_core::Offset;
use strandline_core::storage::{CommitSetter, SyncBy, SyncFailure};

use super::active::Active;
use super::log::SegmentLog;

/// An append that waits to become durable.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) log: Arc<SegmentLog>,
    pub(super) active: Arc<Active>,
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
    let mut files: Vec<(Arc<Active>, Result<(), SyncFailure>)> = Vec::new();
    for waiting in &round {
        if !files
            .iter()
            .any(|(active, _)| Arc::ptr_eq(active, &waiting.active))
        {
            let synced = waiting.active.file.sync_data();
            let outcome = synced.map_err(|source| SyncFailure {
                source: Arc::new(source),
            });
            files.push((Arc::clone(&waiting.active), outcome));
        }
    }
    let mut grown: Vec<Arc<SegmentLog>> = Vec::new();
    for waiting in round {
        let outcome = files
            .iter()
            .find(|(active, _)| Arc::ptr_eq(active, &waiting.active));
        let outcome = outcome.map_or(Ok(()), |(_, outcome)| outcome.clone());
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
