//! A look from outside finds damage in the database, in redb's part of it and in ours.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use strandline_core::disk::{Disk, OpenMode};
use strandline_core::record::Batch;
use strandline_core::storage::{Log, SyncBy};
use strandline_core::{LogId, Offset};

use super::super::database::Database;
use super::super::shape::SegmentId;
use super::super::tables::Tables;
use super::super::{check_redb_store, dump_redb_log};
use super::support::*;
use crate::check::{Finding, Inspector, LogTotals, Severity};
use crate::sim::SimDisk;

#[derive(Default)]
struct Found {
    findings: Vec<Finding>,
    turns: Vec<LogId>,
}

impl Inspector for Found {
    fn turn_to(&mut self, log: LogId) {
        self.turns.push(log);
    }

    fn unpack(&mut self, _: &Batch) -> Result<Option<Batch>, String> {
        Ok(None)
    }

    fn read(&mut self, _: u64) {}

    fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

impl Found {
    fn is_damage(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Damage)
    }
}

fn check(disk: &SimDisk) -> (Found, Option<BTreeMap<LogId, LogTotals>>) {
    let mut found = Found::default();
    let before = disk.now();
    let totals = check_redb_store(disk, &store_directory(), None, &mut found);
    assert!(disk.now() == before, "a check has changed something");
    (found, totals)
}

/// Two logs of several segments, one of them with a batch of many parts.
fn filled() -> SimDisk {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let (log, other) = (
        store.create(LOG, &tiny()).unwrap(),
        store.create(OTHER, &tiny()).unwrap(),
    );
    let append = |log: &Arc<dyn Log>, padding| {
        log.append(&[padded_batch(log.end().get(), 2, padding)]).unwrap();
        store.sync(SyncBy::Caller);
    };
    (0..12).for_each(|_| append(&log, 0));
    append(&other, 20_000);
    append(&other, 0);
    log.close().unwrap();
    other.close().unwrap();
    drop((log, other, store));
    disk
}

/// Changes the tables behind redb's back no more than a program with a mistake would.
fn change(disk: &SimDisk, with: impl FnOnce(&mut Tables<'_>) -> Result<(), redb::Error>) {
    let database = Database::open(disk, &store_directory(), 1 << 20).unwrap();
    database.write(with).unwrap();
    database.close().unwrap();
}

#[test]
fn nothing_is_found_in_a_store_that_is_whole() {
    let (found, totals) = check(&filled());
    assert_eq!(found.findings, []);
    assert_eq!(found.turns, [LOG, OTHER]);
    let totals = totals.unwrap();
    assert_eq!((totals[&LOG].batches, totals[&LOG].records), (12, 24));
    assert_eq!((totals[&OTHER].batches, totals[&OTHER].records), (2, 4));
    assert_eq!(totals[&LOG].range.end, Offset::new(24));
}

#[test]
fn a_store_that_was_not_closed_is_no_damage() {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    for _ in 0..5 {
        log.append(&[batch(log.end().get(), 2)]).unwrap();
        store.sync(SyncBy::Caller);
    }
    let killed = disk.after_kill();
    let (found, totals) = check(&killed);
    assert_eq!(found.findings, []);
    assert_eq!(totals.unwrap()[&LOG].records, 10);
}

#[test]
fn where_there_is_no_store_there_is_nothing_to_find() {
    let (disk, _) = empty_disk();
    let (found, totals) = check(&disk);
    assert_eq!((found.findings, totals), (Vec::new(), Some(BTreeMap::new())));
}

#[test]
fn flips_in_what_is_used_of_the_file_are_found() {
    let disk = filled();
    let length = disk.length(&database_file());
    let bytes = {
        let mut bytes = Vec::new();
        let file = disk.open(&database_file(), OpenMode::Read).unwrap();
        file.read_at(0, length, &mut bytes).unwrap();
        bytes
    };
    // Every place at which a value is kept.
    let texts = bytes
        .windows(9)
        .enumerate()
        .filter(|(_, window)| *window == b"value of ");
    let places: Vec<_> = texts.map(|(position, _)| position).collect();
    assert!(places.len() >= 28);
    let mut found_in = 0;
    for position in places {
        disk.flip(&database_file(), position, 1);
        let (found, _) = check(&disk);
        found_in += usize::from(found.is_damage());
        disk.flip(&database_file(), position, 1);
    }
    // What an earlier transaction left in a page that is free now means nothing.
    assert!(found_in >= 28, "{found_in}");
    assert!(!check(&disk).0.is_damage());
}

#[test]
fn batches_that_are_missing_or_in_a_wrong_place_are_found() {
    let segment = SegmentId {
        base: Offset::ZERO,
        generation: 0,
    };
    let disk = filled();
    change(&disk, |tables| tables.cut(LOG, segment, Offset::new(2)));
    let (found, _) = check(&disk);
    assert!(
        found.findings[0].problem.contains("its entry says"),
        "{:?}",
        found.findings
    );

    let disk = filled();
    change(&disk, |tables| tables.put_batch(LOG, segment, &batch(1, 1)));
    let (found, _) = check(&disk);
    assert!(
        found.findings[0].problem.contains("it repeats offsets"),
        "{:?}",
        found.findings
    );

    let disk = filled();
    let nobody = SegmentId {
        generation: 99,
        ..segment
    };
    change(&disk, |tables| {
        tables.put_batch(LogId::new(3), nobody, &batch(0, 1))
    });
    let (found, _) = check(&disk);
    assert!(
        !found.is_damage() && found.findings[0].problem.contains("belong to no log"),
        "{:?}",
        found.findings
    );
}

#[test]
fn a_database_that_cannot_be_opened_is_named() {
    let disk = filled();
    disk.open(&database_file(), OpenMode::Write)
        .unwrap()
        .set_len(0)
        .unwrap();
    let (found, totals) = check(&disk);
    assert_eq!(totals, None);
    assert_eq!(
        (found.findings.len(), &found.findings[0].file),
        (1, &database_file())
    );
    disk.remove_file(&database_file()).unwrap();
    assert_eq!(check(&disk).0.findings[0].problem, "the file is missing");
}

#[test]
fn files_beside_the_database_are_named() {
    let disk = filled();
    let write = |name: &str| {
        let path = store_directory().join(Path::new(name));
        disk.open(&path, OpenMode::CreateNew).unwrap();
    };
    write("notes");
    write("store.redb.tmp");
    let (found, _) = check(&disk);
    assert_eq!(found.findings.len(), 2);
    assert!(!found.is_damage());
}

#[test]
fn a_log_is_shown_batch_by_batch() {
    let disk = filled();
    let mut shown = Vec::new();
    let mut show = |piece: crate::check::Piece<'_>| {
        shown.extend(piece.batch.map(|batch| batch.header().base.get()));
        shown.len() < 3
    };
    dump_redb_log(&disk, &store_directory(), LOG, Offset::new(9), &mut show).unwrap();
    assert_eq!(shown, [8, 10, 12]);
    let missing = dump_redb_log(
        &disk,
        &store_directory(),
        LogId::new(1),
        Offset::ZERO,
        &mut |_| true,
    );
    assert!(missing.is_err());
}
