//! What is damaged in a log is taken out, and nothing else changes.

use std::path::PathBuf;

use strandline_core::storage::{LogSettings, ReadError, ReadLimit, StorageError, SyncBy};
use strandline_core::{LogId, Offset, OffsetRange};

use super::super::plan_redb_repair;
use super::support::*;
use crate::sim::{Fault, SimDisk};
use crate::{RepairAction, RepairPlan};

fn plan(disk: &SimDisk, log: LogId, action: RepairAction) -> Result<RepairPlan, StorageError> {
    plan_redb_repair(disk, &store_directory(), log, action)
}

fn carry_out(disk: &SimDisk, plan: &RepairPlan) -> Result<Vec<PathBuf>, StorageError> {
    let mut kept = Vec::new();
    plan.carry_out(disk, &mut |originals| {
        kept.extend_from_slice(originals);
        Ok(())
    })?;
    Ok(kept)
}

/// Damages the batch of a log that begins at this offset.
fn damage(disk: &SimDisk, log: LogId, offset: u64) {
    let position = find(disk, &large_batch(log, offset).bytes()[..64]) + 1_000;
    disk.flip(&database_file(), position, 1);
}

/// What can be read of a log from its start, and where it cannot go on.
fn readable(disk: &SimDisk, id: LogId) -> (Vec<u64>, Option<u64>) {
    let store = open_store(disk).unwrap();
    let log = store.open(id, &LogSettings::default()).unwrap();
    let (mut found, mut next) = (Vec::new(), log.start());
    while next < log.end() {
        // One batch at a time, so that damage is met where it is.
        let limit = ReadLimit {
            end: log.end(),
            max_bytes: 1,
        };
        match log.read(next, limit) {
            Ok(run) if run.bytes.is_empty() => break,
            Ok(run) => {
                for batch in run.batches().map(Result::unwrap) {
                    let offset = batch.header().base.get();
                    assert_eq!(batch, large_batch(id, offset));
                    found.push(offset);
                }
                next = run.next;
            }
            Err(ReadError::Damaged(_)) => return (found, Some(next.get())),
            Err(other) => panic!("{other}"),
        }
    }
    (found, None)
}

fn append_one(disk: &SimDisk, id: LogId, offset: u64) {
    let store = open_store(disk).unwrap();
    let log = store.open(id, &LogSettings::default()).unwrap();
    assert_eq!(log.end(), Offset::new(offset));
    let commit = log.append(&[large_batch(id, offset)]).unwrap();
    store.sync(SyncBy::Caller);
    commit.wait().unwrap();
}

fn range(start: u64, end: u64) -> OffsetRange {
    OffsetRange::new(Offset::new(start), Offset::new(end))
}

#[test]
fn what_is_damaged_is_dropped_and_all_else_stays() {
    let disk = closed_store();
    damage(&disk, LOG, 4);
    damage(&disk, LOG, 9);
    let plan = plan(&disk, LOG, RepairAction::DropDamaged).unwrap();
    assert_eq!(plan.lost, [range(4, 5), range(9, 10)]);
    assert_eq!(carry_out(&disk, &plan).unwrap(), [database_file()]);
    assert_eq!(readable(&disk, LOG), (vec![0, 1, 2, 3, 5, 6, 7, 8], None));
    assert_eq!(readable(&disk, OTHER), ((0..10).collect(), None));
    // The offset of a record that is lost is not given again.
    append_one(&disk, LOG, 10);
    assert_eq!(readable(&disk, LOG), (vec![0, 1, 2, 3, 5, 6, 7, 8, 10], None));
}

#[test]
fn a_log_is_cut_before_what_is_damaged() {
    let disk = closed_store();
    damage(&disk, LOG, 4);
    let plan = plan(&disk, LOG, RepairAction::Cut).unwrap();
    assert_eq!(plan.lost, [range(4, 10)]);
    carry_out(&disk, &plan).unwrap();
    assert_eq!(readable(&disk, LOG), (vec![0, 1, 2, 3], None));
    append_one(&disk, LOG, 4);
    assert_eq!(readable(&disk, LOG), (vec![0, 1, 2, 3, 4], None));
    assert_eq!(readable(&disk, OTHER), ((0..10).collect(), None));
}

#[test]
fn damage_in_another_log_stays_damage_until_that_log_is_mended() {
    let disk = closed_store();
    damage(&disk, LOG, 4);
    damage(&disk, OTHER, 6);
    let dropped = plan(&disk, LOG, RepairAction::DropDamaged).unwrap();
    carry_out(&disk, &dropped).unwrap();
    assert_eq!(readable(&disk, LOG).1, None);
    assert_eq!(readable(&disk, OTHER), ((0..6).collect(), Some(6)));
    let dropped = plan(&disk, OTHER, RepairAction::DropDamaged).unwrap();
    assert_eq!(dropped.lost, [range(6, 7)]);
    carry_out(&disk, &dropped).unwrap();
    assert_eq!(readable(&disk, OTHER), (vec![0, 1, 2, 3, 4, 5, 7, 8, 9], None));
}

#[test]
fn a_log_without_damage_has_nothing_to_be_mended_and_redb_no_parts_to_be_rebuilt() {
    let disk = closed_store();
    for action in [RepairAction::DropDamaged, RepairAction::Cut] {
        assert!(plan(&disk, LOG, action).unwrap().is_empty());
    }
    for action in [RepairAction::RebuildIndex, RepairAction::RebuildState] {
        let error = plan(&disk, LOG, action).unwrap_err().to_string();
        assert!(error.contains("drop-damaged"), "{error}");
    }
    assert!(matches!(
        plan(&disk, LogId::new(1), RepairAction::Cut),
        Err(StorageError::NotFound { .. })
    ));
}

/// Takes what is damaged out of both logs; gives back the offsets that each keeps.
fn mend_both(disk: &SimDisk) -> Result<[Vec<u64>; 2], StorageError> {
    let mend = |id| -> Result<Vec<u64>, StorageError> {
        let plan = plan(disk, id, RepairAction::DropDamaged)?;
        carry_out(disk, &plan)?;
        let is_lost = |offset: &u64| {
            let covers = |range: &OffsetRange| range.start.get() <= *offset && *offset < range.end.get();
            plan.lost.iter().any(covers)
        };
        Ok((0..10).filter(|offset| !is_lost(offset)).collect())
    };
    Ok([mend(LOG)?, mend(OTHER)?])
}

/// When a database is dropped redb ends it with a transaction of its own, which panicked at some damaged pages: the process of
/// `storage check` or `dump` ended with that instead of telling of the damage.
#[test]
fn whatever_block_is_damaged_what_is_not_lost_is_kept() {
    let disk = closed_store();
    let mut mended = 0;
    for position in (0..disk.length(&database_file())).step_by(4096) {
        let damaged = SimDisk::of(disk.now());
        damaged.flip(&database_file(), position + 300, 0x55);
        // What all logs share is beyond this.
        let Ok(kept) = mend_both(&damaged) else { continue };
        for (id, kept) in [LOG, OTHER].into_iter().zip(kept) {
            mended += usize::from(kept.len() < 10);
            assert_eq!(readable(&damaged, id), (kept, None), "byte {position}");
        }
    }
    assert!(mended > 20, "{mended}");
}

/// Whether the log is as it was, with damage at offset 4, or without that record.
fn is_old_or_new(disk: &SimDisk) -> bool {
    let old = (vec![0, 1, 2, 3], Some(4));
    let new = (vec![0, 1, 2, 3, 5, 6, 7, 8, 9], None);
    let found = readable(disk, LOG);
    found == old || found == new
}

#[test]
fn a_power_loss_during_a_repair_leaves_the_old_log_or_the_new_one() {
    let disk = closed_store();
    damage(&disk, LOG, 4);
    let whole = disk.now();
    let disk = SimDisk::of(whole.clone());
    let dropped = plan(&disk, LOG, RepairAction::DropDamaged).unwrap();
    carry_out(&disk, &dropped).unwrap();
    for moment in 0..=disk.moment() {
        for image in disk.some_crash_images(&whole, moment, 3) {
            assert!(is_old_or_new(&SimDisk::of(image)), "operation {moment}");
        }
    }
}

#[test]
fn a_repair_that_fails_at_any_step_has_changed_nothing_and_can_be_repeated() {
    let disk = closed_store();
    damage(&disk, LOG, 4);
    let whole = disk.now();
    let mut failures = 0;
    for operations in 0.. {
        let disk = SimDisk::of(whole.clone());
        let dropped = plan(&disk, LOG, RepairAction::DropDamaged).unwrap();
        disk.fail_once_after(operations, Fault::Half);
        if carry_out(&disk, &dropped).is_ok() && !disk.has_failed() {
            break;
        }
        failures += 1;
        let disk = disk.after_kill();
        assert!(is_old_or_new(&disk), "operation {operations}");
        let again = plan(&disk, LOG, RepairAction::DropDamaged).unwrap();
        carry_out(&disk, &again).unwrap();
        assert_eq!(readable(&disk, LOG), (vec![0, 1, 2, 3, 5, 6, 7, 8, 9], None));
    }
    assert!(failures > 10, "{failures}");
}
