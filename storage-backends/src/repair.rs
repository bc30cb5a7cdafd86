//! What mends a log that nobody uses, whatever engine it is in: planned first, and told in words.

use std::fmt;
use std::path::PathBuf;

use strandline_core::OffsetRange;
use strandline_core::disk::{Disk, OpenMode};
use strandline_core::storage::StorageError;

/// What can be done to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepairAction {
    /// Build the indexes anew that are not what their segments say.
    RebuildIndex,
    /// Build a state that is missing or damaged anew from the segments.
    RebuildState,
    /// End the log before the first place that cannot be read.
    Cut,
    /// Take out what cannot be read and leave a gap, as compaction would.
    DropDamaged,
}

/// What a repair will do.
#[derive(Debug)]
pub struct RepairPlan {
    /// In words, in the order in which it is done. Empty = nothing.
    pub steps: Vec<String>,
    /// Offsets that are lost, as far as there were records at them.
    pub lost: Vec<OffsetRange>,
    /// Files that are changed or removed, and those that a name is reused of.
    pub originals: Vec<PathBuf>,
    pub(crate) work: Box<dyn RepairWork>,
}

/// The engine's part of a plan.
pub(crate) trait RepairWork: fmt::Debug + Send {
    /// Does it, durably. Interrupted, it leaves the log as it was or as it is to be, and can be repeated.
    fn carry_out(&self, disk: &dyn Disk) -> Result<(), StorageError>;
}

impl RepairPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Does it. What `keep` is given must be kept aside, durably, when it returns; nothing has changed until then. A repair
    /// that is interrupted leaves the log as it was or as it is to be, and can be repeated.
    ///
    /// # Errors
    ///
    /// The disk failed, or the originals could not be kept.
    pub fn carry_out(
        &self,
        disk: &dyn Disk,
        keep: &mut dyn FnMut(&[PathBuf]) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        if self.is_empty() {
            return Ok(());
        }
        let there = |path: &&PathBuf| disk.open(path, OpenMode::Read).is_ok();
        let originals: Vec<_> = self.originals.iter().filter(there).cloned().collect();
        keep(&originals)?;
        self.work.carry_out(disk)
    }
}
