//! What is asked of the bucket.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use strandline_core::Offset;
use strandline_core::storage::{Log, ReadError, ReadLimit};

use super::super::{DiskSettings, ReadSettings};
use super::{World, archived, large};
use crate::SystemDisk;
use crate::tiered::records::time_of;
use crate::tiered::testing::{ALL, Answers};

const MIB: u64 = 1 << 20;

/// The ranges that were read of segments, footers left out.
fn blocks_of(reads: &[(String, Range<u64>)]) -> Vec<u64> {
    let lengths = reads.iter().map(|(_, range)| range.end - range.start);
    lengths.filter(|&length| length > 100_000).collect()
}

#[test]
fn reading_from_end_to_end_costs_a_request_for_eight_blocks_and_one_for_each_footer() {
    let mut world = World::new();
    archived(&mut world, 3, 32);
    let found = world.read_on(0);
    assert!(
        found
            .iter()
            .copied()
            .eq((0..=3 * 128).map(|offset| (offset, offset)))
    );
    let reads = world.store.take_reads();
    let segments = reads
        .iter()
        .filter(|(name, _)| name.contains("/segments/"))
        .count();
    // The first read is taken for a look-up.
    assert_eq!(segments, 3 * (1 + 4) + 1, "{reads:?}");
    assert_eq!(reads.len(), segments + 1, "HEAD once");
    assert!(blocks_of(&reads).iter().all(|&length| length <= 8 * MIB));
    let bytes: u64 = blocks_of(&reads).iter().sum();
    let stored: u64 = world.writer.head().entries.iter().map(|entry| entry.bytes).sum();
    assert_eq!(bytes, stored, "nothing is read twice");
}

#[test]
fn a_reader_does_not_wait_for_a_store_that_is_faster() {
    let mut world = World::new();
    archived(&mut world, 3, 20);
    let (mut waits, mut next) = (Vec::new(), Offset::ZERO);
    while next < Offset::new(3 * 80) {
        match world.log.read(next, ALL) {
            Ok(run) => {
                next = run.next;
                world.settle();
            }
            Err(ReadError::Fetching(fetch)) => {
                waits.push(next.get());
                fetch.wait().unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    // HEAD, the first footer and the first block.
    assert_eq!(waits, [0, 0, 0]);
}

#[test]
fn a_reverse_reader_is_read_ahead_of_too() {
    let mut world = World::new();
    archived(&mut world, 2, 16);
    let (mut before, mut waits, mut offsets) = (world.log.end(), 0, Vec::new());
    loop {
        match world.log.read_before(before) {
            Ok(Some(batch)) => {
                before = batch.header().base;
                offsets.push(before.get());
                world.settle();
            }
            Ok(None) => break,
            Err(ReadError::Fetching(fetch)) => {
                waits += 1;
                fetch.wait().unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(offsets.iter().copied().eq((0..=128).rev()));
    assert_eq!(waits, 3);
    assert_eq!(blocks_of(&world.store.take_reads()).len(), 5);
}

#[test]
fn a_look_up_costs_a_footer_and_a_block() {
    let mut world = World::new();
    archived(&mut world, 2, 8);
    world.read(0).unwrap();
    world.store.take_reads();
    let one = ReadLimit { max_bytes: 0, ..ALL };
    let read = |from| strandline_core::storage::read_waiting(|| world.log.read(Offset::new(from), one));
    assert_eq!(read(45).unwrap().next, Offset::new(46));
    let reads = world.store.take_reads();
    assert_eq!((reads.len(), blocks_of(&reads).len()), (2, 1), "{reads:?}");
    assert!(blocks_of(&reads)[0] <= MIB);
    let at =
        |offset| strandline_core::storage::read_waiting(|| world.log.offset_at(time_of(offset))).unwrap();
    assert_eq!(at(46), Offset::new(46));
    assert_eq!(world.store.take_reads(), [], "it is in the block that was read");
    assert_eq!(at(32), Offset::new(32));
    assert_eq!(
        world.store.take_reads(),
        [],
        "a segment begins there, says its footer"
    );
}

#[test]
fn one_fetch_serves_all_who_want_the_same() {
    let mut world = World::new();
    archived(&mut world, 1, 8);
    world.store.answer(Answers::Never);
    let world = &world;
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..8).map(|_| scope.spawn(|| world.read(3).unwrap())).collect();
        std::thread::sleep(Duration::from_millis(30));
        world.store.answer(Answers::Well);
        let runs: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        assert!(runs.iter().all(|run| *run == runs[0]));
    });
    world.settle();
    let reads = world.store.take_reads();
    let names: Vec<_> = reads
        .iter()
        .map(|(name, _)| name.rsplit('/').nth(1).unwrap())
        .collect();
    assert_eq!(names[..3], ["0", "segments", "segments"], "{reads:?}");
    let blocks: u64 = blocks_of(&reads).iter().sum();
    assert!(blocks <= 8 * MIB, "no block is read twice");
}

#[test]
fn memory_is_bounded_whoever_reads() {
    let settings = ReadSettings {
        memory_bytes: 8 << 20,
        ..ReadSettings::default()
    };
    let mut world = World::with(settings);
    archived(&mut world, 2, 24);
    let world = &world;
    std::thread::scope(|scope| {
        for start in [0, 50, 100, 150] {
            scope.spawn(move || {
                let found = world.read_on(start);
                assert!(found.iter().map(|(base, _)| *base).eq(start..=192));
            });
        }
        for _ in 0..200 {
            assert!(world.reads.memory_bytes() <= 8 << 20);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    assert!(world.reads.memory_bytes() <= 8 << 20);
}

fn with_disk(directory: &tempfile::TempDir, max_bytes: u64) -> ReadSettings {
    ReadSettings {
        disk: Some(DiskSettings {
            disk: Arc::new(SystemDisk::new()),
            directory: directory.path().join("cache"),
            max_bytes,
        }),
        ..ReadSettings::default()
    }
}

#[test]
fn what_is_on_the_disk_is_not_fetched_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::with(with_disk(&directory, 64 << 20));
    archived(&mut world, 2, 8);
    let first = world.read_on(0);
    world.settle();
    assert!(world.reads.disk_bytes() > 15 * MIB);
    world.store.take_reads();
    world.restart_reads(with_disk(&directory, 64 << 20));
    assert_eq!(world.read_on(0), first);
    world.settle();
    assert!(blocks_of(&world.store.take_reads()).is_empty());
    let counts = world.reads.numbers().counts();
    assert_eq!((counts.disk_hits, counts.requests), (16, 0));
}

#[test]
fn a_file_of_the_disk_that_lies_is_found_out_and_fetched() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::with(with_disk(&directory, 64 << 20));
    archived(&mut world, 1, 2);
    world.read_on(0);
    world.settle();
    // Right by its own checksum, but not the block that the footer means.
    let cache = super::super::disk::DiskCache::open(
        Arc::new(SystemDisk::new()),
        &directory.path().join("cache"),
        64 << 20,
    )
    .unwrap();
    let key = format!("memory://{}", world.writer.key(0));
    assert!(cache.contains(&key, 16));
    cache.forget(&key, 16);
    cache.put(&key, 16, large(7..8)[0].bytes());
    world.store.take_reads();
    world.restart_reads(with_disk(&directory, 64 << 20));
    assert_eq!(world.read_on(0).len(), 9);
    world.settle();
    assert_eq!(blocks_of(&world.store.take_reads()).len(), 1);
}
