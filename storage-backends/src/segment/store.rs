//! A directory of logs.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use strandline_core::disk::{Disk, DiskLock, EntryKind};
use strandline_core::storage::{Capabilities, Log, LogSettings, StorageError, Store, SyncBy};
use strandline_core::{LogId, Offset};

use super::SegmentFactory;
use super::active::{Active, View};
use super::files::{SegmentId, failed, remove_if_there, replace};
use super::handles::{Access, Handles};
use super::index::Index;
use super::log::{Recovered, SegmentLog};
use super::recovery::recover;
use super::state::{Content, STATE_FILE, State};
use super::sync::SyncQueue;
use crate::directory::{Format, take};
use crate::epochs::Epochs;

pub(super) const FORMAT: Format = Format {
    name: "strandline segment store",
    version: 1,
};

/// What all logs of a store share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) handles: Handles,
    pub(super) syncs: Arc<SyncQueue>,
    open: Mutex<BTreeMap<LogId, Weak<SegmentLog>>>,
}

impl Shared {
    /// An open log, to be kept alive while an append of it waits.
    pub(super) fn find_log(&self, id: LogId) -> Option<Arc<SegmentLog>> {
        self.open.lock().get(&id)?.upgrade()
    }

    pub(super) fn forget_log(&self, id: LogId) {
        self.open.lock().remove(&id);
    }
}

/// The store.
#[derive(Debug)]
pub(super) struct SegmentStore {
    shared: Arc<Shared>,
    directory: PathBuf,
    _lock: Box<dyn DiskLock>,
}

impl SegmentStore {
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        max_open_files: usize,
    ) -> Result<Arc<Self>, StorageError> {
        let lock = take(disk.as_ref(), directory)?;
        if !FORMAT.is_marked(disk.as_ref(), directory)? {
            FORMAT.mark(disk.as_ref(), directory)?;
        }
        let syncs = Arc::new(SyncQueue::default());
        syncs
            .start()
            .map_err(failed("starting the sync thread of", directory))?;
        let shared = Arc::new(Shared {
            disk,
            handles: Handles::new(max_open_files),
            syncs,
            open: Mutex::default(),
        });
        Ok(Arc::new(Self {
            shared,
            directory: directory.to_owned(),
            _lock: lock,
        }))
    }

    fn log_directory(&self, id: LogId) -> PathBuf {
        self.directory.join(id.to_string())
    }

    fn register(&self, id: LogId, settings: &LogSettings, recovered: Recovered) -> Arc<SegmentLog> {
        let log = SegmentLog::new(
            id,
            self.log_directory(id),
            Arc::clone(&self.shared),
            *settings,
            recovered,
        );
        self.shared.open.lock().insert(id, Arc::downgrade(&log));
        log
    }

    fn refuse_open(&self, id: LogId) -> Result<(), StorageError> {
        if self.shared.find_log(id).is_some() {
            Err(StorageError::Open { log: id })
        } else {
            Ok(())
        }
    }
}

impl Store for SegmentStore {
    fn capabilities(&self) -> Capabilities {
        SegmentFactory::CAPABILITIES
    }

    fn list(&self) -> Result<Vec<LogId>, StorageError> {
        let entries = self
            .shared
            .disk
            .list(&self.directory)
            .map_err(failed("listing", &self.directory))?;
        let directories = entries
            .into_iter()
            .filter(|entry| entry.kind == EntryKind::Directory);
        let mut ids: Vec<_> = directories.filter_map(|entry| log_of_name(&entry.name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn create(&self, id: LogId, settings: &LogSettings) -> Result<Arc<dyn Log>, StorageError> {
        self.refuse_open(id)?;
        let disk = self.shared.disk.as_ref();
        let directory = self.log_directory(id);
        match disk.create_dir(&directory) {
            // Left by a creation that a crash interrupted, unless there is a log in it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => refuse_existing(disk, id, &directory)?,
            other => other.map_err(failed("creating", &directory))?,
        }
        let segment = SegmentId {
            base: Offset::ZERO,
            generation: 0,
        };
        let path = directory.join(segment.data_file());
        remove_if_there(disk, &path).map_err(failed("removing", &path))?;
        let file = disk
            .open(&path, strandline_core::disk::OpenMode::CreateNew)
            .map_err(failed("creating", &path))?;
        disk.sync_dir(&directory).map_err(failed("sync of", &directory))?;
        let state = State::empty(Offset::ZERO, segment);
        replace(disk, &directory, STATE_FILE, &state.encode())
            .map_err(failed("writing the state of", &directory))?;
        disk.sync_dir(&self.directory)
            .map_err(failed("sync of", &self.directory))?;
        self.shared.handles.put((id, segment, Access::Active), file);
        let active = Active::new(segment, Index::default(), 0);
        let recovered = Recovered {
            view: View {
                sealed: Arc::new([]),
                active,
            },
            start: Offset::ZERO,
            content: Content::empty(Offset::ZERO),
            epochs: Epochs::default(),
        };
        Ok(self.register(id, settings, recovered))
    }

    fn open(&self, id: LogId, settings: &LogSettings) -> Result<Arc<dyn Log>, StorageError> {
        self.refuse_open(id)?;
        let recovered = recover(&self.shared, id, &self.log_directory(id))?;
        Ok(self.register(id, settings, recovered))
    }

    fn delete(&self, id: LogId) -> Result<(), StorageError> {
        if let Some(log) = self.shared.find_log(id) {
            log.mark_deleted();
        }
        self.shared.forget_log(id);
        let disk = self.shared.disk.as_ref();
        let directory = self.log_directory(id);
        let entries = match disk.list(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other.map_err(failed("listing", &directory))?,
        };
        for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
            let path = directory.join(&entry.name);
            let removed = remove_if_there(disk, &path).map_err(failed("removing", &path));
            if let Some((segment, _)) = SegmentId::of_file(&entry.name) {
                self.shared.handles.forget(id, segment);
            }
            removed?;
        }
        disk.remove_dir(&directory)
            .map_err(failed("removing", &directory))?;
        disk.sync_dir(&self.directory)
            .map_err(failed("sync of", &self.directory))
    }

    fn sync(&self, by: SyncBy) {
        self.shared.syncs.sync(by);
    }
}

impl Drop for SegmentStore {
    fn drop(&mut self) {
        self.shared.syncs.sync(SyncBy::Store);
        self.shared.syncs.stop();
    }
}

/// The log whose directory has this name, if one has.
pub(super) fn log_of_name(name: &str) -> Option<LogId> {
    let id = name.parse().ok().map(LogId::new);
    id.filter(|id| id.to_string() == name)
}

/// An empty or half-made directory may be used; one that holds a log may not.
fn refuse_existing(disk: &dyn Disk, id: LogId, directory: &Path) -> Result<(), StorageError> {
    let entries = disk.list(directory).map_err(failed("listing", directory))?;
    let has_log = entries.iter().any(|entry| entry.name == STATE_FILE);
    if has_log {
        Err(StorageError::Exists { log: id })
    } else {
        Ok(())
    }
}
