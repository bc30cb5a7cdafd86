//! Files that may be written to and are not changed: what is written stays in memory.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use strandline_core::disk::{DirEntry, Disk, DiskFile, DiskLock, OpenMode};

/// Bytes that are kept together.
const PAGE_BYTES: usize = 4096;
/// Bytes that may be written to one file.
const MAX_WRITTEN_BYTES: usize = 1 << 30;

/// A file system under which nothing changes. Files that are there can be opened for writing; nothing can be made or removed.
#[derive(Debug)]
pub(crate) struct Overlay<'a> {
    disk: &'a dyn Disk,
}

impl<'a> Overlay<'a> {
    /// Over this one.
    pub(crate) fn new(disk: &'a dyn Disk) -> Self {
        Self { disk }
    }
}

impl Disk for Overlay<'_> {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if mode == OpenMode::CreateNew {
            return Err(ErrorKind::ReadOnlyFilesystem.into());
        }
        let file = self.disk.open(path, OpenMode::Read)?;
        let length = file.len()?;
        let written = Mutex::new(Written {
            length,
            below: length,
            pages: BTreeMap::new(),
        });
        Ok(Arc::new(OverlayFile { file, written }))
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove_file(&self, _: &Path) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(path)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn DiskLock>> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }
}

#[derive(Debug)]
struct OverlayFile {
    file: Arc<dyn DiskFile>,
    written: Mutex<Written>,
}

/// What was written.
#[derive(Debug)]
struct Written {
    length: u64,
    /// Bytes of the file that still count: it was never shorter.
    below: u64,
    /// Pages that have changed, by their number.
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
}

impl OverlayFile {
    /// A page as it is in the file, zeroes where that has none.
    fn page(&self, number: u64, below: u64) -> io::Result<Box<[u8; PAGE_BYTES]>> {
        let start = number * PAGE_BYTES as u64;
        let wanted = below.saturating_sub(start).min(PAGE_BYTES as u64) as usize;
        let mut bytes = Vec::new();
        self.file.read_at(start, wanted, &mut bytes)?;
        bytes.resize(PAGE_BYTES, 0);
        let mut page = Box::new([0; PAGE_BYTES]);
        page.copy_from_slice(&bytes);
        Ok(page)
    }
}

impl DiskFile for OverlayFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written.lock().length)
    }

    fn read_at(&self, position: u64, max_bytes: usize, out: &mut Vec<u8>) -> io::Result<usize> {
        let written = self.written.lock();
        let left = usize::try_from(written.length.saturating_sub(position)).unwrap_or(usize::MAX);
        let (start, bytes) = (out.len(), max_bytes.min(left));
        let in_file = usize::try_from(written.below.saturating_sub(position)).unwrap_or(usize::MAX);
        self.file.read_at(position, bytes.min(in_file), out)?;
        out.resize(start + bytes, 0);
        let end = position + bytes as u64;
        let pages = position / PAGE_BYTES as u64..end.div_ceil(PAGE_BYTES as u64);
        for (number, page) in written.pages.range(pages) {
            let at = number * PAGE_BYTES as u64;
            let skip = usize::try_from(at.saturating_sub(position)).unwrap_or(usize::MAX);
            let before = usize::try_from(position.saturating_sub(at)).unwrap_or(usize::MAX);
            let to = out.get_mut(start + skip..).unwrap_or_default();
            let from = page.get(before..).unwrap_or_default();
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
        Ok(bytes)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let mut written = self.written.lock();
        let (mut at, mut rest) = (position, bytes);
        while !rest.is_empty() {
            let (number, within) = (at / PAGE_BYTES as u64, (at % PAGE_BYTES as u64) as usize);
            let (now, later) = rest.split_at(rest.len().min(PAGE_BYTES - within));
            if !written.pages.contains_key(&number) {
                if written.pages.len() * PAGE_BYTES >= MAX_WRITTEN_BYTES {
                    return Err(io::Error::other("more would be written than is kept in memory"));
                }
                let page = self.page(number, written.below)?;
                written.pages.insert(number, page);
            }
            if let Some(page) = written.pages.get_mut(&number) {
                page[within..within + now.len()].copy_from_slice(now);
            }
            (at, rest) = (at + now.len() as u64, later);
        }
        written.length = written.length.max(at);
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut written = self.written.lock();
        if bytes < written.length {
            written.below = written.below.min(bytes);
            let _gone = written.pages.split_off(&bytes.div_ceil(PAGE_BYTES as u64));
            let (number, within) = (bytes / PAGE_BYTES as u64, (bytes % PAGE_BYTES as u64) as usize);
            if let Some(page) = written.pages.get_mut(&number) {
                page[within..].fill(0);
            }
        }
        written.length = bytes;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sim::{Image, SimDisk};

    /// Something that is done to a file.
    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        SetLength(u64),
        Read(u64, usize),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let at = || 0..20_000_u64;
        prop_oneof![
            (at(), prop::collection::vec(any::<u8>(), 1..6000))
                .prop_map(|(at, bytes)| Step::Write(at, bytes)),
            at().prop_map(Step::SetLength),
            (at(), 0..9000_usize).prop_map(|(at, bytes)| Step::Read(at, bytes)),
        ]
    }

    proptest! {
        #[test]
        fn it_reads_as_a_file_that_was_written_to_and_changes_nothing(
            first in prop::collection::vec(any::<u8>(), 0..10_000),
            steps in prop::collection::vec(any_step(), 0..20),
        ) {
            let (directory, path) = (Path::new("/d"), Path::new("/d/f"));
            let disk = SimDisk::of(Image::with_dir(directory));
            disk.open(path, OpenMode::CreateNew).unwrap().write_at(0, &first).unwrap();
            let before = disk.now();
            let model = SimDisk::of(before.clone());
            let expected = model.open(path, OpenMode::Write).unwrap();
            let file = Overlay::new(&disk).open(path, OpenMode::Write).unwrap();
            for step in steps {
                match step {
                    Step::Write(at, bytes) => {
                        file.write_at(at, &bytes).unwrap();
                        expected.write_at(at, &bytes).unwrap();
                    }
                    Step::SetLength(bytes) => {
                        file.set_len(bytes).unwrap();
                        expected.set_len(bytes).unwrap();
                    }
                    Step::Read(at, bytes) => {
                        let (mut found, mut wanted) = (vec![1], vec![1]);
                        file.read_at(at, bytes, &mut found).unwrap();
                        expected.read_at(at, bytes, &mut wanted).unwrap();
                        prop_assert_eq!(found, wanted);
                    }
                }
                prop_assert_eq!(file.len().unwrap(), expected.len().unwrap());
            }
            prop_assert!(disk.now() == before);
        }
    }

    #[test]
    fn nothing_is_made_or_removed() {
        let disk = SimDisk::of(Image::with_dir(Path::new("/d")));
        let overlay = Overlay::new(&disk);
        let path = Path::new("/d/f");
        assert!(overlay.open(path, OpenMode::CreateNew).is_err());
        assert!(overlay.remove_file(path).is_err() && overlay.create_dir(path).is_err());
    }
}
