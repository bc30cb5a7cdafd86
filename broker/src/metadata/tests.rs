//! Tests of the metadata as the rest of the broker uses it.

use std::path::Path;
use std::sync::Arc;

use strandline_core::disk::Disk;
use strandline_core::metadata::{MasterKeyId, Rejection, Rewrap, WrappedKey};
use strandline_core::stream::{StreamDefinition, StreamSettings};
use strandline_core::subject::SubjectFilter;
use strandline_core::{BrokerId, Clock, LeaderEpoch, LogId, StreamName, Timestamp};
use strandline_storage_backends::SystemDisk;

use super::raft::RaftSettings;
use super::wal::WalSettings;
use super::{ChangeError, MetadataHandle, OpenError, ProposeError, ServerIdentity};

mod content;
mod crash;
mod restart;

/// A clock that stands still.
#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(12)
    }
}

fn name(name: &str) -> StreamName {
    StreamName::new(name).unwrap()
}

fn definition(stream: &str, partitions: u32) -> StreamDefinition {
    StreamDefinition {
        name: name(stream),
        subject: SubjectFilter::new("orders.>").unwrap(),
        group: Some("workers".to_owned()),
        partitions,
        replication_factor: 1,
        settings: StreamSettings {
            retention_max_age_ms: Some(5),
            ..StreamSettings::default()
        },
    }
}

fn identity() -> ServerIdentity {
    let configured = Some(BrokerId::new("b1").unwrap());
    ServerIdentity {
        configured,
        host: "localhost".to_owned(),
        port: 9292,
    }
}

/// Sizes that make everything happen often: rolls, snapshots, purges.
fn tiny() -> RaftSettings {
    let wal = WalSettings {
        segment_bytes: 4096,
        reserve_step_bytes: 1024,
        headroom_bytes: 1024,
        ..WalSettings::default()
    };
    RaftSettings {
        wal,
        snapshot_entries: 10,
        snapshot_bytes: 1 << 20,
        kept_entries: 2,
    }
}

async fn open(disk: Arc<dyn Disk>, dir: &Path, settings: RaftSettings) -> Result<MetadataHandle, OpenError> {
    MetadataHandle::open_with(disk, dir, identity(), (Arc::new(Noon), settings)).await
}
