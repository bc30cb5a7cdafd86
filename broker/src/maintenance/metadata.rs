//! What a look at the metadata finds.

use std::path::Path;
use std::sync::Arc;

use strandline_core::disk::Disk;
use strandline_storage_backends::check::{Finding, LEFT_ALONE, NEWER, REMOVED, RESTORE_ONLY, UNREADABLE};

use super::inventory::Inventory;
use crate::metadata::{DocumentError, OpenError, WalError, look};
use crate::streams::describe;

/// The directory of the metadata below the data directory.
pub(super) const METADATA_DIRECTORY: &str = "metadata";

/// The metadata of a broker that is stopped.
#[derive(Debug)]
pub(super) struct Metadata {
    /// None if it cannot be read, or was never written.
    pub(super) inventory: Option<Inventory>,
    pub(super) findings: Vec<Finding>,
}

impl Metadata {
    /// Reads it and changes nothing.
    pub(super) fn read(disk: &Arc<dyn Disk>, data_dir: &Path) -> Self {
        let directory = data_dir.join(METADATA_DIRECTORY);
        let look = look(disk, &directory);
        let mut findings: Vec<_> = look
            .problems
            .iter()
            .map(|problem| finding(problem, &directory))
            .collect();
        if let Some(torn) = &look.torn {
            let problem = "a write was torn and never acknowledged";
            let advice = "nothing: the next start of the broker cuts it off";
            findings.push(Finding::harmless(&torn.path, problem, advice).at(torn.position));
        }
        if let Some(Err(problem)) = look.state.as_ref().map(|state| state.verify()) {
            findings.push(Finding::damage(&directory, problem.to_string(), RESTORE_ONLY));
        }
        for name in &look.unfinished {
            findings.push(Finding::harmless(
                directory.join(name),
                "a write was interrupted",
                REMOVED,
            ));
        }
        for name in &look.strangers {
            let problem = "this is no file of the broker's";
            findings.push(Finding::harmless(directory.join(name), problem, LEFT_ALONE));
        }
        let inventory = look
            .state
            .map(|state| Inventory::new(&state, look.server.as_ref()));
        Self { inventory, findings }
    }
}

fn finding(error: &OpenError, directory: &Path) -> Finding {
    match error {
        OpenError::Log(error) => log_finding(error, directory),
        OpenError::Document(DocumentError::Damaged { path, problem }) => {
            Finding::damage(path, *problem, RESTORE_ONLY)
        }
        OpenError::Document(DocumentError::Format { path, found }) => {
            Finding::damage(path, format!("written in format {found}"), NEWER)
        }
        OpenError::Document(DocumentError::Io { path, source, .. }) | OpenError::Io { path, source, .. } => {
            Finding::damage(path, format!("cannot be read: {source}"), UNREADABLE)
        }
        OpenError::IdentityMissing { path } => {
            Finding::damage(path, "the file is missing, and the log has entries", RESTORE_ONLY)
        }
        OpenError::SnapshotMissing { path, purged } => {
            let problem = format!("the entries up to {purged} left the log and are in no snapshot");
            Finding::damage(path, problem, RESTORE_ONLY)
        }
        OpenError::Unreadable { what, path, problem } => {
            Finding::damage(path, format!("cannot read {what}: {problem}"), RESTORE_ONLY)
        }
        other => Finding::damage(directory, describe(other), RESTORE_ONLY),
    }
}

fn log_finding(error: &WalError, directory: &Path) -> Finding {
    match error {
        WalError::Damaged {
            path,
            position,
            problem,
        } => {
            let problem = format!("{problem}; the log is not read on behind it");
            Finding::damage(path, problem, RESTORE_ONLY).at(*position)
        }
        WalError::Missing { path } => Finding::damage(path, "the file is missing", RESTORE_ONLY),
        WalError::Format { path, found, .. } => {
            Finding::damage(path, format!("written in format {found}"), NEWER)
        }
        WalError::Io { path, source, .. } => {
            Finding::damage(path, format!("cannot be read: {source}"), UNREADABLE)
        }
        other => Finding::damage(directory, other.in_full(), RESTORE_ONLY),
    }
}
