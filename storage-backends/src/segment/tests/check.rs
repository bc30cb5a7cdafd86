//! A look from outside finds every kind of damage, names it, and takes nothing for damage that a start deals with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use strandline_core::disk::{Disk, OpenMode};
use strandline_core::record::{Batch, HEADER_BYTES, crc32c};
use strandline_core::storage::{Log, ReadLimit, StorageError, SyncBy};
use strandline_core::{LeaderEpoch, LogId, Offset, OffsetRange};

use super::super::check::check_segment_log;
use super::super::index::Index;
use super::super::state::State;
use super::super::{check_segment_store, files::read_whole};
use super::support::*;
use crate::check::{Finding, Inspector, LogTotals, Severity};
use crate::epochs::EpochStart;
use crate::sim::SimDisk;

const FIRST: &str = "00000000000000000000-00000000.seg";
const FIRST_INDEX: &str = "00000000000000000000-00000000.idx";

/// Keeps what is found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    bytes: u64,
}

impl Inspector for Found {
    fn turn_to(&mut self, log: LogId) {
        assert_eq!(log, LOG);
    }

    fn unpack(&mut self, _: &Batch) -> Result<Option<Batch>, String> {
        Ok(None)
    }

    fn read(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

impl Found {
    pub(super) fn damage(&self) -> Vec<&Finding> {
        let damage = |finding: &&Finding| finding.severity == Severity::Damage;
        self.findings.iter().filter(damage).collect()
    }
}

pub(super) fn check(disk: &SimDisk) -> (Found, Option<LogTotals>) {
    let mut found = Found::default();
    let before = disk.now();
    let totals = check_segment_log(disk, &store_directory(), LOG, &mut found);
    assert!(disk.now() == before, "a check has changed something");
    (found, totals)
}

/// A log of four segments, closed: 12 batches of 2 records.
pub(super) fn closed() -> SimDisk {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    for _ in 0..12 {
        append(&store, &log, 2);
    }
    assert_eq!(log.segments().len(), 4);
    log.close().unwrap();
    disk
}

/// A log of one segment with three synced appends, stopped without a close.
pub(super) fn crashed() -> SimDisk {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &Default::default()).unwrap();
    for count in [2, 3, 1] {
        append(&store, &log, count);
    }
    disk
}

pub(super) fn files(disk: &SimDisk) -> Vec<(PathBuf, usize)> {
    let directory = log_file("");
    let paths = disk.now().paths();
    paths
        .into_iter()
        .filter(|(path, _)| path.starts_with(&directory))
        .collect()
}

pub(super) fn content(disk: &SimDisk, path: &Path) -> Vec<u8> {
    read_whole(disk, path, u64::MAX).unwrap().unwrap()
}

fn write(disk: &SimDisk, path: &Path, bytes: &[u8]) {
    let _ = disk.remove_file(path);
    disk.open(path, OpenMode::CreateNew)
        .unwrap()
        .write_at(0, bytes)
        .unwrap();
}

/// What is found after a change, which has to be one finding in this file.
fn only_finding(disk: &SimDisk, file: &Path) -> Finding {
    let (found, _) = check(disk);
    match <[Finding; 1]>::try_from(found.findings) {
        Ok([finding]) => {
            assert_eq!(finding.file, file, "{finding:?}");
            finding
        }
        Err(findings) => panic!("{findings:#?}"),
    }
}

#[test]
fn nothing_is_found_in_a_log_that_is_whole() {
    let disk = closed();
    let (found, totals) = check(&disk);
    assert_eq!(found.findings, []);
    let totals = totals.unwrap();
    assert_eq!((totals.segments, totals.batches, totals.records), (4, 12, 24));
    assert_eq!(totals.range, OffsetRange::new(Offset::ZERO, Offset::new(24)));
    let lengths: usize = files(&disk).iter().map(|(_, length)| length).sum();
    assert_eq!(found.bytes, lengths as u64, "everything is read once");
}

#[test]
fn a_crash_is_no_damage() {
    let (found, totals) = check(&crashed());
    assert_eq!(found.damage(), Vec::<&Finding>::new());
    assert_eq!(totals.unwrap().records, 6);
}

#[test]
fn every_flipped_bit_of_a_closed_log_is_found_in_its_file() {
    let pristine = closed();
    for (path, length) in files(&pristine) {
        let is_cache = path.extension().is_some_and(|extension| extension == "idx");
        for position in 0..length {
            let bit = 1 << (position % 8);
            pristine.flip(&path, position, bit);
            let (found, _) = check(&pristine);
            let named = found.findings.iter().find(|finding| finding.file == path);
            let named =
                named.unwrap_or_else(|| panic!("{}, byte {position}: {:?}", path.display(), found.findings));
            // An index says nothing that the segment does not say.
            let expected = if is_cache {
                Severity::Harmless
            } else {
                Severity::Damage
            };
            assert_eq!(named.severity, expected, "{named:?}");
            pristine.flip(&path, position, bit);
        }
    }
    assert_eq!(check(&pristine).0.findings, []);
}

#[test]
fn after_a_crash_damage_is_what_a_start_refuses() {
    let length = crashed().length(&log_file(FIRST));
    for position in 0..length {
        let disk = crashed();
        disk.flip(&log_file(FIRST), position, 0x10);
        let (found, _) = check(&disk);
        let is_refused = match open_store(&disk).unwrap().open(LOG, &Default::default()) {
            Ok(_) => false,
            Err(StorageError::Damaged(_)) => true,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(
            !found.damage().is_empty(),
            is_refused,
            "byte {position}: {:?}",
            found.findings
        );
        assert!(
            found
                .findings
                .iter()
                .any(|finding| finding.file == log_file(FIRST)),
            "byte {position}"
        );
    }
}

#[test]
fn a_file_that_was_cut_short_is_found_wherever_it_was_cut() {
    for (path, length) in files(&closed()) {
        for kept in [0, 1, length / 2, length - 1] {
            let disk = closed();
            disk.open(&path, OpenMode::Write)
                .unwrap()
                .set_len(kept as u64)
                .unwrap();
            let (found, _) = check(&disk);
            assert!(
                found.findings.iter().any(|finding| finding.file == path),
                "{} cut to {kept}: {:?}",
                path.display(),
                found.findings
            );
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    for (path, _) in files(&closed()) {
        let disk = closed();
        disk.remove_file(&path).unwrap();
        let finding = only_finding(&disk, &path);
        assert_eq!(finding.problem, "the file is missing");
        let is_cache = path.extension().is_some_and(|extension| extension == "idx");
        assert_eq!(finding.severity == Severity::Harmless, is_cache);
    }
}

#[test]
fn a_batch_that_is_damaged_does_not_hide_those_behind_it() {
    // In the header, where the length stands, and in the payload.
    for position in [4, 6, HEADER_BYTES + 20] {
        let disk = crashed();
        disk.flip(&log_file(FIRST), position, 0x10);
        let (found, totals) = check(&disk);
        let has_index = position > 6;
        assert_eq!(found.damage().len(), 1, "{:?}", found.findings);
        assert_eq!(found.damage()[0].position, Some(0));
        // Without an index nobody knows where the next batch begins.
        assert_eq!(totals.unwrap().records, if has_index { 4 } else { 0 });
    }
}

#[test]
fn an_index_says_where_to_go_on_behind_a_header_that_lies() {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log = store.create(LOG, &Default::default()).unwrap();
    for _ in 0..3 {
        let end = log.end().get();
        log.append(&[padded_batch(end, 1, 1, 5000)]).unwrap();
        store.sync(SyncBy::Caller);
    }
    log.close().unwrap();
    disk.flip(&log_file(FIRST), 5, 0x04);
    let (found, totals) = check(&disk);
    assert_eq!(found.damage().len(), 1, "{:?}", found.findings);
    assert_eq!(totals.unwrap().records, 2);
}

#[test]
fn what_a_start_leaves_alone_or_removes_is_no_damage() {
    let names = [
        ("notes.txt", "this is no file of the broker's"),
        ("state.tmp", "a write was interrupted"),
        ("00000000000000000006-00000001.seg.tmp", "a write was interrupted"),
        (
            "00000000000000000006-00000001.seg",
            "left over: the state of the log does not name it",
        ),
    ];
    for (name, problem) in names {
        let disk = closed();
        write(&disk, &log_file(name), b"x");
        let finding = only_finding(&disk, &log_file(name));
        assert_eq!(
            (finding.severity, finding.problem.as_str()),
            (Severity::Harmless, problem)
        );
    }
}

#[test]
fn files_of_a_later_version_are_told_from_damage() {
    let disk = closed();
    let mut state = content(&disk, &log_file("state"));
    state[4] = 2;
    let crc = crc32c(&state[4..]);
    state[..4].copy_from_slice(&crc.to_le_bytes());
    write(&disk, &log_file("state"), &state);
    let finding = only_finding(&disk, &log_file("state"));
    assert!(finding.problem.contains("written by version 2"), "{finding:?}");

    let disk = crashed();
    let mut segment = content(&disk, &log_file(FIRST));
    let length = batch(0, 2, 1).bytes().len();
    segment[8] = 2;
    let crc = crc32c(&segment[4..length]);
    segment[..4].copy_from_slice(&crc.to_le_bytes());
    write(&disk, &log_file(FIRST), &segment);
    let (found, _) = check(&disk);
    assert!(
        found.damage()[0]
            .problem
            .contains("written by version 2 of batches"),
        "{:?}",
        found.findings
    );
}

#[test]
fn an_index_that_is_whole_and_wrong_is_damage() {
    let disk = closed();
    let covered = disk.length(&log_file(FIRST)) as u64;
    let mut wrong = Index::default();
    wrong.note(batch(0, 2, 1).header(), 24);
    write(&disk, &log_file(FIRST_INDEX), &wrong.encode(covered));
    let finding = only_finding(&disk, &log_file(FIRST_INDEX));
    assert_eq!(finding.severity, Severity::Damage, "{finding:?}");
}

#[test]
fn a_state_that_does_not_agree_with_its_segments_is_found() {
    type Change = fn(&mut State);
    let changes: [(&str, Change); 6] = [
        ("records", |state| state.sealed[0].content.records += 1),
        ("bytes", |state| state.sealed[1].content.bytes += 1),
        ("times", |state| {
            state.content.last_time = state.content.first_time;
        }),
        ("but the next one begins", |state| {
            state.sealed.retain(|sealed| sealed.id.base.get() != 6);
        }),
        ("epochs are out of order", |state| {
            state.epochs = state.epochs.iter().chain(state.epochs.iter()).collect();
        }),
        ("the state says 5", |state| {
            let (epoch, mut epochs) = (LeaderEpoch::new(5), state.epochs.iter());
            let first = epochs.next().map(|first| EpochStart { epoch, ..first });
            state.epochs = first.into_iter().chain(epochs).collect();
        }),
    ];
    for (problem, change) in changes {
        let disk = closed();
        let mut state = State::decode(&content(&disk, &log_file("state"))).unwrap();
        change(&mut state);
        write(&disk, &log_file("state"), &state.encode());
        let (found, _) = check(&disk);
        let damage = found.damage();
        assert!(
            damage.iter().any(|finding| finding.problem.contains(problem)),
            "{problem}: {damage:?}"
        );
    }
}

// The property below found it: what retention leaves of a log without records is its last epoch, at the log's end, and the next epoch
// begins there too. `storage check` called that damage, for any stream that had run empty before a restart.
#[test]
fn a_log_that_ran_empty_before_an_epoch_ended_is_whole() {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    let log: Arc<dyn Log> = store.create(LOG, &tiny()).unwrap();
    log.append(&[batch(0, 1, 1)]).unwrap();
    log.roll().unwrap();
    store.sync(SyncBy::Caller);
    log.remove_before(Offset::new(1)).unwrap();
    log.append(&[batch(1, 2, 2)]).unwrap();
    log.roll().unwrap();
    store.sync(SyncBy::Caller);
    let (found, _) = check(&disk);
    assert_eq!(found.damage(), Vec::<&Finding>::new());
    let end = |epoch| log.epoch_end(LeaderEpoch::new(epoch)).map(|end| end.end);
    assert_eq!((end(1), end(2)), (Some(Offset::new(1)), Some(Offset::new(3))));
}

#[test]
fn without_a_state_a_hole_between_segments_is_found() {
    let disk = closed();
    disk.remove_file(&log_file("state")).unwrap();
    let second = files(&disk).into_iter().map(|(path, _)| path);
    let second = second
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .nth(1);
    disk.remove_file(&second.unwrap()).unwrap();
    let (found, _) = check(&disk);
    let damage: BTreeSet<_> = found
        .damage()
        .iter()
        .map(|finding| finding.file.clone())
        .collect();
    assert_eq!(damage, BTreeSet::from([log_file("state"), log_file(FIRST)]));
}

#[test]
fn a_store_names_what_is_none_of_its_logs() {
    let disk = closed();
    let mut found = Found::default();
    assert_eq!(check_segment_store(&disk, &store_directory(), &mut found), [LOG]);
    assert_eq!(found.findings, []);
    write(&disk, &store_directory().join("notes"), b"x");
    disk.flip(&store_directory().join("format"), 3, 1);
    check_segment_store(&disk, &store_directory(), &mut found);
    let named: Vec<_> = found
        .findings
        .iter()
        .map(|finding| (finding.severity, finding.file.clone()))
        .collect();
    assert_eq!(named.len(), 2);
    assert!(named.contains(&(Severity::Harmless, store_directory().join("notes"))));
    assert!(named.contains(&(Severity::Damage, store_directory().join("format"))));
}

/// Something that is done to a log.
#[derive(Clone, Copy, Debug)]
enum Step {
    Append { count: u64, newer: bool },
    Roll,
    Trim(u64),
    Truncate(u64),
    Compact,
    Reset(u64),
    Close,
    Crash,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..5_u64, prop::bool::weighted(0.1)).prop_map(|(count, newer)| Step::Append { count, newer }),
        1 => Just(Step::Roll),
        1 => (0..40_u64).prop_map(Step::Trim),
        1 => (0..40_u64).prop_map(Step::Truncate),
        2 => Just(Step::Compact),
        1 => (0..60_u64).prop_map(Step::Reset),
        1 => Just(Step::Close),
        1 => Just(Step::Crash),
    ]
}

/// Keeps every second batch of the sealed segments.
fn compact(log: &dyn Log) {
    let sealed: Vec<_> = log
        .segments()
        .into_iter()
        .filter(|segment| segment.sealed)
        .collect();
    let (Some(first), Some(last)) = (sealed.first(), sealed.last()) else {
        return;
    };
    let range = OffsetRange::new(first.range.start, last.range.end);
    let (mut batches, mut next) = (Vec::new(), range.start.max(log.start()));
    while next < range.end {
        let limit = ReadLimit {
            end: range.end,
            max_bytes: 1 << 20,
        };
        let run = log.read(next, limit).unwrap();
        batches.extend(run.batches().map(Result::unwrap));
        if run.next == next {
            break;
        }
        next = run.next;
    }
    let kept = batches.into_iter().step_by(2).map(Ok);
    log.replace_sealed(range, &mut { kept }).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_was_done_to_a_log_a_check_finds_it_whole(steps in prop::collection::vec(any_step(), 1..40)) {
        let (disk, _) = empty_disk();
        let mut store = open_store(&disk).unwrap();
        let mut log: Arc<dyn Log> = store.create(LOG, &tiny()).unwrap();
        let mut epoch = 1;
        for step in steps {
            match step {
                Step::Append { count, newer } => {
                    epoch += u64::from(newer);
                    log.append(&[batch(log.end().get(), count, epoch)]).unwrap();
                    store.sync(SyncBy::Caller);
                }
                Step::Roll => log.roll().unwrap(),
                Step::Trim(offset) => log.remove_before(Offset::new(offset)).unwrap(),
                // Within a batch or before the start there is nothing to cut.
                Step::Truncate(offset) => drop(log.truncate(Offset::new(offset))),
                Step::Compact => compact(log.as_ref()),
                Step::Reset(offset) => log.reset(Offset::new(offset)).unwrap(),
                Step::Close => {
                    log.close().unwrap();
                    log = store.open(LOG, &tiny()).unwrap();
                }
                Step::Crash => {
                    drop(log);
                    drop(store);
                    store = open_store(&disk).unwrap();
                    log = store.open(LOG, &tiny()).unwrap();
                }
            }
            let (found, totals) = check(&disk);
            prop_assert_eq!(found.damage(), Vec::<&Finding>::new(), "after {:?}", step);
            let records: u64 = log.segments().iter().map(|segment| segment.records).sum();
            let totals = totals.unwrap();
            prop_assert_eq!((totals.records, totals.range.end), (records, log.end()));
        }
    }
}
