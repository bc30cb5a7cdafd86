//! Mends a log that nobody uses, as far as an operator asks for it.
//!
//! A repair is planned first, and the plan says in words what will be done and which offsets will be lost. Nothing that is there
//! is written over: segments are written anew under another generation, as compaction writes them, and one replacement of the
//! state makes the change true. So the originals can be kept by name before anything changes, whatever they hold.

mod layout;
mod plans;
mod rewrite;
mod work;

use std::path::{Path, PathBuf};

use strandline_core::disk::{Disk, OpenMode};
use strandline_core::storage::StorageError;
use strandline_core::{LogId, OffsetRange};

use super::check::log_directory;
use super::files::failed;
use layout::Layout;
use work::Work;

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
    directory: PathBuf,
    work: Work,
}

/// Plans the repair of a log; changes nothing.
///
/// # Errors
///
/// There is no such log, it cannot be read, or the action is not what would mend it.
pub fn plan_segment_repair(
    disk: &dyn Disk,
    store: &Path,
    log: LogId,
    action: RepairAction,
) -> Result<RepairPlan, StorageError> {
    let directory = log_directory(store, log);
    let layout = Layout::read(disk, &directory, log)?;
    match action {
        RepairAction::RebuildIndex => layout.plan_indexes(disk),
        RepairAction::RebuildState => layout.plan_state(),
        RepairAction::Cut => Ok(layout.plan_cut()),
        RepairAction::DropDamaged => Ok(layout.plan_drop()),
    }
}

impl RepairPlan {
    fn nothing(directory: &Path) -> Self {
        Self {
            steps: Vec::new(),
            lost: Vec::new(),
            originals: Vec::new(),
            directory: directory.to_owned(),
            work: Work::default(),
        }
    }

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
        self.work.carry_out(disk, &self.directory)?;
        disk.sync_dir(&self.directory)
            .map_err(failed("sync of", &self.directory))
    }
}

fn invalid(what: impl Into<String>) -> StorageError {
    StorageError::Invalid { what: what.into() }
}
