//! Cases of appending and becoming durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use strandline_core::Offset;
use strandline_core::storage::{AppendError, Capabilities, LogSettings, SyncBy};

use super::records::{ALL, all_batches, batch};
use super::{Subject, case};

pub(super) fn run(subject: &Subject, capabilities: Capabilities) {
    case(
        "accepted batches are readable at once, in order and byte for byte",
        || {
            let (_store, log) = subject.log(&LogSettings::default());
            let batches = [batch(0, 3, 1), batch(3, 1, 1), batch(4, 5, 2)];
            let _first = log.append(&batches[..2]).unwrap();
            let _second = log.append(&batches[2..]).unwrap();
            assert_eq!(all_batches(log.as_ref()), batches);
            assert_eq!((log.end(), log.durable_end()), (Offset::new(9), Offset::ZERO));
        },
    );
    case(
        "a handle resolves with the sync after its append, not before",
        || {
            let (store, log) = subject.log(&LogSettings::default());
            store.sync(SyncBy::Caller);
            let commit = log.append(&[batch(0, 2, 1)]).unwrap();
            assert!(commit.outcome().is_none());
            store.sync(SyncBy::Caller);
            assert!(matches!(commit.outcome(), Some(Ok(()))));
            assert_eq!(log.durable_end(), Offset::new(2));
        },
    );
    case("the store's own thread syncs, too", || {
        let (store, log) = subject.log(&LogSettings::default());
        let mut commits = Vec::new();
        for offset in 0..20 {
            commits.push(log.append(&[batch(offset, 1, 1)]).unwrap());
            store.sync(SyncBy::Store);
        }
        commits.into_iter().for_each(|commit| commit.wait().unwrap());
        assert_eq!(log.durable_end(), Offset::new(20));
    });
    case(
        "a batch that does not continue the log is refused and leaves it as it was",
        || {
            let (_store, log) = subject.log(&LogSettings::default());
            let _commit = log.append(&[batch(0, 2, 5)]).unwrap();
            for wrong in [batch(1, 1, 5), batch(2, 1, 4)] {
                assert!(matches!(
                    log.append(&[wrong]),
                    Err(AppendError::OutOfOrder { .. })
                ));
            }
            assert_eq!(log.end(), Offset::new(2));
            let _commit = log.append(&[batch(2, 1, 5)]).unwrap();
            assert_eq!(log.end(), Offset::new(3));
        },
    );
    if capabilities.shared_sync {
        case("one sync covers the appends of all logs", || {
            let store = subject.open_store(&subject.fresh());
            let ids = [1, 2, 3].map(strandline_core::LogId::new);
            let logs = ids.map(|id| store.create(id, &LogSettings::default()).unwrap());
            let commits = logs.each_ref().map(|log| log.append(&[batch(0, 1, 1)]).unwrap());
            store.sync(SyncBy::Caller);
            commits
                .iter()
                .for_each(|commit| assert!(matches!(commit.outcome(), Some(Ok(())))));
        });
    }
    case(
        "readers see only whole batches while a writer appends, rolls and syncs",
        || concurrent(subject),
    );
}

fn concurrent(subject: &Subject) {
    let (store, log) = subject.log(&LogSettings {
        segment_max_bytes: 2000,
        ..LogSettings::default()
    });
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (log, done) = (Arc::clone(&log), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut next = Offset::ZERO;
                while !(done.load(Ordering::Acquire) && next == log.end()) {
                    let run = log.read(next, ALL).unwrap();
                    for batch in run.batches().map(Result::unwrap) {
                        assert_eq!(batch.header().base, next);
                        next = batch.header().end();
                    }
                }
                next
            })
        })
        .collect();
    for number in 0..200 {
        let commit = log.append(&[batch(3 * number, 3, 1)]).unwrap();
        store.sync(if number % 2 == 0 {
            SyncBy::Caller
        } else {
            SyncBy::Store
        });
        drop(commit);
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        assert_eq!(reader.join().unwrap(), Offset::new(600));
    }
}
