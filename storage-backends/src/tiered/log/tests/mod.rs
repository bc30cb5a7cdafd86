//! A log in two tiers is one log.

mod leader;
mod model;

use std::sync::{Arc, LazyLock};

use tokio::runtime::Runtime;

use strandline_core::record::Batch;
use strandline_core::storage::{EpochEnd, Log, ReadError, ReadLimit, read_waiting};
use strandline_core::{LeaderEpoch, Offset, Timestamp};

use crate::MemoryFactory;
use crate::conformance::{Part, Subject, run};
use crate::tiered::TieredLog;
use crate::tiered::reads::{ArchiveReads, ReadSettings};
use crate::tiered::records::{batch_of, batch_with, time_of};
use crate::tiered::testing::{ALL, Answers, World};

/// A batch of five records.
fn five(base: u64) -> Batch {
    batch_of(&(base..base + 5).collect::<Vec<_>>())
}

/// Segments of two batches of five records each, up to here.
fn filled(world: &World, end: u64) {
    for base in (0..end).step_by(10) {
        world.append(&[five(base), five(base + 5)]);
    }
}

/// First and last offsets of batches of five.
fn fives(from: u64, end: u64) -> Vec<(u64, u64)> {
    (from..end).step_by(5).map(|base| (base, base + 4)).collect()
}

fn unattached(log: Arc<dyn Log>) -> Arc<dyn Log> {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    let reads = ArchiveReads::new(ReadSettings::default(), RUNTIME.handle().clone());
    Arc::new(TieredLog::new(log, reads))
}

#[test]
fn without_an_archive_it_is_the_log_that_it_wraps() {
    let subject = Subject::in_memory(MemoryFactory::new())
        .sequences(500)
        .wrapped(unattached);
    run(&subject, &Part::ALL);
}

#[test]
fn a_reader_crosses_from_the_archive_to_the_local_log_without_a_gap_or_a_repeat() {
    let mut world = World::new();
    filled(&world, 100);
    world.archive_to(60);
    for local_start in [0, 30, 60] {
        world.remove_local(local_start);
        for from in [0, 20, 55, 60, 95] {
            assert_eq!(
                world.read_on(from),
                fives(from, 100),
                "from {from}, local from {local_start}"
            );
        }
        assert_eq!(world.log.start(), Offset::ZERO);
    }
    assert_eq!(world.read(7).unwrap().batches().next().unwrap().unwrap(), five(5));
    assert!(world.read(100).unwrap().bytes.is_empty());
    assert!(matches!(world.read(101), Err(ReadError::BeyondEnd { .. })));
}

/// The decision to read locally is one moment, the read another: between the two everything local up to the archive's end may go.
#[test]
fn local_segments_that_go_while_a_reader_is_under_way_are_read_from_the_archive() {
    let mut world = World::new();
    filled(&world, 100);
    let mut found = Vec::new();
    let mut next = Offset::ZERO;
    for step in 1..=10 {
        let run = read_waiting(|| {
            let limit = ReadLimit { max_bytes: 0, ..ALL };
            world.log.read(next, limit)
        });
        let run = run.unwrap();
        found.extend(run.batches().map(|batch| batch.unwrap().header().base.get()));
        next = run.next;
        // The reader is left behind, in the archive.
        world.archive_to(step * 10);
        let view = world.log.archive().unwrap();
        world.runtime.block_on(view.load()).unwrap();
        world.remove_local(step * 10);
    }
    assert_eq!(found, (0..50).step_by(5).collect::<Vec<_>>());
    assert_eq!(world.read_on(next.get()), fives(50, 100));
}

/// Another broker led and archived, and this one, which follows, has removed what it knows to be archived. What was seen of the
/// manifest is old then, and its end is not a place where a gap begins.
#[test]
fn at_the_end_of_an_old_manifest_a_newer_one_is_looked_for() {
    let mut world = World::new();
    filled(&world, 100);
    world.archive_to(20);
    world.remove_local(20);
    assert_eq!(world.read_on(0), fives(0, 100));
    world.archive_to(70);
    world.remove_local(70);
    assert_eq!(world.read_on(10), fives(10, 100));
    world.archive_to(80);
    world.remove_local(80);
    let batch = read_waiting(|| world.log.read_before(Offset::new(80))).unwrap();
    assert_eq!(batch.unwrap(), five(75));
    world.archive_to(90);
    world.remove_local(90);
    let found = read_waiting(|| world.log.offset_at(time_of(83))).unwrap();
    assert_eq!(found, Offset::new(83));
}

#[test]
fn what_was_never_archived_reads_as_a_gap() {
    let mut world = World::new();
    filled(&world, 100);
    world.archive_to(20);
    // Archiving was off for a while, and retention was not.
    world.remove_local(40);
    assert_eq!(world.read_on(0), [fives(0, 20), fives(40, 100)].concat());
    assert_eq!(world.read_on(33), fives(40, 100));
    let before = |offset| read_waiting(|| world.log.read_before(Offset::new(offset))).unwrap();
    assert_eq!(before(40).unwrap(), five(15));
    // Then it goes on, and says so.
    world.runtime.block_on(world.writer.add(&[], Offset::new(40)));
    world.archive_to(70);
    world.remove_local(70);
    assert_eq!(world.read_on(0), [fives(0, 20), fives(40, 100)].concat());
    let before = |offset| read_waiting(|| world.log.read_before(Offset::new(offset))).unwrap();
    assert_eq!(before(40).unwrap(), five(15));
    let limit = ReadLimit {
        end: Offset::new(35),
        ..ALL
    };
    let run = read_waiting(|| world.log.read(Offset::new(25), limit)).unwrap();
    assert_eq!(
        (run.bytes.len(), run.next),
        (0, Offset::new(25)),
        "nothing follows within the limit"
    );
}

#[test]
fn the_start_is_that_of_the_older_tier_and_unknown_until_the_manifest_is_there() {
    let mut world = World::new();
    filled(&world, 100);
    world.archive_to(60);
    world
        .runtime
        .block_on(world.writer.remove_before(Offset::new(20)));
    world.remove_local(10);
    world
        .runtime
        .block_on(world.writer.remove_before(Offset::new(60)));
    world.archive_to(70);
    world
        .runtime
        .block_on(world.writer.remove_before(Offset::new(70)));
    world.remove_local(80);
    assert_eq!(world.log.start(), Offset::ZERO);
    let nothing = ReadLimit {
        end: Offset::ZERO,
        max_bytes: 0,
    };
    match read_waiting(|| world.log.read(Offset::ZERO, nothing)) {
        Err(ReadError::Trimmed { start }) => assert_eq!(start, Offset::new(80)),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.log.start(), Offset::new(80));
    world.log.detach();
    assert!(matches!(world.read(0), Err(ReadError::Trimmed { .. })));
    assert_eq!(world.read_on(80), fives(80, 100));
}

#[test]
fn an_archive_that_retention_has_shortened_begins_where_it_is_left() {
    let mut world = World::new();
    filled(&world, 100);
    for end in [20, 40, 60] {
        world.archive_to(end);
    }
    world.remove_local(60);
    world
        .runtime
        .block_on(world.writer.remove_before(Offset::new(20)));
    match world.read(19) {
        Err(ReadError::Trimmed { start }) => assert_eq!(start, Offset::new(20)),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.log.start(), Offset::new(20));
    assert_eq!(world.read_on(20), fives(20, 100));
    assert!(
        read_waiting(|| world.log.read_before(Offset::new(20)))
            .unwrap()
            .is_none()
    );
    let first = read_waiting(|| world.log.offset_at(Timestamp::ZERO)).unwrap();
    assert_eq!(first, Offset::new(20));
}

#[test]
fn entries_in_pages_are_found_in_all_ways() {
    let mut world = World::new();
    filled(&world, 100);
    for end in (10..=40).step_by(10) {
        world.archive_to(end);
    }
    world.runtime.block_on(world.writer.spill(0));
    for end in (50..=80).step_by(10) {
        world.archive_to(end);
    }
    world.runtime.block_on(world.writer.spill(1));
    world.remove_local(80);
    assert_eq!(world.writer.head().pages.len(), 2);
    assert_eq!(world.read_on(0), fives(0, 100));
    let mut before = world.log.end();
    let mut bases = Vec::new();
    while let Some(batch) = read_waiting(|| world.log.read_before(before)).unwrap() {
        before = batch.header().base;
        bases.push(before.get());
    }
    bases.reverse();
    assert!(bases.into_iter().eq((0..100).step_by(5)));
    for offset in 0..100 {
        let found = read_waiting(|| world.log.offset_at(time_of(offset))).unwrap();
        assert_eq!(found, Offset::new(offset));
        let after = Timestamp::from_nanos(time_of(offset).nanos() + 1);
        let found = read_waiting(|| world.log.offset_at(after)).unwrap();
        assert_eq!(found, Offset::new(offset + 1));
    }
    // The first page reaches below the start now.
    world
        .runtime
        .block_on(world.writer.remove_before(Offset::new(20)));
    let archive = world.log.archive().unwrap();
    world.runtime.block_on(archive.load()).unwrap();
    assert_eq!(world.read_on(20), fives(20, 100));
    let found = read_waiting(|| world.log.offset_at(time_of(3))).unwrap();
    assert_eq!(found, Offset::new(20));
    assert!(
        read_waiting(|| world.log.read_before(Offset::new(20)))
            .unwrap()
            .is_none()
    );
}

#[test]
fn the_ends_of_epochs_are_known_of_both_tiers() {
    let mut world = World::new();
    for (base, epoch) in [(0, 2), (10, 2), (20, 4), (30, 7), (40, 7), (50, 9)] {
        let offsets: Vec<u64> = (base..base + 10).collect();
        world.append(&[batch_with(&offsets, epoch, 10)]);
    }
    for end in [10, 20, 30, 40] {
        world.archive_to(end);
    }
    world.runtime.block_on(world.writer.spill(1));
    world.remove_local(40);
    let archive = world.log.archive().unwrap();
    world.runtime.block_on(archive.load()).unwrap();
    let end = |epoch| world.log.epoch_end(LeaderEpoch::new(epoch));
    let expected = |epoch, end| {
        Some(EpochEnd {
            epoch: LeaderEpoch::new(epoch),
            end: Offset::new(end),
        })
    };
    assert_eq!((end(1), end(2), end(3)), (None, expected(2, 20), expected(2, 20)));
    assert_eq!((end(4), end(6)), (expected(4, 30), expected(4, 30)));
    assert_eq!(
        (end(7), end(8), end(9)),
        (expected(7, 50), expected(7, 50), expected(9, 60))
    );
}

#[test]
fn a_log_that_is_whole_on_the_disk_asks_nothing_of_the_bucket() {
    let mut world = World::new();
    filled(&world, 100);
    world.archive_to(60);
    world.store.take_reads();
    assert_eq!(world.read_on(0), fives(0, 100));
    assert!(world.log.read_before(Offset::ZERO).unwrap().is_none());
    assert_eq!(world.log.read_before(Offset::new(5)).unwrap(), Some(five(0)));
    assert_eq!(world.log.offset_at(Timestamp::ZERO).unwrap(), Offset::ZERO);
    assert!(world.store.take_reads().is_empty());
}

#[test]
fn publishers_and_tail_readers_do_not_notice_a_bucket_that_does_not_answer() {
    let mut world = World::impatient();
    filled(&world, 100);
    world.archive_to(60);
    world.remove_local(60);
    world.store.answer(Answers::Never);
    world.append(&[five(100)]);
    for from in [60, 77, 100] {
        assert!(world.log.read(Offset::new(from), ALL).is_ok());
    }
    assert!(world.log.read_before(Offset::new(66)).unwrap().is_some());
    assert_eq!(world.log.offset_at(time_of(70)).unwrap(), Offset::new(70));
    assert_eq!(
        (world.log.end(), world.log.last_epoch()),
        (Offset::new(105), Some(LeaderEpoch::new(1)))
    );
    assert!(matches!(world.read(59), Err(ReadError::Unreachable { .. })));
}
