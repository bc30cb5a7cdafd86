//! openraft's own suite for stores, on ours.

use std::path::Path;
use std::sync::Arc;

use openraft::storage::RaftLogStorage;
use openraft::testing::{StoreBuilder, Suite};
use tokio_util::sync::CancellationToken;

use strandline_core::disk::Disk;

use super::log_store::LogStore;
use super::machine::Machine;
use super::snapshot::SnapshotFile;
use super::types::{StorageError, TypeConfig};
use crate::metadata::wal::{Recovered, Use, Wal, WalSettings};
use strandline_storage_backends::sim::{Image, SimDisk};

struct Stores;

impl StoreBuilder<TypeConfig, LogStore, Machine> for Stores {
    async fn build(&self) -> Result<((), LogStore, Machine), StorageError> {
        let dir = Path::new("/metadata");
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::of(Image::with_dir(dir)));
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

#[tokio::test]
async fn a_saved_vote_survives_any_power_loss_after_it() {
    let dir = Path::new("/metadata");
    let start = Image::with_dir(dir);
    let disk = SimDisk::of(start.clone());
    let settings = WalSettings::default();
    let wal = Wal::create(Arc::new(disk.clone()), dir, settings).unwrap();
    let mut log = LogStore::new(wal, &Recovered::default(), dir).unwrap();
    for term in 1..4 {
        let vote = openraft::Vote::new(term, 7);
        log.save_vote(&vote).await.unwrap();
        for image in disk.crash_images(&start, disk.moment()) {
            let (wal, recovered) = Wal::open(Arc::new(SimDisk::of(image)), dir, settings).unwrap();
            let mut log = LogStore::new(wal, &recovered, dir).unwrap();
            assert_eq!(log.read_vote().await.unwrap(), Some(vote));
        }
    }
}
