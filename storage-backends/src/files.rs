//! The steps that make a whole file appear at once.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use strandline_core::disk::{Disk, OpenMode};
use strandline_core::storage::StorageError;

/// Suffix of files that are being written.
pub(crate) const TEMPORARY: &str = ".tmp";

/// Writes a whole file so that after a crash it is there as before or as now, never in between, and durable.
pub(crate) fn replace(disk: &dyn Disk, directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    write_aside(disk, directory, name, bytes, true)?;
    disk.sync_dir(directory)
}

/// As [`replace`], for a file whose loss does no harm: not durable when it returns.
pub(crate) fn replace_cache(disk: &dyn Disk, directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    write_aside(disk, directory, name, bytes, false)
}

/// Replaces a file; the directory is the caller's to sync. Without room the file is as it was.
pub(crate) fn write_aside(
    disk: &dyn Disk,
    directory: &Path,
    name: &str,
    bytes: &[u8],
    sync: bool,
) -> io::Result<()> {
    let aside = directory.join(format!("{name}{TEMPORARY}"));
    remove_if_there(disk, &aside)?;
    let file = disk.open(&aside, OpenMode::CreateNew)?;
    file.write_at(0, bytes)?;
    if sync {
        file.sync_data()?;
    }
    disk.rename(&aside, &directory.join(name))
}

/// Whether an error says that the disk has no room, so that a later try can work.
pub(crate) fn is_no_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// Removes a file; that it is not there is fine.
pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The content of a file, none if it is not there.
pub(crate) fn read_whole(disk: &dyn Disk, path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.len()?;
    if length > max_bytes {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("file has {length} bytes, over {max_bytes}"),
        ));
    }
    let mut bytes = Vec::new();
    file.read_at(0, usize::try_from(length).unwrap_or(usize::MAX), &mut bytes)?;
    Ok(Some(bytes))
}

/// An error of the disk with what was tried on which file.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let path: PathBuf = path.to_owned();
    move |source| StorageError::Io { action, path, source }
}
