//! Removing records on demand: those before a point, or those with a key.
//!
//! Sealed segments are removed whole where all of their records go and are written anew where some do; the active one is
//! sealed first if it has any of them. Each step is in force, durable and visible to readers when it returns, so that what
//! a crash interrupts can be repeated. What a reader has fetched before may still be on its way to its client.

mod erase;
mod rewrite;
mod trim;

use tokio_util::sync::CancellationToken;

use strandline_core::record::BatchError;
use strandline_core::storage::{ReadError, StorageError};

pub(crate) use erase::erase;
pub(crate) use trim::{TrimBefore, trim};

/// Why records were not removed, or not all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemovalError {
    /// They cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A batch is not what its checksum says.
    #[error("stored batch is malformed: {0}")]
    Malformed(#[from] BatchError),
    /// The log cannot be changed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The broker is stopping.
    #[error("the broker is stopping")]
    Stopping,
}

fn check_running(stopping: &CancellationToken) -> Result<(), RemovalError> {
    if stopping.is_cancelled() {
        return Err(RemovalError::Stopping);
    }
    Ok(())
}
