//! openraft's own suite for stores, on ours.

use std::sync::Arc;

use openraft::testing::{StoreBuilder, Suite};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use strandline_core::disk::Disk;
use strandline_storage_backends::SystemDisk;

use super::log_store::LogStore;
use super::machine::Machine;
use super::snapshot::SnapshotFile;
use super::types::{StorageError, TypeConfig};
use crate::metadata::wal::{Recovered, Use, Wal, WalSettings};

struct Stores;

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for Stores {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError> {
        let dir = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        let settings = WalSettings {
            segment_bytes: 2048,
            reserve_step_bytes: 1024,
            headroom_bytes: 512,
            strict_order: false,
        };
        let mut wal = Wal::create(Arc::clone(&disk), dir.path(), settings).unwrap();
        wal.reserve(100, Use::Growth).unwrap();
        let log = LogStore::new(wal, &Recovered::default(), dir.path()).unwrap();
        let (file, stored) = SnapshotFile::open(disk, dir.path()).unwrap();
        Ok((dir, log, Machine::new(file, stored, CancellationToken::new())))
    }
}

#[test]
fn the_store_passes_openrafts_suite() {
    Suite::test_all(Stores).unwrap();
}
