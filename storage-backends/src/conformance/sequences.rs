//! Random operations against a model that is obviously right.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use strandline_core::storage::{Capabilities, Durability};

use super::Subject;
use super::operations::{Operation, sequences};
use super::report::Cases;
use super::world::{Checked, World};
use crate::sim::Fault;

/// Operations of one sequence, at the most.
const MOST: usize = 24;
/// One in so many sequences meets a disk that fails.
const WITH_FAULT: u32 = 10;

pub(super) fn run(cases: &mut Cases, subject: &Subject, capabilities: Capabilities) {
    let name = format!(
        "{} random sequences of operations do what the model does",
        subject.sequences
    );
    cases.checked(&name, || {
        let strategy = (prop::bool::weighted(0.1), sequences(MOST));
        shrunk(subject, subject.sequences, &strategy, |(is_os, operations)| {
            let is_os = *is_os && capabilities.durability_os;
            let durability = if is_os { Durability::Os } else { Durability::Fsync };
            sequence(World::new(subject, capabilities, durability)?, operations)
        })
    });
    if capabilities.survives_restart {
        let count = subject.sequences / WITH_FAULT;
        let name =
            format!("{count} random sequences of operations keep what was acknowledged when the disk fails");
        cases.checked(&name, || {
            let fault = prop_oneof![Just(Fault::Whole), Just(Fault::Half), Just(Fault::NoRoom)];
            let strategy = (0..150_usize, fault, sequences(MOST));
            shrunk(subject, count, &strategy, |(nth, fault, operations)| {
                with_fault(subject, capabilities, (*nth, *fault), operations)
            })
        });
    }
}

fn sequence(mut world: World<'_>, operations: &[Operation]) -> Checked {
    for (number, operation) in operations.iter().enumerate() {
        world
            .apply(operation)
            .map_err(|reason| format!("operation {number}, {operation:?}: {reason}"))?;
    }
    world.check_all()
}

/// Does operations on a disk of which one operation fails; afterwards everything works again.
pub(super) fn with_fault(
    subject: &Subject,
    capabilities: Capabilities,
    (nth, fault): (usize, Fault),
    operations: &[Operation],
) -> Checked {
    let mut world = World::before_start(subject, capabilities, Durability::Fsync);
    world.disk.fail_once_after(nth, fault);
    world.is_faulty = true;
    world.found()?;
    for (number, operation) in operations.iter().enumerate() {
        if matches!(operation, Operation::PowerLoss { .. }) {
            continue; // The fault belongs to the disk.
        }
        world
            .apply(operation)
            .map_err(|reason| format!("operation {number}, {operation:?}: {reason}"))?;
    }
    after_a_fault(&mut world).map_err(|reason| format!("after a restart: {reason}"))
}

/// Starts again on a disk that works.
fn after_a_fault(world: &mut World<'_>) -> Checked {
    if !world.disk.has_failed() {
        return Ok(());
    }
    world.is_faulty = false;
    world.restart(None)?;
    world.complete()?;
    world.apply(&super::operations::append(2))?;
    world.apply(&super::operations::SYNC)?;
    world.apply(&Operation::PowerLoss { seed: 1 })
}

/// Tries so many values; the smallest that fails is told, with how to draw it again.
fn shrunk<S: Strategy>(
    subject: &Subject,
    count: u32,
    strategy: &S,
    test: impl Fn(&S::Value) -> Checked,
) -> Checked {
    let config = Config {
        cases: count,
        max_shrink_iters: 2_000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&subject.seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let outcome = runner.run(strategy, |value| test(&value).map_err(TestCaseError::fail));
    outcome.map_err(|error| match error {
        TestError::Fail(reason, smallest) => {
            format!(
                "{reason}\nwith the smallest sequence: {smallest:?}\nof seed {}",
                subject.seed
            )
        }
        TestError::Abort(reason) => reason.to_string(),
    })
}
