//! The database file: opening it, and transactions whose failure is remembered.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use redb::{Builder, DatabaseError, ReadTransaction, ReadableDatabase, WriteTransaction};

use strandline_core::disk::{Disk, DiskFile, OpenMode};
use strandline_core::storage::{Damage, ReadError, StorageError};

use super::backend::Backend;
use super::blocks::{Blocks, MISMATCH};
use super::tables::{BATCHES, EPOCHS, LEFTOVERS, LOGS, SEGMENTS, Tables};
use crate::contained::contain;
use crate::files::{failed, remove_if_there};

/// Name of the file.
pub(super) const DATABASE_FILE: &str = "store.redb";
/// Name of one that is being written.
const UNFINISHED_FILE: &str = "store.redb.tmp";
/// The newest file format of redb that this program reads.
const KNOWN_REDB_FORMAT: u32 = 3;

/// The database of one store.
pub(super) struct Database {
    path: PathBuf,
    blocks: Blocks,
    /// None once it is closed.
    redb: RwLock<Option<redb::Database>>,
    failure: OnceLock<Arc<io::Error>>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("path", &self.path)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

impl Drop for Database {
    /// redb ends with a transaction of its own, which meets whatever is damaged.
    fn drop(&mut self) {
        let redb = self.redb.get_mut().take();
        let _ = contain(|| drop(redb));
    }
}

impl Database {
    /// Opens the database of a directory. After a crash redb reads all of it first.
    ///
    /// # Errors
    ///
    /// There is none, which is an error of kind `NotFound`; it is damaged or none of ours; or the disk failed.
    pub(super) fn open(disk: &dyn Disk, directory: &Path, cache_bytes: usize) -> Result<Self, StorageError> {
        let path = directory.join(DATABASE_FILE);
        let file = disk
            .open(&path, OpenMode::Write)
            .map_err(failed("opening", &path))?;
        if file.is_empty().map_err(failed("measuring", &path))? {
            // To redb this would be a database to be made.
            return Err(damage(&path, "the file is empty").into());
        }
        let database = Self::of(file, path, cache_bytes)?;
        database.check_tables()?;
        Ok(database)
    }

    /// Makes a new database beside the place of the one of this directory, where [`Database::put_in_place`] puts it.
    pub(super) fn make_aside(
        disk: &dyn Disk,
        directory: &Path,
        cache_bytes: usize,
    ) -> Result<Self, StorageError> {
        remove_unfinished(disk, directory)?;
        let path = directory.join(UNFINISHED_FILE);
        let file = disk
            .open(&path, OpenMode::CreateNew)
            .map_err(failed("creating", &path))?;
        let database = Self::of(file, path, cache_bytes)?;
        let made = database.write(|_| Ok(()));
        made.map_err(|error| failed("writing", &database.path)(copy_of(&error)))?;
        Ok(database)
    }

    /// Makes this the database of the directory, which it is as a whole or not at all, and closes it.
    pub(super) fn put_in_place(&self, disk: &dyn Disk, directory: &Path) -> Result<(), StorageError> {
        self.close()?;
        if let Some(failure) = self.blocks.failure() {
            return Err(failed("writing", &self.path)(copy_of(&failure)));
        }
        disk.rename(&self.path, &directory.join(DATABASE_FILE))
            .map_err(failed("renaming", &self.path))?;
        disk.sync_dir(directory).map_err(failed("sync of", directory))
    }

    fn of(file: Arc<dyn DiskFile>, path: PathBuf, cache_bytes: usize) -> Result<Self, StorageError> {
        let (blocks, redb) = open_file(file, &path, cache_bytes)?;
        Ok(Self {
            path,
            blocks,
            redb: RwLock::new(Some(redb)),
            failure: OnceLock::new(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What made the database take no more writes, if anything did.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.get().map(|failure| failure.to_string())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.redb.read().is_none()
    }

    /// Begins to read what is committed now.
    ///
    /// # Errors
    ///
    /// The database is closed, or redb cannot read it.
    pub(super) fn read<T>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let transaction = match &*self.redb.read() {
            None => return Err(ReadError::Closed),
            Some(redb) => contained(|| Ok(redb.begin_read()?)).map_err(|error| self.read_error(error))?,
        };
        let looked = contain(|| look(&transaction));
        looked.unwrap_or_else(|_| Err(self.damage(PANICKED).into()))
    }

    /// Changes the database in one transaction, which is durable when this returns.
    ///
    /// # Errors
    ///
    /// It failed now or before; the database takes no more writes then.
    pub(super) fn write(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<(), redb::Error>,
    ) -> Result<(), Arc<io::Error>> {
        if let Some(failure) = self.failure.get() {
            return Err(Arc::clone(failure));
        }
        let guard = self.redb.read();
        let Some(redb) = &*guard else {
            return Err(Arc::new(io::Error::other("the store is closed")));
        };
        let written = contained(|| {
            let transaction = redb.begin_write()?;
            apply(&transaction, change)?;
            Ok(transaction.commit()?)
        });
        let failure = match (self.blocks.failure(), written) {
            (Some(failure), _) => failure,
            (None, Err(error)) => Arc::new(io_error(error)),
            (None, Ok(())) => return Ok(()),
        };
        tracing::error!(path = %self.path.display(), error = %failure,
            "a store takes no more writes until the broker is started again");
        Err(Arc::clone(self.failure.get_or_init(|| failure)))
    }

    /// Gives space at the end of the file back to the disk, moving what lies there. Nothing else uses the database then.
    pub(super) fn compact(&self) -> Result<(), StorageError> {
        let compacted = match &mut *self.redb.write() {
            None => Ok(true),
            Some(redb) => contained(|| Ok(redb.compact()?)),
        };
        compacted
            .map_err(io_error)
            .map_err(failed("compacting", &self.path))?;
        match self.blocks.failure() {
            Some(failure) => Err(failed("compacting", &self.path)(copy_of(&failure))),
            None => Ok(()),
        }
    }

    /// Has redb verify everything in the file. Says whether it is as it should be.
    ///
    /// # Errors
    ///
    /// What is there cannot be used.
    pub(super) fn is_whole(&self) -> Result<bool, redb::Error> {
        match &mut *self.redb.write() {
            None => Err(redb::Error::DatabaseClosed),
            Some(redb) => contained(|| Ok(redb.check_integrity()?)),
        }
    }

    /// Closes the file, so that the next start need not look at all of it.
    pub(super) fn close(&self) -> Result<(), StorageError> {
        let Some(redb) = self.redb.write().take() else {
            return Ok(());
        };
        contained(|| Ok(redb.close()?))
            .map_err(io_error)
            .map_err(failed("closing", &self.path))
    }

    /// The error of a read, by what it means.
    pub(super) fn read_error(&self, error: redb::Error) -> ReadError {
        match error {
            redb::Error::DatabaseClosed => ReadError::Closed,
            redb::Error::Corrupted(reason) => self.damage(&reason).into(),
            other => ReadError::Io(io_error(other)),
        }
    }

    /// What redb could not go on with, and where in the file that is.
    fn damage(&self, reason: &str) -> Damage {
        found_damage(&self.blocks, &self.path, reason)
    }

    /// Refuses a database that is none of ours.
    fn check_tables(&self) -> Result<(), StorageError> {
        let opened = self.read(|transaction| {
            let open = || {
                transaction.open_table(LOGS)?;
                transaction.open_table(SEGMENTS)?;
                transaction.open_table(EPOCHS)?;
                transaction.open_table(BATCHES)?;
                transaction.open_table(LEFTOVERS)
            };
            open().map(drop).map_err(|error| self.read_error(error.into()))
        });
        match opened {
            Ok(()) => Ok(()),
            Err(ReadError::Damaged(damage)) => Err(damage.into()),
            Err(error) => Err(damage(&self.path, &format!("this is no store: {error}")).into()),
        }
    }
}

/// What a panic of redb is told as: it asserts what only a damaged file breaks.
const PANICKED: &str = "redb gave up on what is in the file";

/// Removes a database that was never put in place.
pub(super) fn remove_unfinished(disk: &dyn Disk, directory: &Path) -> Result<(), StorageError> {
    let path = directory.join(UNFINISHED_FILE);
    remove_if_there(disk, &path).map_err(failed("removing", &path))
}

/// Contains panics of redb.
pub(super) fn contained<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    contain(work).unwrap_or_else(|_| Err(redb::Error::Corrupted(PANICKED.to_owned())))
}

/// Makes a change, and keeps the tables open for no longer.
fn apply(
    transaction: &WriteTransaction,
    change: impl FnOnce(&mut Tables<'_>) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let mut tables = Tables::open(transaction)?;
    change(&mut tables)
}

fn open_file(
    file: Arc<dyn DiskFile>,
    path: &Path,
    cache_bytes: usize,
) -> Result<(Blocks, redb::Database), StorageError> {
    let blocks = Blocks::open(Backend::new(file)).map_err(|error| unreadable(error, path))?;
    let shown = path.to_owned();
    let opened = contain(|| {
        Builder::new()
            .set_cache_size(cache_bytes)
            .set_repair_callback(move |repair| {
                tracing::info!(path = %shown.display(), progress = repair.progress(),
                    "checking a store that was not closed");
            })
            .create_with_backend(blocks.clone())
    });
    let opened = opened.unwrap_or_else(|_| {
        let reason = PANICKED.to_owned();
        Err(DatabaseError::Storage(redb::StorageError::Corrupted(reason)))
    });
    let redb = opened.map_err(|error| refused(error, &blocks, path))?;
    blocks.is_open();
    match blocks.failure() {
        Some(failure) => Err(failed("opening", path)(copy_of(&failure))),
        None => Ok((blocks, redb)),
    }
}

/// Why a database was not opened.
fn refused(error: DatabaseError, blocks: &Blocks, path: &Path) -> StorageError {
    match error {
        DatabaseError::UpgradeRequired(version) => StorageError::Version {
            file: path.to_owned(),
            found: format!("{version} of redb"),
            known: KNOWN_REDB_FORMAT,
        },
        DatabaseError::Storage(redb::StorageError::Io(error)) if error.kind() != ErrorKind::InvalidData => {
            failed("opening", path)(error)
        }
        other => found_damage(blocks, path, &other.to_string()).into(),
    }
}

/// Why the blocks of a file were not opened.
fn unreadable(error: io::Error, path: &Path) -> StorageError {
    match error.kind() {
        ErrorKind::InvalidData => damage(path, &error.to_string()).into(),
        _ => failed("opening", path)(error),
    }
}

/// Damage that redb ran into, at the block that was found not to match its checksum.
fn found_damage(blocks: &Blocks, path: &Path, reason: &str) -> Damage {
    match blocks.damage() {
        Some(position) => Damage {
            position,
            ..damage(path, &format!("{MISMATCH} ({reason})"))
        },
        None => damage(path, reason),
    }
}

pub(super) fn damage(path: &Path, reason: &str) -> Damage {
    Damage {
        file: path.to_owned(),
        position: 0,
        reason: reason.to_owned(),
    }
}

/// What the disk said, or that redb did not go on.
pub(super) fn io_error(error: redb::Error) -> io::Error {
    match error {
        redb::Error::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

/// An error that others hold, too.
pub(super) fn copy_of(error: &Arc<io::Error>) -> io::Error {
    io::Error::new(error.kind(), Arc::clone(error))
}
