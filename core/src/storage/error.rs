//! What can go wrong in a store, by what the caller can do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Fetch;
use crate::{LogId, Offset, OffsetRange};

/// Damage in stored data that was acknowledged: never repaired by guessing, always named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} is damaged at byte {position}: {reason}", file = file.display())]
pub struct Damage {
    /// The damaged file.
    pub file: PathBuf,
    /// Where in the file.
    pub position: u64,
    /// What is wrong there.
    pub reason: String,
}

/// A sync failed; nothing that was not durable before it is known to be durable now, or ever.
#[derive(Clone, Debug, thiserror::Error)]
#[error("sync of the log failed, it takes no more writes until it is opened again")]
pub struct SyncFailure {
    /// What the disk said.
    #[source]
    pub source: Arc<io::Error>,
}

/// Why an append was not accepted. Nothing of the batches is in the log then.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk has no room. The log is as it was; a later append can work.
    #[error("no space left for the log of partition {log}")]
    Full {
        /// The log.
        log: LogId,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The log's file cannot be opened now, as a rule because the process has too many open. The log is as it was; a later
    /// append can work.
    #[error("the file of partition {log} cannot be opened now")]
    Busy {
        /// The log.
        log: LogId,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// A write or sync failed before and the log takes no more writes until it is opened again. Reads go on.
    #[error("the log of partition {log} takes no more writes: {reason}")]
    Poisoned {
        /// The log.
        log: LogId,
        /// What failed.
        reason: String,
    },
    /// The batch does not start where the log ends, or carries an older epoch: a mistake of the caller.
    #[error("a batch at offset {found} does not continue the log that ends at {expected}")]
    OutOfOrder {
        /// The log's end.
        expected: Offset,
        /// The batch's base.
        found: Offset,
    },
    /// The log was closed or deleted.
    #[error("the log is closed")]
    Closed,
}

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset was removed by retention; the log starts later.
    #[error("the log starts at offset {start}")]
    Trimmed {
        /// First offset that is still there.
        start: Offset,
    },
    /// The offset lies after the log's end.
    #[error("the log ends at offset {end}")]
    BeyondEnd {
        /// The log's end.
        end: Offset,
    },
    /// Stored data is damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// A packed batch cannot be unpacked. No log says so, for none looks into batches: their readers do.
    #[error("{reason}")]
    NotUnpacked {
        /// Which batch, and why not.
        reason: String,
    },
    /// The records are elsewhere and on their way: the read is to be repeated once this is over. Engines never answer so; a log
    /// whose older records are in an archive does.
    #[error("the records are being fetched")]
    Fetching(Fetch),
    /// The records are elsewhere and could not be fetched in time; reading again later can work. Engines never answer so.
    #[error("what is archived cannot be read now: {reason}; reading again later can work")]
    Unreachable {
        /// Who did not answer, and what was heard last.
        reason: String,
    },
    /// The disk failed.
    #[error("reading the log failed")]
    Io(#[from] io::Error),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// The log was deleted.
    #[error("the log is deleted")]
    Deleted,
}

/// Why another operation of a store or a log failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// There is a log with this id.
    #[error("log {log} exists")]
    Exists {
        /// The log.
        log: LogId,
    },
    /// There is no log with this id.
    #[error("log {log} does not exist")]
    NotFound {
        /// The log.
        log: LogId,
    },
    /// The log is open elsewhere in this process.
    #[error("log {log} is open")]
    Open {
        /// The log.
        log: LogId,
    },
    /// Stored data is damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// Another process uses the directory.
    #[error("{directory} is in use by another process", directory = directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory was written by a version that this one does not know.
    #[error("{file} was written by format version {found}, this program knows up to {known}", file = file.display())]
    Version {
        /// The file that says so.
        file: PathBuf,
        /// The version that it names.
        found: String,
        /// The newest version that this program reads.
        known: u32,
    },
    /// The settings ask for what this backend cannot do.
    #[error("the {backend} storage cannot do this: {what}")]
    Unsupported {
        /// Name of the backend.
        backend: &'static str,
        /// What was asked for.
        what: String,
    },
    /// A write or sync failed before; the log must be opened again.
    #[error("the log of partition {log} takes no more writes: {reason}")]
    Poisoned {
        /// The log.
        log: LogId,
        /// What failed.
        reason: String,
    },
    /// The arguments contradict the state of the log: a mistake of the caller.
    #[error("{what}")]
    Invalid {
        /// The contradiction.
        what: String,
    },
    /// The segments that were to be changed are not there any more.
    #[error("the segments of {range} were changed meanwhile")]
    Changed {
        /// What they held.
        range: OffsetRange,
    },
    /// The log was closed or deleted.
    #[error("the log is closed")]
    Closed,
    /// The disk failed.
    #[error("{action} {path} failed", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}
