//! A directory of journal files.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak, mpsc};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use strandline_core::disk::{Disk, DiskLock, EntryKind, OpenMode};
use strandline_core::storage::{Capabilities, Log, LogSettings, StorageError, Store, SyncBy};
use strandline_core::{LogId, Offset};

use super::content::Content;
use super::log::JournalLog;
use super::recovery::{Recovered, recover};
use super::syncs::{Syncs, serve};

const FORMAT_FILE: &str = "format";
const FORMAT: &str = "example journal store 1\n";
const SUFFIX: &str = ".journal";

/// The store.
pub(super) struct JournalStore {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    is_trusting: bool,
    syncs: Arc<Syncs>,
    logs: Mutex<BTreeMap<LogId, Weak<JournalLog>>>,
    thread: Mutex<Option<(mpsc::Sender<()>, JoinHandle<()>)>>,
    _lock: Box<dyn DiskLock>,
}

impl fmt::Debug for JournalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalStore")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl JournalStore {
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        is_trusting: bool,
    ) -> Result<Self, StorageError> {
        match disk.create_dir(directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(failed("creating", directory)(error));
            }
            _ => {}
        }
        let parent = directory.parent().unwrap_or(directory);
        disk.sync_dir(parent).map_err(failed("sync of", parent))?;
        let lock = disk
            .lock(&directory.join("lock"))
            .map_err(|error| match error.kind() {
                ErrorKind::WouldBlock => StorageError::InUse {
                    directory: directory.to_owned(),
                },
                _ => failed("locking", directory)(error),
            })?;
        check_format(disk.as_ref(), directory)?;
        let syncs = Arc::new(Syncs::default());
        let (signal, signals) = mpsc::channel();
        let serving = Arc::clone(&syncs);
        let thread = std::thread::Builder::new()
            .name("journal-sync".to_owned())
            .spawn(move || serve(&serving, &signals))
            .map_err(failed("starting the sync thread of", directory))?;
        Ok(Self {
            disk,
            directory: directory.to_owned(),
            is_trusting,
            syncs,
            logs: Mutex::default(),
            thread: Mutex::new(Some((signal, thread))),
            _lock: lock,
        })
    }

    fn path(&self, id: LogId) -> PathBuf {
        self.directory.join(format!("{id}{SUFFIX}"))
    }

    fn find_open(&self, id: LogId) -> Option<Arc<JournalLog>> {
        self.logs.lock().get(&id)?.upgrade().filter(|log| log.is_open())
    }

    fn serve(&self, id: LogId, settings: &LogSettings, recovered: Recovered) -> Arc<dyn Log> {
        let syncs = Arc::clone(&self.syncs);
        let log = JournalLog::new(id, *settings, syncs, recovered, self.is_trusting);
        self.logs.lock().insert(id, Arc::downgrade(&log));
        log
    }
}

impl Store for JournalStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            survives_restart: true,
            survives_power_loss: true,
            durability_os: true,
            segments: true,
            shared_sync: true,
        }
    }

    fn list(&self) -> Result<Vec<LogId>, StorageError> {
        let entries = self.disk.list(&self.directory);
        let entries = entries.map_err(failed("listing", &self.directory))?;
        let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
        let mut ids: Vec<LogId> = files
            .filter_map(|entry| entry.name.strip_suffix(SUFFIX)?.parse().ok().map(LogId::new))
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn create(&self, id: LogId, settings: &LogSettings) -> Result<Arc<dyn Log>, StorageError> {
        if self.find_open(id).is_some() {
            return Err(StorageError::Open { log: id });
        }
        let path = self.path(id);
        let file = match self.disk.open(&path, OpenMode::CreateNew) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(StorageError::Exists { log: id });
            }
            other => other.map_err(failed("creating", &path))?,
        };
        if let Err(error) = self.disk.sync_dir(&self.directory) {
            // Nobody was told that the log is there. If this fails, too, it is found as an empty one.
            let _ = self.disk.remove_file(&path);
            return Err(failed("sync of", &self.directory)(error));
        }
        let content = Content::empty_at(Offset::ZERO);
        Ok(self.serve(
            id,
            settings,
            Recovered {
                file,
                path,
                content,
                bytes: 0,
            },
        ))
    }

    fn open(&self, id: LogId, settings: &LogSettings) -> Result<Arc<dyn Log>, StorageError> {
        if self.find_open(id).is_some() {
            return Err(StorageError::Open { log: id });
        }
        let recovered = match recover(self.disk.as_ref(), &self.path(id), self.is_trusting) {
            Err(StorageError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Err(StorageError::NotFound { log: id });
            }
            other => other?,
        };
        // The entry may be there and not be durable, if the process ended within a creation.
        let directory = &self.directory;
        self.disk
            .sync_dir(directory)
            .map_err(failed("sync of", directory))?;
        Ok(self.serve(id, settings, recovered))
    }

    fn delete(&self, id: LogId) -> Result<(), StorageError> {
        if let Some(log) = self.logs.lock().remove(&id).and_then(|log| log.upgrade()) {
            log.mark_deleted();
        }
        let path = self.path(id);
        match self.disk.remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("removing", &path)(error));
            }
            _ => {}
        }
        let directory = &self.directory;
        self.disk
            .sync_dir(directory)
            .map_err(failed("sync of", directory))
    }

    fn sync(&self, by: SyncBy) {
        if by == SyncBy::Caller && self.syncs.try_round() {
            return;
        }
        if let Some((signal, _)) = &*self.thread.lock() {
            // The thread is there as long as the store is.
            let _ = signal.send(());
        }
    }
}

impl Drop for JournalStore {
    fn drop(&mut self) {
        if let Some((signal, thread)) = self.thread.lock().take() {
            drop(signal);
            // A panic of the thread has been told by its hook.
            let _ = thread.join();
        }
        self.syncs.round();
    }
}

fn check_format(disk: &dyn Disk, directory: &Path) -> Result<(), StorageError> {
    let path = directory.join(FORMAT_FILE);
    let file = match disk.open(&path, OpenMode::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => return write_format(disk, directory, &path),
        other => other.map_err(failed("opening", &path))?,
    };
    let mut found = Vec::new();
    file.read_at(0, 100, &mut found)
        .map_err(failed("reading", &path))?;
    if found == FORMAT.as_bytes() {
        return Ok(());
    }
    Err(StorageError::Version {
        file: path,
        found: String::from_utf8_lossy(&found).trim().to_owned(),
        known: 1,
    })
}

/// Written under another name first, so that the file is whole or not there.
fn write_format(disk: &dyn Disk, directory: &Path, path: &Path) -> Result<(), StorageError> {
    let unfinished = directory.join(format!("{FORMAT_FILE}.tmp"));
    match disk.remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(failed("removing", &unfinished)(error));
        }
        _ => {}
    }
    let file = disk.open(&unfinished, OpenMode::CreateNew);
    let file = file.map_err(failed("creating", &unfinished))?;
    file.write_at(0, FORMAT.as_bytes())
        .map_err(failed("writing", &unfinished))?;
    file.sync_data().map_err(failed("sync of", &unfinished))?;
    disk.rename(&unfinished, path)
        .map_err(failed("renaming", &unfinished))?;
    disk.sync_dir(directory).map_err(failed("sync of", directory))
}

/// An error of the disk with what was tried on which file.
pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let path = path.to_owned();
    move |source| StorageError::Io { action, path, source }
}
