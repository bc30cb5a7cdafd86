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
}
