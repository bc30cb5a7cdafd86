//! Open segment files, a bounded number of them.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use strandline_core::LogId;
use strandline_core::disk::{Disk, DiskFile, OpenMode};

use super::files::SegmentId;

/// What a file is opened for. The two are different handles, so that a sealed segment cannot be written to by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Access {
    /// Reading a sealed segment.
    Sealed,
    /// Appending to the active segment and reading it.
    Active,
}

type Key = (LogId, SegmentId, Access);

/// Handles that one call looks at when it looks for files to close. So many files may be held that looking at all of them
/// would take longer than opening one.
const LOOK_AT: usize = 128;

/// Opens segments when they are used and closes those that were not used for a while.
///
/// A file that somebody else holds is never closed. An append holds its file until it is synced, so what was written is
/// always synced through the handle that it was written with, which is the one that hears of errors.
#[derive(Debug)]
pub(super) struct Handles {
    /// More files than this are open only while so many are held or have just been used.
    limit: usize,
    open: Mutex<Open>,
}

/// The files in a circle with a hand that goes round: what was used since it came by last may stay.
#[derive(Debug, Default)]
struct Open {
    places: HashMap<Key, usize>,
    circle: Vec<Handle>,
    hand: usize,
    /// How often a segment was forgotten.
    forgotten: u64,
}

#[derive(Debug)]
struct Handle {
    key: Key,
    file: Arc<dyn DiskFile>,
    was_used: bool,
}

impl Handles {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            open: Mutex::default(),
        }
    }

    /// The open file of a segment.
    pub(super) fn get(
        &self,
        disk: &dyn Disk,
        directory: &Path,
        (log, segment, access): Key,
    ) -> io::Result<Arc<dyn DiskFile>> {
        let mode = match access {
            Access::Sealed => OpenMode::Read,
            Access::Active => OpenMode::Write,
        };
        self.get_or_open((log, segment, access), || {
            disk.open(&directory.join(segment.data_file()), mode)
        })
    }

    fn get_or_open(
        &self,
        key: Key,
        open_file: impl FnOnce() -> io::Result<Arc<dyn DiskFile>>,
    ) -> io::Result<Arc<dyn DiskFile>> {
        let mut open = self.open.lock();
        if let Some(file) = open.find(&key) {
            return Ok(file);
        }
        open.shrink_to(self.limit.saturating_sub(1));
        let forgotten = open.forgotten;
        drop(open);
        let file = open_file()?;
        let mut open = self.open.lock();
        if open.forgotten != forgotten {
            // It may be this segment that went away meanwhile: nobody would ever close its file, nor free its space.
            return Ok(file);
        }
        Ok(open.insert(key, file))
    }

    /// Takes over a file that was opened otherwise.
    pub(super) fn put(&self, key: Key, file: Arc<dyn DiskFile>) {
        let mut open = self.open.lock();
        open.remove(&key);
        open.shrink_to(self.limit.saturating_sub(1));
        open.insert(key, file);
    }

    /// Closes a segment that is active no longer, or whose file has been removed: who opens it before that and hands it in
    /// afterwards is refused. Reads that have begun go on.
    pub(super) fn forget(&self, log: LogId, segment: SegmentId) {
        let mut open = self.open.lock();
        open.forgotten += 1;
        open.remove(&(log, segment, Access::Sealed));
        open.remove(&(log, segment, Access::Active));
    }
}

impl Open {
    fn find(&mut self, key: &Key) -> Option<Arc<dyn DiskFile>> {
        let handle = self.circle.get_mut(*self.places.get(key)?)?;
        handle.was_used = true;
        Some(Arc::clone(&handle.file))
    }

    /// Adds a file, unless somebody was faster; returns the one that stays.
    fn insert(&mut self, key: Key, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        if let Some(file) = self.find(&key) {
            return file;
        }
        self.places.insert(key, self.circle.len());
        self.circle.push(Handle {
            key,
            file: Arc::clone(&file),
            was_used: true,
        });
        file
    }

    /// Closes files until there are no more than this, or enough have been looked at; the next call goes on from there.
    fn shrink_to(&mut self, count: usize) {
        // Twice round: on the first a file is only marked as not used since.
        let mut steps = LOOK_AT.min(2 * self.circle.len());
        while self.circle.len() > count && steps > 0 {
            steps -= 1;
            self.hand = if self.hand < self.circle.len() {
                self.hand
            } else {
                0
            };
            let Some(handle) = self.circle.get_mut(self.hand) else {
                return;
            };
            let is_held = Arc::strong_count(&handle.file) > 1;
            if is_held || std::mem::take(&mut handle.was_used) {
                self.hand += 1;
            } else {
                let key = handle.key;
                self.remove(&key);
            }
        }
    }

    /// The last of the circle takes the free place.
    fn remove(&mut self, key: &Key) {
        let Some(place) = self.places.remove(key) else {
            return;
        };
        self.circle.swap_remove(place);
        if let Some(moved) = self.circle.get(place) {
            self.places.insert(moved.key, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use strandline_core::Offset;

    use super::*;
    use crate::SystemDisk;

    fn key(log: u64) -> Key {
        let segment = SegmentId {
            base: Offset::ZERO,
            generation: 0,
        };
        (LogId::new(log), segment, Access::Active)
    }

    fn with_files(limit: usize) -> (tempfile::TempDir, Handles) {
        let directory = tempfile::tempdir().unwrap();
        let (_, segment, _) = key(0);
        SystemDisk
            .open(&directory.path().join(segment.data_file()), OpenMode::CreateNew)
            .unwrap();
        (directory, Handles::new(limit))
    }

    fn open_files(handles: &Handles) -> Vec<u64> {
        let open = handles.open.lock();
        let mut logs: Vec<_> = open.circle.iter().map(|handle| handle.key.0.get()).collect();
        logs.sort_unstable();
        assert!(
            open.places
                .iter()
                .all(|(key, place)| open.circle[*place].key == *key)
        );
        logs
    }

    #[test]
    fn files_that_were_not_used_for_the_longest_time_are_closed() {
        let (directory, handles) = with_files(3);
        let get = |log| drop(handles.get(&SystemDisk, directory.path(), key(log)).unwrap());
        (0..3).for_each(get);
        get(3);
        assert_eq!(open_files(&handles), [1, 2, 3]);
        get(1);
        get(4);
        assert_eq!(open_files(&handles), [1, 3, 4]);
    }

    #[test]
    fn files_that_are_held_stay_open_and_count_once_they_are_free() {
        let (directory, handles) = with_files(2);
        let get = |log| handles.get(&SystemDisk, directory.path(), key(log)).unwrap();
        let held: Vec<_> = (0..4).map(get).collect();
        assert_eq!(open_files(&handles), [0, 1, 2, 3]);
        assert!(Arc::ptr_eq(&held[0], &get(0)));
        drop(held);
        drop(get(5));
        assert_eq!(open_files(&handles).len(), 2);
    }

    #[test]
    fn files_over_the_limit_are_closed_step_by_step_once_they_are_free() {
        let (directory, handles) = with_files(2);
        let get = |log| handles.get(&SystemDisk, directory.path(), key(log)).unwrap();
        let held: Vec<_> = (0..200).map(get).collect();
        drop(held);
        (200..210).for_each(|log| drop(get(log)));
        assert!(open_files(&handles).len() <= 2);
    }

    /// A reader with an old view of a log opened a segment, retention removed it and forgot its handle, and then the reader
    /// put its own handle into the cache: the file's space was not freed until the broker stopped.
    #[test]
    fn a_file_that_is_forgotten_while_it_is_opened_is_not_kept() {
        let (directory, handles) = with_files(8);
        let (log, segment, _) = key(1);
        let path = directory.path().join(segment.data_file());
        let open_file = || {
            let file = SystemDisk.open(&path, OpenMode::Write);
            handles.forget(log, segment);
            file
        };
        let file = handles.get_or_open(key(1), open_file).unwrap();
        assert_eq!((file.len().unwrap(), open_files(&handles)), (0, vec![]));
    }

    #[test]
    fn a_file_that_is_forgotten_is_opened_again() {
        let (directory, handles) = with_files(8);
        let get = |log| handles.get(&SystemDisk, directory.path(), key(log)).unwrap();
        (0..4).for_each(|log| drop(get(log)));
        let before = get(1);
        let (log, segment, _) = key(1);
        handles.forget(log, segment);
        assert_eq!(open_files(&handles), [0, 2, 3]);
        assert!(!Arc::ptr_eq(&before, &get(1)));
    }
}
