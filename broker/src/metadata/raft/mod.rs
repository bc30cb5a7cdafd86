//! Consensus through openraft 0.9. No other module names a type of it.
#![allow(
    clippy::result_large_err,
    reason = "openraft's errors are as large as they are, and rare"
)]

mod convert;
mod log_store;
mod look;
mod machine;
mod network;
mod node;
mod snapshot;
mod stored;
mod types;
mod view;

#[cfg(test)]
mod tests;

pub(super) use look::look;
pub(super) use node::{RaftNode, RaftSettings};

/// Reads each file of a directory as a start does, and forgets what it holds.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn read_files(
    disk: &std::sync::Arc<dyn strandline_core::disk::Disk>,
    dir: &std::path::Path,
) -> [Result<(), super::OpenError>; 3] {
    let log = || {
        let settings = super::wal::WalSettings::default();
        let (wal, recovered) = super::wal::Wal::open(std::sync::Arc::clone(disk), dir, settings)?;
        log_store::LogStore::new(wal, &recovered, dir).map(|_| ())
    };
    [
        super::identity::Identity::load(&**disk, dir, None).map(|_| ()),
        snapshot::SnapshotFile::open(std::sync::Arc::clone(disk), dir).map(|_| ()),
        log(),
    ]
}
