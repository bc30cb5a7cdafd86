//! What is queued: readable, bounded, and written with what others queue.

use strandline_core::storage::{AppendError, LogSettings, SyncBy};
use strandline_core::{Offset, OffsetRange, Timestamp};

use super::support::*;

#[test]
fn a_log_reads_the_same_whatever_of_it_is_written() {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    for written in 0..6 {
        drop(
            log.append(&[batch(log.end().get(), 3), batch(log.end().get() + 3, 2)])
                .unwrap(),
        );
        let end = log.end().get();
        assert_eq!(end, 5 * (written + 1));
        assert_eq!(offsets(log.as_ref()), (0..end).collect::<Vec<_>>());
        for offset in 0..end {
            let time = Timestamp::from_nanos(1000 * offset as i64);
            assert_eq!(log.offset_at(time).unwrap(), Offset::new(offset));
            let before = log.read_before(Offset::new(offset + 1)).unwrap().unwrap();
            assert!(before.header().range().contains(Offset::new(offset)));
        }
        if written % 2 == 1 {
            store.sync(SyncBy::Caller);
        }
    }
    assert!(log.segments().len() > 2);
}

#[test]
fn a_queue_that_is_full_is_written_by_the_next_append() {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &LogSettings::default()).unwrap();
    let first = log.append(&[padded_batch(0, 1, 250 << 10)]).unwrap();
    for base in 1..5 {
        drop(log.append(&[padded_batch(base, 1, 250 << 10)]).unwrap());
    }
    assert!(first.wait().is_ok());
    assert_eq!((log.durable_end(), log.end()), (Offset::new(4), Offset::new(5)));
}

#[test]
fn a_log_that_was_cut_goes_on_in_the_segment_where_it_was_cut() {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    for _ in 0..4 {
        drop(log.append(&[batch(log.end().get(), 4)]).unwrap());
        log.roll().unwrap();
    }
    // Nothing is written yet.
    log.truncate(Offset::new(8)).unwrap();
    assert_eq!((log.segments().len(), log.durable_end()), (2, Offset::new(8)));
    // All of it is.
    log.truncate(Offset::new(4)).unwrap();
    assert_eq!((log.segments().len(), log.durable_end()), (2, Offset::new(4)));
    drop(log.append(&[batch(4, 2)]).unwrap());
    drop(store);
    // A log does not outlive its store, which has written what was queued.
    assert!(matches!(log.append(&[batch(6, 1)]), Err(AppendError::Closed)));
    let store = open_store(&disk).unwrap();
    let log = store.open(LOG, &tiny()).unwrap();
    assert_eq!(offsets(log.as_ref()), [0, 1, 2, 3, 4, 5]);
}

/// What another log leaves over is swept while a segment is being written that belongs to no log yet.
#[test]
fn a_segment_that_is_being_written_is_not_swept_away() {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &LogSettings::default()).unwrap();
    let other = store.create(OTHER, &LogSettings::default()).unwrap();
    for log in [&log, &other] {
        drop(log.append(&[batch(0, 30)]).unwrap());
        log.roll().unwrap();
    }
    let mut batches = (0..30).map(|offset| {
        if offset == 20 {
            other.remove_before(Offset::new(30)).unwrap();
            drop(log.append(&[batch(30, 1)]).unwrap());
            store.sync(SyncBy::Caller);
        }
        Ok(padded_batch(offset, 1, 400 << 10))
    });
    let range = OffsetRange::new(Offset::ZERO, Offset::new(30));
    log.replace_sealed(range, &mut batches).unwrap();
    assert_eq!(offsets(log.as_ref()), (0..31).collect::<Vec<_>>());
    drop((log, other, store));
    let store = open_store(&disk).unwrap();
    let log = store.open(LOG, &LogSettings::default()).unwrap();
    assert_eq!(offsets(log.as_ref()), (0..31).collect::<Vec<_>>());
}

#[test]
fn a_removal_before_a_gap_that_is_not_written_leaves_a_log_that_opens() {
    // The new start was written before the batch that it lies at, behind a gap: after a crash the log began behind its end.
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    drop(log.append(&[batch(0, 2)]).unwrap());
    log.roll().unwrap();
    store.sync(SyncBy::Caller);
    drop(log.append(&[batch(5, 1)]).unwrap());
    log.remove_before(Offset::new(2)).unwrap();
    assert_eq!((log.start(), log.end()), (Offset::new(5), Offset::new(6)));
    let killed = disk.after_kill();
    drop((log, store));
    let store = open_store(&killed).unwrap();
    let log = store.open(LOG, &tiny()).unwrap();
    assert_eq!((log.start(), log.end()), (Offset::new(5), Offset::new(6)));
    assert_eq!(offsets(log.as_ref()), [5]);
}

#[test]
fn a_truncation_to_the_start_of_a_log_behind_a_gap_leaves_an_empty_log_there() {
    // The segment at the start had its name from before the gap: the log was cut to there and ended below its start.
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    drop(log.append(&[batch(0, 5)]).unwrap());
    log.roll().unwrap();
    drop(log.append(&[batch(12, 2)]).unwrap());
    log.remove_before(Offset::new(5)).unwrap();
    log.truncate(Offset::new(12)).unwrap();
    assert_eq!((log.start(), log.end()), (Offset::new(12), Offset::new(12)));
}
