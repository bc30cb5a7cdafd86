//! Each operation of the disk failing in turn: the caller is told, nothing that was acknowledged is lost, and the store
//! works after a restart.

use strandline_core::storage::{Capabilities, Durability};

use super::Subject;
use super::operations::{Operation, SYNC, append, records};
use super::report::Cases;
use super::sequences::with_fault;
use super::world::{Checked, World};
use crate::sim::Fault;

pub(super) fn run(cases: &mut Cases, subject: &Subject, capabilities: Capabilities) {
    let kinds = [
        ("an operation that fails", Fault::Whole),
        ("a write that is cut short", Fault::Half),
        ("a disk that is full", Fault::NoRoom),
    ];
    for (what, fault) in kinds {
        for (during, operations) in workloads() {
            cases.checked(
                &format!("{what} costs nothing that was acknowledged: {during}"),
                || each_operation(subject, capabilities, fault, &operations),
            );
        }
    }
}

/// Everything that is done to a store, in two halves of which one cuts and the other cleans.
fn workloads() -> Vec<(&'static str, Vec<Operation>)> {
    let roll = || Operation::Roll { log: 0 };
    let other = || Operation::Append {
        log: 1,
        batches: vec![records(2), records(3)],
    };
    let begin = || {
        vec![
            append(3),
            SYNC,
            other(),
            append(2),
            SYNC,
            roll(),
            append(4),
            roll(),
            append(1),
            SYNC,
        ]
    };
    let end = || vec![append(2), SYNC, other(), SYNC];
    let of = |change: Vec<Operation>| {
        let mut all = begin();
        all.extend(change);
        all.extend(end());
        all
    };
    vec![
        ("appending and rolling", of(vec![append(5), append(4), SYNC])),
        (
            "truncating",
            of(vec![
                Operation::Truncate { log: 0, place: 9 },
                append(1),
                Operation::Truncate { log: 0, place: 3 },
            ]),
        ),
        ("resetting", of(vec![Operation::Reset { log: 0, place: 20 }])),
        (
            "removing and replacing",
            of(vec![
                Operation::Replace {
                    log: 0,
                    first: 0,
                    count: 1,
                    keep: 0x0f0f,
                },
                append(3),
                roll(),
                Operation::Remove { log: 0, place: 10 },
            ]),
        ),
        (
            "closing, deleting and creating",
            of(vec![
                append(1),
                Operation::Close { log: 0 },
                append(1),
                Operation::Recreate { log: 1 },
                Operation::Restart,
            ]),
        ),
    ]
}

fn each_operation(
    subject: &Subject,
    capabilities: Capabilities,
    fault: Fault,
    operations: &[Operation],
) -> Checked {
    let mut world = World::new(subject, capabilities, Durability::Fsync)?;
    operations
        .iter()
        .try_for_each(|operation| world.apply(operation))?;
    for nth in 0..world.disk.moment() {
        with_fault(subject, capabilities, (nth, fault), operations)
            .map_err(|reason| format!("{fault:?} fault at operation {nth} of the disk: {reason}"))?;
    }
    Ok(())
}
