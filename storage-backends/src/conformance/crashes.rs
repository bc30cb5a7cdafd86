//! Every moment of a power loss: what was acknowledged is there, nothing else is but what was written, and the log works.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use strandline_core::storage::{Capabilities, Durability, Log, LogSettings, StorageError, Store, SyncBy};

use super::Subject;
use super::model::{Model, ensure};
use super::operations::{Operation, SYNC, Shape, append, records};
use super::records::batch;
use super::report::Cases;
use super::world::{Allowed, Checked, World, log_id, recover};
use crate::sim::{Image, SimDisk};

/// Losses right after a recovery that are looked at, of those that wrote something.
const SECOND_LOSSES: usize = 3;

pub(super) fn run(cases: &mut Cases, subject: &Subject, capabilities: Capabilities) {
    for (name, operations) in workloads() {
        cases.checked(&format!("a power loss at any moment: {name}"), || {
            let mut world = World::before_start(subject, capabilities, Durability::Fsync);
            world.allowed = Some(Default::default());
            world.found()?;
            for operation in &operations {
                world
                    .apply(operation)
                    .map_err(|reason| format!("without a loss, {operation:?}: {reason}"))?;
            }
            ensure(world.disk.moment() > 0, || {
                "nothing was written to the disk that the factory was given, so that no loss can be tried"
                    .to_owned()
            })?;
            every_moment(subject, &world)
        });
    }
}

/// Operations that meet each kind of change, with syncs at different places.
fn workloads() -> Vec<(&'static str, Vec<Operation>)> {
    let wide = |count, padding| Operation::Append {
        log: 0,
        batches: vec![Shape {
            padding,
            ..records(count)
        }],
    };
    let several = Operation::Append {
        log: 0,
        batches: vec![
            records(2),
            Shape {
                is_new_epoch: true,
                ..records(1)
            },
            records(3),
        ],
    };
    let other = Operation::Append {
        log: 1,
        batches: vec![records(2)],
    };
    let roll = || Operation::Roll { log: 0 };
    let segments = || {
        vec![
            append(4),
            roll(),
            append(5),
            roll(),
            append(3),
            roll(),
            append(2),
            SYNC,
        ]
    };
    let with = |mut begin: Vec<Operation>, change: Vec<Operation>| {
        begin.extend(change);
        begin.extend([append(2), SYNC]);
        begin
    };
    vec![
        (
            "appends with a sync each",
            vec![append(1), SYNC, append(3), SYNC, append(2), SYNC],
        ),
        (
            "appends that share a sync",
            vec![append(1), SYNC, append(2), append(1), SYNC, append(2)],
        ),
        (
            "writes of many sectors",
            vec![
                wide(1, 700),
                SYNC,
                wide(2, 600),
                wide(1, 3000),
                SYNC,
                wide(2, 300),
            ],
        ),
        (
            "several batches in one append",
            vec![append(1), SYNC, several.clone(), SYNC, several],
        ),
        (
            "appends to two logs",
            vec![
                append(2),
                other.clone(),
                SYNC,
                other.clone(),
                append(1),
                SYNC,
                other,
            ],
        ),
        (
            "rolling to the next segment",
            with(segments(), vec![append(3), roll()]),
        ),
        (
            "a removal",
            with(segments(), vec![Operation::Remove { log: 0, place: 9 }]),
        ),
        (
            "a replacement",
            with(
                segments(),
                vec![Operation::Replace {
                    log: 0,
                    first: 0,
                    count: 1,
                    keep: 0x5555,
                }],
            ),
        ),
        (
            "a replacement by nothing",
            with(
                segments(),
                vec![Operation::Replace {
                    log: 0,
                    first: 1,
                    count: 0,
                    keep: 0,
                }],
            ),
        ),
        // Places are counted from the offset before the start, which is taken for 0 here.
        (
            "a truncation within the active segment",
            with(
                vec![append(3), SYNC, append(2), SYNC, append(2)],
                vec![Operation::Truncate { log: 0, place: 5 }],
            ),
        ),
        (
            "a truncation of whole segments",
            with(segments(), vec![Operation::Truncate { log: 0, place: 4 }]),
        ),
        (
            "a truncation to nothing",
            with(segments(), vec![Operation::Truncate { log: 0, place: 0 }]),
        ),
        (
            "a reset",
            with(segments(), vec![Operation::Reset { log: 0, place: 30 }]),
        ),
        (
            "a reset to an offset that was",
            with(segments(), vec![Operation::Reset { log: 0, place: 4 }]),
        ),
        (
            "a close",
            vec![
                append(3),
                SYNC,
                append(2),
                Operation::Close { log: 0 },
                append(1),
                SYNC,
            ],
        ),
        (
            "a deletion and a creation",
            vec![append(3), SYNC, Operation::Recreate { log: 0 }, append(2), SYNC],
        ),
        (
            "a restart",
            vec![append(3), SYNC, append(2), Operation::Restart, append(1), SYNC],
        ),
    ]
}

/// Looks at what a loss at each moment of a workload may leave, or at a part of it that chance chooses if that is too much.
fn every_moment(subject: &Subject, world: &World<'_>) -> Checked {
    let allowed = world.allowed.as_ref().into_iter().flatten();
    let moments: Vec<_> = allowed
        .map(|(moment, allowed)| (*moment, Arc::clone(allowed)))
        .collect();
    let ways = |moment: usize| world.disk.losses(&world.start, moment).len();
    let all: usize = moments.iter().map(|(moment, _)| ways(*moment)).sum();
    let step = all.div_ceil(subject.images.max(1));
    let mut seen = HashSet::new();
    let mut number = 0;
    for (moment, allowed) in moments {
        let losses = world.disk.losses(&world.start, moment);
        for way in 0..losses.len() {
            number += 1;
            // The complete ones, nothing or everything lost, are looked at in any case.
            if !is_chosen(number, step) && way != 0 && way + 1 != losses.len() {
                continue;
            }
            let image = losses.image(way);
            if seen.insert((Arc::as_ptr(&allowed) as usize, hash(&image))) {
                check_image(subject, &image, &allowed).map_err(|reason| {
                    format!("loss {way} after {moment} operations of the disk: {reason}")
                })?;
            }
        }
    }
    ensure(seen.len() > 10, || {
        format!("only {} images were to be seen", seen.len())
    })
}

/// One in `step`, spread without a pattern.
fn is_chosen(number: usize, step: usize) -> bool {
    (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20 & 0xffff_ffff
        < (1_u64 << 32) / step.max(1) as u64
}

fn hash(image: &Image) -> u64 {
    let mut hasher = DefaultHasher::new();
    image.hash(&mut hasher);
    hasher.finish()
}

/// Starts on what a loss left: it is allowed, works, and another loss right away leaves the same.
pub(super) fn check_image(subject: &Subject, image: &Image, allowed: &[Allowed]) -> Checked {
    let disk = SimDisk::of(image.clone());
    let mut served = Vec::new();
    {
        let store = open(subject, &disk)?;
        for (at, allowed) in allowed.iter().enumerate() {
            served.push(check_log(subject, store.as_ref(), at, allowed)?);
        }
    }
    check_second_losses(subject, image, &served)
}

fn open(subject: &Subject, disk: &SimDisk) -> Checked<Arc<dyn Store>> {
    subject
        .factory
        .open(Arc::new(disk.clone()), &World::directory())
        .map_err(|error| format!("the store does not open: {error}"))
}

/// Opens a log, compares it, and appends to it. What it held, if it may hold something.
fn check_log(subject: &Subject, store: &dyn Store, at: usize, allowed: &Allowed) -> Checked<Option<Model>> {
    let (id, settings) = (log_id(at), LogSettings::default());
    let opened = subject.open(store, id, &settings);
    let Allowed::OneOf(models) = allowed else {
        return match opened {
            Ok(_) | Err(StorageError::NotFound { .. } | StorageError::Damaged(_)) => {
                store
                    .delete(id)
                    .map_err(|error| format!("what is left of a log cannot be deleted: {error}"))?;
                let log = subject.create(store, id, &settings);
                let log = log
                    .map_err(|error| format!("a log cannot be created in place of what is left: {error}"))?;
                works(store, log.as_ref()).map(|()| None)
            }
            Err(error) => Err(format!("what is left of a log: {error}")),
        };
    };
    let log = opened.map_err(|error| format!("log {id} does not open: {error}"))?;
    let model = recover(models, log.as_ref()).map_err(|reason| format!("log {id}: {reason}"))?;
    works(store, log.as_ref())?;
    Ok(Some(model))
}

fn works(store: &dyn Store, log: &dyn Log) -> Checked {
    let end = log.end().get();
    let commit = log
        .append(&[batch(end, 2, 1000)])
        .map_err(|error| format!("the log takes no append: {error}"))?;
    store.sync(SyncBy::Caller);
    commit
        .wait()
        .map_err(|error| format!("the log does not sync: {error}"))?;
    ensure(log.durable_end().get() == end + 2, || {
        format!(
            "durable up to {} after a sync up to {}",
            log.durable_end(),
            end + 2
        )
    })
}

/// A loss right after recovery finds what recovery served.
fn check_second_losses(subject: &Subject, image: &Image, served: &[Option<Model>]) -> Checked {
    let again = SimDisk::of(image.clone());
    let logs: Vec<_> = (0..served.len()).filter(|at| served[*at].is_some()).collect();
    {
        let store = open(subject, &again)?;
        for at in &logs {
            subject
                .open(store.as_ref(), log_id(*at), &LogSettings::default())
                .map_err(|error| format!("the log does not open twice: {error}"))?;
        }
        if again.moment() == 0 {
            return Ok(());
        }
    }
    let losses = again.losses(image, again.moment());
    let step = losses.len().div_ceil(SECOND_LOSSES);
    for way in (0..losses.len()).step_by(step) {
        let left = SimDisk::of(losses.image(way));
        let store = open(subject, &left)?;
        for at in &logs {
            let log = subject
                .open(store.as_ref(), log_id(*at), &LogSettings::default())
                .map_err(|error| format!("after a second loss: {error}"))?;
            if let Some(model) = &served[*at] {
                recover(std::slice::from_ref(model), log.as_ref())
                    .map_err(|reason| format!("recovery served what was not durable: {reason}"))?;
            }
        }
    }
    Ok(())
}
