//! Group commit: one transaction for what many appends of many logs have queued.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex, MutexGuard};

use strandline_core::storage::{CommitSetter, SyncBy, SyncFailure};
use strandline_core::{LogId, Offset};

use super::database::Database;
use super::log::RedbLog;

/// An append that waits to become durable.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) log: Arc<RedbLog>,
    /// End of the log after the append.
    pub(super) end: Offset,
    pub(super) setter: CommitSetter,
}

/// What is queued, whose turn it is to write, and the thread that writes when no caller does.
#[derive(Debug)]
pub(super) struct Rounds {
    database: Arc<Database>,
    queue: Mutex<Queue>,
    work: Condvar,
    /// Held by whoever changes the database. What is queued meanwhile is the next round's.
    turn: Mutex<()>,
    /// Bytes of batches that are accepted and not yet written.
    queued_bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    logs: BTreeMap<LogId, Arc<RedbLog>>,
    waiting: Vec<Waiting>,
    requested: bool,
    stopping: bool,
}

/// The turn to change the database.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _guard: MutexGuard<'a, ()>,
}

impl Rounds {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self {
            database,
            queue: Mutex::default(),
            work: Condvar::new(),
            turn: Mutex::default(),
            queued_bytes: AtomicUsize::new(0),
        }
    }

    /// Adds an append. It waits for the next round that begins.
    pub(super) fn push(&self, waiting: Waiting, bytes: usize) {
        self.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        let mut queue = self.queue.lock();
        let id = waiting.log.id;
        queue.logs.entry(id).or_insert_with(|| Arc::clone(&waiting.log));
        queue.waiting.push(waiting);
    }

    /// Adds a log that has changed without an append.
    pub(super) fn note(&self, log: Arc<RedbLog>) {
        self.queue.lock().logs.insert(log.id, log);
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Acquire)
    }

    /// Says that so many bytes are written, or will not be.
    pub(super) fn no_longer_queued(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Takes the appends of a log that reach beyond this offset out of the queue.
    pub(super) fn take_beyond(&self, log: &RedbLog, end: Offset) -> Vec<Waiting> {
        let mut queue = self.queue.lock();
        let is_beyond =
            |waiting: &mut Waiting| std::ptr::eq(Arc::as_ptr(&waiting.log), log) && waiting.end > end;
        queue.waiting.extract_if(.., is_beyond).collect()
    }

    /// Forgets a log that is deleted.
    pub(super) fn forget(&self, log: &RedbLog) -> Vec<Waiting> {
        let mut queue = self.queue.lock();
        queue.logs.remove(&log.id);
        let is_its = |waiting: &mut Waiting| std::ptr::eq(Arc::as_ptr(&waiting.log), log);
        queue.waiting.extract_if(.., is_its).collect()
    }

    /// Waits for the turn to change the database.
    pub(super) fn turn(&self) -> Turn<'_> {
        Turn {
            _guard: self.turn.lock(),
        }
    }

    /// Makes durable what is queued; see [`strandline_core::storage::Store::sync`].
    pub(super) fn sync(&self, by: SyncBy) {
        match self.turn.try_lock() {
            Some(guard) if by == SyncBy::Caller => self.round(Turn { _guard: guard }),
            _ => {
                self.queue.lock().requested = true;
                self.work.notify_one();
            }
        }
    }

    /// Writes what is queued and resolves the handles in the order of the appends, when the next may have its turn.
    pub(super) fn round(&self, turn: Turn<'_>) {
        let (logs, waiting) = {
            let mut queue = self.queue.lock();
            (
                std::mem::take(&mut queue.logs),
                std::mem::take(&mut queue.waiting),
            )
        };
        let drafts: Vec<_> = logs.into_values().filter_map(|log| log.draft()).collect();
        let outcome = if drafts.is_empty() {
            self.database
                .failure()
                .map_or(Ok(()), |failure| Err(Arc::new(io::Error::other(failure))))
        } else {
            self.database
                .write(|tables| drafts.iter().try_for_each(|draft| draft.write(tables)))
        };
        if outcome.is_ok() {
            for draft in drafts {
                self.no_longer_queued(draft.commit());
            }
        }
        drop(turn);
        let outcome = outcome.map_err(|source| SyncFailure { source });
        for waiting in waiting {
            waiting.setter.set(outcome.clone());
        }
    }

    /// Starts the store's own thread.
    pub(super) fn start(self: &Arc<Self>) -> io::Result<JoinHandle<()>> {
        let rounds = Arc::clone(self);
        std::thread::Builder::new()
            .name("sync".to_owned())
            .spawn(move || rounds.run())
    }

    /// Ends the thread once everything is done that was asked for.
    pub(super) fn stop(&self) {
        self.queue.lock().stopping = true;
        self.work.notify_one();
    }

    fn run(&self) {
        loop {
            let mut queue = self.queue.lock();
            while !queue.requested {
                if queue.stopping {
                    return;
                }
                self.work.wait(&mut queue);
            }
            queue.requested = false;
            drop(queue);
            self.round(self.turn());
        }
    }
}
