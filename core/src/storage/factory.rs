//! Opening a backend, and what its logs share.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::{Capabilities, Log, LogSettings, StorageError};
use crate::LogId;
use crate::disk::Disk;

/// Opens stores of one kind.
pub trait Factory: fmt::Debug + Send + Sync {
    /// The word by which settings choose this backend, such as `segment`.
    fn name(&self) -> &'static str;

    /// Opens the store in `directory`, creating what is missing, and takes it for this process.
    ///
    /// # Errors
    ///
    /// The directory is in use, of an unknown version, or cannot be read or written. Damage within one log is not an
    /// error here: it comes when that log is opened.
    fn open(&self, disk: Arc<dyn Disk>, directory: &Path) -> Result<Arc<dyn Store>, StorageError>;
}

/// Which thread makes accepted appends durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncBy {
    /// The calling one, before it returns: least latency for a lone record. If a sync is in flight on the store's own
    /// thread already, the appends join that thread's next one instead and the call returns at once.
    Caller,
    /// The store's own: the caller can append the next batches meanwhile.
    Store,
}

/// The logs of one backend in one place, and their common durability.
///
/// Dropping the store ends its threads after the syncs that were asked for.
pub trait Store: fmt::Debug + Send + Sync {
    /// What this backend can do.
    fn capabilities(&self) -> Capabilities;

    /// The ids of all logs that are there, open or not, in ascending order.
    ///
    /// # Errors
    ///
    /// The disk failed.
    fn list(&self) -> Result<Vec<LogId>, StorageError>;

    /// Creates an empty log. It survives power loss when this returns.
    ///
    /// # Errors
    ///
    /// [`StorageError::Exists`] when the id is taken, [`StorageError::Unsupported`] when the settings ask for what the
    /// backend cannot do, or the disk failed.
    fn create(&self, id: LogId, settings: &LogSettings) -> Result<Arc<dyn Log>, StorageError>;

    /// Opens a log and recovers it: repairs what may be torn because it was never durable, rebuilds what is derived,
    /// and makes everything it serves afterwards durable before it returns.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotFound`]; [`StorageError::Open`] when the log is open; [`StorageError::Damaged`] when data that
    /// was durable is damaged: nothing is changed then. A log that is refused is never replaced by an empty one.
    fn open(&self, id: LogId, settings: &LogSettings) -> Result<Arc<dyn Log>, StorageError>;

    /// Removes a log for good, open or not; its readers see [`ReadError::Deleted`](super::ReadError::Deleted). Removing
    /// what is not there is no error.
    ///
    /// # Errors
    ///
    /// The disk failed. The log may then be partly gone; the call can be repeated.
    fn delete(&self, id: LogId) -> Result<(), StorageError>;

    /// Makes everything durable that any log of this store has accepted before the call. Handles of those appends
    /// resolve when it is done; appends accepted while a sync is in flight wait for the next one.
    fn sync(&self, by: SyncBy);
}
