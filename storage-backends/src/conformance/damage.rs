//! A store whose files changed while it was closed: what is read is right or refused, and nothing is silently missing.

use std::path::Path;
use std::sync::Arc;

use strandline_core::Offset;
use strandline_core::storage::{Capabilities, Durability, Log, LogSettings, ReadLimit, StorageError};

use super::Subject;
use super::model::{Model, ensure};
use super::operations::{Operation, SYNC, Shape, append, records};
use super::records::{offsets_of, time_of};
use super::report::Cases;
use super::world::{Checked, World, log_id};
use crate::sim::{Image, SimDisk};

/// Places of all files together that are damaged, at the most.
const PLACES: usize = 3_000;

pub(super) fn run(cases: &mut Cases, subject: &Subject, capabilities: Capabilities) {
    let flip = |disk: &SimDisk, path: &Path, position: usize| disk.flip(path, position, 1 << (position % 8));
    cases.checked("a bit that is flipped at rest is refused or does no harm", || {
        each_place(subject, capabilities, flip)
    });
    cases.checked("a sector that is lost at rest is refused or does no harm", || {
        each_place(subject, capabilities, SimDisk::lose_sector)
    });
}

/// A store with sealed, compacted and active segments, closed.
fn closed_store(subject: &Subject, capabilities: Capabilities) -> Checked<(Image, Vec<Model>)> {
    let mut world = World::new(subject, capabilities, Durability::Fsync)?;
    let roll = || Operation::Roll { log: 0 };
    let operations = [
        append(3),
        SYNC,
        append(4),
        roll(),
        append(5),
        SYNC,
        Operation::Append {
            log: 1,
            batches: vec![
                records(2),
                Shape {
                    padding: 900,
                    ..records(3)
                },
            ],
        },
        roll(),
        append(2),
        roll(),
        Operation::Replace {
            log: 0,
            first: 0,
            count: 0,
            keep: 0x3333,
        },
        append(2),
        SYNC,
        append(1),
        SYNC,
    ];
    operations
        .iter()
        .try_for_each(|operation| world.apply(operation))?;
    world.closed()
}

fn each_place(
    subject: &Subject,
    capabilities: Capabilities,
    damage: impl Fn(&SimDisk, &Path, usize),
) -> Checked {
    let (image, models) = closed_store(subject, capabilities)?;
    let files = image.paths();
    let bytes: usize = files.iter().map(|(_, length)| length).sum();
    let step = bytes.div_ceil(PLACES).max(1);
    for (path, length) in files {
        for position in (0..length).step_by(step) {
            let disk = SimDisk::of(image.clone());
            damage(&disk, &path, position);
            if disk.now() == image {
                continue;
            }
            check(subject, &disk, &models)
                .map_err(|reason| format!("damage at byte {position} of {}: {reason}", path.display()))?;
        }
    }
    Ok(())
}

fn check(subject: &Subject, disk: &SimDisk, models: &[Model]) -> Checked {
    let Ok(store) = subject.factory.open(Arc::new(disk.clone()), &World::directory()) else {
        return Ok(());
    };
    for (at, model) in models.iter().enumerate() {
        match subject.open(store.as_ref(), log_id(at), &LogSettings::default()) {
            Ok(log) => is_right_or_refused(log.as_ref(), model)?,
            Err(StorageError::NotFound { log }) => {
                return Err(format!("log {log} has vanished without a word"));
            }
            Err(_) => {}
        }
    }
    Ok(())
}

fn is_right_or_refused(log: &dyn Log, model: &Model) -> Checked {
    let limit = ReadLimit {
        end: Offset::MAX,
        max_bytes: 400,
    };
    let (mut next, mut wanted) = (log.start(), model.batches.iter());
    while let Ok(run) = log.read(next, limit) {
        for batch in run.batches() {
            let batch = batch.map_err(|error| format!("a read at {next} gave {error}"))?;
            ensure(wanted.next() == Some(&batch), || {
                format!(
                    "a read gave {} which was not written there, or passed over what was",
                    batch.header().range()
                )
            })?;
        }
        if run.bytes.is_empty() {
            ensure(wanted.next().is_none(), || {
                format!("records are missing from {next} on without a word")
            })?;
            break;
        }
        next = run.next;
    }
    let (mut before, mut wanted) = (log.end(), model.batches.iter().rev());
    while let Ok(found) = log.read_before(before) {
        ensure(wanted.next() == found.as_ref(), || {
            format!("reading backwards from {before} is wrong")
        })?;
        match found {
            Some(batch) => before = batch.header().base,
            None => break,
        }
    }
    for offset in model.batches.iter().flat_map(offsets_of) {
        let found = log.offset_at(time_of(offset));
        ensure(
            found.is_err() || found.is_ok_and(|found| found.get() == offset),
            || format!("the time of {offset} is not found"),
        )?;
    }
    Ok(())
}
