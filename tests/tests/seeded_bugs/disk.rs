//! A disk that does not do what the engine asks of it, as if the engine had not asked.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use strandline_core::disk::{DirEntry, Disk, DiskFile, DiskLock, OpenMode};

use crate::bugs::Bug;

pub(crate) struct BuggyDisk {
    disk: Arc<dyn Disk>,
    bug: Bug,
    is_opening: Arc<AtomicBool>,
}

impl fmt::Debug for BuggyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuggyDisk")
            .field("bug", &self.bug)
            .finish_non_exhaustive()
    }
}

impl BuggyDisk {
    pub(crate) fn new(disk: Arc<dyn Disk>, bug: Bug) -> Self {
        let is_opening = Arc::default();
        Self {
            disk,
            bug,
            is_opening,
        }
    }

    /// Opens a log; some bugs are of this alone.
    pub(crate) fn while_opening<T>(&self, open: impl FnOnce() -> T) -> T {
        self.is_opening.store(true, Ordering::SeqCst);
        let opened = open();
        self.is_opening.store(false, Ordering::SeqCst);
        opened
    }
}

impl Disk for BuggyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(BuggyFile {
            file: self.disk.open(path, mode)?,
            bug: self.bug,
            is_opening: Arc::clone(&self.is_opening),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        match self.bug {
            Bug::DirectoryNotSynced => Ok(()),
            _ => self.disk.sync_dir(path),
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.disk.lock(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }
}

#[derive(Debug)]
struct BuggyFile {
    file: Arc<dyn DiskFile>,
    bug: Bug,
    is_opening: Arc<AtomicBool>,
}

impl DiskFile for BuggyFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, position: u64, max_bytes: usize, out: &mut Vec<u8>) -> io::Result<usize> {
        self.file.read_at(position, max_bytes, out)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        match self.file.write_at(position, bytes) {
            Err(_) if self.bug == Bug::WriteErrorsSwallowed => Ok(()),
            other => other,
        }
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        let is_opening = self.is_opening.load(Ordering::SeqCst);
        match self.bug {
            Bug::FileNotSynced => Ok(()),
            Bug::RecoveryNotSynced if is_opening => Ok(()),
            Bug::SyncErrorsSwallowed => self.file.sync_data().or(Ok(())),
            _ => self.file.sync_data(),
        }
    }
}
