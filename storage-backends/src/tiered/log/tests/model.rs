//! Random lives of a log in two tiers against a list of batches.

use proptest::prelude::*;
use proptest::test_runner::Config;

use strandline_core::record::Batch;
use strandline_core::storage::{Log, ReadError, ReadLimit, read_waiting};
use strandline_core::{Offset, Timestamp};

use crate::tiered::reads::ReadSettings;
use crate::tiered::records::{batch_with, time_of};
use crate::tiered::testing::World;

#[derive(Clone, Debug)]
enum Step {
    /// Appends a batch so many offsets behind the end, of so many records this far apart.
    Append {
        skip: u64,
        records: u64,
        apart: u64,
        bytes: usize,
    },
    Roll,
    /// Archives so many of the sealed segments that are not.
    Archive {
        segments: usize,
    },
    /// Removes so many local segments that are archived.
    RemoveLocal {
        segments: usize,
    },
    /// Removes a local segment that is not archived, which becomes a gap.
    Lose,
    /// Retention takes so many segments of the archive, and what is local below.
    Retain {
        segments: usize,
    },
    /// All but so many entries move into a page.
    Spill {
        keep: usize,
    },
    /// A new process.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_u64, 1..6_u64, 1..3_u64, 1..3000_usize).prop_map(|(skip, records, apart, bytes)| {
            Step::Append { skip, records, apart, bytes }
        }),
        3 => Just(Step::Roll),
        3 => (1..4_usize).prop_map(|segments| Step::Archive { segments }),
        2 => (1..3_usize).prop_map(|segments| Step::RemoveLocal { segments }),
        1 => Just(Step::Lose),
        1 => (1..3_usize).prop_map(|segments| Step::Retain { segments }),
        1 => (0..3_usize).prop_map(|keep| Step::Spill { keep }),
        1 => Just(Step::Restart),
    ]
}

/// The log as it is to be.
#[derive(Default)]
struct Model {
    batches: Vec<Batch>,
    epoch: u64,
}

impl Model {
    /// Forgets the batches of a range.
    fn forget(&mut self, from: Offset, end: Offset) {
        let is_gone = |batch: &Batch| from <= batch.header().base && batch.header().base < end;
        self.batches.retain(|batch| !is_gone(batch));
    }
}

fn act(world: &mut World, model: &mut Model, step: &Step) {
    match *step {
        Step::Append {
            skip,
            records,
            apart,
            bytes,
        } => {
            let base = world.local.end().get() + skip;
            let offsets: Vec<u64> = (0..records).map(|number| base + number * apart).collect();
            model.epoch += skip;
            let batch = batch_with(&offsets, model.epoch, bytes);
            let _commit = world.local.append(std::slice::from_ref(&batch)).unwrap();
            model.batches.push(batch);
        }
        Step::Roll => world.local.roll().unwrap(),
        Step::Archive { segments } => {
            let end = world.writer.head().end;
            let open = world.local.segments().into_iter();
            let open: Vec<_> = open
                .filter(|segment| segment.sealed && segment.range.end > end)
                .collect();
            for segment in open.iter().take(segments) {
                // What is gone before it was archived is said so.
                if segment.range.start > world.writer.head().end && lost(world, segment.range.start) {
                    world.runtime.block_on(world.writer.add(&[], segment.range.start));
                }
                world.archive_to(segment.range.end.get());
            }
        }
        Step::RemoveLocal { segments } => {
            let archived = world.writer.head().end;
            let sealed = world.local.segments();
            let mut sealed = sealed
                .iter()
                .filter(|segment| segment.sealed && segment.range.end <= archived);
            if let Some(segment) = sealed.nth(segments - 1) {
                world.remove_local(segment.range.end.get());
            }
        }
        Step::Lose => {
            let archived = world.writer.head().end;
            let first = world.local.segments()[0];
            if first.sealed && first.range.start >= archived {
                world.remove_local(first.range.end.get());
                model.forget(first.range.start, first.range.end);
            }
        }
        Step::Retain { segments } => {
            let head = world.writer.head();
            let Some(entry) = head.entries.get(segments - 1) else {
                return;
            };
            let start = entry.range.end;
            world.runtime.block_on(world.writer.remove_before(start));
            world.remove_local(start.get());
            model.forget(Offset::ZERO, start);
            // Whoever decides so knows of it; others see it when they come to what is deleted.
            let archive = world.log.archive().unwrap();
            world.runtime.block_on(archive.load()).unwrap();
        }
        Step::Spill { keep } => world.runtime.block_on(world.writer.spill(keep)),
        Step::Restart => world.restart_reads(ReadSettings::default()),
    }
}

/// Whether the local log begins only here.
fn lost(world: &World, start: Offset) -> bool {
    world.local.start() == start
}

fn check(world: &World, model: &Model) -> Result<(), TestCaseError> {
    let end = world.local.end();
    let batches = || model.batches.iter();
    let first = batches().next().map_or(end, |batch| batch.header().base);
    for from in first.get()..=end.get() {
        let from = Offset::new(from);
        for (limit_end, max_bytes) in [(Offset::MAX, 0), (Offset::MAX, 4000), (from.plus(3), 4000)] {
            let limit = ReadLimit {
                end: limit_end,
                max_bytes,
            };
            let run = read_waiting(|| world.log.read(from, limit)).unwrap();
            let mut expected = batches().filter(|batch| batch.header().end() > from);
            let found: Vec<Batch> = run.batches().map(Result::unwrap).collect();
            let same = found.iter().all(|batch| expected.next() == Some(batch));
            prop_assert!(same, "read {} gave {:?}", from, found);
            let follows = expected
                .next()
                .is_some_and(|batch| batch.header().base < limit_end);
            prop_assert!(!found.is_empty() || !follows, "read {} gave nothing", from);
            let next = found.last().map_or(from, |batch| batch.header().end());
            prop_assert_eq!(run.next, next);
        }
        let before = read_waiting(|| world.log.read_before(from)).unwrap();
        let expected = batches().rev().find(|batch| batch.header().base < from);
        prop_assert_eq!(before.as_ref(), expected, "before {}", from);
        for time in [
            time_of(from.get()),
            Timestamp::from_nanos(time_of(from.get()).nanos() + 1),
        ] {
            let found = read_waiting(|| world.log.offset_at(time)).unwrap();
            let expected = batches()
                .find_map(|batch| batch.first_at_or_after(time))
                .unwrap_or(end);
            prop_assert_eq!(found, expected, "at the time of {}", from);
        }
    }
    if let Some(below) = first.before() {
        let read = read_waiting(|| world.log.read(below, crate::tiered::testing::ALL));
        match read {
            Err(ReadError::Trimmed { start }) => prop_assert!(start <= first && start > below),
            Ok(run) => prop_assert_eq!(
                run.batches().next().map(Result::unwrap),
                batches().next().cloned()
            ),
            Err(error) => panic!("{error}"),
        }
    }
    Ok(())
}

fn cases() -> u32 {
    let cases = std::env::var("SEQUENCES").ok();
    cases.map_or(500, |text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(Config { cases: cases(), ..Config::default() })]

    #[test]
    fn a_log_in_two_tiers_reads_as_a_list_of_batches(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::new();
        let mut model = Model::default();
        for (number, step) in steps.iter().enumerate() {
            act(&mut world, &mut model, step);
            if number % 8 == 7 {
                check(&world, &model)?;
            }
        }
        check(&world, &model)?;
    }
}
