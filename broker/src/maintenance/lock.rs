//! Keeps brokers away from a data directory, and is kept away by one.

use std::io;
use std::path::Path;

use strandline_core::disk::{Disk, DiskLock};
use strandline_storage_backends::SystemDisk;

use super::MaintenanceError;
use crate::broker::LOCK_FILE;

/// Takes the directory as a broker does. It has to be there.
pub(super) fn lock(disk: &dyn Disk, data_dir: &Path) -> Result<Box<dyn DiskLock>, MaintenanceError> {
    let locked = disk
        .list(data_dir)
        .and_then(|_| disk.lock(&data_dir.join(LOCK_FILE)));
    locked.map_err(refused(data_dir))
}

/// Keeps brokers away and changes nothing. The directory has to be there.
pub(super) fn lock_for_reading(
    disk: SystemDisk,
    data_dir: &Path,
) -> Result<Option<Box<dyn DiskLock>>, MaintenanceError> {
    let locked = disk
        .list(data_dir)
        .and_then(|_| disk.lock_for_reading(&data_dir.join(LOCK_FILE)));
    locked.map_err(refused(data_dir))
}

fn refused(data_dir: &Path) -> impl FnOnce(io::Error) -> MaintenanceError {
    let directory = data_dir.to_owned();
    |source| match source.kind() {
        io::ErrorKind::WouldBlock => MaintenanceError::InUse { directory },
        _ => MaintenanceError::Directory { directory, source },
    }
}
