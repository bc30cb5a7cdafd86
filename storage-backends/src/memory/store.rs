//! The logs of one store.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use strandline_core::storage::{Capabilities, CommitSetter, Log, LogSettings, StorageError, Store, SyncBy};
use strandline_core::{LogId, Offset};

use super::log::MemoryLog;

/// Handles that wait for the next sync, in the order of the appends.
pub(super) type Waiting = Arc<Mutex<Vec<WaitingAppend>>>;
/// The log, its end after the append, and who waits.
pub(super) type WaitingAppend = (Arc<MemoryLog>, Offset, CommitSetter);

/// The store.
#[derive(Debug, Default)]
pub(super) struct MemoryStore {
    logs: Mutex<BTreeMap<LogId, Arc<MemoryLog>>>,
    waiting: Waiting,
}

impl Store for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            survives_restart: false,
            survives_power_loss: false,
            durability_os: true,
            segments: true,
            shared_sync: true,
        }
    }

    fn list(&self) -> Result<Vec<LogId>, StorageError> {
        Ok(self.logs.lock().keys().copied().collect())
    }

    fn create(&self, id: LogId, settings: &LogSettings) -> Result<Arc<dyn Log>, StorageError> {
        let mut logs = self.logs.lock();
        if let Some(log) = logs.get(&id) {
            return Err(if log.is_open() {
                StorageError::Open { log: id }
            } else {
                StorageError::Exists { log: id }
            });
        }
        let log = MemoryLog::new(id, *settings, Arc::clone(&self.waiting));
        logs.insert(id, Arc::clone(&log));
        Ok(log)
    }

    fn open(&self, id: LogId, settings: &LogSettings) -> Result<Arc<dyn Log>, StorageError> {
        let mut logs = self.logs.lock();
        let log = logs.get(&id).ok_or(StorageError::NotFound { log: id })?;
        if log.is_open() {
            return Err(StorageError::Open { log: id });
        }
        let reopened = log.reopened(*settings);
        logs.insert(id, Arc::clone(&reopened));
        Ok(reopened)
    }

    fn delete(&self, id: LogId) -> Result<(), StorageError> {
        if let Some(log) = self.logs.lock().remove(&id) {
            log.mark_deleted();
        }
        Ok(())
    }

    fn sync(&self, _: SyncBy) {
        let mut waiting = self.waiting.lock();
        let round = std::mem::take(&mut *waiting);
        // Under the lock, so that no log is cut meanwhile.
        round.iter().for_each(|(log, end, _)| log.synced(*end));
        drop(waiting);
        round.into_iter().for_each(|(_, _, setter)| setter.set(Ok(())));
    }
}

impl Drop for MemoryStore {
    /// Nothing waits for a sync that cannot come any more. Also because what waits holds its log, which holds what waits.
    fn drop(&mut self) {
        self.sync(SyncBy::Caller);
    }
}
