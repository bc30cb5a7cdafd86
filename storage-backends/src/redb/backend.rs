//! The database's file, through the injected disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use strandline_core::disk::DiskFile;

/// The file. Clones share it.
///
/// After a write, a change of length or a sync that failed nothing reaches the file any more: what is on the disk is what a
/// crash at that moment would leave. What redb goes on to write is kept in memory instead, so that reads go on.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    file: Arc<dyn DiskFile>,
    has_failed: AtomicBool,
    aside: Mutex<Option<Aside>>,
}

/// What did not reach the file.
#[derive(Debug)]
struct Aside {
    failure: Arc<io::Error>,
    length: u64,
    /// In the order of the writes.
    writes: Vec<(u64, Vec<u8>)>,
}

impl Backend {
    pub(super) fn new(file: Arc<dyn DiskFile>) -> Self {
        Self {
            shared: Arc::new(Shared {
                file,
                has_failed: AtomicBool::new(false),
                aside: Mutex::default(),
            }),
        }
    }

    /// The first failure, if there was one.
    pub(super) fn failure(&self) -> Option<Arc<io::Error>> {
        if !self.shared.has_failed.load(Ordering::Acquire) {
            return None;
        }
        let aside = self.shared.aside.lock();
        aside.as_ref().map(|aside| Arc::clone(&aside.failure))
    }

    /// Does something to the file, or to what is aside if that has begun.
    fn change(
        &self,
        on_file: impl FnOnce(&dyn DiskFile) -> io::Result<()>,
        aside: impl FnOnce(&mut Aside),
    ) -> io::Result<()> {
        let file = self.shared.file.as_ref();
        let failure = if self.shared.has_failed.load(Ordering::Acquire) {
            None
        } else {
            match on_file(file) {
                Ok(()) => return Ok(()),
                Err(failure) => Some(failure),
            }
        };
        let mut state = self.shared.aside.lock();
        if let Some(failure) = failure
            && state.is_none()
        {
            let length = file.len()?;
            let (failure, writes) = (Arc::new(failure), Vec::new());
            *state = Some(Aside {
                failure,
                length,
                writes,
            });
            self.shared.has_failed.store(true, Ordering::Release);
        }
        if let Some(state) = state.as_mut() {
            aside(state);
        }
        Ok(())
    }
}

impl Backend {
    /// Length in bytes, with what did not reach the file.
    pub(super) fn len(&self) -> io::Result<u64> {
        if self.shared.has_failed.load(Ordering::Acquire)
            && let Some(aside) = self.shared.aside.lock().as_ref()
        {
            return Ok(aside.length);
        }
        self.shared.file.len()
    }

    /// Fills `out`; an error if the file ends before.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut bytes = Vec::new();
        let read = self.shared.file.read_at(offset, out.len(), &mut bytes)?;
        let has_failed = self.shared.has_failed.load(Ordering::Acquire);
        match (out.split_at_mut_checked(read), has_failed) {
            (Some((found, missing)), _) if missing.is_empty() || has_failed => {
                found.copy_from_slice(&bytes);
                missing.fill(0);
            }
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        if has_failed && let Some(aside) = self.shared.aside.lock().as_ref() {
            aside.put_over(offset, out);
        }
        Ok(())
    }

    pub(super) fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|file| file.set_len(len), |aside| aside.set_length(len))
    }

    pub(super) fn sync_data(&self) -> io::Result<()> {
        self.change(|file| file.sync_data(), |_| ())
    }

    pub(super) fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(
            |file| file.write_at(offset, data),
            |aside| aside.writes.push((offset, data.to_vec())),
        )
    }
}

impl Aside {
    fn set_length(&mut self, length: u64) {
        self.length = length;
        self.writes.retain(|(offset, _)| *offset < length);
    }

    /// Overwrites what was read at this position with what was written there since.
    fn put_over(&self, position: u64, out: &mut [u8]) {
        for (offset, bytes) in &self.writes {
            let skip = usize::try_from(offset.saturating_sub(position)).unwrap_or(usize::MAX);
            let before = usize::try_from(position.saturating_sub(*offset)).unwrap_or(usize::MAX);
            let (Some(to), Some(from)) = (out.get_mut(skip..), bytes.get(before..)) else {
                continue;
            };
            let both = to.len().min(from.len());
            to.iter_mut()
                .zip(from.iter().take(both))
                .for_each(|(to, from)| *to = *from);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use strandline_core::disk::{Disk, OpenMode};

    use super::*;
    use crate::sim::{Failing, Fault, Image, SimDisk};

    fn file(disk: &SimDisk) -> Backend {
        Backend::new(disk.open(Path::new("/d/f"), OpenMode::CreateNew).unwrap())
    }

    #[test]
    fn after_a_failure_nothing_reaches_the_file_and_reads_see_everything() {
        let disk = SimDisk::of(Image::with_dir(Path::new("/d")));
        let backend = file(&disk);
        backend.set_len(100).unwrap();
        backend.write(10, b"before").unwrap();
        disk.fail_once_after(0, Fault::Half);
        backend.write(12, b"torn").unwrap();
        assert!(backend.failure().is_some());
        let left = disk.now();
        backend.set_len(200).unwrap();
        backend.write(8, b"abc").unwrap();
        backend.write(150, b"far").unwrap();
        backend.sync_data().unwrap();
        assert!(disk.now() == left);
        let mut found = [1; 10];
        backend.read(7, &mut found).unwrap();
        assert_eq!(&found, b"\0abcetorn\0");
        backend.read(148, &mut found).unwrap();
        assert_eq!((&found, backend.len().unwrap()), (b"\0\0far\0\0\0\0\0", 200));
    }

    #[test]
    fn a_failed_sync_is_remembered() {
        let disk = SimDisk::of(Image::with_dir(Path::new("/d")));
        let backend = file(&disk);
        disk.fail(Failing::FileSyncs);
        backend.sync_data().unwrap();
        disk.fail(Failing::None);
        backend.sync_data().unwrap();
        assert!(backend.failure().is_some());
        assert!(backend.read(0, &mut [0]).is_ok());
    }
}
