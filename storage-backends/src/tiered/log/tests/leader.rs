//! A leader that archives and removes while others read.

use std::sync::Arc;
use std::time::Duration;

use strandline_core::retention::RetentionLimits;
use strandline_core::storage::{Log, ReadLimit, read_waiting};
use strandline_core::{LeaderEpoch, Offset, Timestamp};

use super::five;
use crate::tiered::testing::{ALL, World};
use crate::tiered::{Archiver, ArchiverSettings, Expected, Situation, Step, Throttle};

const END: u64 = 2_000;

fn archiver(world: &World) -> Archiver {
    let settings = ArchiverSettings {
        epoch: LeaderEpoch::new(2),
        expected: Expected::Existing,
        part_bytes: 5 << 20,
        throttle: Arc::new(Throttle::new(None)),
        grace: Duration::ZERO,
    };
    Archiver::new(world.log.archive().unwrap(), Arc::clone(&world.local), settings)
}

/// Archives all that is sealed and removes it; with a limit also from the archive.
fn work(world: &World, archiver: &mut Archiver, total: RetentionLimits) {
    let situation = Situation {
        now: Timestamp::from_nanos(i64::MAX / 2),
        committed: world.local.end(),
        total,
        local: RetentionLimits {
            max_records: Some(10),
            ..RetentionLimits::default()
        },
    };
    while world.runtime.block_on(archiver.step(&situation)).unwrap() != Step::Idle {}
}

#[test]
fn readers_get_each_record_once_and_in_order_while_a_leader_archives_and_removes() {
    let world = World::new();
    let log = &world.log;
    std::thread::scope(|scope| {
        let reader = |max_bytes| {
            move || {
                let (mut next, mut bases) = (Offset::ZERO, Vec::new());
                while next < Offset::new(END) {
                    let limit = ReadLimit { max_bytes, ..ALL };
                    let run = read_waiting(|| log.read(next, limit)).unwrap();
                    bases.extend(run.batches().map(|batch| batch.unwrap().header().base.get()));
                    if run.bytes.is_empty() {
                        std::thread::yield_now();
                    }
                    next = run.next;
                }
                bases
            }
        };
        let readers: Vec<_> = [0, 500, 100_000].map(|bytes| scope.spawn(reader(bytes))).into();
        let mut archiver = archiver(&world);
        for base in (0..END).step_by(5) {
            let _commit = world.local.append(&[five(base)]).unwrap();
            if base % 25 == 0 {
                world.local.roll().unwrap();
            }
            if base % 100 == 0 {
                work(&world, &mut archiver, RetentionLimits::default());
            }
        }
        for reader in readers {
            assert!(
                reader
                    .join()
                    .unwrap()
                    .into_iter()
                    .eq((0..END / 5).map(|number| number * 5))
            );
        }
    });
    assert!(
        world.local.start() > Offset::new(END / 2),
        "most of it is in the archive alone"
    );
}

#[test]
fn retention_of_the_archive_moves_readers_to_what_is_left() {
    let world = World::new();
    let mut archiver = archiver(&world);
    for base in (0..200).step_by(5) {
        world.append(&[five(base)]);
    }
    work(&world, &mut archiver, RetentionLimits::default());
    assert_eq!(world.read_on(0).len(), 40);
    let keep = RetentionLimits {
        max_records: Some(50),
        ..RetentionLimits::default()
    };
    work(&world, &mut archiver, keep);
    let start = world.log.start().get();
    assert!((145..=155).contains(&start), "{start}");
    assert!(world.read(start - 1).is_err());
    assert_eq!(world.read_on(start).len() as u64, (200 - start) / 5);
}
