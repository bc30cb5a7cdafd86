//! The logs of one database.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use strandline_core::disk::{Disk, DiskLock, OpenMode};
use strandline_core::storage::{Capabilities, Log, LogSettings, StorageError, Store, SyncBy};
use strandline_core::{LogId, Offset};

use super::database::{DATABASE_FILE, Database, copy_of, damage, remove_unfinished};
use super::log::{RedbLog, check_settings};
use super::rounds::Rounds;
use super::shape::{SegmentId, Shape};
use super::stored::{as_storage_error, has_leftovers, list, load};
use super::tables::{SegmentKey, Tables, segment_key};
use super::{Limits, RedbFactory};
use crate::directory::{Format, take};
use crate::files::failed;

pub(super) const FORMAT: Format = Format {
    name: "strandline redb store",
    version: 2,
};
/// Bytes of the disk that are left free: a transaction must never find it full, since redb cannot take back what it has
/// begun to write. They are also what removing records takes.
const ROOM_BYTES: u64 = 8 << 20;
/// Bytes that a byte of batches may take on the disk.
const WRITTEN_PER_BYTE: u64 = 2;
/// Parts of left over batches that one transaction removes; appends have their turn in between.
const SWEEP_PARTS: usize = 2048;

/// What all logs of a store share.
#[derive(Debug)]
pub(super) struct Shared {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    pub(super) queue_bytes: usize,
    pub(super) database: Arc<Database>,
    pub(super) rounds: Arc<Rounds>,
    open: Mutex<BTreeMap<LogId, Weak<RedbLog>>>,
    /// Segments that are written and belong to no log yet, which is no reason to remove them.
    written: Mutex<BTreeSet<SegmentKey>>,
}

impl Shared {
    /// An open log, to be kept alive while an append of it waits.
    pub(super) fn find_log(&self, id: LogId) -> Option<Arc<RedbLog>> {
        self.open.lock().get(&id)?.upgrade()
    }

    pub(super) fn forget_log(&self, id: LogId) {
        self.open.lock().remove(&id);
    }

    /// Whether so many bytes of batches can be written. A disk that does not say so has room.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let needed = WRITTEN_PER_BYTE * bytes as u64 + ROOM_BYTES;
        self.disk
            .free_bytes(&self.directory)
            .map_or(true, |free| free >= needed)
    }

    /// Changes the database, in whose turn the caller is.
    pub(super) fn write(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<(), redb::Error>,
    ) -> Result<(), StorageError> {
        self.database
            .write(change)
            .map_err(|error| self.failed_write(copy_of(&error)))
    }

    pub(super) fn failed_write(&self, source: io::Error) -> StorageError {
        failed("writing", self.database.path())(source)
    }

    /// Says that a segment is being written, until the guard is dropped.
    pub(super) fn writing(&self, log: LogId, segment: SegmentId) -> Writing<'_> {
        let key = segment_key(log, segment);
        self.written.lock().insert(key);
        Writing { shared: self, key }
    }

    /// Removes the batches of segments that belong to no log, a few at a time.
    pub(super) fn sweep(&self) -> Result<(), StorageError> {
        let look = has_leftovers(&self.database);
        let mut has_more = look.map_err(|error| as_storage_error(&self.database, error))?;
        while has_more {
            let _turn = self.rounds.turn();
            self.write(|tables| {
                has_more = tables.sweep(SWEEP_PARTS, &self.written.lock())?;
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Keeps a segment that is being written.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    shared: &'a Shared,
    key: SegmentKey,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.shared.written.lock().remove(&self.key);
    }
}

/// The store.
#[derive(Debug)]
pub(super) struct RedbStore {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    _lock: Box<dyn DiskLock>,
}

impl RedbStore {
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        limits: Limits,
    ) -> Result<Arc<Self>, StorageError> {
        let lock = take(disk.as_ref(), directory)?;
        let database = Arc::new(open_or_create(disk.as_ref(), directory, limits.cache_bytes)?);
        let rounds = Arc::new(Rounds::new(Arc::clone(&database)));
        let thread = rounds
            .start()
            .map_err(failed("starting the sync thread of", directory))?;
        let store = Self {
            shared: Arc::new(Shared {
                disk,
                directory: directory.to_owned(),
                queue_bytes: limits.queue_bytes,
                database,
                rounds,
                open: Mutex::default(),
                written: Mutex::default(),
            }),
            thread: Mutex::new(Some(thread)),
            _lock: lock,
        };
        store.shared.sweep()?;
        Ok(Arc::new(store))
    }

    /// Makes the file as small as it can be.
    pub(super) fn compact(&self) -> Result<(), StorageError> {
        let _turn = self.shared.rounds.turn();
        self.shared.database.compact()
    }

    fn register(&self, id: LogId, settings: &LogSettings, shape: Shape) -> Arc<RedbLog> {
        let log = RedbLog::new(id, Arc::clone(&self.shared), *settings, shape);
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

    fn load(&self, id: LogId) -> Result<Option<Shape>, StorageError> {
        load(&self.shared.database, id).map_err(|error| as_storage_error(&self.shared.database, error))
    }
}

impl Store for RedbStore {
    fn capabilities(&self) -> Capabilities {
        RedbFactory::CAPABILITIES
    }

    fn list(&self) -> Result<Vec<LogId>, StorageError> {
        list(&self.shared.database).map_err(|error| as_storage_error(&self.shared.database, error))
    }

    fn create(&self, id: LogId, settings: &LogSettings) -> Result<Arc<dyn Log>, StorageError> {
        check_settings(settings)?;
        self.refuse_open(id)?;
        if self.load(id)?.is_some() {
            return Err(StorageError::Exists { log: id });
        }
        if !self.shared.has_room(self.shared.rounds.queued_bytes()) {
            return Err(self.shared.failed_write(io::Error::from(ErrorKind::StorageFull)));
        }
        // Nothing may be left of an earlier log with this id.
        self.shared.sweep()?;
        let shape = Shape::empty(Offset::ZERO, 0);
        let turn = self.shared.rounds.turn();
        self.shared.write(|tables| tables.create(id, &shape))?;
        drop(turn);
        Ok(self.register(id, settings, shape))
    }

    fn open(&self, id: LogId, settings: &LogSettings) -> Result<Arc<dyn Log>, StorageError> {
        check_settings(settings)?;
        self.refuse_open(id)?;
        if let Some(reason) = self.shared.database.failure() {
            return Err(StorageError::Poisoned { log: id, reason });
        }
        let shape = self.load(id)?.ok_or(StorageError::NotFound { log: id })?;
        Ok(self.register(id, settings, shape))
    }

    fn delete(&self, id: LogId) -> Result<(), StorageError> {
        let turn = self.shared.rounds.turn();
        let mut cut = Vec::new();
        if let Some(log) = self.shared.find_log(id) {
            log.mark_deleted();
            cut = self.shared.rounds.forget(&log);
        }
        self.shared.forget_log(id);
        if self.load(id)?.is_some() {
            self.shared.write(|tables| tables.remove(id))?;
        }
        drop(turn);
        drop(cut); // Fails their handles, whose callbacks may come back here.
        self.shared.sweep()
    }

    fn sync(&self, by: SyncBy) {
        self.shared.rounds.sync(by);
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.shared.rounds.sync(SyncBy::Store);
        self.shared.rounds.stop();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the sync thread ended with a panic");
        }
        if let Err(error) = self.shared.database.close() {
            tracing::warn!(%error, "a store could not be closed cleanly, its next start looks at all of it");
        }
    }
}

/// Opens the database, or creates it in a directory that has never had one.
pub(super) fn open_or_create(
    disk: &dyn Disk,
    directory: &Path,
    cache_bytes: usize,
) -> Result<Database, StorageError> {
    let is_marked = FORMAT.is_marked(disk, directory)?;
    let path = directory.join(DATABASE_FILE);
    let is_there = match disk.open(&path, OpenMode::Read) {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(failed("opening", &path)(error)),
    };
    match (is_marked, is_there) {
        (true, false) => return Err(damage(&path, "the file is missing").into()),
        (false, false) => {
            Database::make_aside(disk, directory, cache_bytes)?.put_in_place(disk, directory)?;
        }
        (_, true) => remove_unfinished(disk, directory)?,
    }
    let database = Database::open(disk, directory, cache_bytes)?;
    if !is_marked {
        // Last, so that a directory with the marker has a database.
        FORMAT.mark(disk, directory)?;
    }
    Ok(database)
}
