//! Changes that meet a sync under way, a full disk, or a disk that fails halfway.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use strandline_core::disk::{DirEntry, Disk, DiskFile, DiskLock, OpenMode};
use strandline_core::storage::{AppendError, Factory, Log, StorageError, Store, SyncBy};
use strandline_core::{Offset, OffsetRange};

use super::support::*;
use crate::SegmentFactory;
use crate::sim::SimDisk;

/// A disk whose directory syncs fail once, after so many that work.
#[derive(Debug)]
struct FailingDirSync {
    disk: SimDisk,
    left: AtomicUsize,
}

const NEVER: usize = usize::MAX;

impl Disk for FailingDirSync {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path, mode)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        match self.left.load(Ordering::SeqCst) {
            NEVER => self.disk.sync_dir(path),
            0 => {
                self.left.store(NEVER, Ordering::SeqCst);
                Err(io::Error::other("injected"))
            }
            left => {
                self.left.store(left - 1, Ordering::SeqCst);
                self.disk.sync_dir(path)
            }
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.disk.lock(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }
}

#[test]
fn a_sync_asked_for_before_a_truncation_says_nothing_of_what_comes_after_it() {
    // The handle of a cut append moved the durable end back up to where the log had been: the next appends counted as
    // durable before any sync.
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &Default::default()).unwrap();
    append(&store, &log, 2);
    let kept = log.append(&[batch(2, 1, 1)]).unwrap();
    let cut = log.append(&[batch(3, 4, 1)]).unwrap();
    log.truncate(Offset::new(3)).unwrap();
    store.sync(SyncBy::Caller);
    assert_eq!((log.end(), log.durable_end()), (Offset::new(3), Offset::new(3)));
    assert!(kept.wait().is_ok());
    assert!(cut.wait().is_err());
    log.append(&[batch(3, 2, 2)]).unwrap();
    assert_eq!(log.durable_end(), Offset::new(3));
    for (base, to) in [(5, 1), (1, 50)] {
        let reset = log.append(&[batch(base, 2, 2)]).unwrap();
        log.reset(Offset::new(to)).unwrap();
        store.sync(SyncBy::Caller);
        assert_eq!((log.end(), log.durable_end()), (Offset::new(to), Offset::new(to)));
        assert!(reset.wait().is_err(), "reset to {to}");
    }
}

/// Fails each directory sync of a change in turn; what is acknowledged afterwards must be there after a restart.
fn check_every_failed_dir_sync(change: impl Fn(&dyn Log) -> bool) {
    let mut failures = 0;
    for left in 0..8 {
        let (disk, _) = empty_disk();
        let failing = Arc::new(FailingDirSync {
            disk: disk.clone(),
            left: AtomicUsize::new(NEVER),
        });
        let store = SegmentFactory::new()
            .open(Arc::clone(&failing) as Arc<dyn Disk>, &store_directory())
            .unwrap();
        let log = store.create(LOG, &Default::default()).unwrap();
        append(&store, &log, 3);
        append(&store, &log, 2);
        failing.left.store(left, Ordering::SeqCst);
        failures += usize::from(!change(log.as_ref()));
        failing.left.store(NEVER, Ordering::SeqCst);
        let end = log.end().get();
        let acked = log.append(&[batch(end, 1, 2)]).is_ok_and(|commit| {
            store.sync(SyncBy::Caller);
            commit.wait().is_ok()
        });
        drop((store, log));
        let store = open_store(&disk).unwrap();
        let log = store.open(LOG, &Default::default()).unwrap();
        if acked {
            assert_eq!(offsets(log.as_ref()).last(), Some(&end), "sync {left} failed");
            assert_eq!(log.end().get(), end + 1, "sync {left} failed");
        }
    }
    assert!(failures > 0);
}

#[test]
fn nothing_is_acknowledged_behind_a_roll_that_may_have_happened() {
    // The state on disk named the new segment while appends went on into the old one, where no start looks for them.
    check_every_failed_dir_sync(|log| log.roll().is_ok());
}

#[test]
fn nothing_is_acknowledged_behind_a_truncation_that_may_have_happened() {
    check_every_failed_dir_sync(|log| log.truncate(Offset::new(3)).is_ok());
}

#[test]
fn nothing_is_acknowledged_behind_a_reset_that_may_have_happened() {
    check_every_failed_dir_sync(|log| log.reset(Offset::new(20)).is_ok());
}

#[test]
fn nothing_is_acknowledged_behind_a_replacement_that_may_have_happened() {
    let range = OffsetRange::new(Offset::ZERO, Offset::new(5));
    check_every_failed_dir_sync(|log| {
        let replaced = log.roll().and_then(|()| {
            let kept = batch(1, 2, 1);
            log.replace_sealed(range, &mut std::iter::once(Ok(kept)))
        });
        replaced.is_ok()
    });
}

/// A log of five sealed segments, and the range of the first three.
fn sealed(store: &Arc<dyn Store>) -> (Arc<dyn Log>, OffsetRange) {
    let log = store.create(LOG, &tiny()).unwrap();
    for _ in 0..5 {
        append(store, &log, 3);
        log.roll().unwrap();
    }
    (log, OffsetRange::new(Offset::ZERO, Offset::new(9)))
}

fn files(disk: &SimDisk) -> Vec<String> {
    let entries = disk.list(&store_directory().join(LOG.to_string())).unwrap();
    let mut names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
    names.sort();
    names
}

#[test]
fn a_replacement_that_finds_no_room_leaves_what_was_and_takes_no_room() {
    let mut refused = 0;
    for room in (0..4000).step_by(20) {
        let (disk, _) = empty_disk();
        let store = open_store(&disk).unwrap();
        let (log, range) = sealed(&store);
        let before = files(&disk);
        disk.limit_room(Some(room));
        let kept = [batch(1, 2, 1), batch(4, 5, 1)];
        let result = log.replace_sealed(range, &mut kept.into_iter().map(Ok));
        disk.limit_room(None);
        if result.is_err() {
            refused += 1;
            assert_eq!(offsets(log.as_ref()), (0..15).collect::<Vec<_>>(), "room {room}");
            // A checkpoint that found no room for the state has written its index.
            let added: Vec<String> = files(&disk)
                .into_iter()
                .filter(|name| !before.contains(name))
                .collect();
            assert!(
                added
                    .iter()
                    .all(|name| name.ends_with(".idx") || name.ends_with(".tmp")),
                "room {room}: {added:?}"
            );
        }
        append(&store, &log, 1);
        drop((store, log));
        let store = open_store(&disk).unwrap();
        let log = store.open(LOG, &tiny()).unwrap();
        assert_eq!(offsets(log.as_ref()).last(), Some(&15), "room {room}");
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn an_error_that_comes_instead_of_a_batch_ends_the_replacement() {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let (log, range) = sealed(&store);
    let before = files(&disk);
    let mut batches = vec![Ok(batch(1, 2, 1)), Err(StorageError::Closed)].into_iter();
    assert!(matches!(
        log.replace_sealed(range, &mut batches),
        Err(StorageError::Closed)
    ));
    assert_eq!(offsets(log.as_ref()), (0..15).collect::<Vec<_>>());
    assert_eq!(files(&disk), before);
}

#[test]
fn segments_that_are_removed_or_reset_meanwhile_are_not_replaced() {
    // What was written in their place must not come back, nor take the name of a segment that a reset has begun.
    let changes: [fn(&dyn Log); 3] = [
        |log| log.remove_before(Offset::new(3)).unwrap(),
        |log| log.reset(Offset::ZERO).unwrap(),
        |log| log.truncate(Offset::new(3)).unwrap(),
    ];
    for change in changes {
        let (disk, _) = empty_disk();
        let store = open_store(&disk).unwrap();
        let (log, range) = sealed(&store);
        let mut batches = std::iter::once_with(|| {
            change(log.as_ref());
            Ok(batch(1, 2, 1))
        });
        let result = log.replace_sealed(range, &mut batches);
        assert!(matches!(result, Err(StorageError::Changed { .. })), "{result:?}");
        let left = offsets(log.as_ref());
        append(&store, &log, 2);
        let expected: Vec<u64> = left
            .into_iter()
            .chain(log.end().get() - 2..log.end().get())
            .collect();
        assert_eq!(offsets(log.as_ref()), expected);
        drop((store, log));
        let store = open_store(&disk).unwrap();
        let log = store.open(LOG, &tiny()).unwrap();
        assert_eq!(offsets(log.as_ref()), expected);
    }
}

#[test]
fn a_reader_whose_file_is_replaced_under_it_reads_on_in_the_new_one() {
    // The file was opened after it had been replaced, and the log called itself damaged.
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let (log, range) = sealed(&store);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            for _ in 0..200 {
                let found = offsets(log.as_ref());
                assert!(found.ends_with(&[9, 10, 11, 12, 13, 14]), "{found:?}");
                assert!(log.read_before(Offset::new(9)).unwrap().is_some());
                log.offset_at(strandline_core::Timestamp::from_nanos(5000))
                    .unwrap();
            }
        });
        let range_of = || OffsetRange::new(log.start(), range.end);
        while !reader.is_finished() {
            let batches = [batch(1, 2, 1), batch(4, 5, 1)];
            log.replace_sealed(range_of(), &mut batches.into_iter().map(Ok))
                .unwrap();
        }
        reader.join().unwrap();
    });
}

#[test]
fn a_reader_of_the_active_segment_that_is_sealed_and_replaced_under_it_reads_on() {
    // It found the file gone under the name that it knew, took the log for cut, and the read failed.
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    append(&store, &log, 3);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while log.end() < Offset::new(600) {
                let found = offsets(log.as_ref());
                assert!(found.is_sorted(), "{found:?}");
            }
        });
        while log.end() < Offset::new(600) {
            log.roll().unwrap();
            let segments = log.segments();
            let sealed = segments[segments.len() - 2].range;
            let kept = batch(sealed.start.get(), 3, 1);
            log.replace_sealed(sealed, &mut std::iter::once(Ok(kept)))
                .unwrap();
            append(&store, &log, 3);
        }
        reader.join().unwrap();
    });
}

#[test]
fn an_append_of_several_batches_that_finds_no_room_to_roll_can_be_tried_again() {
    // The batches before the roll stayed, so that the same append was out of order for ever.
    for room in (0..2000).step_by(20) {
        let (disk, _) = empty_disk();
        let store = open_store(&disk).unwrap();
        let log = store.create(LOG, &tiny()).unwrap();
        append(&store, &log, 4);
        let batches = [batch(4, 2, 1), batch(6, 2, 1), batch(8, 1, 1)];
        disk.limit_room(Some(room));
        match log.append(&batches) {
            Ok(_) => continue,
            Err(AppendError::Full { .. }) => {}
            Err(error) => panic!("room {room}: {error}"),
        }
        assert_eq!(log.end(), Offset::new(4), "room {room}");
        assert!(log.durable_end() <= log.end(), "room {room}");
        disk.limit_room(None);
        let commit = log.append(&batches).unwrap();
        store.sync(SyncBy::Caller);
        commit.wait().unwrap();
        assert_eq!(offsets(log.as_ref()), (0..9).collect::<Vec<_>>(), "room {room}");
    }
}
