//! The largest, the most, and the emptiest.

use std::sync::Arc;

use strandline_core::record::{Batch, MAX_BUILT_BYTES};
use strandline_core::storage::{Capabilities, Log, LogSettings, ReadError, Store, SyncBy};
use strandline_core::{LogId, Offset, OffsetRange, Timestamp};

use super::Subject;
use super::records::{ALL, all_batches, batch, batch_with, offsets};
use super::report::Cases;

const MANY_SEGMENTS: u64 = 150;
const MANY_LOGS: u64 = 150;
const ID: LogId = LogId::new(1);

pub(super) fn run(cases: &mut Cases, subject: &Subject, capabilities: Capabilities) {
    cases.case("a batch of the largest size is taken and given back", || {
        largest_batch(subject);
    });
    cases.case(
        "offsets up to the largest that the wire can name are taken",
        || {
            largest_offsets(subject, capabilities);
        },
    );
    cases.case("an empty log answers everything", || empty_log(subject));
    cases.case("empty records are kept", || {
        let (_store, log) = subject.log(&LogSettings::default());
        let empty = batch_with(&[0, 1], 0, |_| Vec::new());
        let _commit = log.append(std::slice::from_ref(&empty)).unwrap();
        assert_eq!(all_batches(log.as_ref()), [empty]);
    });
    cases.case("batches of one call fill as many segments as they need", || {
        let (store, log) = subject.log(&LogSettings {
            segment_max_bytes: 1,
            ..LogSettings::default()
        });
        let batches: Vec<Batch> = (0..40).map(|number| batch(2 * number, 2, number)).collect();
        let commit = log.append(&batches).unwrap();
        store.sync(SyncBy::Caller);
        commit.wait().unwrap();
        assert_eq!(all_batches(log.as_ref()), batches);
        assert!(!capabilities.segments || log.segments().len() == 40);
    });
    if capabilities.segments {
        cases.case("many segments are served, removed and found again", || {
            many_segments(subject, capabilities);
        });
    }
    cases.case("many logs are served at the same time", || {
        many_logs(subject, capabilities);
    });
}

fn largest_batch(subject: &Subject) {
    let (store, log) = subject.log(&LogSettings::default());
    let overhead = batch_with(&[0], 1, |_| vec![b'x'; 1 << 22]).bytes().len() - (1 << 22);
    let largest = batch_with(&[0], 1, |_| vec![b'x'; MAX_BUILT_BYTES - overhead]);
    let short = MAX_BUILT_BYTES - largest.bytes().len();
    assert!(short < 4, "{short} bytes short of the largest");
    let commit = log.append(&[largest.clone(), batch(1, 1, 1)]).unwrap();
    store.sync(SyncBy::Caller);
    commit.wait().unwrap();
    let run = log.read(Offset::ZERO, ALL).unwrap();
    assert!(
        run.bytes.starts_with(largest.bytes()),
        "the largest batch comes back as it was"
    );
    assert!(
        log.read_before(Offset::new(1))
            .unwrap()
            .is_some_and(|found| found == largest)
    );
    assert_eq!(log.read(Offset::new(1), ALL).unwrap().batches().count(), 1);
}

fn largest_offsets(subject: &Subject, capabilities: Capabilities) {
    let directory = subject.fresh();
    let store = subject.open_store(&directory);
    let log = subject
        .create(store.as_ref(), ID, &LogSettings::default())
        .unwrap();
    let base = Offset::MAX.get() - 5;
    log.reset(Offset::new(base)).unwrap();
    let batches = [batch(base, 3, 1), batch(base + 3, 3, u64::MAX)];
    let commit = log.append(&batches).unwrap();
    store.sync(SyncBy::Caller);
    commit.wait().unwrap();
    let check = |log: &dyn Log| {
        let found = all_batches(log);
        assert_eq!((log.start(), log.end()), (Offset::new(base), Offset::MAX.plus(1)));
        assert_eq!(found, batches);
        assert!(log.read(log.end(), ALL).unwrap().bytes.is_empty());
        assert_eq!(log.read_before(log.end()).unwrap().as_ref(), batches.last());
    };
    check(log.as_ref());
    if capabilities.survives_restart {
        drop((log, store));
        let store = subject.open_store(&directory);
        let log = subject.open(store.as_ref(), ID, &LogSettings::default()).unwrap();
        check(log.as_ref());
        log.truncate(Offset::new(base + 3)).unwrap();
        assert_eq!(offsets(log.as_ref()), (base..base + 3).collect::<Vec<_>>());
    }
}

fn empty_log(subject: &Subject) {
    let (store, log) = subject.log(&LogSettings::default());
    store.sync(SyncBy::Caller);
    let commit = log.append(&[]).unwrap();
    store.sync(SyncBy::Caller);
    commit.wait().unwrap();
    log.roll().unwrap();
    log.roll_if_due(Timestamp::from_nanos(i64::MAX)).unwrap();
    log.truncate(Offset::ZERO).unwrap();
    log.truncate(Offset::MAX).unwrap();
    log.remove_before(Offset::MAX).unwrap();
    assert_eq!(
        (log.start(), log.end(), log.durable_end()),
        (Offset::ZERO, Offset::ZERO, Offset::ZERO)
    );
    assert_eq!((log.last_time(), log.last_epoch()), (None, None));
    assert!(log.read_before(Offset::ZERO).unwrap().is_none());
    assert_eq!(log.offset_at(Timestamp::from_nanos(0)).unwrap(), Offset::ZERO);
    assert!(matches!(
        log.read_before(Offset::new(1)),
        Err(ReadError::BeyondEnd { .. })
    ));
    let nothing = OffsetRange::new(Offset::ZERO, Offset::ZERO);
    assert!(log.replace_sealed(nothing, &mut std::iter::empty()).is_err());
    assert_eq!(log.segments().len(), 1);
}

fn many_segments(subject: &Subject, capabilities: Capabilities) {
    let settings = LogSettings {
        segment_max_bytes: 1,
        ..LogSettings::default()
    };
    let directory = subject.fresh();
    let store = subject.open_store(&directory);
    let log = subject.create(store.as_ref(), ID, &settings).unwrap();
    for number in 0..MANY_SEGMENTS {
        let _commit = log.append(&[batch(number, 1, number / 10)]).unwrap();
    }
    store.sync(SyncBy::Caller);
    assert_eq!(log.segments().len() as u64, MANY_SEGMENTS);
    log.remove_before(Offset::new(MANY_SEGMENTS / 2)).unwrap();
    let left: Vec<u64> = (MANY_SEGMENTS / 2..MANY_SEGMENTS).collect();
    assert_eq!(offsets(log.as_ref()), left);
    if capabilities.survives_restart {
        drop((log, store));
        let store = subject.open_store(&directory);
        let log = subject.open(store.as_ref(), ID, &settings).unwrap();
        assert_eq!(offsets(log.as_ref()), left);
        assert_eq!(log.segments().len() as u64, MANY_SEGMENTS - MANY_SEGMENTS / 2);
    }
}

fn many_logs(subject: &Subject, capabilities: Capabilities) {
    let directory = subject.fresh();
    let store = subject.open_store(&directory);
    let ids: Vec<LogId> = (0..MANY_LOGS).map(|number| LogId::new(number * 7)).collect();
    let create = |id: &LogId| {
        subject
            .create(store.as_ref(), *id, &LogSettings::default())
            .unwrap()
    };
    let logs: Vec<Arc<dyn Log>> = ids.iter().map(create).collect();
    let append = |log: &Arc<dyn Log>| log.append(&[batch(0, log.id().get() % 5 + 1, 1)]).unwrap();
    let commits: Vec<_> = logs.iter().map(append).collect();
    store.sync(SyncBy::Caller);
    commits.into_iter().for_each(|commit| commit.wait().unwrap());
    assert_eq!(store.list().unwrap(), ids);
    let check = |log: &dyn Log| assert_eq!(log.end().get(), log.id().get() % 5 + 1);
    logs.iter().for_each(|log| check(log.as_ref()));
    if capabilities.survives_restart {
        drop((logs, store));
        let store: Arc<dyn Store> = subject.open_store(&directory);
        assert_eq!(store.list().unwrap(), ids);
        for id in ids {
            let log = subject.open(store.as_ref(), id, &LogSettings::default()).unwrap();
            check(log.as_ref());
        }
    }
}
