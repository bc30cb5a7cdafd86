//! The file system as storage engines and the metadata log see it.
//!
//! Everything that must survive a power loss goes through [`Disk`], so that crash points, torn writes, full disks and
//! failed syncs can be put under all of it by another implementation. The trait says nothing more than POSIX does:
//! a write is *accepted* when it returns and *durable* once [`DiskFile::sync_data`] has returned; a directory entry
//! (create, rename, remove) is durable once [`Disk::sync_dir`] has returned for its directory.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing; it must not exist.
    CreateNew,
}

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else; never touched.
    Other,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name within its directory.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
}

/// A file system, or a model of one. Paths are used as given.
///
/// Methods block. All errors are [`io::Error`] with the usual kinds: `NotFound`, `AlreadyExists`, `StorageFull`.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file or directory; an existing file at `to` is replaced atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Open handles stay usable.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Creates one directory; its parent must exist. `AlreadyExists` if it is there.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// The entries of a directory, in no order. Names that are not UTF-8 are left out.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// Makes the entries of a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes an exclusive lock named by `path`, held until the guard is dropped or the process ends.
    /// `WouldBlock` if somebody holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;

    /// Bytes that can still be written below `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// An open file. Usable from several threads at once.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the length is 0.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Appends up to `max_bytes` from `position` to `out` and says how many; fewer only at the end of the file.
    fn read_at(&self, position: u64, max_bytes: usize, out: &mut Vec<u8>) -> io::Result<usize>;

    /// Writes all of `bytes` at `position`. After an error any part of them may have been written.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()>;

    /// Sets the length; growing fills with zeroes.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Makes content and length durable (fdatasync). After an error what was written since the last success may be
    /// lost even if a later call succeeds: callers must stop using the file.
    fn sync_data(&self) -> io::Result<()>;
}

/// Guard of a lock taken with [`Disk::lock`].
pub trait DiskLock: fmt::Debug + Send + Sync {}
