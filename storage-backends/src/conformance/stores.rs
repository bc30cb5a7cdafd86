//! Cases of the store.

use std::sync::Arc;

use strandline_core::storage::{Capabilities, Durability, LogSettings, ReadError, StorageError, SyncBy};
use strandline_core::{LogId, Offset};

use super::records::{ALL, batch, offsets};
use super::{Subject, case};

const ID: LogId = LogId::new(3);

pub(super) fn run(subject: &Subject, capabilities: Capabilities) {
    case("a created log is listed, and its id is taken", || {
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
    case("a log that was never created is not found", || {
        let store = subject.open_store(&subject.fresh());
        assert!(matches!(
            store.open(ID, &LogSettings::default()),
            Err(StorageError::NotFound { .. })
        ));
        store.delete(ID).unwrap();
    });
    case(
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
    case(
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
    if capabilities.survives_restart {
        restart(subject);
    }
    if capabilities.durability_os {
        case(
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

fn restart(subject: &Subject) {
    case(
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
                assert_eq!(log.last_epoch().map(strandline_core::LeaderEpoch::get), Some(4));
                assert_eq!(log.last_time(), Some(super::records::time_of(id - 1)));
            }
            assert!(Arc::strong_count(&store) == 1);
        },
    );
}
