//! The files of a store: what is refused, and what is given back.

use std::sync::Arc;

use strandline_core::Offset;
use strandline_core::disk::{Disk, OpenMode};
use strandline_core::storage::{Durability, LogSettings, StorageError, SyncBy};

use super::support::*;
use crate::sim::SimDisk;
use crate::{Compacted, compact_redb};

fn write(disk: &SimDisk, name: &str, bytes: &[u8]) {
    let path = store_directory().join(name);
    let _ = disk.remove_file(&path);
    let file = disk.open(&path, OpenMode::CreateNew).unwrap();
    file.write_at(0, bytes).unwrap();
}

#[test]
fn another_version_is_refused_by_name() {
    let (disk, _) = empty_disk();
    drop(open_store(&disk).unwrap());
    // Version 1 had no checksums of blocks.
    for version in ["1", "3"] {
        write(
            &disk,
            "format",
            format!("strandline redb store {version}\n").as_bytes(),
        );
        match open_store(&disk) {
            Err(StorageError::Version { found, known, .. }) => {
                assert_eq!((found.as_str(), known), (version, 2));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_database_that_is_missing_empty_or_foreign_is_not_replaced_by_an_empty_one() {
    for bytes in [
        None,
        Some(&b""[..]),
        Some(b"something else".repeat(500).as_slice()),
    ] {
        let (disk, _) = empty_disk();
        drop(open_store(&disk).unwrap());
        disk.remove_file(&database_file()).unwrap();
        if let Some(bytes) = bytes {
            write(&disk, "store.redb", bytes);
        }
        let opened = open_store(&disk);
        assert!(matches!(opened, Err(StorageError::Damaged(_))), "{opened:?}");
    }
}

#[test]
fn two_processes_never_share_a_store() {
    let (disk, _) = empty_disk();
    let _store = open_store(&disk).unwrap();
    assert!(matches!(open_store(&disk), Err(StorageError::InUse { .. })));
    let shared: Arc<dyn Disk> = Arc::new(disk);
    assert!(matches!(
        compact_redb(&shared, &store_directory()),
        Err(StorageError::InUse { .. })
    ));
}

#[test]
fn durability_os_is_refused_by_name() {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let settings = LogSettings {
        durability: Durability::Os,
        ..LogSettings::default()
    };
    let log = store.create(LOG, &LogSettings::default()).unwrap();
    for refused in [
        store.create(OTHER, &settings).map(drop),
        log.set_settings(&settings),
    ] {
        let error = refused.unwrap_err();
        assert!(
            matches!(error, StorageError::Unsupported { backend: "redb", .. }),
            "{error}"
        );
        assert!(error.to_string().contains("durability os"));
    }
}

#[test]
fn space_is_used_again_online_and_given_back_off_line() {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &LogSettings::default()).unwrap();
    let fill = || {
        for _ in 0..40 {
            drop(log.append(&[padded_batch(log.end().get(), 10, 5000)]).unwrap());
            store.sync(SyncBy::Caller);
        }
        log.roll().unwrap();
    };
    fill();
    log.remove_before(log.end()).unwrap();
    let once = disk.length(&database_file());
    for _ in 0..4 {
        fill();
        log.remove_before(log.end()).unwrap();
    }
    let often = disk.length(&database_file());
    assert!(often <= 2 * once, "{once} bytes, then {often}");
    drop((log, store));
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let Some(Compacted { before, after }) = compact_redb(&shared, &store_directory()).unwrap() else {
        panic!("there is a store");
    };
    assert!(after < 200_000 && before > 5 * after, "from {before} to {after}");
    assert_eq!(after, disk.length(&database_file()) as u64);
    let log = open_store(&disk)
        .unwrap()
        .open(LOG, &LogSettings::default())
        .unwrap();
    assert_eq!(log.start(), Offset::new(2000));
}

#[test]
fn there_is_nothing_to_compact_where_there_is_no_store() {
    let (disk, _) = empty_disk();
    let shared: Arc<dyn Disk> = Arc::new(disk);
    assert_eq!(compact_redb(&shared, &store_directory()).unwrap(), None);
}
