//! Makes the database of the redb backend as small as it can be.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use strandline_core::disk::Disk;
use strandline_storage_backends::{Compacted, SystemDisk, compact_redb};

use super::MaintenanceError;
use super::lock::lock;
use crate::streams::REDB_DIRECTORY;

/// How often a long work says how far it is.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

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

fn length_of_files(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .map(|file| file.len())
        .sum()
}
