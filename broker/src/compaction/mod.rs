//! Compacts logs by key beside everything else: which log has its turn, and what a run may use.
//!
//! What goes is decided by `strandline_core::compaction`; segments are read and replaced through the log. At most a few
//! runs are under way, on threads of their own, and a log is never in two of them.

mod progress_file;
mod rewrite;
mod run;

#[cfg(test)]
mod speed;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use strandline_core::compaction::{Dirt, Progress, Work};
use strandline_core::storage::Log;
use strandline_core::stream::StreamCompaction;
use strandline_core::{LogId, StreamName, Timestamp};

use crate::ages::Ages;
use crate::context::Context;
use crate::pace::Pace;
use crate::partition::{ArchiveHold, PartitionHandle, ReadState};
use crate::settings::CompactionLimits;

pub(crate) use progress_file::{NAME as PROGRESS_FILE, ProgressFile, problem_of};
pub(crate) use rewrite::{Judge, PackedLog, RewriteError, Rewritten, loses_records, rewrite_sealed};
pub(crate) use run::{Means, Memory, Report, run};

/// Most runs at a time, whatever the number of processors: each keeps one busy.
const MAX_RUNS: usize = 4;

/// How long a run waits for who archives the segments.
const TURN_PATIENCE: Duration = Duration::from_secs(10);

/// Runs over logs at a time.
fn max_runs() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).clamp(1, MAX_RUNS)
}

/// Bytes for the keys of one pass: an archive may be compacted beside the logs.
pub(crate) fn memory_share(limits: &CompactionLimits, context: &Context) -> u64 {
    let shares = max_runs() + usize::from(context.archives.is_configured());
    limits.memory_max_bytes / shares as u64
}

/// Takes logs that are due and compacts them in their turn.
#[derive(Debug)]
pub(crate) struct Compactor {
    context: Arc<Context>,
    ages: Arc<Ages>,
    progress: ProgressFile,
    pace: Pace,
    /// Runs at a time.
    max_runs: usize,
    /// Bytes for the keys of one pass.
    memory_bytes: u64,
    turns: Mutex<Turns<Job>>,
    dirty: Mutex<HashMap<LogId, u64>>,
}

/// A log that is due.
#[derive(Debug)]
struct Job {
    partition: Arc<PartitionHandle>,
    compaction: StreamCompaction,
}

impl Compactor {
    pub(crate) fn new(
        context: Arc<Context>,
        ages: Arc<Ages>,
        progress: ProgressFile,
        limits: &CompactionLimits,
    ) -> Arc<Self> {
        let max_runs = max_runs();
        Arc::new(Self {
            ages,
            progress,
            pace: Pace::new(context.stopping.clone(), limits.max_rate),
            max_runs,
            memory_bytes: memory_share(limits, &context),
            turns: Mutex::default(),
            dirty: Mutex::default(),
            context,
        })
    }

    /// Looks whether a log is due, and if it is gives it a turn. Costs next to nothing when it is not.
    pub(crate) fn offer(self: &Arc<Self>, partition: &Arc<PartitionHandle>, compaction: StreamCompaction) {
        let (_, work, _) = self.look(partition, &compaction);
        if work.is_none() {
            return;
        }
        let job = Job {
            partition: Arc::clone(partition),
            compaction,
        };
        let (log, stream) = (partition.info().log, partition.info().stream.clone());
        let added = self.turns.lock().add(log, stream, compaction.max_workers, job);
        if added {
            self.start_runs();
        }
    }

    /// Forgets logs that are not compacted any more.
    pub(crate) fn keep_only(&self, is_compacted: impl Fn(LogId) -> bool) {
        self.dirty.lock().retain(|&log, bytes| {
            let stays = is_compacted(log);
            if !stays {
                self.context.metrics.compaction.dirty_bytes.add(-signed(*bytes));
            }
            stays
        });
    }

    /// What there is to do for a log.
    fn look(
        &self,
        partition: &PartitionHandle,
        compaction: &StreamCompaction,
    ) -> (Progress, Option<Work>, Timestamp) {
        let (log, now, settings) = (partition.log(), self.ages.now(), &compaction.settings);
        let progress = self.progress.of(partition.info().log, log.end());
        let dirt = Dirt::of(
            &log.segments(),
            &progress,
            partition.readable().end,
            settings,
            now,
        );
        let before = self.dirty.lock().insert(partition.info().log, dirt.dirty_bytes);
        let change = signed(dirt.dirty_bytes) - signed(before.unwrap_or(0));
        self.context.metrics.compaction.dirty_bytes.add(change);
        let work = Work::due(&dirt, &progress, settings, now);
        (progress, of_archived(work, partition.archive_hold(), &dirt), now)
    }

    fn start_runs(self: &Arc<Self>) {
        while !self.context.stopping.is_cancelled() {
            let Some(turn) = self.turns.lock().next(self.max_runs) else {
                return;
            };
            let this = Arc::clone(self);
            self.context.tasks.spawn(async move {
                let running = this.context.metrics.compaction.running.hold();
                let (log, stream) = (turn.log, turn.stream);
                let compactor = Arc::clone(&this);
                // A run that panics has said so; its log has its next turn as any other.
                let _ = tokio::task::spawn_blocking(move || compactor.compact(&turn.job)).await;
                drop(running);
                this.turns.lock().ended(log, &stream);
                this.start_runs();
            });
        }
    }

    fn compact(&self, job: &Job) {
        let (partition, begun) = (&job.partition, Instant::now());
        // The floor stays where it is meanwhile. Who compacts the archive has the turn for long: this log is offered again.
        let Some(_turn) = partition.archive_hold().turn().try_lock_for(TURN_PATIENCE) else {
            return;
        };
        let (progress, Some(work), _) = self.look(partition, &job.compaction) else {
            return;
        };
        let mut memory = Remembering {
            compactor: self,
            log: partition.info().log,
        };
        let result = secret().and_then(|secret| {
            let means = Means {
                memory_bytes: self.memory_bytes,
                secret,
                pace: &self.pace,
            };
            run(PackedLog::of(partition), &work, progress, &means, &mut memory)
        });
        self.count(&result, begun);
        self.look(partition, &job.compaction);
        report(partition, &result, begun);
    }

    fn count(&self, result: &Result<Report, RewriteError>, begun: Instant) {
        let numbers = &self.context.metrics.compaction;
        let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        numbers.nanoseconds.add(nanos);
        match result {
            Ok(report) => {
                numbers.runs.add(1);
                for done in [report.rewritten, report.merged] {
                    numbers.segments.add(done.segments);
                    numbers.bytes_in.add(done.counts.bytes_in);
                    numbers.bytes_out.add(done.bytes_out);
                    numbers.dropped.add(done.counts.dropped);
                }
            }
            Err(_) => numbers.failures.add(1),
        }
    }
}

/// What is left to do of a log that has an archive: tombstones stay, since what they remove stays in the archive, and what is
/// archived is left as it is.
fn of_archived(work: Option<Work>, hold: &ArchiveHold, dirt: &Dirt) -> Option<Work> {
    if !hold.is_archived() {
        return work;
    }
    let work = Work {
        tombstones_before: None,
        ..work?
    };
    (dirt.dirty_records > 0 && work.dirty.end > hold.floor()).then_some(work)
}

fn report(partition: &PartitionHandle, result: &Result<Report, RewriteError>, begun: Instant) {
    let (stream, number) = (&partition.info().stream, partition.info().partition);
    match result {
        Ok(report) => {
            let (dropped, merged) = (report.rewritten, report.merged);
            tracing::info!(%stream, partition = %number, passes = report.passes,
                records_dropped = dropped.counts.dropped, segments = dropped.segments + merged.segments,
                bytes_before = dropped.counts.bytes_in, bytes_after = dropped.bytes_out,
                bytes_merged = merged.bytes_out, elapsed = ?begun.elapsed(), "compacted by key");
        }
        Err(_) if partition.readable().state != ReadState::Open => {}
        Err(RewriteError::Stopped) => {}
        Err(error) => {
            tracing::warn!(%stream, partition = %number, error = %crate::streams::describe(error),
                "compaction could not be done; it is tried again");
        }
    }
}

/// Where the passes of one run are remembered.
struct Remembering<'a> {
    compactor: &'a Compactor,
    log: LogId,
}

impl Memory for Remembering<'_> {
    fn now(&self) -> Timestamp {
        self.compactor.ages.now()
    }

    fn remember(&mut self, progress: Progress) {
        let state = self.compactor.context.metadata.state();
        let there: HashSet<LogId> = state
            .streams()
            .flat_map(|stream| &stream.partitions)
            .map(|partition| partition.log)
            .collect();
        let written = self
            .compactor
            .progress
            .remember(self.log, progress, |log| there.contains(&log));
        if let Err(error) = written {
            tracing::warn!(%error, "what is compacted could not be recorded; after a restart it is compacted again");
        }
    }
}

pub(crate) fn secret() -> Result<[u8; 16], RewriteError> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret).map_err(|error| RewriteError::NoRandomness(error.to_string()))?;
    Ok(secret)
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Logs that wait for a run or are in one, each once; no stream has more than its share at a time.
#[derive(Debug)]
struct Turns<T> {
    waiting: VecDeque<Turn<T>>,
    known: HashSet<LogId>,
    running: HashMap<StreamName, u32>,
}

#[derive(Debug)]
struct Turn<T> {
    log: LogId,
    stream: StreamName,
    max_of_stream: u32,
    job: T,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            known: HashSet::new(),
            running: HashMap::new(),
        }
    }
}

impl<T> Turns<T> {
    /// False when the log has a turn already.
    fn add(&mut self, log: LogId, stream: StreamName, max_of_stream: u32, job: T) -> bool {
        if !self.known.insert(log) {
            return false;
        }
        self.waiting.push_back(Turn {
            log,
            stream,
            max_of_stream,
            job,
        });
        true
    }

    /// The next one to run, if there may be one more.
    fn next(&mut self, max_runs: usize) -> Option<Turn<T>> {
        let all: u32 = self.running.values().sum();
        if all as usize >= max_runs {
            return None;
        }
        let of = |stream: &StreamName| self.running.get(stream).copied().unwrap_or(0);
        let place = self
            .waiting
            .iter()
            .position(|turn| of(&turn.stream) < turn.max_of_stream)?;
        let turn = self.waiting.remove(place)?;
        *self.running.entry(turn.stream.clone()).or_default() += 1;
        Some(turn)
    }

    fn ended(&mut self, log: LogId, stream: &StreamName) {
        self.known.remove(&log);
        if let Some(running) = self.running.get_mut(stream) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(stream);
            }
        }
    }
}
