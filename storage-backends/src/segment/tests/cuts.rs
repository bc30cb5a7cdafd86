//! Truncations, and what appends, readers and summaries see of them.

use std::sync::atomic::{AtomicBool, Ordering};

use strandline_core::storage::{Log, ReadError, ReadLimit, SyncBy};
use strandline_core::{Offset, OffsetRange, Timestamp};

use super::support::*;

#[test]
fn a_truncation_to_the_start_of_a_log_behind_a_gap_leaves_an_empty_log_there() {
    // The segment at the start had its name from before the gap: the log was cut to there and ended below its start.
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    append(&store, &log, 5);
    log.roll().unwrap();
    let _behind_a_gap = log.append(&[batch(12, 2, 1)]).unwrap();
    log.remove_before(Offset::new(5)).unwrap();
    assert_eq!((log.start(), log.end()), (Offset::new(12), Offset::new(14)));
    log.truncate(Offset::new(12)).unwrap();
    assert_eq!((log.start(), log.end()), (Offset::new(12), Offset::new(12)));
    append(&store, &log, 3);
    drop((store, log));
    let store = open_store(&disk).unwrap();
    let log = store.open(LOG, &tiny()).unwrap();
    assert_eq!(offsets(log.as_ref()), [12, 13, 14]);
}

#[test]
fn handles_of_records_that_two_cuts_before_one_sync_have_kept_succeed() {
    // Only the last cut was remembered. Handles from before the one before it failed, whatever it had kept: records that
    // were durable counted as lost, and a leader gave them to its successor as such.
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    let kept = log.append(&[batch(0, 2, 1)]).unwrap();
    let cut_second = log.append(&[batch(2, 2, 1)]).unwrap();
    let cut_first = log.append(&[batch(4, 2, 1)]).unwrap();
    log.truncate(Offset::new(4)).unwrap();
    log.truncate(Offset::new(2)).unwrap();
    let after = log.append(&[batch(2, 1, 2)]).unwrap();
    store.sync(SyncBy::Caller);
    assert!(kept.wait().is_ok());
    assert!(cut_second.wait().is_err());
    assert!(cut_first.wait().is_err());
    assert!(after.wait().is_ok());
    assert_eq!(log.durable_end(), Offset::new(3));
}

#[test]
fn the_handle_of_records_that_retention_took_succeeds_although_the_log_is_cut_to_nothing() {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    let removed = log.append(&[batch(0, 4, 1)]).unwrap();
    log.roll().unwrap();
    let cut = log.append(&[batch(4, 2, 1)]).unwrap();
    log.remove_before(Offset::new(4)).unwrap();
    log.truncate(Offset::new(4)).unwrap();
    store.sync(SyncBy::Caller);
    assert!(removed.wait().is_ok());
    assert!(cut.wait().is_err());
}

#[test]
fn the_time_of_the_newest_record_is_that_of_one_that_a_truncation_has_left() {
    // It was taken from the last sealed segment, also from one that compaction had left empty: the time was 1970, and the
    // next record could be stamped earlier than one before it.
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    for _ in 0..3 {
        append(&store, &log, 3);
        log.roll().unwrap();
    }
    log.replace_sealed(
        OffsetRange::new(Offset::new(3), Offset::new(6)),
        &mut std::iter::empty(),
    )
    .unwrap();
    log.truncate(Offset::new(6)).unwrap();
    assert_eq!(log.last_time(), Some(Timestamp::from_nanos(2000)));
}

#[test]
fn an_append_of_nothing_gives_an_empty_log_no_time() {
    // It was given the time of 1970.
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    let _nothing = log.append(&[]).unwrap();
    assert_eq!(log.last_time(), None);
}

#[test]
fn a_reader_of_a_log_that_is_cut_under_it_finds_no_damage() {
    // A file that was shortened or written over while it was read looked damaged, and damage takes a partition out of service.
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    append(&store, &log, 2);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let read = || {
            while !done.load(Ordering::Acquire) {
                read_all_ways(log.as_ref());
            }
        };
        let readers = [scope.spawn(read), scope.spawn(read)];
        for round in 0..400 {
            for count in [1 + round % 3, 2, 3] {
                append(&store, &log, count);
            }
            log.truncate(Offset::new(2)).unwrap();
        }
        done.store(true, Ordering::Release);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

/// Reads the log to its end, backwards and by time; that offsets are gone meanwhile is no harm.
fn read_all_ways(log: &dyn Log) {
    let limit = ReadLimit {
        end: Offset::MAX,
        max_bytes: 300,
    };
    let mut next = log.start();
    loop {
        match log.read(next, limit) {
            Ok(run) if run.bytes.is_empty() => break,
            Ok(run) => next = run.next,
            Err(ReadError::BeyondEnd { .. }) => break,
            Err(error) => panic!("reading at {next}: {error}"),
        }
    }
    match log.read_before(log.end()) {
        Ok(_) | Err(ReadError::BeyondEnd { .. }) => {}
        Err(error) => panic!("reading backwards: {error}"),
    }
    log.offset_at(Timestamp::from_nanos(3000)).unwrap();
}
