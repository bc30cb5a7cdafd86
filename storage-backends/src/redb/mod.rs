//! All logs of a store in one database file of redb.
//!
//! ```text
//! <store>/format       marker: which format wrote this directory
//! <store>/lock         held by the process that uses it
//! <store>/store.redb   the database: logs, segments, epochs, batches, leftovers; in blocks with checksums
//! ```
//!
//! Appends are accepted into memory; a sync writes all that has queued, of all logs, in one transaction. The file is the
//! failure domain: when a write or a sync of it fails, every log of the store takes no more writes until the store is opened
//! again. Durability is always `fsync`.
//!
//! Every block of the file has a checksum that is looked at whenever redb reads it. Damage is an error of whatever needs the
//! damaged page: one log if it holds batches of that log, all of them if it holds what they share.
//!
//! A segment is a range of keys. Removing one is a change of a few bytes; its batches are left over then and are removed in
//! small transactions, so that appends go on meanwhile. Their space is used again; the file shrinks off-line, by
//! [`compact_redb`].

mod append;
mod backend;
mod blocks;
mod change;
mod check;
mod compact;
mod database;
mod log;
mod read;
mod repair;
mod rounds;
mod shape;
mod store;
mod stored;
mod tables;
mod walk;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use strandline_core::disk::Disk;
use strandline_core::storage::{Capabilities, Factory, StorageError, Store};

pub use check::{check_redb_store, dump_redb_log, redb_store_bytes};
pub use compact::{Compacted, compact_redb};
pub use repair::plan_redb_repair;

/// Name of this backend in settings and errors.
const NAME: &str = "redb";

/// Opens stores in database files of redb.
#[derive(Clone, Copy, Debug)]
pub struct RedbFactory {
    limits: Limits,
}

/// What a store may take of the memory.
#[derive(Clone, Copy, Debug)]
struct Limits {
    cache_bytes: usize,
    queue_bytes: usize,
}

impl RedbFactory {
    /// Memory for pages of the database, unless told otherwise.
    pub const DEFAULT_CACHE_BYTES: usize = 64 << 20;
    /// Bytes of batches that may wait for a sync, unless told otherwise.
    pub const DEFAULT_QUEUE_BYTES: usize = 128 << 20;
    /// What its stores can do.
    pub const CAPABILITIES: Capabilities = Capabilities {
        survives_restart: true,
        survives_power_loss: true,
        durability_os: false,
        segments: true,
        shared_sync: true,
    };

    /// The factory.
    pub fn new() -> Self {
        Self {
            limits: Limits {
                cache_bytes: Self::DEFAULT_CACHE_BYTES,
                queue_bytes: Self::DEFAULT_QUEUE_BYTES,
            },
        }
    }

    /// Memory that one store uses for pages of its database, in bytes.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.limits.cache_bytes = bytes;
        self
    }

    /// Bytes of batches of one store that may wait for a sync. An append beyond writes them first.
    #[must_use]
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.limits.queue_bytes = bytes;
        self
    }
}

impl Default for RedbFactory {
    fn default() -> Self {
        Self::new()
    }
}

impl Factory for RedbFactory {
    fn name(&self) -> &'static str {
        NAME
    }

    fn open(&self, disk: Arc<dyn Disk>, directory: &Path) -> Result<Arc<dyn Store>, StorageError> {
        Ok(store::RedbStore::open(disk, directory, self.limits)?)
    }
}
