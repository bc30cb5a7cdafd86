//! Repairs: what they are asked for, no more, and a log that is whole afterwards.

use std::io;
use std::path::{Path, PathBuf};

use strandline_core::Offset;
use strandline_core::disk::{Disk, OpenMode};
use strandline_core::storage::StorageError;

use super::super::repair::plan_segment_repair;
use super::check::{check, closed, content, crashed, files};
use super::support::*;
use crate::repair::{RepairAction, RepairPlan};
use crate::sim::SimDisk;

const FIRST: &str = "00000000000000000000-00000000.seg";
const LAST_OFFSET: u64 = 23;

fn plan(disk: &SimDisk, action: RepairAction) -> Result<RepairPlan, StorageError> {
    let before = disk.now();
    let plan = plan_segment_repair(disk, &store_directory(), LOG, action);
    assert!(disk.now() == before, "a plan has changed something");
    plan
}

/// Carries a plan out; gives back what was kept.
fn carry_out(disk: &SimDisk, plan: &RepairPlan) -> Vec<(PathBuf, Vec<u8>)> {
    let mut kept = Vec::new();
    let mut keep = |paths: &[PathBuf]| {
        kept = paths
            .iter()
            .map(|path| (path.clone(), content(disk, path)))
            .collect();
        Ok(())
    };
    plan.carry_out(disk, &mut keep).unwrap();
    kept
}

/// Repairs a log, which has to be whole and to open then; gives back its plan, its offsets and its end.
fn repaired(disk: &SimDisk, action: RepairAction) -> (RepairPlan, Vec<u64>, u64) {
    let before = disk.now();
    let plan = plan(disk, action).unwrap();
    assert!(!plan.is_empty());
    let kept = carry_out(disk, &plan);
    for (path, _) in before.paths() {
        let is_there = disk.open(&path, OpenMode::Read).is_ok();
        let is_kept = kept.iter().any(|(kept, _)| *kept == path);
        let is_as_before = is_there && content(disk, &path) == content(&SimDisk::of(before.clone()), &path);
        assert!(
            is_as_before || is_kept,
            "{} was changed and not kept",
            path.display()
        );
    }
    let (found, _) = check(disk);
    assert_eq!(found.findings, [], "after {action:?}");
    let (offsets, end) = read(disk);
    (plan, offsets, end)
}

fn read(disk: &SimDisk) -> (Vec<u64>, u64) {
    let store = open_store(disk).unwrap();
    let log = store.open(LOG, &tiny()).unwrap();
    let found = (offsets(log.as_ref()), log.end().get());
    append(&store, &log, 1);
    found
}

fn lost(plan: &RepairPlan) -> Vec<u64> {
    let ranges = plan.lost.iter();
    ranges
        .flat_map(|range| range.start.get()..range.end.get())
        .collect()
}

fn segments(disk: &SimDisk) -> Vec<(PathBuf, usize)> {
    let is_segment = |path: &Path| path.extension().is_some_and(|extension| extension == "seg");
    files(disk)
        .into_iter()
        .filter(|(path, _)| is_segment(path))
        .collect()
}

#[test]
fn what_is_damaged_is_dropped_and_the_rest_stays() {
    for (path, length) in segments(&closed()) {
        for position in (0..length).step_by(7) {
            let disk = closed();
            disk.flip(&path, position, 1);
            let (plan, offsets, end) = repaired(&disk, RepairAction::DropDamaged);
            let mut all = [offsets, lost(&plan)].concat();
            all.sort_unstable();
            assert_eq!(
                all,
                (0..=LAST_OFFSET).collect::<Vec<_>>(),
                "{} at {position}",
                path.display()
            );
            assert_eq!(end, LAST_OFFSET + 1, "no offset is given twice");
        }
    }
}

#[test]
fn a_log_is_cut_before_what_is_damaged() {
    for (path, length) in segments(&closed()) {
        for position in (0..length).step_by(7) {
            let disk = closed();
            disk.flip(&path, position, 1);
            let (plan, offsets, end) = repaired(&disk, RepairAction::Cut);
            assert_eq!(offsets, (0..end).collect::<Vec<_>>());
            assert_eq!(
                lost(&plan),
                (end..=LAST_OFFSET).collect::<Vec<_>>(),
                "{} at {position}",
                path.display()
            );
        }
    }
}

#[test]
fn segments_that_are_missing_or_cut_short_are_given_up() {
    for (path, length) in segments(&closed()) {
        for left in [None, Some(0), Some(length / 2), Some(length - 1)] {
            for action in [RepairAction::DropDamaged, RepairAction::Cut] {
                let disk = closed();
                match left {
                    None => disk.remove_file(&path).unwrap(),
                    Some(left) => disk
                        .open(&path, OpenMode::Write)
                        .unwrap()
                        .set_len(left as u64)
                        .unwrap(),
                }
                let (plan, offsets, _) = repaired(&disk, action);
                let all: Vec<_> = offsets.iter().copied().chain(lost(&plan)).collect();
                assert_eq!(
                    all.len() as u64,
                    LAST_OFFSET + 1,
                    "{action:?} {left:?}: {offsets:?} {:?}",
                    plan.lost
                );
            }
        }
    }
}

#[test]
fn a_state_is_built_anew() {
    for is_missing in [true, false] {
        let disk = closed();
        if is_missing {
            disk.remove_file(&log_file("state")).unwrap();
        } else {
            disk.flip(&log_file("state"), 40, 1);
        }
        let (plan, offsets, _) = repaired(&disk, RepairAction::RebuildState);
        assert_eq!((offsets, lost(&plan)), ((0..=LAST_OFFSET).collect(), Vec::new()));
    }
}

#[test]
fn damage_without_a_state_is_cut_or_dropped_and_the_state_built_anew() {
    for action in [RepairAction::DropDamaged, RepairAction::Cut] {
        let disk = closed();
        disk.remove_file(&log_file("state")).unwrap();
        disk.flip(&log_file(FIRST), 100, 1);
        let refused = plan(&disk, RepairAction::RebuildState).unwrap_err().to_string();
        assert!(refused.contains("damaged at byte"), "{refused}");
        let (plan, offsets, end) = repaired(&disk, action);
        let all: Vec<_> = offsets.iter().copied().chain(lost(&plan)).collect();
        assert_eq!(all.len() as u64, LAST_OFFSET + 1, "{action:?}: {offsets:?}");
        assert_eq!(
            end,
            if action == RepairAction::Cut {
                offsets.len() as u64
            } else {
                LAST_OFFSET + 1
            }
        );
    }
}

#[test]
fn indexes_are_built_anew_and_only_those_that_are_wrong() {
    let disk = closed();
    let index = |path: &Path| path.extension().is_some_and(|extension| extension == "idx");
    let indexes: Vec<_> = files(&disk)
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| index(path))
        .collect();
    disk.remove_file(&indexes[0]).unwrap();
    disk.flip(&indexes[1], 20, 1);
    let (plan, offsets, _) = repaired(&disk, RepairAction::RebuildIndex);
    assert_eq!(plan.originals, indexes[..2]);
    assert_eq!(offsets.len() as u64, LAST_OFFSET + 1);
}

#[test]
fn damage_that_a_start_refuses_is_repaired_so_that_it_starts() {
    for position in [10, 100] {
        for action in [RepairAction::DropDamaged, RepairAction::Cut] {
            let disk = crashed();
            disk.flip(&log_file(FIRST), position, 0x10);
            let open = |disk: &SimDisk| open_store(disk).unwrap().open(LOG, &Default::default()).map(drop);
            assert!(matches!(open(&disk), Err(StorageError::Damaged(_))));
            carry_out(&disk, &plan(&disk, action).unwrap());
            assert_eq!(check(&disk).0.damage().len(), 0);
            open(&disk).unwrap();
        }
    }
}

#[test]
fn nothing_is_done_to_a_log_that_is_whole() {
    for action in [
        RepairAction::RebuildIndex,
        RepairAction::Cut,
        RepairAction::DropDamaged,
    ] {
        assert!(plan(&closed(), action).unwrap().is_empty(), "{action:?}");
    }
    let refused = plan(&closed(), RepairAction::RebuildState)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("nothing to rebuild"), "{refused}");
}

#[test]
fn nothing_changes_when_the_originals_cannot_be_kept() {
    let disk = closed();
    disk.flip(&log_file(FIRST), 100, 1);
    let (before, plan) = (disk.now(), plan(&disk, RepairAction::Cut).unwrap());
    let mut keep = |_: &[PathBuf]| {
        let (action, path, source) = ("keeping", PathBuf::new(), io::Error::other("no"));
        Err(StorageError::Io { action, path, source })
    };
    assert!(plan.carry_out(&disk, &mut keep).is_err());
    assert!(disk.now() == before);
}

#[test]
fn a_repair_that_is_interrupted_can_be_repeated() {
    for action in [RepairAction::DropDamaged, RepairAction::Cut] {
        let damaged = closed();
        damaged.flip(&log_file(FIRST), 100, 1);
        let start = damaged.now();
        let disk = SimDisk::of(start.clone());
        let first = plan(&disk, action).unwrap();
        carry_out(&disk, &first);
        let expected = read(&SimDisk::of(disk.now()));
        for moment in 0..=disk.moment() {
            for image in disk.some_crash_images(&start, moment, 20) {
                let left = SimDisk::of(image);
                let again = plan(&left, action).unwrap();
                carry_out(&left, &again);
                assert_eq!(check(&left).0.damage().len(), 0);
                assert_eq!(
                    read(&left),
                    expected,
                    "{action:?} interrupted after {moment} operations"
                );
            }
        }
    }
}

#[test]
fn a_log_goes_on_behind_what_was_dropped_from_its_end() {
    let disk = closed();
    let (last, length) = segments(&disk).pop().unwrap();
    disk.flip(&last, length - 1, 1);
    let (_, before, end) = repaired(&disk, RepairAction::DropDamaged);
    assert!(before.last() < Some(&(end - 1)), "the last record was lost");
    let store = open_store(&disk).unwrap();
    let log = store.open(LOG, &tiny()).unwrap();
    assert_eq!(log.end(), Offset::new(end + 1));
    assert_eq!(offsets(log.as_ref()).last(), Some(&end));
    log.close().unwrap();
    // Without its state the log is found as it is now.
    drop((store, log));
    disk.remove_file(&log_file("state")).unwrap();
    assert_eq!(read(&disk).1, end + 1);
}
