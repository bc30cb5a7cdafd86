//! Removing records on demand: those before a point, or those with a key.
//!
//! Sealed segments are removed whole where all of their records go and are written anew where some do; the active one is
//! sealed first if it has any of them. Each step is in force, durable and visible to readers when it returns, so that what
//! a crash interrupts can be repeated. What a reader has fetched before may still be on its way to its client.

mod erase;
mod trim;

use strandline_core::storage::{ReadError, StorageError};

use crate::compaction::RewriteError;

pub(crate) use erase::erase;
pub(crate) use trim::{TrimBefore, trim};

/// Why records were not removed, or not all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemovalError {
    /// They cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log cannot be changed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Segments cannot be written anew, or the broker is stopping.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
}
