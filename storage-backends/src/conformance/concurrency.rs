//! Several threads at the same store. What they see is checked, not how they are scheduled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use strandline_core::record::Batch;
use strandline_core::storage::{Capabilities, Log, LogSettings, ReadError, ReadLimit, Store, SyncBy};
use strandline_core::{LogId, Offset, OffsetRange};

use super::model::ensure;
use super::records::{ALL, batch, batch_of, offsets, offsets_of, thinned, time_of};
use super::report::Cases;
use super::world::Checked;
use super::{ROOT, Subject};
use crate::sim::{Gate, Image, SimDisk};

/// How long a thread may take that need not wait for another before the case goes on without looking at what it tells.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn run(cases: &mut Cases, subject: &Subject, capabilities: Capabilities) {
    cases.checked(
        "readers see only whole batches while a writer appends, rolls and syncs",
        || appending(subject),
    );
    if capabilities.segments {
        cases.checked(
            "readers see what was written or that it is gone while segments go and are replaced",
            || cleaning(subject),
        );
    }
    cases.checked(
        "readers see what was written or that it is gone while the log is cut",
        || cutting(subject),
    );
    cases.checked(
        "handles of several logs resolve whoever syncs, and say the truth",
        || many_syncs(subject),
    );
    if capabilities.survives_power_loss {
        for by in [SyncBy::Caller, SyncBy::Store] {
            let name = format!("a sync by {by:?} that began before an append does not resolve its handle");
            cases.checked(&name, || sync_in_flight(subject, by));
        }
    }
}

fn appending(subject: &Subject) -> Checked {
    let (store, log) = subject.log(&LogSettings {
        segment_max_bytes: 2000,
        ..LogSettings::default()
    });
    let done = Arc::new(AtomicBool::new(false));
    let readers = start(3, |_| {
        let (log, done) = (Arc::clone(&log), Arc::clone(&done));
        move || {
            let mut next = Offset::ZERO;
            while !(done.load(Ordering::Acquire) && next == log.end()) {
                let run = log.read(next, ALL).map_err(|error| error.to_string())?;
                for batch in run.batches() {
                    let batch = batch.map_err(|error| error.to_string())?;
                    let base = batch.header().base;
                    ensure(base == next, || {
                        format!("a batch at {base} came where {next} was next")
                    })?;
                    next = batch.header().end();
                }
            }
            ensure(next == Offset::new(600), || format!("a reader ended at {next}"))
        }
    });
    for number in 0..200 {
        let commit = log.append(&[batch(3 * number, 3, 1)]).unwrap();
        store.sync(if number % 2 == 0 {
            SyncBy::Caller
        } else {
            SyncBy::Store
        });
        drop(commit);
    }
    done.store(true, Ordering::Release);
    join(readers)
}

/// Starts threads.
fn start<F>(count: u64, work: impl Fn(u64) -> F) -> Vec<JoinHandle<Checked>>
where
    F: FnOnce() -> Checked + Send + 'static,
{
    (0..count)
        .map(|number| std::thread::spawn(work(number)))
        .collect()
}

/// The first failure of any of them.
fn join(threads: Vec<JoinHandle<Checked>>) -> Checked {
    let ends: Vec<Checked> = threads
        .into_iter()
        .map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| Err(super::report::said_by(panic.as_ref())))
        })
        .collect();
    ends.into_iter().collect()
}

/// Reads anywhere in every way until told to stop. Each batch must be one that was written: its records say so.
fn read_anywhere(log: &dyn Log, done: &AtomicBool, mut random: u64) -> Checked {
    while !done.load(Ordering::Acquire) {
        random = random
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        let (start, end) = (log.start(), log.end());
        let place = start.plus((random >> 33) % (end.since(start) + 1));
        let limit = ReadLimit {
            end: Offset::MAX,
            max_bytes: (random >> 20) as usize % 2000,
        };
        match log.read(place, limit) {
            Ok(run) => {
                let mut next = place;
                for batch in run.batches() {
                    let batch = batch.map_err(|error| error.to_string())?;
                    is_written(&batch)?;
                    let range = batch.header().range();
                    ensure(range.end > next, || {
                        format!("a run from {place} gave {range} after {next}")
                    })?;
                    next = range.end;
                }
                ensure(run.next == next, || {
                    format!("a run that ended at {next} said {}", run.next)
                })?;
            }
            Err(error) => is_gone(place, &error)?,
        }
        match log.read_before(place) {
            Ok(found) => found.as_ref().map_or(Ok(()), is_written)?,
            Err(error) => is_gone(place, &error)?,
        }
        if let Err(error) = log.offset_at(time_of(place.get())) {
            is_gone(place, &error)?;
        }
    }
    Ok(())
}

fn is_written(batch: &Batch) -> Checked {
    let header = batch.header();
    let as_written = batch_of(&offsets_of(batch), header.epoch.get());
    ensure(*batch == as_written, || {
        format!("the batch {} is not what was written", header.range())
    })
}

/// Readers are told when what they read is gone meanwhile, and nothing else.
fn is_gone(place: Offset, error: &ReadError) -> Checked {
    match error {
        ReadError::Trimmed { .. } | ReadError::BeyondEnd { .. } => Ok(()),
        other => Err(format!("a read at {place} gave: {other}")),
    }
}

fn cleaning(subject: &Subject) -> Checked {
    let (store, log) = subject.log(&LogSettings::default());
    let done = Arc::new(AtomicBool::new(false));
    let readers = readers(&log, &done);
    let cleaned = (0..120).try_for_each(|round| clean(store.as_ref(), log.as_ref(), round));
    done.store(true, Ordering::Release);
    join(readers)?;
    cleaned?;
    let (first, last) = (log.start().get(), log.end().get());
    let found = offsets(log.as_ref());
    let is_inside = found.iter().all(|offset| (first..last).contains(offset));
    ensure(
        is_inside && found.is_sorted() && found.last() == Some(&(last - 1)),
        || format!("{found:?} is left"),
    )
}

fn readers(log: &Arc<dyn Log>, done: &Arc<AtomicBool>) -> Vec<JoinHandle<Checked>> {
    start(3, |number| {
        let (log, done) = (Arc::clone(log), Arc::clone(done));
        move || read_anywhere(log.as_ref(), &done, number + 1)
    })
}

/// One round of a partition's owner: appends, seals, compacts what was sealed, and removes what is old.
fn clean(store: &dyn Store, log: &dyn Log, round: u64) -> Checked {
    let base = log.end().get();
    let commit = log
        .append(&[batch(base, 4, 1), batch(base + 4, 2, 1)])
        .map_err(|error| error.to_string())?;
    store.sync(if round.is_multiple_of(2) {
        SyncBy::Caller
    } else {
        SyncBy::Store
    });
    drop(commit);
    log.roll().map_err(|error| error.to_string())?;
    let segments = log.segments();
    if let [.., one, two, _active] = segments.as_slice()
        && round.is_multiple_of(3)
    {
        let range = OffsetRange::new(one.range.start, two.range.end);
        let run = log
            .read(
                range.start,
                ReadLimit {
                    end: range.end,
                    ..ALL
                },
            )
            .map_err(|error| error.to_string())?;
        let inside = run.batches().filter_map(Result::ok);
        let kept = inside.filter_map(|batch| thinned(&batch, |offset| offset % 3 != 0));
        log.replace_sealed(range, &mut kept.map(Ok))
            .map_err(|error| error.to_string())?;
    }
    if round % 5 == 4 {
        let middle = log.start().plus(log.end().since(log.start()) / 2);
        log.remove_before(middle).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn cutting(subject: &Subject) -> Checked {
    let (store, log) = subject.log(&LogSettings {
        segment_max_bytes: 1500,
        ..LogSettings::default()
    });
    let done = Arc::new(AtomicBool::new(false));
    let readers = readers(&log, &done);
    let changed = (0..100_u64).try_for_each(|round| -> Checked {
        for _ in 0..4 {
            let _commit = log
                .append(&[batch(log.end().get(), 3, round)])
                .map_err(|error| error.to_string())?;
        }
        store.sync(SyncBy::Store);
        match round % 10 {
            9 => log.reset(log.end().plus(5)),
            _ => log.truncate(log.start().plus(3 * (log.end().since(log.start()) / 6))),
        }
        .map_err(|error| error.to_string())
    });
    done.store(true, Ordering::Release);
    join(readers)?;
    changed
}

fn many_syncs(subject: &Subject) -> Checked {
    let store = subject.open_store(&subject.fresh());
    let total = Arc::new(AtomicU64::new(0));
    let threads = start(4, |number| {
        let log = subject
            .create(store.as_ref(), LogId::new(number + 1), &LogSettings::default())
            .unwrap();
        let (store, total) = (Arc::clone(&store), Arc::clone(&total));
        move || {
            for round in 0..60 {
                let commit = log
                    .append(&[batch(2 * round, 2, 1)])
                    .map_err(|error| error.to_string())?;
                store.sync(if (round + number) % 3 == 0 {
                    SyncBy::Caller
                } else {
                    SyncBy::Store
                });
                if round % 4 == 0 {
                    commit.wait().map_err(|error| error.to_string())?;
                    let durable = log.durable_end().get();
                    ensure(durable >= 2 * round + 2, || {
                        format!("durable up to {durable} in round {round}")
                    })?;
                } else {
                    let total = Arc::clone(&total);
                    commit.on_done(move |outcome| {
                        total.fetch_add(u64::from(outcome.is_ok()), Ordering::Relaxed);
                    });
                }
            }
            store.sync(SyncBy::Caller);
            log.append(&[]).map_err(|error| error.to_string())?;
            Ok(())
        }
    });
    join(threads)?;
    store.sync(SyncBy::Caller);
    drop(store);
    let told = total.load(Ordering::Relaxed);
    ensure(told == 4 * 45, || {
        format!("{told} of 180 callbacks heard of a success")
    })
}

/// Holds a sync in the disk while an append comes.
fn sync_in_flight(subject: &Subject, by: SyncBy) -> Checked {
    let root = std::path::Path::new(ROOT);
    let gate = Arc::new(Gate::new(SimDisk::of(Image::with_dir(root))));
    let disk = Arc::clone(&gate) as Arc<dyn strandline_core::disk::Disk>;
    let store = subject
        .factory
        .open(disk, &root.join("store"))
        .map_err(|error| error.to_string())?;
    let log = subject
        .create(store.as_ref(), LogId::new(1), &LogSettings::default())
        .map_err(|error| error.to_string())?;
    let early = log.append(&[batch(0, 1, 1)]).map_err(|error| error.to_string())?;
    gate.close();
    let syncing = {
        let store = Arc::clone(&store);
        std::thread::spawn(move || store.sync(by))
    };
    let is_held = gate.wait_for_sync(PATIENCE);
    let (sender, receiver) = mpsc::channel();
    let appending = {
        let log = Arc::clone(&log);
        std::thread::spawn(move || sender.send(log.append(&[batch(1, 1, 1)])))
    };
    let late = receiver.recv_timeout(PATIENCE);
    let resolved_early = early.outcome().is_some();
    gate.open();
    let late = late
        .or_else(|_| receiver.recv())
        .map_err(|error| error.to_string())?;
    let late = late.map_err(|error| error.to_string())?;
    appending
        .join()
        .map_err(|_| "appending ended with a panic")?
        .map_err(|error| error.to_string())?;
    syncing.join().map_err(|_| "the sync ended with a panic")?;
    early.wait().map_err(|error| error.to_string())?;
    ensure(!(is_held && resolved_early), || {
        "a handle resolved before its sync was done".to_owned()
    })?;
    // A backend that makes appends wait for the sync has nothing to show here.
    let outcome = late.outcome();
    ensure(outcome.is_none() || log.durable_end() >= Offset::new(2), || {
        "the handle of the later append resolved with the sync before it".to_owned()
    })?;
    ensure(!is_held || outcome.is_none(), || {
        "the later append was durable before any sync began after it".to_owned()
    })?;
    store.sync(SyncBy::Caller);
    late.wait().map_err(|error| error.to_string())
}
