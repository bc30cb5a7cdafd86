//! One turn of a partition at the archive.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use strandline_core::Offset;
use strandline_core::metadata::{ClusterId, PlaceRoot, StreamEntry};
use strandline_core::retention::RetentionLimits;
use strandline_core::storage::StorageError;
use strandline_storage_backends::tiered::{
    ArchiveError, Archiver, ArchiverSettings, BucketOptions, Expected, PartitionArchive, Situation, Step,
};

use super::compaction::compact;
use super::lag::{is_awaited, is_to_be_sealed};
use super::partition::{ArchivedPartition, Phase, Wish};
use super::proof::Unfit;
use super::turns::Ended;
use crate::ages::Ages;
use crate::context::Context;
use crate::metadata::ChangeError;
use crate::settings::CompactionLimits;

/// How long a turn goes on when there is always more to do; others wait.
const TURN_TIME: Duration = Duration::from_secs(5);
/// How long objects stay that the manifest no longer names: readers may be in them, here and on other machines.
const GRACE: Duration = Duration::from_mins(10);

/// What a turn works with.
#[derive(Clone)]
pub(super) struct Turn {
    pub(super) context: Arc<Context>,
    pub(super) ages: Arc<Ages>,
    pub(super) runtime: Handle,
    /// What compaction may use.
    pub(super) limits: CompactionLimits,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}

/// Why a turn ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The bucket is not one for archives.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The log here.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The metadata.
    #[error("the archive could not be recorded in the metadata")]
    Change(#[from] ChangeError),
    /// The stream is gone, or the broker stops.
    #[error("the partition is closed")]
    Closed,
}

impl Turn {
    /// Of this broker, to be taken on threads of this runtime.
    pub(super) fn new(
        context: &Arc<Context>,
        ages: &Arc<Ages>,
        runtime: &Handle,
        limits: CompactionLimits,
    ) -> Self {
        Self {
            context: Arc::clone(context),
            ages: Arc::clone(ages),
            runtime: runtime.clone(),
            limits,
        }
    }
}

/// Does what there is to do for a partition, for a while. Blocks the thread.
pub(super) fn take_turn(turn: &Turn, partition: &ArchivedPartition) -> Ended {
    let (hold, Some(wish)) = (partition.handle().archive_hold(), partition.wish()) else {
        return Ended::Over;
    };
    if !wish.archives && !partition.is_made() {
        return Ended::Over;
    }
    let Some(_turn) = hold.turn().try_lock() else {
        return Ended::Busy;
    };
    match go(turn, partition, wish) {
        Ok(ended) => {
            partition.went_well();
            if ended == Ended::Idle {
                compact(turn, partition, wish);
            }
            ended
        }
        Err(Trouble::Closed) => Ended::Over,
        Err(trouble) => went_wrong(turn, partition, &trouble),
    }
}

fn go(turn: &Turn, partition: &ArchivedPartition, wish: Wish) -> Result<Ended, Trouble> {
    seal(turn, partition, wish)?;
    // The same one as long as the partition is open, whatever fails: a new one would claim again, over whoever came later.
    let mut archiver = partition.archiver.lock();
    let stopping = &turn.context.stopping;
    turn.runtime.block_on(async {
        tokio::select! {
            biased;
            () = stopping.cancelled() => Err(Trouble::Closed),
            () = partition.closing.cancelled() => Err(Trouble::Closed),
            done = steps(turn, partition, wish, &mut archiver) => done,
        }
    })
}

/// Seals the active segment if it is old enough to be archived, or awaited.
pub(super) fn seal(turn: &Turn, partition: &ArchivedPartition, wish: Wish) -> Result<(), StorageError> {
    let max_age = turn.context.archives.settings().upload_max_age;
    let (segments, committed) = (partition.local.segments(), partition.handle().readable().end);
    let is_old = || is_to_be_sealed(&segments, max_age, committed, turn.context.clock.now());
    if wish.archives && (is_awaited(&segments, partition.awaited()) || is_old()) {
        partition.local.roll()?;
    }
    Ok(())
}

/// Steps until there is nothing to do or the turn has taken long enough.
async fn steps(
    turn: &Turn,
    partition: &ArchivedPartition,
    wish: Wish,
    archiver: &mut Option<Archiver>,
) -> Result<Ended, Trouble> {
    let begun = Instant::now();
    turn.context.archives.prove().await?;
    let (entry, archive) = place(&turn.context, partition).await?;
    let archiver = archiver_in(archiver, &turn.context, partition, &archive)?;
    loop {
        let archived = archive.view().map_or(Offset::ZERO, |view| view.end());
        let situation = situation(turn, partition, wish, archived);
        let step = archiver.step(&situation).await?;
        if !partition.is_made() {
            // Before anything is uploaded: from now on a HEAD that is missing is a loss.
            let log = partition.handle().info().log;
            turn.context.metadata.archive_made(&entry, log).await?;
            partition.made(Arc::clone(&archive));
        }
        partition.note_view();
        count(turn, partition, &step);
        match step {
            Step::Idle => return Ok(Ended::Idle),
            _ if begun.elapsed() >= TURN_TIME => return Ok(Ended::More),
            _ => {}
        }
    }
}

/// The stream as the metadata knows it, with its place in the archive, and the partition there.
pub(super) async fn place(
    context: &Context,
    partition: &ArchivedPartition,
) -> Result<(Arc<StreamEntry>, Arc<PartitionArchive>), Trouble> {
    let (metadata, info) = (&context.metadata, partition.handle().info());
    let state = metadata.state();
    let mut entry = Arc::clone(state.stream(info.stream.as_str()).ok_or(Trouble::Closed)?);
    let is_meant = entry.partition(info.partition).map(|entry| entry.log) == Some(info.log);
    if !is_meant {
        return Err(Trouble::Closed);
    }
    if entry.archive.is_none() {
        entry = metadata.begin_archive(&entry).await?;
    }
    if let Some(archive) = partition.tiers.archive() {
        return Ok((entry, archive));
    }
    let place = entry.archive.as_ref().ok_or(Trouble::Closed)?;
    let archive = context.archives.archive(place, info.partition);
    let archive = archive.ok_or(Trouble::Closed)?;
    Ok((entry, archive))
}

/// The partition's archiver, which is made at its first turn.
pub(super) fn archiver_in<'a>(
    known: &'a mut Option<Archiver>,
    context: &Context,
    partition: &ArchivedPartition,
    archive: &Arc<PartitionArchive>,
) -> Result<&'a mut Archiver, Trouble> {
    match known {
        Some(archiver) => Ok(archiver),
        None => Ok(known.insert(new_archiver(context, partition, archive)?)),
    }
}

fn new_archiver(
    context: &Context,
    partition: &ArchivedPartition,
    archive: &Arc<PartitionArchive>,
) -> Result<Archiver, Trouble> {
    let expected = match partition.is_made() {
        false => Expected::New,
        true if is_own(context, archive) => Expected::Existing,
        true => Expected::Restored,
    };
    let settings = ArchiverSettings {
        epoch: partition.epoch,
        expected,
        part_bytes: BucketOptions::default().part_bytes,
        throttle: context.archives.throttle().ok_or(Trouble::Closed)?,
        grace: GRACE,
    };
    Ok(Archiver::new(
        Arc::clone(archive),
        Arc::clone(&partition.local),
        settings,
    ))
}

/// Whether the place is one whose HEAD this cluster has made for the partition, and not one that a restored stream came with.
fn is_own(context: &Context, archive: &PartitionArchive) -> bool {
    let (state, root) = (context.metadata.state(), &archive.place().root);
    let given_by = root.split_once('/').map(|(cluster, _)| cluster);
    let is_drawn = PlaceRoot::new(root.as_str()).is_ok_and(|root| root.is_drawn());
    state.cluster().map(ClusterId::as_str) == given_by && !is_drawn
}

/// What the archiver decides by. When archiving is turned off nothing is committed for it beyond what it has, and what stays
/// on the disk is not its business.
pub(super) fn situation(
    turn: &Turn,
    partition: &ArchivedPartition,
    wish: Wish,
    archived: Offset,
) -> Situation {
    let committed = partition.handle().readable().end;
    Situation {
        now: turn.ages.now(),
        committed: if wish.archives { committed } else { archived },
        total: wish.total,
        local: if wish.archives {
            turn.context.archives.settings().local
        } else {
            RetentionLimits::default()
        },
    }
}

pub(super) fn count(turn: &Turn, partition: &ArchivedPartition, step: &Step) {
    let (numbers, info) = (&turn.context.archives.numbers, partition.handle().info());
    let (stream, number) = (&info.stream, info.partition);
    match step {
        Step::Uploaded(entry) => {
            numbers.segments.add(1);
            numbers.bytes.add(entry.bytes);
            tracing::debug!(%stream, partition = %number, segment = %entry.name, bytes = entry.bytes, "segment archived");
        }
        Step::Skipped(gap) => {
            tracing::warn!(%stream, partition = %number, start = %gap.start, end = %gap.end,
                "records had left the disk before they were archived; the archive has a gap there");
        }
        Step::TrimmedArchive(start) => {
            tracing::info!(%stream, partition = %number, %start, "retention removes old segments from the archive");
        }
        Step::Claimed | Step::Resumed | Step::TrimmedLocal(_) | Step::Deleted(_) | Step::Idle => {}
    }
}

fn went_wrong(turn: &Turn, partition: &ArchivedPartition, trouble: &Trouble) -> Ended {
    turn.context.archives.numbers.failures.add(1);
    let (phase, reason) = (phase_of(trouble), crate::streams::describe(trouble));
    let is_new = partition.went_wrong(phase, reason.clone());
    let (stream, number) = (
        &partition.handle().info().stream,
        partition.handle().info().partition,
    );
    match phase {
        Phase::Fenced => {
            tracing::error!(%stream, partition = %number, %reason,
                "another broker archives this partition under a later claim; this one has stopped archiving it and goes on serving");
            return Ended::Over;
        }
        Phase::Refused if is_new => tracing::error!(%stream, partition = %number, %reason,
            "the archive is not as it was left; nothing is written to it until it is put right"),
        _ if is_new => tracing::warn!(%stream, partition = %number, %reason,
            "partition could not be archived; it is tried again"),
        _ => {}
    }
    Ended::Failed
}

fn phase_of(trouble: &Trouble) -> Phase {
    match trouble {
        Trouble::Archive(ArchiveError::Fenced { .. }) => Phase::Fenced,
        Trouble::Archive(
            ArchiveError::Emptied { .. }
            | ArchiveError::Foreign { .. }
            | ArchiveError::Damaged { .. }
            | ArchiveError::WentBack { .. }
            | ArchiveError::Purging { .. }
            | ArchiveError::Behind { .. }
            | ArchiveError::CrossesEnd { .. },
        ) => Phase::Refused,
        _ => Phase::Failing,
    }
}
