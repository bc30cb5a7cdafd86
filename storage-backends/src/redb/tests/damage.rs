//! Damage in the file: it is told, with its place, by whatever needs what is damaged, and by nothing else.

use strandline_core::Offset;
use strandline_core::storage::{LogSettings, ReadError, StorageError, SyncBy};

use super::support::*;
use crate::sim::SimDisk;

#[test]
fn damage_in_the_batches_of_one_log_is_named_and_leaves_the_others_in_service() {
    let disk = closed_store();
    let position = find(&disk, &large_batch(LOG, 4).bytes()[..64]) + 1_000;
    disk.flip(&database_file(), position, 1);
    let store = open_store(&disk).unwrap();
    let [log, other] = [LOG, OTHER].map(|id| store.open(id, &LogSettings::default()).unwrap());
    // Twice, as the second look is into redb's cache.
    for _ in 0..2 {
        match log.read(Offset::new(4), ALL) {
            Err(ReadError::Damaged(damage)) => {
                assert_eq!(damage.position, position as u64 / 4096 * 4096, "{damage}");
                assert!(damage.to_string().contains("store.redb"), "{damage}");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            log.read_before(Offset::new(5)),
            Err(ReadError::Damaged(_))
        ));
    }
    assert_eq!(offsets(other.as_ref()), (0..10).collect::<Vec<_>>());
    let commit = other.append(&[batch(10, 1)]).unwrap();
    store.sync(SyncBy::Caller);
    commit.wait().unwrap();
    assert_eq!(other.read_before(Offset::new(11)).unwrap(), Some(batch(10, 1)));
}

#[test]
fn every_damaged_block_is_told_or_not_needed() {
    let disk = closed_store();
    let mut told = 0;
    for position in (0..disk.length(&database_file())).step_by(1024) {
        let damaged = SimDisk::of(disk.now());
        damaged.flip(&database_file(), position + 300, 0x55);
        let store = match open_store(&damaged) {
            Ok(store) => store,
            Err(StorageError::Damaged(damage)) => {
                assert!(damage.to_string().contains("store.redb"), "{damage}");
                told += 1;
                continue;
            }
            Err(other) => panic!("{other}"),
        };
        for id in [LOG, OTHER] {
            let log = match store.open(id, &LogSettings::default()) {
                Ok(log) => log,
                Err(StorageError::Damaged(_)) => {
                    told += 1;
                    continue;
                }
                Err(other) => panic!("byte {position}: {other}"),
            };
            let mut next = log.start();
            while next < log.end() {
                match log.read(next, ALL) {
                    Ok(run) => {
                        let batches: Vec<_> = run.batches().map(Result::unwrap).collect();
                        for (offset, found) in (next.get()..).zip(&batches) {
                            assert_eq!(*found, large_batch(id, offset), "byte {position}");
                        }
                        assert!(
                            !batches.is_empty(),
                            "byte {position}: records from {next} on are missing"
                        );
                        next = run.next;
                    }
                    Err(ReadError::Damaged(_)) => {
                        told += 1;
                        break;
                    }
                    Err(other) => panic!("byte {position}: {other}"),
                }
            }
        }
    }
    assert!(told > 40, "{told}");
}
