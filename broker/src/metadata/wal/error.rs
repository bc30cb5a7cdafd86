//! What goes wrong with the log.

use std::io;
use std::path::{Path, PathBuf};

/// Why the log could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalError {
    /// The file system refused.
    #[error("cannot {operation} {}", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The disk is full. Nothing was written; the log works again once there is room.
    #[error("no space left for the metadata log in {}: free some, then try again", path.display())]
    Full { path: PathBuf },
    /// A file holds what was never written to it.
    #[error(
        "metadata log is damaged at {} position {position}: {problem}; restore the file from a copy, nothing was changed",
        path.display()
    )]
    Damaged {
        path: PathBuf,
        position: u64,
        problem: String,
    },
    /// A file that must be there is not.
    #[error("metadata log has lost {}: restore it from a copy, nothing was changed", path.display())]
    Missing { path: PathBuf },
    /// The file was written by another version.
    #[error(
        "{} has metadata log format {found}, this version reads {supported}: start the version that wrote it",
        path.display()
    )]
    Format {
        path: PathBuf,
        found: u16,
        supported: u16,
    },
    /// One record is larger than the log takes.
    #[error("a metadata record of {bytes} bytes is over the limit of {max}")]
    TooLarge { bytes: usize, max: usize },
    /// An earlier write or sync failed, so that nobody knows what the disk holds.
    #[error("metadata log has failed and must be opened anew, restart the broker: {cause}")]
    Poisoned { cause: String },
}

impl WalError {
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full {
                path: path.to_owned(),
            },
            _ => Self::Io {
                operation,
                path: path.to_owned(),
                source,
            },
        }
    }

    /// The error with what the file system said, as one text.
    pub(crate) fn in_full(&self) -> String {
        match self {
            Self::Io { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        }
    }

    pub(super) fn damaged(path: &Path, position: u64, problem: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            position,
            problem: problem.into(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}
