//! The directory that belongs to one broker.

use std::path::Path;
use std::sync::Arc;

use strandline_core::disk::{Disk, DiskLock};

use super::StartError;

/// Held by the broker that uses a data directory.
pub(crate) const LOCK_FILE: &str = "lock";

/// Takes the directory for this process; creates it if need be.
pub(super) async fn lock_data_directory(
    disk: &Arc<dyn Disk>,
    directory: &Path,
) -> Result<Box<dyn DiskLock>, StartError> {
    let (disk, directory) = (Arc::clone(disk), directory.to_owned());
    let lock = move || {
        create_durably(disk.as_ref(), &directory)
            .and_then(|()| disk.lock(&directory.join(LOCK_FILE)))
            .map_err(|source| {
                if source.kind() == std::io::ErrorKind::WouldBlock {
                    StartError::DataDirectoryInUse {
                        directory: directory.clone(),
                    }
                } else {
                    StartError::DataDirectory {
                        directory: directory.clone(),
                        source,
                    }
                }
            })
    };
    blocking(lock).await
}

/// Creates a directory and what is missing above it so that they survive power loss.
fn create_durably(disk: &dyn Disk, directory: &Path) -> std::io::Result<()> {
    let directory = std::path::absolute(directory)?;
    let created = directory.ancestors().take_while(|path| !path.exists()).count();
    std::fs::create_dir_all(&directory)?;
    for (depth, parent) in directory.ancestors().skip(1).enumerate() {
        let synced = disk.sync_dir(parent);
        // What was there before may still have to be synced, if whoever created it ended before this; but it need not be ours.
        if depth < created {
            synced?;
        }
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    let stopped = |error| StartError::Thread(std::io::Error::other(error));
    tokio::task::spawn_blocking(work).await.map_err(stopped)?
}
