//! Append-only segment files.
//!
//! ```text
//! <store>/format                      marker: which format wrote this directory
//! <store>/lock                        held by the process that uses it
//! <store>/<log id>/state              checkpoint: segments, epochs, how far recovery need not look
//! <store>/<log id>/<base>-<generation>.seg   frames: batches and marks
//! <store>/<log id>/<base>-<generation>.idx   sparse index, a cache
//! ```
//!
//! The last segment of a log is active, all others are sealed. `state` says which files belong to the log: a file that it
//! does not name is left over from a change that a crash interrupted.

mod active;
mod check;
mod dump;
mod files;
mod frames;
mod handles;
mod index;
mod log;
mod reading;
mod recovery;
mod repair;
mod state;
mod store;
mod sync;
mod walk;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use strandline_core::disk::Disk;
use strandline_core::storage::{Capabilities, Factory, StorageError, Store};

pub use check::{check_segment_log, check_segment_store, segment_log_bytes};
pub use dump::{dump_segment_file, dump_segment_log};
pub use repair::plan_segment_repair;

/// Opens stores of segment files.
#[derive(Clone, Copy, Debug)]
pub struct SegmentFactory {
    max_open_files: usize,
}

impl SegmentFactory {
    /// Segment files that one store keeps open, unless told otherwise.
    pub const DEFAULT_MAX_OPEN_FILES: usize = 4_096;
    /// What its stores can do.
    pub const CAPABILITIES: Capabilities = Capabilities {
        survives_restart: true,
        survives_power_loss: true,
        durability_os: true,
        segments: true,
        shared_sync: true,
    };

    /// The factory.
    pub fn new() -> Self {
        Self {
            max_open_files: Self::DEFAULT_MAX_OPEN_FILES,
        }
    }

    /// The segment files that one store keeps open, at least 1; others are opened when they are needed. While more than
    /// that are being written or read at the same time, as many are open.
    #[must_use]
    pub fn max_open_files(mut self, files: usize) -> Self {
        self.max_open_files = files;
        self
    }
}

impl Default for SegmentFactory {
    fn default() -> Self {
        Self::new()
    }
}

impl Factory for SegmentFactory {
    fn name(&self) -> &'static str {
        "segment"
    }

    fn open(&self, disk: Arc<dyn Disk>, directory: &Path) -> Result<Arc<dyn Store>, StorageError> {
        Ok(store::SegmentStore::open(disk, directory, self.max_open_files)?)
    }
}
