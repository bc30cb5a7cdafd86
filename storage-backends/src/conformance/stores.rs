//! Cases of the store.

use std::sync::Arc;

use strandline_core::storage::{
    Capabilities, Durability, LogSettings, ReadError, Role, StorageError, SyncBy,
};
use strandline_core::{LeaderEpoch, LogId, Offset};

use super::Subject;
use super::records::{ALL, batch, offsets};
use super::report::Cases;

const ID: LogId = LogId::new(3);

pub(super) fn run(cases: &mut Cases, subject: &Subject, capabilities: Capabilities) {
    cases.case("a created log is listed, and its id is taken", || {
        let store = subject.open_store(&subject.fresh());
        assert!(store.list().unwrap().is_empty());
        let log = store.create(ID, &LogSettings::default()).unwrap();
        assert_eq!(
            (log.id(), log.start(), log.end()),
            (ID, Offset::ZERO, Offset::ZERO)
        );
        assert_eq!(store.list().unwrap(), [ID]);
        assert!(matches!(
            store.create(ID, &LogSettings::default()),
            Err(StorageError::Open { .. })
        ));
        log.close().unwrap();
        drop(log);
        assert!(matches!(
            store.create(ID, &LogSettings::default()),
            Err(StorageError::Exists { .. })
        ));
    });
    cases.case("a log that was never created is not found", || {
        let store = subject.open_store(&subject.fresh());
        assert!(matches!(
            store.open(ID, &LogSettings::default()),
            Err(StorageError::NotFound { .. })
        ));
        store.delete(ID).unwrap();
    });
    cases.case(
        "a closed log takes and gives nothing, and can be opened again with what it held",
        || {
            let store = subject.open_store(&subject.fresh());
            let log = store.create(ID, &LogSettings::default()).unwrap();
            let _commit = log.append(&[batch(0, 3, 1)]).unwrap();
            log.close().unwrap();
            log.close().unwrap();
            assert!(log.append(&[batch(3, 1, 1)]).is_err());
            assert!(matches!(log.read(Offset::ZERO, ALL), Err(ReadError::Closed)));
            drop(log);
            let log = store.open(ID, &LogSettings::default()).unwrap();
            assert_eq!(offsets(log.as_ref()), [0, 1, 2]);
            assert_eq!(log.durable_end(), Offset::new(3));
        },
    );
    cases.case(
        "a deleted log is gone for its readers, and its id is free",
        || {
            let store = subject.open_store(&subject.fresh());
            let log = store.create(ID, &LogSettings::default()).unwrap();
            let _commit = log.append(&[batch(0, 3, 1)]).unwrap();
            store.delete(ID).unwrap();
            assert!(matches!(log.read(Offset::ZERO, ALL), Err(ReadError::Deleted)));
            assert!(store.list().unwrap().is_empty());
            let log = store.create(ID, &LogSettings::default()).unwrap();
            assert_eq!(log.end(), Offset::ZERO);
        },
    );
    cases.case(
        "logs are listed in the order of their ids, and one that is open is not opened again",
        || {
            let store = subject.open_store(&subject.fresh());
            let ids = [9, 4, 70].map(LogId::new);
            let logs = ids.map(|id| store.create(id, &LogSettings::default()).unwrap());
            assert_eq!(store.list().unwrap(), [4, 9, 70].map(LogId::new));
            assert!(matches!(
                store.open(ids[0], &LogSettings::default()),
                Err(StorageError::Open { log }) if log == ids[0]
            ));
            store.delete(ids[1]).unwrap();
            assert_eq!(store.list().unwrap(), [9, 70].map(LogId::new));
            drop(logs);
        },
    );
    cases.case("a log that is closed can be deleted, and its id is free", || {
        let store = subject.open_store(&subject.fresh());
        let log = store.create(ID, &LogSettings::default()).unwrap();
        let _commit = log.append(&[batch(0, 3, 1)]).unwrap();
        log.close().unwrap();
        drop(log);
        store.delete(ID).unwrap();
        store.delete(ID).unwrap();
        assert!(matches!(
            store.open(ID, &LogSettings::default()),
            Err(StorageError::NotFound { log }) if log == ID
        ));
        assert_eq!(
            store.create(ID, &LogSettings::default()).unwrap().end(),
            Offset::ZERO
        );
    });
    cases.case(
        "closing makes everything durable, and the handles hear of it",
        || {
            let store = subject.open_store(&subject.fresh());
            let log = store.create(ID, &LogSettings::default()).unwrap();
            let commit = log.append(&[batch(0, 3, 1)]).unwrap();
            log.close().unwrap();
            store.sync(SyncBy::Caller);
            assert!(commit.wait().is_ok());
        },
    );
    cases.case("a role changes nothing that is stored", || {
        let (_store, log) = subject.log(&LogSettings::default());
        let _commit = log.append(&[batch(0, 3, 1)]).unwrap();
        log.set_role(Role::Follower, LeaderEpoch::new(7), Offset::new(1));
        log.set_role(Role::Leader, LeaderEpoch::new(8), Offset::new(3));
        assert_eq!(
            (offsets(log.as_ref()), log.last_epoch()),
            (vec![0, 1, 2], Some(LeaderEpoch::new(1)))
        );
    });
    if !capabilities.durability_os {
        cases.case("durability os is refused by name", || {
            let os = LogSettings {
                durability: Durability::Os,
                ..LogSettings::default()
            };
            let store = subject.open_store(&subject.fresh());
            assert!(matches!(
                store.create(ID, &os),
                Err(StorageError::Unsupported { .. })
            ));
            assert!(store.list().unwrap().is_empty());
            let log = store.create(ID, &LogSettings::default()).unwrap();
            assert!(matches!(
                log.set_settings(&os),
                Err(StorageError::Unsupported { .. })
            ));
            assert_eq!(log.settings(), LogSettings::default());
        });
    }
    if capabilities.survives_restart {
        restart(cases, subject);
    }
    if capabilities.durability_os {
        cases.case(
            "under durability os an append is done when it is accepted",
            || {
                let settings = LogSettings {
                    durability: Durability::Os,
                    ..LogSettings::default()
                };
                let (_store, log) = subject.log(&settings);
                let commit = log.append(&[batch(0, 1, 1)]).unwrap();
                assert!(matches!(commit.outcome(), Some(Ok(()))));
            },
        );
    }
}

fn restart(cases: &mut Cases, subject: &Subject) {
    cases.case("a directory has one store at a time", || {
        let directory = subject.fresh();
        let store = subject.open_store(&directory);
        let second = subject.factory.open(Arc::clone(&subject.disk), &directory);
        assert!(matches!(second, Err(StorageError::InUse { .. })), "{second:?}");
        drop(store);
        subject.open_store(&directory);
    });
    cases.case(
        "logs are there again after the store was dropped without closing them",
        || {
            let directory = subject.fresh();
            let store = subject.open_store(&directory);
            for id in [5, 2] {
                let log = store.create(LogId::new(id), &LogSettings::default()).unwrap();
                let commit = log.append(&[batch(0, id, 4)]).unwrap();
                store.sync(SyncBy::Caller);
                commit.wait().unwrap();
            }
            drop(store);
            let store = subject.open_store(&directory);
            assert_eq!(store.list().unwrap(), [LogId::new(2), LogId::new(5)]);
            for id in [2, 5] {
                let log = store.open(LogId::new(id), &LogSettings::default()).unwrap();
                assert_eq!(offsets(log.as_ref()), (0..id).collect::<Vec<_>>());
                assert_eq!(log.last_epoch().map(LeaderEpoch::get), Some(4));
                assert_eq!(log.last_time(), Some(super::records::time_of(id - 1)));
            }
            assert!(Arc::strong_count(&store) == 1);
        },
    );
}
