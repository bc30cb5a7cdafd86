//! The task that gives partitions their turns at the archive.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use strandline_core::LogId;
use strandline_core::metadata::State;

use super::archives::Archives;
use super::background::Background;
use super::partition::{ArchivedPartition, Wish};
use super::turn::{Turn, take_turn};
use super::turns::{Ended, Turns};
use super::upload_rate::UploadRate;
use crate::ages::Ages;
use crate::context::Context;
use crate::settings::CompactionLimits;

/// Partitions that are archived at the same time: each may hold parts of a segment in memory.
const MAX_TURNS: usize = 4;
/// How often it is looked whether settings have changed.
const TICK: Duration = Duration::from_millis(500);
/// Longest time between turns in which there was nothing to do; looking costs little.
const LONGEST_IDLE: Duration = Duration::from_secs(10);

/// Runs until the broker stops.
pub(crate) async fn run(context: Arc<Context>, ages: Arc<Ages>, limits: CompactionLimits) {
    let archives = Arc::clone(&context.archives);
    if !archives.is_configured() {
        return;
    }
    let idle = archives.settings().upload_max_age / 5;
    let idle = if idle.is_zero() { LONGEST_IDLE } else { idle };
    let mut turns = Turns::new(idle.clamp(TICK, LONGEST_IDLE));
    let (report, mut ended) = mpsc::channel(MAX_TURNS);
    let mut known = None;
    let background = Arc::new(Background::begin(MAX_TURNS));
    let (mut upload_rate, mut looked) = (UploadRate::default(), Instant::now());
    while !context.stopping.is_cancelled() {
        let changes = (context.streams.changes(), archives.renewals());
        if known.replace(changes) != Some(changes) {
            turns.replace(follow(&context), Instant::now());
        }
        for log in archives.hurry.take() {
            turns.hurry(log, Instant::now());
        }
        if looked.elapsed() >= TICK {
            looked = Instant::now();
            let appended = context.metrics.append.bytes.get();
            archives.set_upload_rate(upload_rate.look(appended, waiting(&archives), looked));
        }
        for log in turns.begin(Instant::now(), MAX_TURNS) {
            let turn = Turn::new(&context, &ages, background.handle(), limits);
            start(&turn, &background, (log, &report));
        }
        let now = Instant::now();
        let wake = turns
            .next_due()
            .map_or(now + TICK, |due| due.clamp(now, now + TICK));
        tokio::select! {
            () = context.stopping.cancelled() => return,
            Some((log, how)) = ended.recv() => turns.ended(log, how, Instant::now(), chance()),
            () = archives.hurry.asked() => {}
            // Also when one is due that finds all turns taken.
            () = tokio::time::sleep_until(wake.max(now + Duration::from_millis(10))) => {}
        }
    }
}

/// Bytes that could be uploaded now, of all partitions together.
fn waiting(archives: &Archives) -> u64 {
    archives
        .of_interest()
        .iter()
        .map(|partition| partition.waiting())
        .sum()
}

/// Gives a partition its turn, on a thread that may block.
fn start(turn: &Turn, background: &Arc<Background>, (log, report): (LogId, &mpsc::Sender<(LogId, Ended)>)) {
    let partition = turn.context.archives.get(log);
    let (turn, report, background) = (turn.clone(), report.clone(), Arc::clone(background));
    turn.context.tasks.clone().spawn(async move {
        let how = match partition {
            None => Ended::Over,
            Some(partition) => {
                let threads = background.handle();
                let taken = threads.spawn_blocking(move || take_turn(&turn, &partition)).await;
                // A turn that panics has said so.
                taken.unwrap_or(Ended::Failed)
            }
        };
        // Nobody listens when the broker stops. What drives the requests of a turn has to outlive it.
        let _ = report.send((log, how)).await;
        drop(background);
    });
}

/// Tells every partition what is wanted of its archive; those that have to do with it, and whether that is something new.
fn follow(context: &Context) -> Vec<(LogId, bool)> {
    let state = context.metadata.state();
    let partitions = context.archives.all();
    let wishes = wishes(context, &state);
    let mut concerned = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let log = partition.handle().info().log;
        let Some(&wish) = wishes.get(partition.handle().info().stream.as_str()) else {
            continue;
        };
        let has_changed = set(&partition, wish);
        if partition.is_of_interest() {
            concerned.push((log, has_changed));
        }
    }
    concerned
}

fn set(partition: &ArchivedPartition, wish: Wish) -> bool {
    let before = partition.wish();
    let has_changed = partition.set_wish(wish);
    let info = partition.handle().info();
    match (before.is_some_and(|before| before.archives), wish.archives) {
        (false, true) => {
            tracing::info!(stream = %info.stream, partition = %info.partition, "partition is archived");
        }
        (true, false) => tracing::info!(stream = %info.stream, partition = %info.partition,
            "partition is no longer archived; what is in the archive stays readable"),
        _ => {}
    }
    has_changed
}

/// What is wanted, by stream.
fn wishes<'s>(context: &Context, state: &'s State) -> HashMap<&'s str, Wish> {
    let wish = |settings| Wish {
        archives: context.archives.wants(settings),
        total: settings.retention_limits(&context.retention.limits),
    };
    let streams = state
        .streams()
        .filter(|entry| !entry.definition.name.is_reserved());
    streams
        .map(|entry| (entry.definition.name.as_str(), wish(&entry.definition.settings)))
        .collect()
}

/// Anything from 0 to 1. Without randomness partitions come back together.
fn chance() -> f64 {
    let mut bytes = [0; 2];
    if getrandom::fill(&mut bytes).is_err() {
        return 1.0;
    }
    f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX)
}
