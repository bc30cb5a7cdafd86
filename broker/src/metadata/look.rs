//! What is found in the metadata of a broker that is stopped.

use std::path::Path;
use std::sync::Arc;

use strandline_core::BrokerId;
use strandline_core::disk::{DirEntry, Disk, EntryKind};
use strandline_core::metadata::State;

use super::OpenError;
use super::document::Kind;
use super::handle::LOCK_FILE;
use super::wal::{self, Torn};

/// What a directory holds, as far as it can be read.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Whose it is.
    pub(crate) server: Option<BrokerId>,
    /// What the snapshot and the log lead to; none if one of them cannot be read, or there is no log.
    pub(crate) state: Option<Arc<State>>,
    /// A write at the end of the log that was never acknowledged.
    pub(crate) torn: Option<Torn>,
    /// What a start would be refused for.
    pub(crate) problems: Vec<OpenError>,
    /// Files that a crash left half made.
    pub(crate) unfinished: Vec<String>,
    /// Names that are none of the broker's.
    pub(crate) strangers: Vec<String>,
}

impl Look {
    /// Keeps a problem and goes on without what it concerns.
    pub(super) fn note<T>(&mut self, read: Result<T, OpenError>) -> Option<T> {
        read.map_err(|problem| self.problems.push(problem)).ok()
    }
}

/// Reads everything in a directory as a start does, but changes nothing. Blocks.
pub(crate) fn look(disk: &Arc<dyn Disk>, dir: &Path) -> Look {
    let mut look = super::raft::look(disk, dir);
    for DirEntry { name, kind } in disk.list(dir).unwrap_or_default() {
        let is_file = kind == EntryKind::File;
        if is_file && is_own(&name) {
            continue;
        }
        let unfinished = name.strip_suffix(".tmp").is_some_and(is_own);
        let names = if is_file && unfinished {
            &mut look.unfinished
        } else {
            &mut look.strangers
        };
        names.push(name);
    }
    look
}

fn is_own(name: &str) -> bool {
    let documents = [Kind::Identity, Kind::Snapshot].map(Kind::file_name);
    documents.contains(&name) || name == LOCK_FILE || wal::is_segment_name(name)
}
