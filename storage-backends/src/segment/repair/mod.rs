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

use strandline_core::disk::Disk;
use strandline_core::storage::StorageError;
use strandline_core::{LogId, OffsetRange};

use super::check::log_directory;
use crate::repair::{RepairAction, RepairPlan};
use layout::Layout;
use work::{Work, WorkIn};

/// A plan in the making.
struct Plan {
    steps: Vec<String>,
    lost: Vec<OffsetRange>,
    originals: Vec<PathBuf>,
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
    let plan = match action {
        RepairAction::RebuildIndex => layout.plan_indexes(disk)?,
        RepairAction::RebuildState => layout.plan_state()?,
        RepairAction::Cut => layout.plan_cut(),
        RepairAction::DropDamaged => layout.plan_drop(),
    };
    Ok(plan.into())
}

impl Plan {
    fn nothing(directory: &Path) -> Self {
        Self {
            steps: Vec::new(),
            lost: Vec::new(),
            originals: Vec::new(),
            directory: directory.to_owned(),
            work: Work::default(),
        }
    }
}

impl From<Plan> for RepairPlan {
    fn from(plan: Plan) -> Self {
        let Plan { directory, work, .. } = plan;
        Self {
            steps: plan.steps,
            lost: plan.lost,
            originals: plan.originals,
            work: Box::new(WorkIn { directory, work }),
        }
    }
}

fn invalid(what: impl Into<String>) -> StorageError {
    StorageError::Invalid { what: what.into() }
}
