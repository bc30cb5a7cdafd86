//! Files that are not as they were written, disks that are full or fail.

use std::path::PathBuf;
use std::sync::Arc;

use strandline_core::Offset;
use strandline_core::disk::{Disk, OpenMode};
use strandline_core::storage::{AppendError, Damage, Log, ReadError, ReadLimit, StorageError, Store, SyncBy};

use super::support::*;
use crate::sim::{Failing, SimDisk};

const FIRST: &str = "00000000000000000000-00000000.seg";
const FIRST_INDEX: &str = "00000000000000000000-00000000.idx";
const ALL: ReadLimit = ReadLimit {
    end: Offset::MAX,
    max_bytes: 1 << 20,
};

/// A log of three synced appends, stopped without a close.
fn crashed() -> SimDisk {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &Default::default()).unwrap();
    for count in [2, 3, 1] {
        append(&store, &log, count);
    }
    disk
}

/// A store with an open log of it.
type Opened = (Arc<dyn Store>, Arc<dyn Log>);

fn open(disk: &SimDisk) -> Result<Opened, StorageError> {
    let store = open_store(disk)?;
    let log = store.open(LOG, &Default::default())?;
    Ok((store, log))
}

#[test]
fn a_torn_tail_is_cut_and_written_over() {
    // Liftbridge leaves the torn bytes and appends behind them.
    let disk = crashed();
    let length = disk.length(&log_file(FIRST));
    disk.flip(&log_file(FIRST), length - 1, 0xff);
    let (store, log) = open(&disk).unwrap();
    assert_eq!(offsets(log.as_ref()), [0, 1, 2, 3, 4]);
    append(&store, &log, 2);
    drop((store, log));
    let (_store, log) = open(&disk).unwrap();
    assert_eq!(offsets(log.as_ref()), [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn damage_before_the_last_append_is_refused_with_its_place_and_left_as_it_is() {
    let length = crashed().length(&log_file(FIRST));
    let last = batch(5, 1, 1).bytes().len();
    for position in 0..length - last - super::super::frames::MARK_BYTES {
        let disk = crashed();
        disk.flip(&log_file(FIRST), position, 0x10);
        let before = disk.now();
        match open(&disk) {
            Err(StorageError::Damaged(damage)) => {
                assert_eq!(damage.file, log_file(FIRST));
                assert!(
                    damage.position <= position as u64,
                    "{damage} for a flip at {position}"
                );
            }
            Ok((_store, log)) => {
                // A mark is no data: without it the next one still tells.
                assert_eq!(offsets(log.as_ref()), [0, 1, 2, 3, 4, 5], "flip at {position}");
            }
            Err(error) => panic!("flip at {position}: {error}"),
        }
        assert!(disk.now() == before, "flip at {position}: the files have changed");
    }
}

#[test]
fn damage_that_happens_later_is_found_by_the_reader() {
    // Liftbridge's process ends on a wrong checksum.
    let disk = crashed();
    let (_store, log) = open(&disk).unwrap();
    disk.flip(&log_file(FIRST), 80, 1);
    match log.read(Offset::ZERO, ALL) {
        Err(ReadError::Damaged(damage)) => assert_eq!((damage.file, damage.position), (log_file(FIRST), 0)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_is_not_passed_over_on_the_word_of_a_damaged_header() {
    // A flip in the last offset of a batch made it look as if it ended before the record that was asked for, and a flip in
    // its base as if it lay beyond the end: the reader went on behind it, or found nothing, without a word.
    const BASE: usize = 24;
    const LAST: usize = 32;
    for position in [BASE, BASE + 1, BASE + 5, LAST, LAST + 1] {
        for from in 0..6 {
            let disk = crashed();
            let (_store, log) = open(&disk).unwrap();
            let second = batch(0, 2, 1).bytes().len() + super::super::frames::MARK_BYTES;
            disk.flip(&log_file(FIRST), second + position, 0x04);
            let run = log.read(Offset::new(from), ALL);
            let found: Vec<_> = run
                .iter()
                .flat_map(|run| run.batches())
                .map(|batch| batch.unwrap())
                .collect();
            let reads_on = found
                .first()
                .is_some_and(|first| first.header().base.get() <= from);
            assert!(
                reads_on || matches!(run, Err(ReadError::Damaged(_))),
                "byte {position}, from {from}: {run:?}"
            );
            assert!(log.read_before(Offset::new(5)).is_err());
        }
    }
}

#[test]
fn a_missing_or_damaged_index_is_built_anew() {
    // Liftbridge does not start with a damaged index.
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    for _ in 0..5 {
        append(&store, &log, 4);
    }
    log.close().unwrap();
    drop((store, log));
    disk.flip(&log_file(FIRST_INDEX), 3, 1);
    let store = open_store(&disk).unwrap();
    let log = store.open(LOG, &tiny()).unwrap();
    assert_eq!(offsets(log.as_ref()), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_damaged_state_is_built_anew_from_the_segments() {
    // JetStream took a stream with a damaged state file for an orphan and deleted it.
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    for _ in 0..5 {
        append(&store, &log, 4);
    }
    log.close().unwrap();
    drop((store, log));
    disk.flip(&log_file("state"), 20, 1);
    let store = open_store(&disk).unwrap();
    let log = store.open(LOG, &tiny()).unwrap();
    assert_eq!(offsets(log.as_ref()), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_log_without_its_state_is_refused_when_a_segment_between_others_is_gone() {
    // The fuzzer damaged a state file and emptied a sealed segment: the start built the log anew from the files that
    // were left, took the hole for what compaction leaves, and served a log that lacked acknowledged records.
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    for _ in 0..5 {
        append(&store, &log, 4);
    }
    log.close().unwrap();
    drop((store, log));
    disk.flip(&log_file("state"), 20, 1);
    let directory = log_file("");
    let mut names: Vec<_> = disk.list(&directory).unwrap();
    names.retain(|entry| entry.name.ends_with(".seg"));
    names.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(names.len() > 2, "{names:?}");
    let middle = log_file(&names[1].name);
    disk.open(&middle, OpenMode::Write).unwrap().set_len(0).unwrap();
    let (emptied, first) = (refusal(&disk), log_file(&names[0].name));
    assert_eq!(emptied.file, middle);
    disk.remove_file(&middle).unwrap();
    let removed = refusal(&disk);
    assert_eq!(removed.file, first);
    assert!(removed.reason.contains("the next one begins at"), "{removed}");
}

/// The damage for which the log is not opened.
fn refusal(disk: &SimDisk) -> Damage {
    let store = open_store(disk).unwrap();
    match store.open(LOG, &tiny()) {
        Err(StorageError::Damaged(damage)) => damage,
        Err(other) => panic!("{other}"),
        Ok(log) => panic!("opened with {:?}", offsets(log.as_ref())),
    }
}

#[test]
fn a_full_disk_refuses_appends_keeps_readers_and_is_over_when_there_is_room() {
    let disk = crashed();
    let (store, log) = open(&disk).unwrap();
    disk.limit_room(Some(50));
    for _ in 0..3 {
        match log.append(&[batch(6, 3, 1)]) {
            Err(AppendError::Full { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(offsets(log.as_ref()), [0, 1, 2, 3, 4, 5]);
    disk.limit_room(None);
    append(&store, &log, 3);
    drop((store, log));
    let (_store, log) = open(&disk).unwrap();
    assert_eq!(offsets(log.as_ref()), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_failed_sync_ends_all_writes_until_the_log_is_opened_again() {
    let disk = crashed();
    let (store, log) = open(&disk).unwrap();
    let commit = log.append(&[batch(6, 1, 1)]).unwrap();
    disk.fail(Failing::FileSyncs);
    store.sync(SyncBy::Caller);
    assert!(commit.wait().is_err());
    disk.fail(Failing::None);
    store.sync(SyncBy::Caller);
    assert!(matches!(
        log.append(&[batch(7, 1, 1)]),
        Err(AppendError::Poisoned { .. })
    ));
    assert_eq!(log.durable_end(), Offset::new(6));
    assert!(log.read(Offset::ZERO, ALL).is_ok());
    drop((store, log));
    let (store, log) = open(&disk).unwrap();
    append(&store, &log, 1);
}

#[test]
fn a_directory_of_another_version_or_in_use_is_refused_by_name() {
    let disk = crashed();
    let store = open_store(&disk).unwrap();
    assert!(matches!(open_store(&disk), Err(StorageError::InUse { .. })));
    drop(store);
    let format: PathBuf = store_directory().join("format");
    disk.flip(&format, disk.length(&format) - 2, 3);
    match open_store(&disk) {
        Err(StorageError::Version { file, found, known }) => {
            assert_eq!((file, found.as_str(), known), (format, "2", 1));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_of_a_newer_format_is_refused_by_name_and_not_cut() {
    // The tail of a log that a newer version had written was taken for a torn write: a start of this one cut off records
    // that had been acknowledged.
    let disk = crashed();
    let end = disk.length(&log_file(FIRST));
    let mut newer = batch(6, 2, 1).bytes().to_vec();
    newer[8] = 2;
    let crc = strandline_core::record::crc32c(&newer[4..]);
    newer[..4].copy_from_slice(&crc.to_le_bytes());
    let file = disk.open(&log_file(FIRST), OpenMode::Write).unwrap();
    file.write_at(end as u64, &newer).unwrap();
    let before = disk.now();
    match open(&disk) {
        Err(StorageError::Version { file, found, known }) => {
            assert_eq!(
                (file, found.as_str(), known),
                (log_file(FIRST), "2 of batches", 1)
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(disk.now() == before, "the files have changed");
}
