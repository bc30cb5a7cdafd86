//! What goes wrong with the metadata.

use std::io;
use std::path::PathBuf;

use strandline_core::metadata::Rejection;

use super::ProposeError;
use super::document::DocumentError;
use super::wal::WalError;

/// Why the metadata could not be opened. Nothing on the disk was changed, but for leftovers of a crash.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Another process has it open.
    #[error("metadata directory is in use by another process: {}", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The log is there, but nothing says whose it is.
    #[error("metadata log has entries, but its identity file is missing: restore {} from a copy", path.display())]
    IdentityMissing {
        /// The file.
        path: PathBuf,
    },
    /// Entries were removed from the log because a snapshot held them, and the snapshot is not there or is older.
    #[error(
        "metadata log begins after entry {purged}, but there is no snapshot that holds the entries before: restore {}",
        path.display()
    )]
    SnapshotMissing {
        /// The file.
        path: PathBuf,
        /// Index of the last entry that only the snapshot holds.
        purged: u64,
    },
    /// A file is whole, but what it says cannot be read.
    #[error("cannot read {what} in {}: {problem}", path.display())]
    Unreadable {
        /// What was read.
        what: String,
        /// Where.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// See [`WalError`].
    #[error(transparent)]
    Log(#[from] WalError),
    /// See [`DocumentError`].
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// See [`Rejection`].
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// See [`ProposeError`].
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// Consensus did not come up.
    #[error("metadata does not start: {problem}")]
    Consensus {
        /// Why.
        problem: String,
    },
}

impl OpenError {
    pub(super) fn io(operation: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }
}

impl From<ChangeError> for OpenError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Rejected(rejection) => Self::Rejected(rejection),
            ChangeError::Failed(error) => Self::Propose(error),
        }
    }
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChangeError {
    /// The state does not allow it. Nothing has happened.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It was not agreed on. Nothing has happened, unless it is [`ProposeError::Failed`].
    #[error(transparent)]
    Failed(#[from] ProposeError),
}
