//! The bugs, and the engine that has one.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use strandline_core::LogId;
use strandline_core::disk::Disk;
use strandline_core::storage::{Capabilities, Factory, Log, LogSettings, StorageError, Store, SyncBy};

use crate::disk::BuggyDisk;
use crate::log::BuggyLog;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    DirectoryNotSynced,
    FileNotSynced,
    RecoveryNotSynced,
    WriteErrorsSwallowed,
    SyncErrorsSwallowed,
    GoesOnAfterFailedSync,
    CommitBeforeSync,
    CommitWithSyncInFlight,
    CutHandleSucceeds,
    TruncatesTooLittle,
    WrongEndAfterTruncation,
    EpochsForgottenByTruncation,
    ReplacesInTwoSteps,
    RemovesActive,
    RemovesTooMuch,
    OpensWithoutLastBatch,
    TimeOneOff,
    ReadSkipsBatch,
    DeletesOpenOnly,
    OrderNotChecked,
}

/// An engine with a bug.
#[derive(Debug)]
pub(crate) struct Buggy<F> {
    factory: F,
    bug: Bug,
}

impl<F: Factory> Buggy<F> {
    pub(crate) fn new(factory: F, bug: Bug) -> Self {
        Self { factory, bug }
    }
}

impl<F: Factory> Factory for Buggy<F> {
    fn name(&self) -> &'static str {
        "buggy"
    }

    fn open(&self, disk: Arc<dyn Disk>, directory: &Path) -> Result<Arc<dyn Store>, StorageError> {
        let disk = Arc::new(BuggyDisk::new(disk, self.bug));
        let store = self.factory.open(Arc::clone(&disk) as Arc<dyn Disk>, directory)?;
        let bug = self.bug;
        Ok(Arc::new(BuggyStore { store, disk, bug }))
    }
}

struct BuggyStore {
    store: Arc<dyn Store>,
    disk: Arc<BuggyDisk>,
    bug: Bug,
}

impl fmt::Debug for BuggyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuggyStore")
            .field("bug", &self.bug)
            .finish_non_exhaustive()
    }
}

impl Store for BuggyStore {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn list(&self) -> Result<Vec<LogId>, StorageError> {
        self.store.list()
    }

    fn create(&self, id: LogId, settings: &LogSettings) -> Result<Arc<dyn Log>, StorageError> {
        let log = self.store.create(id, settings)?;
        Ok(Arc::new(BuggyLog::new(log, self.bug)))
    }

    fn open(&self, id: LogId, settings: &LogSettings) -> Result<Arc<dyn Log>, StorageError> {
        let log = self.disk.while_opening(|| self.store.open(id, settings))?;
        if self.bug == Bug::OpensWithoutLastBatch
            && let Ok(Some(last)) = log.read_before(log.end())
        {
            log.truncate(last.header().base)?;
        }
        Ok(Arc::new(BuggyLog::new(log, self.bug)))
    }

    fn delete(&self, id: LogId) -> Result<(), StorageError> {
        let is_closed = || {
            let opened = self.store.open(id, &LogSettings::default());
            opened.is_ok()
        };
        if self.bug == Bug::DeletesOpenOnly && is_closed() {
            return Ok(());
        }
        self.store.delete(id)
    }

    fn sync(&self, by: SyncBy) {
        self.store.sync(by);
    }
}
