//! Buckets that do not answer, and objects that are not what they were.

use std::time::{Duration, Instant};

use strandline_core::Offset;
use strandline_core::storage::{FetchFailure, Log, ReadError, read_waiting};

use super::{World, archived};
use crate::tiered::testing::{ALL, Answers};

fn reason(error: &ReadError) -> String {
    match error {
        ReadError::Unreachable { reason } => reason.clone(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_bucket_that_does_not_answer_is_told_after_the_deadline_and_tried_again_by_the_next_read() {
    for answers in [Answers::Never, Answers::Badly] {
        let mut world = World::impatient();
        archived(&mut world, 1, 2);
        let tail = world.log.end().before().unwrap();
        for place in ["HEAD", "footer", "block"] {
            world.store.answer(answers);
            let begun = Instant::now();
            let told = reason(&world.read(0).unwrap_err());
            assert!(
                told.contains("memory://") && told.contains("within 400ms"),
                "{place}: {told}"
            );
            assert_eq!(
                answers == Answers::Badly,
                told.contains("503 slow down"),
                "{told}"
            );
            assert!(
                begun.elapsed() >= Duration::from_millis(100) && begun.elapsed() < Duration::from_secs(5)
            );
            assert!(
                world.log.read(tail, ALL).is_ok(),
                "who follows the end does not notice"
            );
            // The next step, which then fails as well.
            world.store.answer(Answers::Well);
            let Err(ReadError::Fetching(fetch)) = world.log.read(Offset::ZERO, ALL) else {
                panic!("{place} is at hand");
            };
            fetch.wait().unwrap();
        }
        assert_eq!(world.read(0).unwrap().next, Offset::new(2));
        let counts = world.reads.numbers().counts();
        assert_eq!((counts.failures, counts.damages), (3, 0));
    }
}

#[test]
fn what_the_way_has_damaged_is_fetched_again() {
    let mut world = World::new();
    archived(&mut world, 1, 2);
    world.read(0).unwrap();
    world.store.take_reads();
    world.store.answer(Answers::Damaged(1));
    assert!(world.read(5).is_ok());
    assert_eq!(world.store.take_reads().len(), 2);
}

#[test]
fn damage_is_told_with_its_object_and_place_and_the_rest_is_served() {
    let mut world = World::new();
    archived(&mut world, 1, 6);
    let key = world.writer.key(0);
    let record = world.writer.head().entries[0].bytes / 24;
    // In the second batch of the third block.
    let position = 16 + 9 * record + 200;
    world
        .runtime
        .block_on(world.store.flip(&key, usize::try_from(position).unwrap()));
    for _ in 0..2 {
        let mut next = Offset::ZERO;
        let damage = loop {
            match read_waiting(|| world.log.read(next, ALL)) {
                Ok(run) => next = run.next,
                Err(ReadError::Damaged(damage)) => break damage,
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(next, Offset::new(8), "all before it is served");
        assert!(damage.file.ends_with(&key), "{damage}");
        assert_eq!(damage.position, 16 + 8 * record, "the block begins there");
    }
    assert!(world.read_on(12).iter().map(|(base, _)| *base).eq(12..=24));
}

/// A request brings several blocks. Who waits for a sound one of them is not told of another's damage.
#[test]
fn who_waits_for_a_sound_block_hears_nothing_of_a_damaged_one_beside_it() {
    let mut world = World::new();
    archived(&mut world, 1, 6);
    let record = world.writer.head().entries[0].bytes / 24;
    let position = usize::try_from(16 + 4 * record + 200).unwrap();
    let key = world.writer.key(0);
    world.runtime.block_on(world.store.flip(&key, position));
    let read = |from| world.log.read(Offset::new(from), ALL);
    assert_eq!(world.read(0).unwrap().next, Offset::new(2));
    world.store.answer(Answers::Never);
    // It goes on, so that the second block is fetched with all that follow it.
    assert!(read(2).is_ok());
    let fetch = |from| match read(from) {
        Err(ReadError::Fetching(fetch)) => fetch,
        other => panic!("{other:?}"),
    };
    let (damaged, sound) = (fetch(4), fetch(9));
    world.store.answer(Answers::Well);
    assert!(matches!(damaged.wait(), Err(FetchFailure::Damaged(_))));
    assert_eq!(sound.wait(), Ok(()));
    assert!(read(9).is_ok());
}

#[test]
fn a_footer_that_is_damaged_is_told_with_its_object() {
    let mut world = World::new();
    archived(&mut world, 1, 2);
    let key = world.writer.key(0);
    let last = usize::try_from(world.writer.head().entries[0].object_bytes).unwrap() - 1;
    world.runtime.block_on(world.store.flip(&key, last));
    let Err(ReadError::Damaged(damage)) = world.read(0) else {
        panic!("it is not read");
    };
    assert!(damage.file.ends_with(&key), "{damage}");
}

#[test]
fn an_object_that_is_gone_is_damage_unless_the_manifest_has_left_it() {
    let mut world = World::new();
    archived(&mut world, 2, 2);
    world.read(0).unwrap();
    let key = world.writer.key(0);
    world.runtime.block_on(world.store.lose(&key));
    let Err(ReadError::Damaged(damage)) = world.read(5) else {
        panic!("it is not there");
    };
    assert!(
        damage.file.ends_with(&key) && damage.reason.contains("not in the bucket"),
        "{damage}"
    );
    // Retention, which readers hear of when they come to what it took.
    let mut world = World::new();
    archived(&mut world, 2, 2);
    world.read(0).unwrap();
    world.runtime.block_on(world.writer.remove_before(Offset::new(8)));
    match world.read(5) {
        Err(ReadError::Trimmed { start }) => assert_eq!(start, Offset::new(8)),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.log.start(), Offset::new(8));
}

#[test]
fn a_bucket_that_was_emptied_is_told_at_once() {
    let mut world = World::new();
    archived(&mut world, 1, 2);
    world
        .runtime
        .block_on(world.store.lose("cluster/orders.1/0/HEAD"));
    let begun = Instant::now();
    let told = reason(&world.read(0).unwrap_err());
    assert!(told.contains("HEAD"), "{told}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn who_waits_is_told_when_the_broker_stops() {
    let mut world = World::new();
    archived(&mut world, 1, 2);
    world.store.answer(Answers::Never);
    let Err(ReadError::Fetching(fetch)) = world.log.read(Offset::ZERO, ALL) else {
        panic!("it is at hand");
    };
    world.reads.stop();
    let begun = Instant::now();
    assert!(fetch.wait().is_err());
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(matches!(world.read(0), Err(ReadError::Unreachable { .. })));
}
