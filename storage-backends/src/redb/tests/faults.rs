//! A disk that fails: the store is the failure domain, and reads go on.

use std::sync::Arc;

use strandline_core::storage::{AppendError, Log, LogSettings, StorageError, Store, SyncBy};
use strandline_core::{LogId, Offset};

use super::support::*;
use crate::sim::{Failing, Fault, SimDisk};

fn two_logs(disk: &SimDisk) -> (Arc<dyn Store>, Arc<dyn Log>, Arc<dyn Log>) {
    let store = open_store(disk).unwrap();
    let log = store.create(LOG, &LogSettings::default()).unwrap();
    let other = store.create(OTHER, &LogSettings::default()).unwrap();
    drop(log.append(&[batch(0, 3)]).unwrap());
    store.sync(SyncBy::Caller);
    (store, log, other)
}

fn check_poisoned(log: &dyn Log) {
    let refused = log.append(&[batch(log.end().get(), 1)]);
    assert!(
        matches!(refused, Err(AppendError::Poisoned { .. })),
        "{refused:?}"
    );
    assert!(
        matches!(log.truncate(Offset::ZERO), Err(StorageError::Poisoned { .. })) || log.end() == Offset::ZERO
    );
}

#[test]
fn a_failed_sync_ends_the_writes_of_every_log_and_no_reads() {
    let (disk, _) = empty_disk();
    let (store, log, other) = two_logs(&disk);
    let first = log.append(&[batch(3, 2)]).unwrap();
    let second = other.append(&[batch(0, 1)]).unwrap();
    disk.fail(Failing::FileSyncs);
    store.sync(SyncBy::Caller);
    assert!(first.wait().is_err() && second.wait().is_err());
    disk.fail(Failing::None);
    store.sync(SyncBy::Caller);
    assert_eq!(
        (log.durable_end(), other.durable_end()),
        (Offset::new(3), Offset::ZERO)
    );
    for log in [&log, &other] {
        check_poisoned(log.as_ref());
    }
    assert_eq!(offsets(log.as_ref()), [0, 1, 2, 3, 4]);
    assert!(store.create(LogId::new(1), &LogSettings::default()).is_err());
    drop((log, other, store));
    let store = open_store(&disk).unwrap();
    let log = store.open(LOG, &LogSettings::default()).unwrap();
    assert!(offsets(log.as_ref()).starts_with(&[0, 1, 2]));
    let commit = log.append(&[batch(log.end().get(), 1)]).unwrap();
    store.sync(SyncBy::Caller);
    commit.wait().unwrap();
}

#[test]
fn whichever_operation_fails_what_was_acknowledged_is_there_afterwards() {
    for fault in [Fault::Whole, Fault::Half] {
        for operations in 0..200 {
            let (disk, _) = empty_disk();
            let (store, log, other) = two_logs(&disk);
            disk.fail_once_after(operations, fault);
            let commit = log.append(&[padded_batch(3, 2, 3000)]).unwrap();
            store.sync(SyncBy::Caller);
            let was_stored = commit.wait().is_ok();
            assert!(offsets(log.as_ref()).starts_with(&[0, 1, 2]));
            let has_failed = disk.has_failed();
            drop((log, other, store));
            // Of the next start, or of nothing.
            disk.fail_once_after(usize::MAX, fault);
            let store = open_store(&disk).unwrap();
            let found = offsets(store.open(LOG, &LogSettings::default()).unwrap().as_ref());
            assert!(
                found == [0, 1, 2] && !was_stored || found == [0, 1, 2, 3, 4],
                "{operations}: {found:?}"
            );
            if !has_failed {
                assert!(was_stored && operations > 5);
                break;
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_appends_and_takes_them_when_there_is_room_again() {
    let (disk, _) = empty_disk();
    let (store, log, _other) = two_logs(&disk);
    disk.limit_room(Some(1 << 20));
    let refused = log.append(&[batch(3, 2)]);
    assert!(matches!(refused, Err(AppendError::Full { .. })), "{refused:?}");
    assert!(store.create(LogId::new(1), &LogSettings::default()).is_err());
    assert_eq!(log.end(), Offset::new(3));
    disk.limit_room(None);
    let commit = log.append(&[batch(3, 2)]).unwrap();
    store.sync(SyncBy::Caller);
    commit.wait().unwrap();
    assert!(store.create(LogId::new(1), &LogSettings::default()).is_ok());
}

#[test]
fn removing_records_needs_no_room() {
    let (disk, _) = empty_disk();
    let (store, log, _other) = two_logs(&disk);
    log.roll().unwrap();
    store.sync(SyncBy::Caller);
    disk.limit_room(Some(4 << 20));
    log.remove_before(Offset::new(3)).unwrap();
    assert_eq!(log.start(), Offset::new(3));
}

#[test]
fn a_truncation_whose_sync_fails_leaves_a_log_that_can_be_read() {
    // What was cut off could not be read any more, but the log still ended behind it.
    let mut cut = 0;
    for nth in 0.. {
        let (disk, _) = empty_disk();
        let (store, log, _) = two_logs(&disk);
        drop(log.append(&[batch(3, 2)]).unwrap());
        store.sync(SyncBy::Caller);
        disk.fail_once_after(nth, Fault::Whole);
        let truncated = log.truncate(Offset::new(3));
        if !disk.has_failed() {
            break;
        }
        let end = log.end().get();
        assert!(
            end == 3 || end == 5 && truncated.is_err(),
            "operation {nth}: {end}"
        );
        assert_eq!(
            offsets(log.as_ref()),
            (0..end).collect::<Vec<_>>(),
            "operation {nth}"
        );
        cut += usize::from(end == 3 && truncated.is_err());
    }
    assert!(cut > 0);
}

#[test]
fn an_append_of_nothing_to_an_empty_log_is_not_lost_by_a_reset() {
    // Its handle failed, as if records had been cut off.
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &LogSettings::default()).unwrap();
    let nothing = log.append(&[]).unwrap();
    log.reset(Offset::new(7)).unwrap();
    store.sync(SyncBy::Caller);
    assert!(nothing.wait().is_ok());
}
