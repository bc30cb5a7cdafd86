//! Logs in memory: for tests, and for whoever wants to know what the contract asks for in its simplest form.
//!
//! Nothing survives the store. A sync resolves the handles of what was accepted before, so that the order of events is that
//! of a backend that writes to a disk.

mod log;
mod store;

use std::path::Path;
use std::sync::Arc;

use strandline_core::disk::Disk;
use strandline_core::storage::{Factory, StorageError, Store};

/// Opens stores in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryFactory;

impl MemoryFactory {
    /// The factory.
    pub fn new() -> Self {
        Self
    }
}

impl Factory for MemoryFactory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn open(&self, _: Arc<dyn Disk>, _: &Path) -> Result<Arc<dyn Store>, StorageError> {
        Ok(Arc::new(store::MemoryStore::default()))
    }
}
