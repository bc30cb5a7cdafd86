//! The leader's side of a partition's archive, step by step.
//!
//! A leader claims HEAD with its epoch and a nonce before anything else. Each step afterwards ends with at most one replacement of
//! HEAD, on the version that the step began with: a leader that was overtaken fails there, at the latest, and stops for good.
//! A crash between any two requests leaves at worst an object that the manifest does not name.
//!
//! What the steps decide is in the modules below as plain functions; this one only waits and dispatches.

mod claim;
mod compact;
mod garbage;
mod lag;
mod points;
mod publish;
mod retention;
mod swap;
mod upload;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use strandline_core::retention::RetentionLimits;
use strandline_core::storage::Log;
use strandline_core::{LeaderEpoch, Offset, OffsetRange, Timestamp};

pub(super) use compact::Pass;
pub use garbage::Orphans;
pub use lag::Lag;

use super::{ArchiveError, Entry, Head, PartitionArchive, Place, Throttle, Version};

/// What the metadata knows of a partition's archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing was ever archived in this place: HEAD is created if it is missing.
    New,
    /// Something was archived: a missing HEAD is an accident, and nothing is put in its place.
    Existing,
    /// As that, by a cluster whose streams came back into another one: HEAD may name another log, under an older epoch.
    Restored,
}

/// What an [`Archiver`] is told once.
#[derive(Clone, Debug)]
pub struct ArchiverSettings {
    /// Our leader epoch.
    pub epoch: LeaderEpoch,
    /// Whether there has to be a manifest.
    pub expected: Expected,
    /// Size in bytes of the parts of large objects; raised to what the store asks for.
    pub part_bytes: usize,
    /// The limit that all partitions share.
    pub throttle: Arc<Throttle>,
    /// How long objects stay after they left the manifest, for readers that are in them.
    pub grace: Duration,
}

/// What is so at the time of a step.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// The time by which ages are judged.
    pub now: Timestamp,
    /// All records below this offset are committed.
    pub committed: Offset,
    /// What to keep of both tiers together.
    pub total: RetentionLimits,
    /// What to keep in the local log of what is archived.
    pub local: RetentionLimits,
}

/// What a step did. All but [`Step::Idle`]: there may be more to do at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// HEAD is ours.
    Claimed,
    /// An earlier write of ours, whose answer was lost, or a point that somebody made or removed, was found in HEAD; the step is to
    /// be decided anew.
    Resumed,
    /// These offsets are not archived and never will be: the local log has lost them before.
    Skipped(OffsetRange),
    /// A segment is archived: the manifest holds it.
    Uploaded(Entry),
    /// The archive starts here now; objects below are deleted later.
    TrimmedArchive(Offset),
    /// Segments of the local log that end at or before this offset are removed.
    TrimmedLocal(Offset),
    /// So many objects that had left the manifest are deleted.
    Deleted(usize),
    /// There is nothing to do now.
    Idle,
}

/// Whether HEAD is ours.
enum State {
    Unclaimed,
    Held(Box<Held>),
    /// It was ours, and a write of ours may have changed it.
    Doubt,
    /// It is not, and never will be again.
    Lost(ArchiveError),
}

/// HEAD as we wrote or read it last.
#[derive(Clone)]
struct Held {
    head: Head,
    version: Version,
}

/// The leader's side of a partition's archive. It has no task of its own: somebody calls [`Archiver::step`].
pub struct Archiver {
    archive: Arc<PartitionArchive>,
    log: Arc<dyn Log>,
    settings: ArchiverSettings,
    /// Our nonce, once it is drawn.
    writer: Option<String>,
    state: State,
    /// When it was last looked what others have done to HEAD.
    looked: Timestamp,
}

impl Archiver {
    /// An archiver of the local log of a partition that this broker leads.
    pub fn new(archive: Arc<PartitionArchive>, log: Arc<dyn Log>, settings: ArchiverSettings) -> Self {
        Self {
            archive,
            log,
            settings,
            writer: None,
            state: State::Unclaimed,
            looked: Timestamp::ZERO,
        }
    }

    /// Does the next thing. Can be cancelled: the next step finds out what became of a write that was on its way, and parts of
    /// an object that were sent stay until a rule of the bucket removes them.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Fenced`] is for good, and every later step says the same. After others, which
    /// [`ArchiveError::is_transient`] tells apart, a later step goes on where this one stopped.
    pub async fn step(&mut self, situation: &Situation) -> Result<Step, ArchiveError> {
        match &self.state {
            State::Unclaimed => {
                self.claim().await?;
                return Ok(Step::Claimed);
            }
            State::Lost(error) => return Err(error.clone()),
            State::Doubt => {
                self.recheck().await?;
                return Ok(Step::Resumed);
            }
            State::Held(held) if held.head.purging => {
                let key = self.archive.place().key(Place::HEAD);
                return Err(ArchiveError::Purging { key });
            }
            State::Held(_) => {}
        }
        let trimmed = self.trim(situation).await;
        match trimmed {
            Ok(Some(step)) => return Ok(step),
            // A page that cannot be read is no reason not to archive: it is told when there is nothing else to do.
            Err(error) if self.held().is_none() => return Err(error),
            _ => {}
        }
        if let Some(step) = self.upload(situation).await? {
            return Ok(step);
        }
        trimmed?;
        if self.look_for_others(situation.now).await? {
            return Ok(Step::Resumed);
        }
        Ok(self.delete_gone(situation).await?.unwrap_or(Step::Idle))
    }

    /// HEAD as we hold it.
    fn held(&self) -> Option<&Held> {
        match &self.state {
            State::Held(held) => Some(held),
            _ => None,
        }
    }
}

impl fmt::Debug for Archiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archiver")
            .field("archive", &self.archive)
            .field("epoch", &self.settings.epoch)
            .finish_non_exhaustive()
    }
}
