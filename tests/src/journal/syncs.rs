//! Making appends durable: one round at a time, on the caller's thread or the store's own.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, mpsc};

use parking_lot::Mutex;

use strandline_core::Offset;
use strandline_core::storage::CommitSetter;

use super::log::JournalLog;

/// An append that waits for the next round.
pub(super) struct Waiting {
    pub(super) log: Arc<JournalLog>,
    /// The log's end after it.
    pub(super) end: Offset,
    /// The lowest offset that the log was cut to after it.
    pub(super) lowest_cut: Arc<AtomicU64>,
    pub(super) setter: CommitSetter,
}

/// Appends of all logs, in their order.
#[derive(Default)]
pub(super) struct Syncs {
    waiting: Mutex<Vec<Waiting>>,
    running: Mutex<()>,
}

impl std::fmt::Debug for Syncs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Syncs").finish_non_exhaustive()
    }
}

impl Syncs {
    pub(super) fn push(&self, waiting: Waiting) {
        self.waiting.lock().push(waiting);
    }

    /// Syncs what waits now; what comes meanwhile waits for the next round. False if a round is under way.
    pub(super) fn try_round(&self) -> bool {
        let Some(_one) = self.running.try_lock() else {
            return false;
        };
        self.settle();
        true
    }

    /// As [`Syncs::try_round`], after the round that is under way.
    pub(super) fn round(&self) {
        let _one = self.running.lock();
        self.settle();
    }

    fn settle(&self) {
        let mut round = std::mem::take(&mut *self.waiting.lock());
        while let Some(log) = round.first().map(|first| Arc::clone(&first.log)) {
            let own: Vec<Waiting> = round
                .extract_if(.., |waiting| Arc::ptr_eq(&waiting.log, &log))
                .collect();
            let outcome = log.sync_file();
            for waiting in own {
                let outcome = log.synced(&waiting, outcome.clone());
                waiting.setter.set(outcome);
            }
        }
    }
}

/// The store's own thread: a round for each signal. Ends when nobody can signal any more.
pub(super) fn serve(syncs: &Syncs, signals: &mpsc::Receiver<()>) {
    while signals.recv().is_ok() {
        while signals.try_recv().is_ok() {}
        syncs.round();
    }
}
