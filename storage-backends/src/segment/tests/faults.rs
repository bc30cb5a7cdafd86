//! A disk that fails at any one operation: the caller is told, nothing acked is lost, and the store works after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use strandline_core::storage::{AppendError, Log, StorageError, Store, SyncBy};
use strandline_core::{LeaderEpoch, LogId, Offset};

use super::support::*;
use crate::sim::{Fault, Image, SimDisk};

/// What callers were told.
#[derive(Clone, Debug, Default)]
struct Told {
    /// Logs whose creation was acked and whose deletion was not asked for, with the ends that were acked.
    kept: BTreeMap<LogId, Acked>,
    /// Logs whose deletion was acked.
    deleted: BTreeSet<LogId>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Acked {
    /// Everything below, from `start` on, is durable.
    end: u64,
    /// Where the log may start at the most.
    start: u64,
}

/// Does what stores do all day, whatever fails.
fn work(disk: &SimDisk, told: &mut Told) {
    let Ok(store) = open_store(disk) else { return };
    for id in [LOG, LogId::new(8), LogId::new(9)] {
        if let Ok(log) = store.create(id, &tiny()) {
            told.kept.insert(id, Acked::default());
            use_log(store.as_ref(), log.as_ref(), id, told);
        }
    }
    // From here on it may be gone.
    let gone = LogId::new(8);
    told.kept.remove(&gone);
    if store.delete(gone).is_ok() {
        told.deleted.insert(gone);
    }
}

fn use_log(store: &dyn Store, log: &dyn Log, id: LogId, told: &mut Told) {
    for count in [2, 3, 1, 3, 2] {
        append(store, log, id, count, told);
    }
    // Whether a change was made or not, what was acked before it has to stay.
    let _ = log.roll();
    let acked = told.kept.entry(id).or_default();
    if let Some(first) = log.segments().first().filter(|first| first.sealed) {
        acked.start = first.range.end.get();
        let _ = log.remove_before(first.range.end);
    }
    append(store, log, id, 2, told);
    // What is cut is not promised any more.
    let acked = told.kept.entry(id).or_default();
    let cut = acked.end.saturating_sub(1).max(acked.start);
    acked.end = acked.end.min(cut);
    let _ = log.truncate(Offset::new(cut));
    append(store, log, id, 1, told);
}

fn append(store: &dyn Store, log: &dyn Log, id: LogId, count: u64, told: &mut Told) {
    let base = log.end().get();
    let Ok(commit) = log.append(&[batch(base, count, 1)]) else {
        return;
    };
    store.sync(SyncBy::Caller);
    if commit.wait().is_ok() {
        told.kept.entry(id).or_default().end = base + count;
    }
}

/// What was acked is there, and the store takes more.
fn check(disk: &SimDisk, told: &Told, what: &str) {
    let store = open_store(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let listed = store.list().unwrap();
    for id in &told.deleted {
        assert!(!listed.contains(id), "{what}: log {id} has come back");
    }
    for (id, acked) in &told.kept {
        let log = store
            .open(*id, &tiny())
            .unwrap_or_else(|error| panic!("{what}: log {id}: {error}"));
        let (start, end) = (log.start().get(), log.end().get());
        assert!(
            start <= acked.start && end >= acked.end,
            "{what}: log {id} is {start}..{end}, {acked:?}"
        );
        let found = offsets(log.as_ref());
        assert_eq!(found, (start..end).collect::<Vec<_>>(), "{what}: log {id}");
        let commit = log.append(&[batch(end, 1, 2)]).unwrap();
        store.sync(SyncBy::Caller);
        commit
            .wait()
            .unwrap_or_else(|error| panic!("{what}: log {id}: {error}"));
    }
    // What is left of a creation or deletion that failed is no obstacle: either it opens, or it can be removed.
    for id in listed.into_iter().filter(|id| !told.kept.contains_key(id)) {
        match store.open(id, &tiny()) {
            Ok(_) | Err(StorageError::NotFound { .. } | StorageError::Damaged(_)) => {}
            Err(error) => panic!("{what}: log {id}: {error}"),
        }
        store.delete(id).unwrap();
        assert!(!store.list().unwrap().contains(&id), "{what}: log {id} stays");
    }
}

/// Runs the work with a fault at each of its operations in turn.
fn at_each_operation(fault: Fault, examine: impl Fn(&SimDisk, &Image, &Told, usize)) {
    let (disk, _) = empty_disk();
    work(&disk, &mut Told::default());
    let operations = disk.moment();
    assert!(operations > 40, "{operations} operations");
    for nth in 0..operations {
        let (disk, start) = empty_disk();
        disk.fail_once_after(nth, fault);
        let mut told = Told::default();
        work(&disk, &mut told);
        assert!(disk.has_failed(), "operation {nth}");
        examine(&disk, &start, &told, nth);
    }
}

#[test]
fn an_operation_that_fails_costs_nothing_that_was_acked() {
    for fault in [Fault::Whole, Fault::Half] {
        at_each_operation(fault, |disk, _, told, nth| {
            let restarted = SimDisk::of(disk.now());
            check(&restarted, told, &format!("{fault:?} fault at operation {nth}"));
        });
    }
}

#[test]
fn a_power_loss_after_an_operation_that_failed_costs_nothing_that_was_acked() {
    at_each_operation(Fault::Half, |disk, start, told, nth| {
        for image in disk.crash_images(start, disk.moment()) {
            check(
                &SimDisk::of(image),
                told,
                &format!("power loss after a fault at operation {nth}"),
            );
        }
    });
}

#[test]
fn logs_are_created_and_deleted_as_a_whole_whatever_moment_the_power_goes() {
    let (disk, start) = empty_disk();
    let store = open_store(&disk).unwrap();
    let ids = [LOG, LogId::new(8), LogId::new(9)];
    // What holds from a moment on; between two of them either may.
    let mut told = vec![(disk.moment(), Told::default())];
    let mut kept = BTreeMap::new();
    for id in ids {
        let log = store.create(id, &tiny()).unwrap();
        kept.insert(id, Acked::default());
        told.push((
            disk.moment(),
            Told {
                kept: kept.clone(),
                ..Told::default()
            },
        ));
        append(store.as_ref(), log.as_ref(), id, 2, &mut Told::default());
        kept.insert(id, Acked { end: 2, start: 0 });
        told.push((
            disk.moment(),
            Told {
                kept: kept.clone(),
                ..Told::default()
            },
        ));
    }
    kept.remove(&ids[1]);
    // The deletion has begun, and nothing is promised about the log until it is done.
    told.push((
        disk.moment(),
        Told {
            kept: kept.clone(),
            ..Told::default()
        },
    ));
    store.delete(ids[1]).unwrap();
    let deleted = BTreeSet::from([ids[1]]);
    told.push((disk.moment(), Told { kept, deleted }));
    drop(store);
    let first = told[0].0;
    for moment in first..=disk.moment() {
        let (_, told) = told.iter().rev().find(|(from, _)| *from <= moment).unwrap();
        for image in disk.crash_images(&start, moment) {
            check(&SimDisk::of(image), told, &format!("moment {moment}"));
        }
    }
}

/// A state whose name was there, but not durably, because the sync of the directory had failed, was trusted by the next start.
/// A power loss took the name back, and with it what was acked since.
#[test]
fn what_is_acked_after_a_fault_and_a_restart_survives_power_loss() {
    at_each_operation(Fault::Whole, |disk, start, told, nth| {
        let mut told = told.clone();
        let store = open_store(disk).unwrap();
        for id in told.kept.clone().into_keys() {
            let log = store.open(id, &tiny()).unwrap();
            append(store.as_ref(), log.as_ref(), id, 1, &mut told);
        }
        drop(store);
        for image in disk.some_crash_images(start, disk.moment(), 40) {
            let what = format!("power loss after a fault at operation {nth} and a restart");
            check(&SimDisk::of(image), &told, &what);
        }
    });
}

/// A start whose sync of the parent directory failed left the store's directory behind. The next start took it as it was, and
/// a power loss removed the whole store with everything that was acked in it.
#[test]
fn a_start_that_failed_costs_the_next_one_nothing_that_it_acks() {
    for nth in 0.. {
        let (disk, start) = empty_disk();
        disk.fail_once_after(nth, Fault::Whole);
        drop(open_store(&disk));
        if !disk.has_failed() {
            assert!(nth > 3, "{nth} operations of a start");
            break;
        }
        let mut told = Told::default();
        work(&disk, &mut told);
        assert!(!told.kept.is_empty(), "operation {nth}");
        for image in disk.some_crash_images(&start, disk.moment(), 100) {
            check(
                &SimDisk::of(image),
                &told,
                &format!("power loss after a start that failed at {nth}"),
            );
        }
    }
}

#[test]
fn a_log_whose_sync_failed_takes_nothing_more_until_it_is_opened_again() {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log: Arc<dyn Log> = store.create(LOG, &tiny()).unwrap();
    let commit = log.append(&[batch(0, 2, 1)]).unwrap();
    disk.fail_once_after(0, Fault::Whole);
    store.sync(SyncBy::Caller);
    assert!(commit.wait().is_err());
    // The next sync would succeed, and say nothing of what the failed one has dropped.
    assert!(log.append(&[batch(2, 1, 1)]).is_err());
    assert_eq!(log.durable_end(), Offset::ZERO);
}

#[test]
fn an_append_that_fails_between_two_segments_is_told_of_nowhere() {
    // The durable end, the epochs and the summaries of the log went on with the batches before the roll, which the call had
    // refused with the others: everything below a durable end beyond the log's own was said to be safe.
    let batches = [batch(4, 4, 1), batch(8, 4, 2), batch(12, 4, 2)];
    for fault in [Fault::Whole, Fault::Half, Fault::NoRoom] {
        let mut refused = 0;
        for nth in 0.. {
            let (disk, _) = empty_disk();
            let store = open_store(&disk).unwrap();
            let log = store.create(LOG, &tiny()).unwrap();
            let mut told = Told::default();
            append(store.as_ref(), log.as_ref(), LOG, 4, &mut told);
            disk.fail_once_after(nth, fault);
            let appended = log.append(&batches);
            if !disk.has_failed() {
                break;
            }
            if appended.is_ok() {
                continue; // An index that could not be written is built when it is needed.
            }
            refused += 1;
            let what = format!("{fault:?} fault at operation {nth}");
            assert_eq!(
                (log.end(), log.durable_end()),
                (Offset::new(4), Offset::new(4)),
                "{what}"
            );
            assert_eq!(log.last_epoch(), Some(LeaderEpoch::new(1)), "{what}");
            let end = log.epoch_end(LeaderEpoch::new(9)).map(|epoch| epoch.end);
            assert_eq!(end, Some(Offset::new(4)), "{what}");
            let records: u64 = log.segments().iter().map(|segment| segment.records).sum();
            assert_eq!(records, 4, "{what}");
            assert_eq!(offsets(log.as_ref()), [0, 1, 2, 3], "{what}");
            drop((store, log));
            check(&SimDisk::of(disk.now()), &told, &what);
        }
        assert!(refused > 4, "{fault:?}: {refused}");
    }
}

#[test]
fn what_is_acked_after_a_truncation_that_was_interrupted_survives_the_next_starts() {
    // When the file was cut already, but its state still asked for that, the next start found nothing to do and left the
    // state as it was. The start after it cut the file once more, with everything that had been acked in between.
    for fault in [Fault::Whole, Fault::Half, Fault::NoRoom] {
        let mut interrupted = 0;
        for nth in 0.. {
            let (disk, start) = empty_disk();
            let store = open_store(&disk).unwrap();
            let log = store.create(LOG, &tiny()).unwrap();
            let mut told = Told::default();
            for count in [3, 2] {
                append(store.as_ref(), log.as_ref(), LOG, count, &mut told);
            }
            disk.fail_once_after(nth, fault);
            interrupted += usize::from(log.truncate(Offset::new(3)).is_err());
            if !disk.has_failed() {
                break;
            }
            drop((store, log));
            told.kept.insert(LOG, Acked { end: 3, start: 0 });
            let what = format!("{fault:?} fault at operation {nth}");
            let (store, log) = reopen(&disk, &what);
            append(store.as_ref(), log.as_ref(), LOG, 2, &mut told);
            let after_kill = disk.now();
            check(&SimDisk::of(after_kill), &told, &what);
            for image in disk.some_crash_images(&start, disk.moment(), 8) {
                check(&SimDisk::of(image), &told, &what);
            }
        }
        assert!(interrupted > 3, "{fault:?}: {interrupted}");
    }
}

#[test]
fn a_truncation_that_is_interrupted_leaves_a_log_that_can_be_read() {
    // The file was cut, but the log still told of what had been in it, and reads of that failed.
    for nth in 0.. {
        let (disk, _) = empty_disk();
        let store = open_store(&disk).unwrap();
        let log = store.create(LOG, &tiny()).unwrap();
        for count in [3, 2] {
            append(store.as_ref(), log.as_ref(), LOG, count, &mut Told::default());
        }
        disk.fail_once_after(nth, Fault::Whole);
        let truncated = log.truncate(Offset::new(3));
        if !disk.has_failed() {
            assert!(nth > 5, "{nth} operations");
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
        assert!(log.durable_end() <= log.end(), "operation {nth}");
    }
}

fn reopen(disk: &SimDisk, what: &str) -> (Arc<dyn Store>, Arc<dyn Log>) {
    let store = open_store(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    let log = store
        .open(LOG, &tiny())
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    (store, log)
}

#[test]
fn an_append_that_cannot_be_tried_again_does_not_say_that_the_disk_is_full() {
    // A sync of a roll that found no room ended the log's life, but the append said `Full`, as if it could be tried again.
    for nth in 0.. {
        let (disk, _) = empty_disk();
        let store = open_store(&disk).unwrap();
        let log = store.create(LOG, &tiny()).unwrap();
        append(store.as_ref(), log.as_ref(), LOG, 4, &mut Told::default());
        disk.fail_once_after(nth, Fault::NoRoom);
        let refused = log.append(&[batch(4, 5, 1)]);
        if !disk.has_failed() {
            assert!(nth > 5, "{nth} operations");
            break;
        }
        if let Err(AppendError::Full { .. }) = refused {
            log.append(&[batch(4, 5, 1)])
                .unwrap_or_else(|error| panic!("fault at operation {nth}: {error}"));
        }
    }
}
