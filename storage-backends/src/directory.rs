//! The directory of a store: one process at a time, of one known format.

use std::io::ErrorKind;
use std::path::Path;

use strandline_core::disk::{Disk, DiskLock};
use strandline_core::storage::StorageError;

use crate::files::{failed, read_whole, replace};

pub(crate) const FORMAT_FILE: &str = "format";
pub(crate) const LOCK_FILE: &str = "lock";
/// Longest marker that is read.
const FORMAT_MAX_BYTES: u64 = 4096;

/// What wrote a directory: its marker file holds the name, a space, the version and a line end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) name: &'static str,
    pub(crate) version: u32,
}

impl Format {
    /// Whether the directory carries this marker; not if it carries none.
    ///
    /// # Errors
    ///
    /// It carries another one, which is named, or the disk failed.
    pub(crate) fn is_marked(&self, disk: &dyn Disk, directory: &Path) -> Result<bool, StorageError> {
        let path = directory.join(FORMAT_FILE);
        let found = read_whole(disk, &path, FORMAT_MAX_BYTES).map_err(failed("reading", &path))?;
        let Some(found) = found else {
            return Ok(false);
        };
        if found == self.text().as_bytes() {
            return Ok(true);
        }
        let text = String::from_utf8_lossy(&found);
        let found = text.strip_prefix(self.name).unwrap_or(&text).trim().to_owned();
        Err(StorageError::Version {
            file: path,
            found,
            known: self.version,
        })
    }

    /// Writes the marker, durably.
    pub(crate) fn mark(&self, disk: &dyn Disk, directory: &Path) -> Result<(), StorageError> {
        let path = directory.join(FORMAT_FILE);
        replace(disk, directory, FORMAT_FILE, self.text().as_bytes()).map_err(failed("writing", &path))
    }

    fn text(&self) -> String {
        format!("{} {}\n", self.name, self.version)
    }
}

/// Creates the directory if it is not there and takes it for this process.
pub(crate) fn take(disk: &dyn Disk, directory: &Path) -> Result<Box<dyn DiskLock>, StorageError> {
    match disk.create_dir(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(failed("creating", directory)(error));
        }
        _ => {}
    }
    // Also when it is there already: whoever created it may have ended before this.
    sync_parent(disk, directory)?;
    disk.lock(&directory.join(LOCK_FILE))
        .map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => StorageError::InUse {
                directory: directory.to_owned(),
            },
            _ => failed("locking", directory)(error),
        })
}

fn sync_parent(disk: &dyn Disk, directory: &Path) -> Result<(), StorageError> {
    match directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => disk.sync_dir(parent).map_err(failed("sync of", parent)),
        None => Ok(()),
    }
}
