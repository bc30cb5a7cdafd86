//! Group commit: one sync for what many appends have written to a log, and several logs at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex, MutexGuard};

use strandline_core::disk::DiskFile;
use strandline_core::storage::{CommitSetter, Log as _, SyncBy, SyncFailure};
use strandline_core::{LogId, Offset};

use super::active::Active;
use super::log::{LowestCut, SegmentLog};

/// Logs that are synced at the same time: a disk that is asked for many flushes at once does them together.
const AT_ONCE: usize = 16;

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
    /// To where the log was cut since then.
    pub(super) lowest_cut: Arc<LowestCut>,
    pub(super) setter: CommitSetter,
}

/// Appends that wait, and the threads that sync them when no caller does.
///
/// Each log is synced for itself, by one thread at a time, so that its appends become durable in their order and a log with
/// little to sync does not wait for one with much.
#[derive(Debug, Default)]
pub(super) struct SyncQueue {
    state: Mutex<State>,
    work: Condvar,
    /// No sync is in flight.
    settled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    logs: HashMap<LogId, Line>,
    /// Logs with appends for which no sync was asked so far.
    unasked: Vec<LogId>,
    /// Logs to sync, in turn.
    due: VecDeque<LogId>,
    in_flight: usize,
    threads: Vec<JoinHandle<()>>,
    idle: usize,
    stopping: bool,
}

/// The appends to one log that wait for a sync to begin.
#[derive(Debug, Default)]
struct Line {
    waiting: Vec<Waiting>,
    in_flight: bool,
    /// A sync was asked for while another was in flight.
    again: bool,
}

impl SyncQueue {
    /// Adds an append. It waits for a sync of its log that begins after this.
    pub(super) fn push(&self, waiting: Waiting) {
        let id = waiting.log.id();
        let mut state = self.state.lock();
        let State { logs, unasked, .. } = &mut *state;
        let line = logs.entry(id).or_default();
        if line.waiting.is_empty() {
            unasked.push(id);
        }
        line.waiting.push(waiting);
    }

    /// Makes durable what waits; see [`strandline_core::storage::Store::sync`].
    pub(super) fn sync(self: &Arc<Self>, by: SyncBy) {
        let mut state = self.state.lock();
        state.ask();
        let own = by == SyncBy::Caller && state.in_flight == 0;
        let first = if own { state.take() } else { None };
        self.wake(&mut state);
        let Some((log, appends)) = first else { return };
        self.run(&mut state, log, appends);
        // Other logs that wait are synced by the threads and by this one together.
        while let Some((log, appends)) = state.take() {
            self.run(&mut state, log, appends);
        }
        while state.in_flight > 0 {
            self.settled.wait(&mut state);
        }
    }

    /// Starts the first of the queue's own threads; more are started when many logs wait.
    pub(super) fn start(self: &Arc<Self>) -> std::io::Result<()> {
        self.start_thread(&mut self.state.lock())
    }

    /// Ends the threads once everything is done that was asked for.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopping = true;
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        self.work.notify_all();
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a sync thread ended with a panic");
            }
        }
    }

    /// Gets the threads to work on what is due.
    fn wake(self: &Arc<Self>, state: &mut State) {
        if state.due.len() > state.idle && state.threads.len() < AT_ONCE && !state.stopping {
            // Where there is no further thread to be had, those that run do the work.
            let _ = self.start_thread(state);
        }
        for _ in 0..state.due.len().min(state.idle) {
            self.work.notify_one();
        }
    }

    fn start_thread(self: &Arc<Self>, state: &mut State) -> std::io::Result<()> {
        let queue = Arc::clone(self);
        let thread = std::thread::Builder::new()
            .name("sync".to_owned())
            .spawn(move || queue.work())?;
        state.threads.push(thread);
        Ok(())
    }

    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some((log, appends)) = state.take() {
                self.run(&mut state, log, appends);
            } else if state.stopping {
                return;
            } else {
                state.idle += 1;
                self.work.wait(&mut state);
                state.idle -= 1;
            }
        }
    }

    /// Syncs a log without the lock.
    fn run(&self, state: &mut MutexGuard<'_, State>, log: LogId, appends: Vec<Waiting>) {
        MutexGuard::unlocked(state, || sync_log(appends));
        state.finish(log);
        if state.in_flight == 0 {
            self.settled.notify_all();
        }
    }
}

impl State {
    /// Has everything synced that waits.
    fn ask(&mut self) {
        let Self {
            logs, unasked, due, ..
        } = self;
        for id in unasked.drain(..) {
            match logs.get_mut(&id) {
                Some(line) if line.in_flight => line.again = true,
                _ => due.push_back(id),
            }
        }
    }

    /// Begins the next sync: the log and its appends.
    fn take(&mut self) -> Option<(LogId, Vec<Waiting>)> {
        let id = self.due.pop_front()?;
        let line = self.logs.entry(id).or_default();
        line.in_flight = true;
        self.in_flight += 1;
        Some((id, std::mem::take(&mut line.waiting)))
    }

    /// Takes note that a sync has ended.
    fn finish(&mut self, id: LogId) {
        self.in_flight -= 1;
        let Some(line) = self.logs.get_mut(&id) else {
            return;
        };
        line.in_flight = false;
        if std::mem::take(&mut line.again) {
            self.due.push_back(id);
        } else if line.waiting.is_empty() {
            self.logs.remove(&id);
        }
    }
}

/// Syncs each file of a log once and resolves the handles in the order of the appends.
fn sync_log(appends: Vec<Waiting>) {
    let mut last: Option<(Arc<dyn DiskFile>, Result<(), SyncFailure>)> = None;
    let mut grown = None;
    for waiting in appends {
        let known = last.take().filter(|(file, _)| Arc::ptr_eq(file, &waiting.file));
        let (_, outcome) = last.insert(known.unwrap_or_else(|| {
            let outcome = waiting.file.sync_data().map_err(|source| SyncFailure {
                source: Arc::new(source),
            });
            (Arc::clone(&waiting.file), outcome)
        }));
        let outcome = waiting.log.synced(&waiting, outcome.clone());
        if outcome.is_ok() {
            grown = Some(Arc::clone(&waiting.log));
        }
        waiting.setter.set(outcome);
    }
    if let Some(log) = grown {
        log.checkpoint_if_due();
    }
}
