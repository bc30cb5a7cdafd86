//! Compaction by key of what is in the archive, within the partition's turn.
//!
//! The decisions and the rewriting are those of local logs (`crate::compaction`), which find the archive as a log of sealed
//! segments. It begins when nothing is left to archive, and what comes meanwhile goes first.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use strandline_core::compaction::{Progress, Work};
use strandline_core::stream::StreamCompaction;
use strandline_core::{Offset, Timestamp};
use strandline_storage_backends::tiered::compaction::{ArchiveSegments, Host, begins_to_wait, due};
use strandline_storage_backends::tiered::{ArchiveError, Archiver, Step, View};

use super::partition::{ArchivedPartition, Wish};
use super::turn::{Turn, count, situation};
use crate::compaction::{Means, Memory, PackedLog, Report, RewriteError, memory_share, run, secret};
use crate::pace::Pace;

/// How long an archive that could not be compacted is left alone.
const REST: Duration = Duration::from_mins(5);
/// Longest time that what is new takes at once while an archive is compacted.
const TEND_TIME: Duration = Duration::from_secs(5);

/// Why a compaction ended early.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The records.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    /// The stream is gone, or the broker stops.
    #[error("the partition is closed")]
    Closed,
}

/// Compacts the archive of a partition if that is due. Blocks the thread, for long if there is much.
pub(super) fn compact(turn: &Turn, partition: &ArchivedPartition, wish: Wish) {
    let rests = *partition.compaction_rests.lock();
    let (Some(compaction), Some(view)) = (settings(turn, partition), partition.view()) else {
        return;
    };
    if rests.is_some_and(|until| Instant::now() < until) || !partition.is_made() {
        return;
    }
    let (now, local_start) = (turn.ages.now(), partition.local_start());
    let work = due(&view, &compaction.settings, now);
    if work.is_none() && !begins_to_wait(&view, local_start, now) {
        return;
    }
    let Some(_compacting) = turn.context.archives.compacting().try_lock() else {
        return;
    };
    let begun = Instant::now();
    let done = go(turn, partition, wish, work);
    tell(turn, partition, &done, begun);
    let failed = matches!(&done, Err(trouble) if !is_end(trouble));
    *partition.compaction_rests.lock() = failed.then(|| Instant::now() + REST);
}

/// How the stream is compacted, if it is.
fn settings(turn: &Turn, partition: &ArchivedPartition) -> Option<StreamCompaction> {
    let state = turn.context.metadata.state();
    let entry = state.stream(partition.handle().info().stream.as_str())?;
    entry.definition.settings.compaction(&turn.context.compaction)
}

fn is_end(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Closed | Trouble::Rewrite(RewriteError::Stopped))
}

fn go(
    turn: &Turn,
    partition: &ArchivedPartition,
    wish: Wish,
    work: Option<(Progress, Work)>,
) -> Result<Option<Report>, Trouble> {
    let mut archiver = partition.archiver.lock();
    let archiver = archiver.as_mut().ok_or(Trouble::Closed)?;
    let host = Attendant {
        turn,
        partition,
        wish,
    };
    let now = || turn.ages.now();
    let segments = ArchiveSegments::new(archiver, &host, &now);
    let Some((progress, work)) = work else {
        segments.begin_to_wait();
        return outcome(&segments).map(|()| None);
    };
    let pace = Pace::new(turn.context.stopping.clone(), turn.limits.max_rate);
    let means = Means {
        memory_bytes: memory_share(&turn.limits, &turn.context),
        secret: secret()?,
        pace: &pace,
    };
    let log = PackedLog {
        log: &segments,
        packing: &partition.handle().info().packing,
        floor: Offset::ZERO,
    };
    let mut memory = Remembering {
        segments: &segments,
        work,
        passes: 0,
        now: &now,
    };
    let report = run(log, &work, progress, &means, &mut memory);
    // What went wrong in the archive first: a run that could not read on may have taken that for the end.
    outcome(&segments)?;
    Ok(Some(report?))
}

fn outcome(segments: &ArchiveSegments<'_>) -> Result<(), Trouble> {
    segments
        .outcome()
        .map_err(|error| error.map_or(Trouble::Closed, Trouble::Archive))
}

/// Whose thread it is.
struct Attendant<'a> {
    turn: &'a Turn,
    partition: &'a ArchivedPartition,
    wish: Wish,
}

impl fmt::Debug for Attendant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attendant").finish_non_exhaustive()
    }
}

impl Attendant<'_> {
    /// What there is to do for the partition, for a while.
    async fn steps(&self, archiver: &mut Archiver, view: &View) -> Result<(), ArchiveError> {
        let begun = Instant::now();
        while begun.elapsed() < TEND_TIME {
            let situation = situation(self.turn, self.partition, self.wish, view.end());
            let step = archiver.step(&situation).await?;
            self.partition.note_view();
            count(self.turn, self.partition, &step);
            if step == Step::Idle {
                break;
            }
        }
        Ok(())
    }
}

impl Host for Attendant<'_> {
    fn wait(&self, work: Pin<&mut (dyn Future<Output = ()> + Send)>) -> bool {
        self.turn.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.turn.context.stopping.cancelled() => false,
                () = self.partition.closing.cancelled() => false,
                () = work => true,
            }
        })
    }

    fn tend(&self, archiver: &mut Archiver) -> Result<(), ArchiveError> {
        let Some(view) = self.partition.view() else {
            return Ok(());
        };
        if super::turn::seal(self.turn, self.partition, self.wish).is_err() {
            // The next turn says so.
            return Ok(());
        }
        let mut done = Ok(());
        {
            let work = std::pin::pin!(async { done = self.steps(archiver, &view).await });
            self.wait(work);
        }
        done
    }
}

/// Where the passes of one run are remembered.
struct Remembering<'a, 's> {
    segments: &'a ArchiveSegments<'s>,
    work: Work,
    passes: u64,
    now: &'a dyn Fn() -> Timestamp,
}

impl Memory for Remembering<'_, '_> {
    fn now(&self) -> Timestamp {
        (self.now)()
    }

    fn remember(&mut self, progress: Progress) {
        self.segments.remember(&self.work, &progress, self.passes == 0);
        self.passes += 1;
    }
}

fn tell(turn: &Turn, partition: &ArchivedPartition, done: &Result<Option<Report>, Trouble>, begun: Instant) {
    let numbers = &turn.context.archives.numbers.compactions;
    let info = partition.handle().info();
    let (stream, number) = (&info.stream, info.partition);
    match done {
        Ok(None) => {}
        Ok(Some(report)) => {
            numbers.runs.add(1);
            for done in [report.rewritten, report.merged] {
                numbers.segments.add(done.segments);
                numbers.bytes_in.add(done.counts.bytes_in);
                numbers.bytes_out.add(done.bytes_out);
                numbers.dropped.add(done.counts.dropped);
            }
            let (dropped, merged) = (report.rewritten, report.merged);
            tracing::info!(%stream, partition = %number, passes = report.passes,
                records_dropped = dropped.counts.dropped, segments = dropped.segments + merged.segments,
                bytes_before = dropped.counts.bytes_in, bytes_after = dropped.bytes_out,
                bytes_merged = merged.bytes_out, elapsed = ?begun.elapsed(), "the archive is compacted by key");
        }
        Err(trouble) if is_end(trouble) => {}
        Err(trouble) => {
            numbers.failures.add(1);
            tracing::warn!(%stream, partition = %number, error = %crate::streams::describe(trouble),
                "the archive could not be compacted; it is tried again");
        }
    }
}
