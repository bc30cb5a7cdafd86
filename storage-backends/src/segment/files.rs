//! Names of files, and the steps that make a whole file appear at once.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use strandline_core::Offset;
use strandline_core::disk::{Disk, OpenMode};
use strandline_core::storage::StorageError;

/// Identity of a segment within its log. The generation grows when compaction writes the segment anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SegmentId {
    pub(super) base: Offset,
    pub(super) generation: u32,
}

impl SegmentId {
    pub(super) fn data_file(self) -> String {
        format!("{:020}-{:08}.seg", self.base.get(), self.generation)
    }

    pub(super) fn index_file(self) -> String {
        format!("{:020}-{:08}.idx", self.base.get(), self.generation)
    }

    /// The segment that a file of this name belongs to, and whether it is the data file.
    pub(super) fn of_file(name: &str) -> Option<(Self, bool)> {
        let (stem, is_data) = match name.strip_suffix(".seg") {
            Some(stem) => (stem, true),
            None => (name.strip_suffix(".idx")?, false),
        };
        let (base, generation) = stem.split_once('-')?;
        if base.len() != 20 || generation.len() != 8 {
            return None;
        }
        let id = Self {
            base: Offset::new(base.parse().ok()?),
            generation: generation.parse().ok()?,
        };
        Some((id, is_data))
    }
}

/// Suffix of files that are being written.
pub(super) const TEMPORARY: &str = ".tmp";

/// Writes a whole file so that after a crash it is there as before or as now, never in between, and durable.
pub(super) fn replace(disk: &dyn Disk, directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    write_aside(disk, directory, name, bytes, true)?;
    disk.sync_dir(directory)
}

/// As [`replace`], for a file whose loss does no harm: not durable when it returns.
pub(super) fn replace_cache(disk: &dyn Disk, directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    write_aside(disk, directory, name, bytes, false)
}

/// Replaces a file; the directory is the caller's to sync. Without room the file is as it was.
pub(super) fn write_aside(
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
pub(super) fn is_no_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// Removes a file; that it is not there is fine.
pub(super) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The content of a file, none if it is not there.
pub(super) fn read_whole(disk: &dyn Disk, path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
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
pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let path: PathBuf = path.to_owned();
    move |source| StorageError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_say_their_segment() {
        let id = SegmentId {
            base: Offset::new(42),
            generation: 3,
        };
        assert_eq!(SegmentId::of_file(&id.data_file()), Some((id, true)));
        assert_eq!(SegmentId::of_file(&id.index_file()), Some((id, false)));
        for name in [
            "state",
            "1-1.seg",
            "x.seg",
            "00000000000000000042-00000003.seg.tmp",
            "../../etc",
        ] {
            assert_eq!(SegmentId::of_file(name), None, "{name}");
        }
    }
}
