//! What somebody asks for of a partition's archive, done within the partition's turn by the archiver that it has: a second one
//! would fence it.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use strandline_core::{PartitionId, StreamName};
use strandline_storage_backends::tiered::{Archiver, Orphans};

use super::NoArchive;
use super::partition::ArchivedPartition;
use super::turn::{Trouble, archiver_in, place};
use crate::context::Context;
use crate::partition::ArchiveHold;
use crate::streams::describe;

/// How often it is looked whether somebody still waits.
const LOOK: Duration = Duration::from_millis(100);

/// Which left-over objects are to be collected.
#[derive(Clone, Debug)]
pub(crate) struct Collect {
    pub(crate) stream: StreamName,
    pub(crate) partition: PartitionId,
    /// Objects that are younger stay.
    pub(crate) older_than: Duration,
    /// Nothing is deleted.
    pub(crate) only_look: bool,
}

/// Why an errand was not done, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ErrandError {
    /// There is no archive.
    #[error(transparent)]
    NoArchive(#[from] NoArchive),
    /// Nothing of it was ever archived.
    #[error("partition {partition} of stream {stream} has no archive on this broker")]
    NotArchived {
        stream: StreamName,
        partition: PartitionId,
    },
    /// It could not be done.
    #[error("{reason}")]
    Failed { reason: String },
    /// Nobody waits any more, or the broker stops.
    #[error("it was given up: the broker is stopping, or nobody waits for it any more")]
    GivenUp,
}

/// Collects what crashes and overtaken leaders left in a partition's place. Waits for the partition's turn, which can take as
/// long as an upload or a compaction.
///
/// Cancel safety: what was deleted by then is gone, and nothing more is soon after.
pub(crate) async fn collect(context: &Arc<Context>, wanted: Collect) -> Result<Orphans, ErrandError> {
    if !context.archives.is_configured() {
        return Err(NoArchive.into());
    }
    let partition = found(context, &wanted)?;
    let cancelled = CancellationToken::new();
    let _dropped = cancelled.clone().drop_guard();
    let (shared, runtime) = (Arc::clone(context), Handle::current());
    let done = context.tasks.spawn_blocking(move || {
        let errand = Errand {
            context: &shared,
            partition: &partition,
            cancelled: &cancelled,
            runtime: &runtime,
        };
        errand.collect(&wanted)
    });
    done.await.map_err(|_| ErrandError::GivenUp)?
}

fn found(context: &Context, wanted: &Collect) -> Result<Arc<ArchivedPartition>, ErrandError> {
    let is_meant = |partition: &Arc<ArchivedPartition>| {
        let info = partition.handle().info();
        info.stream == wanted.stream && info.partition == wanted.partition && partition.is_made()
    };
    let found = context.archives.of_interest().into_iter().find(is_meant);
    found.ok_or_else(|| ErrandError::NotArchived {
        stream: wanted.stream.clone(),
        partition: wanted.partition,
    })
}

struct Errand<'a> {
    context: &'a Context,
    partition: &'a ArchivedPartition,
    cancelled: &'a CancellationToken,
    runtime: &'a Handle,
}

impl Errand<'_> {
    /// Blocks the thread.
    fn collect(&self, wanted: &Collect) -> Result<Orphans, ErrandError> {
        let is_over = || self.cancelled.is_cancelled() || self.partition.closing.is_cancelled();
        let hold = self.partition.handle().archive_hold();
        let turn = turn_of(hold, || is_over() || self.context.stopping.is_cancelled());
        let _turn = turn.ok_or(ErrandError::GivenUp)?;
        let mut archiver = self.partition.archiver.lock();
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.context.stopping.cancelled() => Err(ErrandError::GivenUp),
                () = self.cancelled.cancelled() => Err(ErrandError::GivenUp),
                () = self.partition.closing.cancelled() => Err(ErrandError::GivenUp),
                found = self.find(&mut archiver, wanted) => found,
            }
        })
    }

    async fn find(&self, archiver: &mut Option<Archiver>, wanted: &Collect) -> Result<Orphans, ErrandError> {
        let placed = place(self.context, self.partition).await;
        let (_, archive) = placed.map_err(|trouble| failed(&trouble))?;
        let archiver = archiver_in(archiver, self.context, self.partition, &archive);
        let archiver = archiver.map_err(|trouble| failed(&trouble))?;
        let now = self.context.clock.now();
        let found = match wanted.only_look {
            true => archiver.find_orphans(now, wanted.older_than).await,
            false => archiver.collect(now, wanted.older_than).await,
        };
        self.partition.note_view();
        found.map_err(|error| failed(&error.into()))
    }
}

fn failed(trouble: &Trouble) -> ErrandError {
    let reason = describe(trouble);
    ErrandError::Failed { reason }
}

/// Waits for a partition's turn; none when it is over before that. Blocks the thread.
pub(super) fn turn_of(
    hold: &ArchiveHold,
    is_over: impl Fn() -> bool,
) -> Option<parking_lot::MutexGuard<'_, ()>> {
    while !is_over() {
        if let Some(turn) = hold.turn().try_lock_for(LOOK) {
            return Some(turn);
        }
    }
    None
}
