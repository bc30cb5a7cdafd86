//! Why nothing, or not all, was done.

use std::io;
use std::path::PathBuf;

use strandline_core::storage::StorageError;

/// Why nothing, or not all, was done.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// A broker uses the directory.
    #[error("{directory} is in use by a broker; stop it first", directory = directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory cannot be used.
    #[error("cannot use the data directory {directory}: {source}", directory = directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The store cannot be opened or changed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Streams cannot be found by name.
    #[error("no stream can be found by its name: the metadata in {directory} cannot be read ({problem})", directory = directory.display())]
    Metadata {
        /// The directory.
        directory: PathBuf,
        /// The first thing that is wrong there.
        problem: String,
    },
    /// There is no such stream.
    #[error("no such stream in this data directory: {name}")]
    NoStream {
        /// The name.
        name: String,
    },
    /// The stream has no such partition.
    #[error("no such partition: {stream}:{partition}")]
    NoPartition {
        /// The stream.
        stream: String,
        /// The partition.
        partition: u32,
    },
    /// A stream has several partitions, and one has to be named.
    #[error("stream {stream} has several partitions: name one as {stream}:PARTITION")]
    WhichPartition {
        /// The stream.
        stream: String,
    },
}
