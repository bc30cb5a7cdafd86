//! The operating system's file system.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::fs::{FlockOperation, flock, statvfs};

use strandline_core::disk::{DirEntry, Disk, DiskFile, DiskLock, EntryKind, OpenMode};

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl SystemDisk {
    /// The file system.
    pub fn new() -> Self {
        Self
    }

    /// As [`Disk::lock`], without writing anything, so that it works on file systems that are read-only: holds off whoever takes
    /// the lock, but not others that do this. None if the file of the lock is not there, as it is where nobody ever took it.
    ///
    /// # Errors
    ///
    /// As [`Disk::lock`].
    pub fn lock_for_reading(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        flock(&file, FlockOperation::NonBlockingLockShared)?;
        Ok(Some(Box::new(SystemLock { _file: file })))
    }
}

impl Disk for SystemDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(mode != OpenMode::Read)
            .create_new(mode == OpenMode::CreateNew);
        Ok(Arc::new(SystemFile {
            file: options.open(path)?,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let kind = match entry.file_type()? {
                kind if kind.is_file() => EntryKind::File,
                kind if kind.is_dir() => EntryKind::Directory,
                _ => EntryKind::Other,
            };
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(DirEntry { name, kind });
            }
        }
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(SystemLock { _file: file }))
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[derive(Debug)]
struct SystemFile {
    file: File,
}

impl DiskFile for SystemFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, position: u64, max_bytes: usize, out: &mut Vec<u8>) -> io::Result<usize> {
        let start = out.len();
        out.reserve_exact(max_bytes);
        let mut whole = 0;
        while whole < max_bytes {
            // The vector may have more room than was asked for.
            let room = out.capacity() - out.len();
            let read = if room <= max_bytes - whole {
                rustix::io::pread(&self.file, spare_capacity(out), position + whole as u64)
            } else {
                self.read_rest(position + whole as u64, max_bytes - whole, out)
            };
            match read {
                Ok(0) => break,
                Ok(read) => whole += read,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    out.truncate(start);
                    return Err(error.into());
                }
            }
        }
        Ok(whole)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, position)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl SystemFile {
    /// Reads no more than asked for into a vector with more room than that.
    fn read_rest(&self, position: u64, bytes: usize, out: &mut Vec<u8>) -> rustix::io::Result<usize> {
        let start = out.len();
        out.resize(start + bytes, 0);
        let read = match out.get_mut(start..) {
            Some(room) => rustix::io::pread(&self.file, room, position),
            None => Ok(0),
        };
        out.truncate(start + read.unwrap_or(0));
        read
    }
}

/// Released by the operating system with the file, also when the process ends.
#[derive(Debug)]
struct SystemLock {
    _file: File,
}

impl DiskLock for SystemLock {}
