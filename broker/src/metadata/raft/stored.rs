//! What a voter finds in its directory, or founds there.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use strandline_core::BrokerId;
use strandline_core::disk::Disk;

use super::log_store::LogStore;
use super::machine::Machine;
use super::node::RaftSettings;
use super::snapshot::SnapshotFile;
use crate::metadata::OpenError;
use crate::metadata::document::Kind;
use crate::metadata::identity::Identity;
use crate::metadata::wal::{Recovered, Wal};

/// What a directory holds.
pub(super) struct Stored {
    pub(super) identity: Identity,
    pub(super) log: LogStore,
    /// Size of the entries that are in the log.
    pub(super) log_bytes: u64,
    pub(super) machine: Machine,
}

impl Stored {
    /// Reads everything, or founds a cluster in a directory that holds nothing. Blocks.
    pub(super) fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        configured: Option<&BrokerId>,
        (settings, stopping): (RaftSettings, CancellationToken),
    ) -> Result<Self, OpenError> {
        let (snapshot, stored) = SnapshotFile::open(Arc::clone(disk), dir)?;
        let (identity, wal, recovered) = match Identity::load(&**disk, dir, configured)? {
            Some(identity) => {
                let (wal, recovered) = Wal::open(Arc::clone(disk), dir, settings.wal)?;
                check_snapshot(&recovered, &snapshot)?;
                (identity, wal, recovered)
            }
            None if stored.is_some() => return Err(identity_missing(dir)),
            None => found(disk, dir, configured, &settings)?,
        };
        let log = LogStore::new(wal, &recovered, dir)?;
        let log_bytes = recovered.entries.iter().map(|(_, body)| body.len() as u64).sum();
        let machine = Machine::new(snapshot, stored, stopping);
        Ok(Self {
            identity,
            log,
            log_bytes,
            machine,
        })
    }
}

/// Entries that were purged must be in the snapshot.
pub(super) fn check_snapshot(recovered: &Recovered, snapshot: &SnapshotFile) -> Result<(), OpenError> {
    match recovered.purged {
        Some((purged, _)) if snapshot.next_index() <= purged => Err(OpenError::SnapshotMissing {
            path: snapshot.path(),
            purged,
        }),
        _ => Ok(()),
    }
}

/// First start. The identity is stored last: without it nothing was ever acked, with it there must be a log.
fn found(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    configured: Option<&BrokerId>,
    settings: &RaftSettings,
) -> Result<(Identity, Wal, Recovered), OpenError> {
    let (wal, recovered) = if Wal::exists(&**disk, dir)? {
        Wal::open(Arc::clone(disk), dir, settings.wal)?
    } else {
        (
            Wal::create(Arc::clone(disk), dir, settings.wal)?,
            Recovered::default(),
        )
    };
    if recovered != Recovered::default() {
        return Err(identity_missing(dir));
    }
    let identity = Identity::first(configured)?;
    identity.store(&**disk, dir)?;
    Ok((identity, wal, recovered))
}

pub(super) fn identity_missing(dir: &Path) -> OpenError {
    OpenError::IdentityMissing {
        path: Kind::Identity.path_in(dir),
    }
}
