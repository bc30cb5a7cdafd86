//! Cases of appending and becoming durable.

use strandline_core::Offset;
use strandline_core::storage::{AppendError, Capabilities, LogSettings, SyncBy};

use super::Subject;
use super::records::{all_batches, batch};
use super::report::Cases;

pub(super) fn run(cases: &mut Cases, subject: &Subject, capabilities: Capabilities) {
    cases.case(
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
    cases.case(
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
    cases.case("the store's own thread syncs, too", || {
        let (store, log) = subject.log(&LogSettings::default());
        let mut commits = Vec::new();
        for offset in 0..20 {
            commits.push(log.append(&[batch(offset, 1, 1)]).unwrap());
            store.sync(SyncBy::Store);
        }
        commits.into_iter().for_each(|commit| commit.wait().unwrap());
        assert_eq!(log.durable_end(), Offset::new(20));
    });
    cases.case(
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
        cases.case("one sync covers the appends of all logs", || {
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
    cases.case("an append of nothing waits for the appends before it", || {
        let (store, log) = subject.log(&LogSettings::default());
        let first = log.append(&[batch(0, 2, 1)]).unwrap();
        let nothing = log.append(&[]).unwrap();
        assert_eq!(log.end(), Offset::new(2));
        store.sync(SyncBy::Caller);
        assert!(first.wait().is_ok() && nothing.wait().is_ok());
        assert_eq!(log.durable_end(), Offset::new(2));
    });
    cases.case(
        "batches of one call are all refused when one of them does not fit",
        || {
            let (_store, log) = subject.log(&LogSettings::default());
            let refused = log.append(&[batch(0, 2, 1), batch(1, 2, 1)]);
            assert!(matches!(refused, Err(AppendError::OutOfOrder { .. })));
            assert_eq!((log.end(), log.last_epoch()), (Offset::ZERO, None));
        },
    );
    cases.case("a gap before a batch moves the end and not the start", || {
        let (_store, log) = subject.log(&LogSettings::default());
        let _commit = log.append(&[batch(5, 2, 1)]).unwrap();
        assert_eq!((log.start(), log.end()), (Offset::ZERO, Offset::new(7)));
        assert_eq!(all_batches(log.as_ref()), [batch(5, 2, 1)]);
    });
    cases.case(
        "a handle gets an outcome when the store ends before the sync",
        || {
            let (store, log) = subject.log(&LogSettings::default());
            let commit = log.append(&[batch(0, 1, 1)]).unwrap();
            drop((store, log));
            let _either = commit.wait();
        },
    );
}
