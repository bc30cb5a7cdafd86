//! Finds out which records of a batch a plugin fails at, in limited time.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::failure::{Cause, Failure};
use crate::ticker::Ticker;

/// Who can be asked about some records of a batch.
pub(crate) trait Asked {
    /// Asks about these records, which may take so long. An answer is kept; a failure is for all of them or any.
    fn ask(&mut self, records: Range<usize>, allowed: Duration) -> Result<(), Failure>;

    /// These records have no answer. Called in their order.
    fn fail(&mut self, records: Range<usize>, failure: &Failure);
}

/// How a batch came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Records without an answer because calls failed.
    pub(crate) failed: usize,
    /// Whether the budget ended before it was known which records fail.
    pub(crate) is_unresolved: bool,
}

/// Records that are to be asked about.
struct Suspects {
    records: Range<usize>,
    /// Why the call about the whole that they are half of has failed.
    why: Option<Failure>,
}

/// Asks about all records at once, and about halves of what fails, until every record has an answer, has failed alone, or the
/// budget is over; then what is left fails.
///
/// A call may use half of what is left, so that it cannot use up what finding the culprit takes. After a missed deadline the
/// calls get shorter: a record that never ends is found within the budget, as long as good records take their part of it.
pub(crate) fn settle(
    records: usize,
    budget: Duration,
    now: impl Fn() -> Instant,
    asked: &mut impl Asked,
) -> Outcome {
    let end = now() + budget;
    let patience = budget / 2 / (records.max(1).ilog2() + 2);
    let mut outcome = Outcome::default();
    let mut open = vec![Suspects {
        records: 0..records,
        why: None,
    }];
    while let Some(Suspects { records, why }) = open.pop() {
        let left = end.saturating_duration_since(now());
        if let (true, Some(why)) = (left.is_zero(), &why) {
            outcome.failed += records.len();
            outcome.is_unresolved = true;
            asked.fail(records, &unresolved(why));
            continue;
        }
        let was_late = why.as_ref().is_some_and(|why| why.cause() == Cause::Deadline);
        let allowed = match (was_late, records.len()) {
            (true, _) => patience.max(Ticker::shortest()),
            (false, 1) => left,
            (false, _) => left / 2,
        };
        let Err(failure) = asked.ask(records.clone(), allowed.min(left)) else {
            continue;
        };
        if records.len() <= 1 {
            outcome.failed += records.len();
            asked.fail(records, &failure);
            continue;
        }
        let middle = records.start + records.len() / 2;
        open.push(Suspects {
            records: middle..records.end,
            why: Some(failure.clone()),
        });
        open.push(Suspects {
            records: records.start..middle,
            why: Some(failure),
        });
    }
    outcome
}

fn unresolved(why: &Failure) -> Failure {
    Failure::new(
        Cause::Unresolved,
        format!("the time for the batch was over before it was known which record is at fault: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    /// A plugin that fails at some records, on a clock of its own.
    struct Script<'a> {
        time: &'a Cell<Instant>,
        poison: &'a dyn Fn(usize) -> Option<Cause>,
        answered: Vec<bool>,
        failed: Vec<Option<Cause>>,
    }

    impl Asked for Script<'_> {
        fn ask(&mut self, records: Range<usize>, allowed: Duration) -> Result<(), Failure> {
            for record in records.clone() {
                match (self.poison)(record) {
                    Some(Cause::Deadline) => {
                        self.time.set(self.time.get() + allowed);
                        return Err(Failure::new(Cause::Deadline, "late"));
                    }
                    Some(cause) => return Err(Failure::new(cause, "trap")),
                    None => self.time.set(self.time.get() + Duration::from_micros(1)),
                }
            }
            self.answered[records].fill(true);
            Ok(())
        }

        fn fail(&mut self, records: Range<usize>, failure: &Failure) {
            for record in records {
                assert!(
                    self.failed[record].replace(failure.cause()).is_none(),
                    "told once"
                );
            }
        }
    }

    /// The failures of 1,000 records, how the batch came out, and how long that took.
    fn run(poison: fn(usize) -> Option<Cause>) -> (Vec<Option<Cause>>, Outcome, Duration) {
        run_of(1_000, &poison)
    }

    fn run_of(
        records: usize,
        poison: &dyn Fn(usize) -> Option<Cause>,
    ) -> (Vec<Option<Cause>>, Outcome, Duration) {
        let start = Instant::now();
        let time = Cell::new(start);
        let (answered, failed) = (vec![false; records], vec![None; records]);
        let mut script = Script {
            time: &time,
            poison,
            answered,
            failed,
        };
        let outcome = settle(records, Duration::from_millis(100), || time.get(), &mut script);
        for (answered, failed) in script.answered.iter().zip(&script.failed) {
            assert!(*answered != failed.is_some(), "an answer or a failure");
        }
        let failed = script.failed.iter().flatten().count();
        assert_eq!(failed, outcome.failed);
        (script.failed, outcome, time.get() - start)
    }

    #[test]
    fn traps_are_found_one_by_one() {
        let poison = |record: usize| (record % 100 == 7).then_some(Cause::Trap);
        let (failed, outcome, _) = run(poison);
        assert_eq!(
            outcome,
            Outcome {
                failed: 10,
                is_unresolved: false
            }
        );
        assert!((0..1_000).all(|record| failed[record] == poison(record)));
    }

    #[test]
    fn a_record_that_never_ends_is_found_within_the_budget() {
        for place in [0, 500, 999] {
            let poison: fn(usize) -> Option<Cause> = match place {
                0 => |record| (record == 0).then_some(Cause::Deadline),
                500 => |record| (record == 500).then_some(Cause::Deadline),
                _ => |record| (record == 999).then_some(Cause::Deadline),
            };
            let (failed, outcome, took) = run(poison);
            assert_eq!(
                outcome,
                Outcome {
                    failed: 1,
                    is_unresolved: false
                },
                "at {place}"
            );
            assert_eq!(failed[place], Some(Cause::Deadline));
            assert!(took <= Duration::from_millis(100), "{took:?}");
        }
    }

    #[test]
    fn what_the_budget_does_not_suffice_for_is_unresolved() {
        let (failed, outcome, took) = run(|_| Some(Cause::Deadline));
        assert!(outcome.is_unresolved && outcome.failed == 1_000);
        assert_eq!(failed[999], Some(Cause::Unresolved));
        assert!(took <= Duration::from_millis(100), "{took:?}");
    }

    proptest! {
        /// A record with an answer has its own; one that fails did so alone, or the time was over before that was known.
        #[test]
        fn any_poison_costs_its_own_records_and_no_more_than_the_budget(
            poison in prop::collection::vec(prop::sample::select(vec![None, None, None, Some(Cause::Trap), Some(Cause::Deadline)]), 1..300),
            most_late in 0_usize..4,
        ) {
            let mut late = 0;
            let poison: Vec<_> = poison.into_iter().map(|cause| {
                late += usize::from(cause == Some(Cause::Deadline));
                cause.filter(|cause| *cause != Cause::Deadline || late <= most_late)
            }).collect();
            let (failed, outcome, took) = run_of(poison.len(), &|record| poison[record]);
            prop_assert!(took <= Duration::from_millis(101), "{:?}", took);
            let unresolved = failed.iter().filter(|cause| **cause == Some(Cause::Unresolved)).count();
            prop_assert_eq!(outcome.is_unresolved, unresolved > 0);
            if !poison.contains(&Some(Cause::Deadline)) {
                prop_assert!(!outcome.is_unresolved);
            }
            for (failed, poison) in failed.iter().zip(&poison) {
                prop_assert!(failed == poison || *failed == Some(Cause::Unresolved), "{:?}: {:?}", poison, failed);
            }
        }
    }
}
