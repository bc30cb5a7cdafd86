//! Why a broker did not start.

use std::path::PathBuf;
use std::sync::Arc;

use strandline_core::storage::StorageError;

use crate::bus::ConnectError;
use crate::grpc::GrpcServerError;
use crate::metadata::{ChangeError, OpenError};

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} for {what}: {source}; {guess}choose another with {setting}", guess = guess(source))]
    Listen {
        /// What was to listen.
        what: &'static str,
        /// The address.
        address: String,
        /// The flags that choose another.
        setting: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The data directory cannot be used.
    #[error("cannot use the data directory {directory}: {problem}; choose another with --data-dir", directory = directory.display(), problem = directory_problem(source))]
    DataDirectory {
        /// The directory.
        directory: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process uses the data directory.
    #[error("the data directory {directory} is in use by another process; stop it or choose another with --data-dir", directory = directory.display())]
    DataDirectoryInUse {
        /// The directory.
        directory: PathBuf,
    },
    /// The store cannot be opened.
    #[error("cannot open the stored streams")]
    Storage(#[source] Arc<StorageError>),
    /// The metadata cannot be opened.
    #[error("cannot open the metadata: {reason}")]
    Metadata {
        /// What is wrong.
        reason: String,
    },
    /// Nothing could be encrypted safely.
    #[error("cannot prepare encryption: {reason}")]
    Keys {
        /// What is wrong.
        reason: String,
    },
    /// The archive is configured wrongly.
    #[error("cannot use the archive: {reason}; look at archive.url and the settings beside it")]
    Archive {
        /// What is wrong.
        reason: String,
    },
    /// Streams are archived, and the configuration names no archive.
    #[error(
        "stream {stream} is archived at {place}, and archive.url is not set: \
         name the archive that holds it, or its older records would be missing without a word"
    )]
    ArchiveMissing {
        /// One of the streams.
        stream: String,
        /// Its place in the archive.
        place: String,
    },
    /// The embedded NATS server did not start.
    #[error("cannot start the embedded nats server: {reason}")]
    EmbeddedNats {
        /// What is wrong.
        reason: String,
    },
    /// The external NATS cannot be reached.
    #[error("{reason}")]
    ExternalNats {
        /// What is wrong.
        reason: String,
    },
    /// The API cannot be served.
    #[error("{reason}")]
    Grpc {
        /// What is wrong.
        reason: String,
    },
    /// The operating system gives no thread.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

fn guess(source: &std::io::Error) -> &'static str {
    if source.kind() == std::io::ErrorKind::AddrInUse {
        "is another process using it? "
    } else {
        ""
    }
}

fn directory_problem(source: &std::io::Error) -> String {
    match source.kind() {
        std::io::ErrorKind::AlreadyExists => format!("a file is in its place ({source})"),
        std::io::ErrorKind::NotADirectory => format!("a part of its path is a file ({source})"),
        _ => source.to_string(),
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        Self::Metadata {
            reason: crate::streams::describe(&error),
        }
    }
}

impl From<ChangeError> for StartError {
    fn from(error: ChangeError) -> Self {
        Self::Metadata {
            reason: crate::streams::describe(&error),
        }
    }
}

impl From<ConnectError> for StartError {
    fn from(error: ConnectError) -> Self {
        Self::ExternalNats {
            reason: crate::streams::describe(&error),
        }
    }
}

impl From<GrpcServerError> for StartError {
    fn from(error: GrpcServerError) -> Self {
        Self::Grpc {
            reason: crate::streams::describe(&error),
        }
    }
}
