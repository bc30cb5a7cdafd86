//! An example of a storage engine that is not part of the product: one journal file per log.
//!
//! It is written against `strandline_core::storage` and `strandline_core::disk` alone, and is proved by the suite of
//! `strandline_storage_backends::conformance` (`tests/storage_engine.rs`). Everything that happens to a log is a frame at the
//! end of its file: batches, and what seals, removes, replaces, cuts and resets. Opening a log reads its file from end to end
//! and does it all again in memory. The space of what is gone is never given back: that is what makes it an example.
//!
//! ```text
//! <store>/format         "example journal store 1"
//! <store>/lock           held by the process that uses it
//! <store>/<log>.journal  frames
//! ```
//!
//! What makes it right, in the order in which it is easy to get wrong:
//!
//! - A frame says how much of its file was durable when it was written. A place that cannot be read is damage if a later
//!   frame says that it was durable, and otherwise the torn end of a write that nobody was told about (`recovery`).
//! - Opening syncs before it serves: what a reader has seen must not vanish with the next power loss.
//! - A change is one frame, and is true once that frame is durable. Batches that replace others come before it.
//! - After a write or sync that failed the file is in doubt, and the log takes nothing more until it is opened again.

mod content;
mod frame;
mod log;
mod recovery;
mod store;
mod syncs;

use std::path::Path;
use std::sync::Arc;

use strandline_core::disk::Disk;
use strandline_core::storage::{Factory, StorageError, Store};

/// Opens stores of journal files.
#[derive(Clone, Copy, Debug, Default)]
pub struct JournalFactory {
    is_trusting: bool,
}

impl JournalFactory {
    /// The factory.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a bug, for the tests of the suite: checksums are not looked at.
    #[must_use]
    pub fn trusting(self) -> Self {
        Self { is_trusting: true }
    }
}

impl Factory for JournalFactory {
    fn name(&self) -> &'static str {
        "journal"
    }

    fn open(&self, disk: Arc<dyn Disk>, directory: &Path) -> Result<Arc<dyn Store>, StorageError> {
        Ok(Arc::new(store::JournalStore::open(
            disk,
            directory,
            self.is_trusting,
        )?))
    }
}
