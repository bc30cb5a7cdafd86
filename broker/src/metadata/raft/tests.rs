//! openraft's own suite for stores, on ours.

use std::path::Path;
use std::sync::Arc;

use openraft::testing::{StoreBuilder, Suite};
use tokio_util::sync::CancellationToken;

use strandline_core::disk::Disk;

use super::log_store::LogStore;
use super::machine::Machine;
use super::snapshot::SnapshotFile;
use super::types::{StorageError, TypeConfig};
use crate::metadata::tests::crash_disk::{CrashDisk, Image};
use crate::metadata::wal::{Recovered, Use, Wal, WalSettings};

struct Stores;

impl StoreBuilder<TypeConfig, LogStore, Machine> for Stores {
    async fn build(&self) -> Result<((), LogStore, Machine), StorageError> {
        let dir = Path::new("/metadata");
        let disk: Arc<dyn Disk> = Arc::new(CrashDisk::of(Image::with_dir(dir)));
        let settings = WalSettings {
            segment_bytes: 2048,
            reserve_step_bytes: 1024,
            headroom_bytes: 512,
            strict_order: false,
        };
        let mut wal = Wal::create(Arc::clone(&disk), dir, settings).unwrap();
        wal.reserve(100, Use::Growth).unwrap();
        let log = LogStore::new(wal, &Recovered::default(), dir).unwrap();
        let (file, stored) = SnapshotFile::open(disk, dir).unwrap();
        Ok(((), log, Machine::new(file, stored, CancellationToken::new())))
    }
}

#[test]
fn the_store_passes_openrafts_suite() {
    Suite::test_all(Stores).unwrap();
}
