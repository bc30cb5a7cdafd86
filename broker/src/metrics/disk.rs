//! Counts what is done to the disk.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use strandline_core::disk::{DirEntry, Disk, DiskFile, DiskLock, OpenMode};

use super::value::{Counter, Gauge, Held, Histogram, TIMES};

/// What was done to the files below one directory.
#[derive(Debug)]
pub(crate) struct FileNumbers {
    /// Time of syncs of files, failed ones included.
    pub(crate) syncs: Histogram,
    pub(crate) written_bytes: Counter,
    pub(crate) read_bytes: Counter,
    /// Operations that failed otherwise than by finding nothing.
    pub(crate) errors: Counter,
    /// Files that were shortened: torn ends at start, appends that a full disk cut short.
    pub(crate) cuts: Counter,
    pub(crate) cut_bytes: Counter,
    pub(crate) open: Gauge,
}

impl Default for FileNumbers {
    fn default() -> Self {
        Self {
            syncs: Histogram::new(&TIMES),
            written_bytes: Counter::default(),
            read_bytes: Counter::default(),
            errors: Counter::default(),
            cuts: Counter::default(),
            cut_bytes: Counter::default(),
            open: Gauge::default(),
        }
    }
}

impl FileNumbers {
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            let expected = matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists | io::ErrorKind::WouldBlock
            );
            self.errors.add(u64::from(!expected));
        }
        result
    }
}

/// A disk that counts.
#[derive(Debug)]
pub(crate) struct CountedDisk {
    disk: Arc<dyn Disk>,
    numbers: Arc<FileNumbers>,
}

impl CountedDisk {
    pub(crate) fn new(disk: Arc<dyn Disk>, numbers: Arc<FileNumbers>) -> Self {
        Self { disk, numbers }
    }
}

#[derive(Debug)]
struct CountedFile {
    file: Arc<dyn DiskFile>,
    numbers: Arc<FileNumbers>,
    _open: Held,
}

impl Disk for CountedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.numbers.note(self.disk.open(path, mode))?;
        Ok(Arc::new(CountedFile {
            file,
            numbers: Arc::clone(&self.numbers),
            _open: self.numbers.open.hold(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.numbers.note(self.disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.numbers.note(self.disk.remove_file(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.numbers.note(self.disk.create_dir(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.numbers.note(self.disk.remove_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.numbers.note(self.disk.list(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.numbers.note(self.disk.sync_dir(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.disk.lock(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }
}

impl DiskFile for CountedFile {
    fn len(&self) -> io::Result<u64> {
        self.numbers.note(self.file.len())
    }

    fn read_at(&self, position: u64, max_bytes: usize, out: &mut Vec<u8>) -> io::Result<usize> {
        let read = self.numbers.note(self.file.read_at(position, max_bytes, out))?;
        self.numbers.read_bytes.add(read as u64);
        Ok(read)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.numbers.note(self.file.write_at(position, bytes))?;
        self.numbers.written_bytes.add(bytes.len() as u64);
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let before = self.file.len().unwrap_or_default();
        self.numbers.note(self.file.set_len(bytes))?;
        if before > bytes {
            self.numbers.cuts.add(1);
            self.numbers.cut_bytes.add(before - bytes);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let begun = Instant::now();
        let synced = self.file.sync_data();
        self.numbers.syncs.observe_time(begun.elapsed());
        self.numbers.note(synced)
    }
}

#[cfg(test)]
mod tests {
    use strandline_storage_backends::SystemDisk;

    use super::*;

    #[test]
    fn what_is_done_to_files_is_counted() {
        let directory = tempfile::tempdir().unwrap();
        let numbers = Arc::new(FileNumbers::default());
        let disk = CountedDisk::new(Arc::new(SystemDisk::new()), Arc::clone(&numbers));
        let file = disk
            .open(&directory.path().join("a"), OpenMode::CreateNew)
            .unwrap();
        file.write_at(0, b"0123456789").unwrap();
        file.sync_data().unwrap();
        file.read_at(2, 3, &mut Vec::new()).unwrap();
        file.set_len(4).unwrap();
        file.set_len(8).unwrap();
        assert_eq!(numbers.open.get(), 1);
        drop(file);
        assert_eq!(numbers.open.get(), 0);
        assert_eq!((numbers.written_bytes.get(), numbers.read_bytes.get()), (10, 3));
        assert_eq!((numbers.cuts.get(), numbers.cut_bytes.get()), (1, 6));
        assert_eq!(numbers.syncs.snapshot().count, 1);
    }

    #[test]
    fn a_file_that_is_not_there_is_no_error_of_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let numbers = Arc::new(FileNumbers::default());
        let disk = CountedDisk::new(Arc::new(SystemDisk::new()), Arc::clone(&numbers));
        assert!(disk.open(&directory.path().join("a"), OpenMode::Read).is_err());
        assert_eq!(numbers.errors.get(), 0);
        assert!(disk.remove_dir(&directory.path().join("a/b/c")).is_err());
        std::fs::write(directory.path().join("f"), b"").unwrap();
        assert!(disk.list(&directory.path().join("f")).is_err());
        assert_eq!(numbers.errors.get(), 1);
    }
}
