//! One partition that is archived, or was.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use strandline_core::retention::RetentionLimits;
use strandline_core::storage::Log;
use strandline_core::{LeaderEpoch, Offset};
use strandline_storage_backends::tiered::{Archiver, PartitionArchive, TieredLog, View};

use super::lag::{self, Lag};
use crate::partition::PartitionHandle;

/// What is wanted of the archive of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Whether segments move there. Otherwise only what is there is read, and goes by retention.
    pub(super) archives: bool,
    /// What is kept in both tiers together.
    pub(super) total: RetentionLimits,
}

/// Where the archiving of a partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The archive was not reached yet.
    Starting,
    /// The last turn went well.
    Working,
    /// The last turn failed; it is tried again.
    Failing,
    /// Another writer has a later claim: over until the next start.
    Fenced,
    /// What is there contradicts what is known here; nothing is written until it is put right.
    Refused,
}

/// How it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) phase: Phase,
    /// What went wrong last; empty if it has gone right since.
    pub(crate) error: String,
    /// Turns that failed in succession.
    pub(crate) failures: u32,
    /// As of the last turn.
    pub(crate) lag: Lag,
}

/// A partition of this broker that is archived, or was, or may be.
pub(crate) struct ArchivedPartition {
    pub(super) handle: Arc<PartitionHandle>,
    /// The log without its older tier.
    pub(super) local: Arc<dyn Log>,
    pub(super) tiers: Arc<TieredLog>,
    pub(super) epoch: LeaderEpoch,
    /// Whether the metadata knows of its HEAD.
    is_made: AtomicBool,
    /// Up to here somebody waits for it to be archived, however young it is.
    awaited: AtomicU64,
    wish: Mutex<Option<Wish>>,
    standing: Mutex<Standing>,
    /// In use by one turn at a time.
    pub(super) archiver: Mutex<Option<Archiver>>,
    /// Before then its archive is not compacted again, since it could not be.
    pub(super) compaction_rests: Mutex<Option<Instant>>,
    /// Cancelled when the partition is closed.
    pub(super) closing: CancellationToken,
}

impl fmt::Debug for ArchivedPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchivedPartition")
            .field("log", &self.handle.info().log)
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}

impl ArchivedPartition {
    /// The partition, with both of its tiers; `made` is its archive if the metadata says that there is one.
    pub(super) fn new(
        handle: Arc<PartitionHandle>,
        tiers: Arc<TieredLog>,
        epoch: LeaderEpoch,
        made: Option<Arc<PartitionArchive>>,
    ) -> Self {
        let this = Self {
            local: Arc::clone(tiers.local()),
            handle,
            tiers,
            epoch,
            is_made: AtomicBool::new(made.is_some()),
            awaited: AtomicU64::new(0),
            wish: Mutex::new(None),
            standing: Mutex::new(Standing {
                phase: Phase::Starting,
                error: String::new(),
                failures: 0,
                lag: Lag::default(),
            }),
            archiver: Mutex::new(None),
            compaction_rests: Mutex::new(None),
            closing: CancellationToken::new(),
        };
        if let Some(archive) = made {
            // As long as nobody knows how far it is archived, it could be all.
            this.handle.archive_hold().set_floor(Offset::MAX);
            this.tiers.attach(archive);
        }
        this
    }

    pub(crate) fn handle(&self) -> &Arc<PartitionHandle> {
        &self.handle
    }

    /// First offset that can be on the disk here.
    pub(crate) fn local_start(&self) -> Offset {
        self.local.start()
    }

    /// What the manifest says, as it was loaded last.
    pub(crate) fn view(&self) -> Option<Arc<View>> {
        self.tiers.archive()?.view()
    }

    /// Its archive, if there is one.
    pub(super) fn archive(&self) -> Option<Arc<PartitionArchive>> {
        self.tiers.archive()
    }

    /// Whether it is closed for good.
    pub(super) fn is_closed(&self) -> bool {
        self.closing.is_cancelled()
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing.lock().clone()
    }

    /// Whether segments are to move to the archive.
    pub(crate) fn archives(&self) -> bool {
        self.wish.lock().is_some_and(|wish| wish.archives)
    }

    /// Whether something is in the archive, or may be.
    pub(crate) fn is_made(&self) -> bool {
        self.is_made.load(Ordering::Acquire)
    }

    /// Whether it has, or ever had, to do with the archive.
    pub(crate) fn is_of_interest(&self) -> bool {
        self.archives() || self.is_made()
    }

    /// What is committed and not archived by now.
    pub(crate) fn lag(&self) -> Lag {
        if !self.archives() {
            return Lag::default();
        }
        let archived = self.view().map_or(Offset::ZERO, |view| view.end());
        Lag::of(&self.local.segments(), archived, self.handle.readable().end)
    }

    /// Has everything below an offset archived as soon as it can be.
    pub(super) fn await_archived(&self, end: Offset) {
        self.awaited.fetch_max(end.get(), Ordering::AcqRel);
    }

    /// Up to where somebody waits for it to be archived.
    pub(super) fn awaited(&self) -> Offset {
        Offset::new(self.awaited.load(Ordering::Acquire))
    }

    /// Bytes that could be uploaded now.
    pub(super) fn waiting(&self) -> u64 {
        if !self.archives() {
            return 0;
        }
        let archived = self.view().map_or(Offset::ZERO, |view| view.end());
        lag::waiting(&self.local.segments(), archived, self.handle.readable().end)
    }

    pub(super) fn wish(&self) -> Option<Wish> {
        *self.wish.lock()
    }

    /// Takes note of what is wanted; says whether it is something else than before.
    pub(super) fn set_wish(&self, wish: Wish) -> bool {
        let before = self.wish.lock().replace(wish);
        let hold = self.handle.archive_hold();
        // From now on nothing may leave the disk that the archive has not got. What it had before archiving was turned on is
        // there, or a gap.
        hold.set_removes_segments(wish.archives);
        before != Some(wish)
    }

    /// The HEAD is there and the metadata knows it: what follows is read from the archive.
    pub(super) fn made(&self, archive: Arc<PartitionArchive>) {
        if !self.is_made.swap(true, Ordering::AcqRel) {
            self.tiers.attach(archive);
        }
    }

    /// The metadata has given it a new place in the archive: what was in the old one is forgotten. To be called in its turn, as
    /// `archiver` shows.
    pub(super) fn begin_anew(&self, archiver: &mut Option<Archiver>) {
        *archiver = None;
        self.tiers.detach();
        self.is_made.store(false, Ordering::Release);
        self.handle.archive_hold().set_floor(Offset::ZERO);
        // What is wanted is taken for something new.
        *self.wish.lock() = None;
        *self.standing.lock() = Standing {
            phase: Phase::Starting,
            error: String::new(),
            failures: 0,
            lag: Lag::default(),
        };
    }

    /// Takes note of how far it is archived.
    pub(super) fn note_view(&self) {
        if let Some(view) = self.view() {
            self.handle.archive_hold().set_floor(view.end());
        }
    }

    /// A turn went well.
    pub(super) fn went_well(&self) {
        let lag = self.lag();
        let mut standing = self.standing.lock();
        *standing = Standing {
            phase: Phase::Working,
            error: String::new(),
            failures: 0,
            lag,
        };
    }

    /// A turn failed. Says whether it is the first of its kind in succession.
    pub(super) fn went_wrong(&self, phase: Phase, error: String) -> bool {
        let lag = self.lag();
        let mut standing = self.standing.lock();
        let is_new = standing.phase != phase || standing.error != error;
        standing.failures = standing.failures.saturating_add(1);
        (standing.phase, standing.error, standing.lag) = (phase, error, lag);
        is_new
    }
}
