//! What archiving counts.

use crate::metrics::Counter;

/// Archiving, of all partitions together.
#[derive(Debug, Default)]
pub(crate) struct ArchiveNumbers {
    /// Segments that were uploaded and are in the manifest.
    pub(crate) segments: Counter,
    /// Bytes of their batches.
    pub(crate) bytes: Counter,
    /// Turns that failed.
    pub(crate) failures: Counter,
    /// Compactions by key of what is in the archive.
    pub(crate) compactions: CompactionNumbers,
}

/// Compactions by key of archives, of all partitions together.
#[derive(Debug, Default)]
pub(crate) struct CompactionNumbers {
    /// Those that ended well.
    pub(crate) runs: Counter,
    /// Those that did not.
    pub(crate) failures: Counter,
    /// Segments that were written anew, merged ones included.
    pub(crate) segments: Counter,
    /// Bytes of batches before.
    pub(crate) bytes_in: Counter,
    /// Bytes of batches after.
    pub(crate) bytes_out: Counter,
    /// Records that left.
    pub(crate) dropped: Counter,
}
