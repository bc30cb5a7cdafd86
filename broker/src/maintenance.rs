//! Work on a data directory that no broker uses.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use strandline_core::disk::{Disk, DiskLock};
use strandline_core::storage::StorageError;
use strandline_storage_backends::{SystemDisk, compact_redb};

use crate::streams::REDB_DIRECTORY;

pub use strandline_storage_backends::Compacted;

/// How often a long work says how far it is.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// Why nothing, or not all, was done.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// A broker uses the directory.
    #[error("{directory} is in use by a broker; stop it first", directory = directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory cannot be used.
    #[error("cannot use the data directory {directory}: {source}", directory = directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The store cannot be opened or changed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Gives space that the redb backend no longer uses back to the file system; none if no stream of the directory was ever kept
/// by it. Says how long the file is from time to time. Blocks; what was done before an interruption is done.
///
/// # Errors
///
/// A broker uses the directory, or the disk failed.
pub fn compact(
    data_dir: &Path,
    mut progress: impl FnMut(u64),
) -> Result<Option<Compacted>, MaintenanceError> {
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk::new());
    let _lock = lock(disk.as_ref(), data_dir)?;
    let directory = data_dir.join(REDB_DIRECTORY);
    let (done, finished) = sync_channel::<()>(1);
    std::thread::scope(|scope| {
        let compaction = scope.spawn(|| {
            let compacted = compact_redb(&disk, &directory);
            drop(done);
            compacted
        });
        while finished.recv_timeout(REPORT_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            progress(length_of_files(&directory));
        }
        match compaction.join() {
            Ok(compacted) => Ok(compacted?),
            Err(_) => Err(MaintenanceError::Directory {
                directory: directory.clone(),
                source: io::Error::other("the compaction ended with a panic"),
            }),
        }
    })
}

/// Takes the directory as a broker does. It has to be there.
fn lock(disk: &dyn Disk, data_dir: &Path) -> Result<Box<dyn DiskLock>, MaintenanceError> {
    let directory = data_dir.to_owned();
    let locked = disk
        .list(data_dir)
        .and_then(|_| disk.lock(&data_dir.join(crate::broker::LOCK_FILE)));
    locked.map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => MaintenanceError::InUse { directory },
        _ => MaintenanceError::Directory { directory, source },
    })
}

fn length_of_files(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .map(|file| file.len())
        .sum()
}
