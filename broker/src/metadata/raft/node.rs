//! A voter: the log, the state machine and openraft between them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openraft::error::{ClientWriteError, Fatal, RaftError};
use openraft::{BasicNode, Config, SnapshotPolicy};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use strandline_core::BrokerId;
use strandline_core::disk::Disk;
use strandline_core::metadata::{CommandBatch, State};

use super::log_store::LogStore;
use super::machine::Machine;
use super::network::NoPeers;
use super::stored::Stored;
use super::types::Raft;
use crate::metadata::consensus::{Answer, Consensus, is_essential};
use crate::metadata::identity::Identity;
use crate::metadata::wal::{Use, WalError, WalSettings};
use crate::metadata::{OpenError, ProposeError};

/// How long the first election may take.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// What an entry takes beyond its commands: frame, identity, names of the fields.
const ENTRY_OVERHEAD_BYTES: u64 = 256;
/// Largest entry: well below the limit of the log.
const MAX_ENTRY_BYTES: usize = 8 << 20;

/// Sizes that decide when the log is shortened.
#[derive(Clone, Copy, Debug)]
pub(in crate::metadata) struct RaftSettings {
    pub(in crate::metadata) wal: WalSettings,
    /// Entries after which a snapshot is taken.
    pub(in crate::metadata) snapshot_entries: u64,
    /// Bytes of entries after which a snapshot is taken, if that is sooner.
    pub(in crate::metadata) snapshot_bytes: u64,
    /// Entries that are kept behind a snapshot, so that a follower that lags a little needs no snapshot.
    pub(in crate::metadata) kept_entries: u64,
}

impl Default for RaftSettings {
    fn default() -> Self {
        Self {
            wal: WalSettings::default(),
            snapshot_entries: 4096,
            snapshot_bytes: 8 << 20,
            kept_entries: 128,
        }
    }
}

/// A running voter.
pub(in crate::metadata) struct RaftNode {
    raft: Raft,
    log: LogStore,
    machine: Machine,
    voter: u64,
    snapshot_bytes: u64,
    bytes_since_snapshot: AtomicU64,
    stopping: CancellationToken,
}

impl fmt::Debug for RaftNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftNode")
            .field("voter", &self.voter)
            .finish_non_exhaustive()
    }
}

impl RaftNode {
    /// Opens or founds the voter in `dir` and waits until it leads.
    pub(in crate::metadata) async fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        configured: Option<&BrokerId>,
        settings: RaftSettings,
    ) -> Result<(Self, Identity), OpenError> {
        let (dir, configured, stopping) = (dir.to_owned(), configured.cloned(), CancellationToken::new());
        let token = stopping.clone();
        let read = move || Stored::open(&disk, &dir, configured.as_ref(), (settings, token));
        let joined = tokio::task::spawn_blocking(read).await;
        let Stored {
            identity,
            log,
            log_bytes,
            machine,
        } = joined.map_err(|error| OpenError::Consensus {
            problem: error.to_string(),
        })??;
        let voter = identity.voter;
        let started = start(voter, &settings, log.clone(), machine.clone());
        let raft = started
            .await
            .map_err(|problem| OpenError::Consensus { problem })?;
        let (snapshot_bytes, bytes_since_snapshot) = (settings.snapshot_bytes, AtomicU64::new(log_bytes));
        let node = Self {
            raft,
            log,
            machine,
            voter,
            snapshot_bytes,
            bytes_since_snapshot,
            stopping,
        };
        if let Err(problem) = node.lead().await {
            node.shutdown().await;
            return Err(OpenError::Consensus { problem });
        }
        Ok((node, identity))
    }

    /// Founds the cluster if there is none, and gets elected without waiting for a timeout: there is nobody else.
    async fn lead(&self) -> Result<(), String> {
        let text = |error: &dyn fmt::Display| error.to_string();
        if self.raft.is_initialized().await.map_err(|error| text(&error))? {
            self.raft.trigger().elect().await.map_err(|error| text(&error))?;
        } else {
            let members = BTreeMap::from([(self.voter, BasicNode::default())]);
            self.raft
                .initialize(members)
                .await
                .map_err(|error| text(&error))?;
        }
        let metrics = self.raft.wait(Some(START_TIMEOUT));
        metrics
            .current_leader(self.voter, "to lead at start")
            .await
            .map(|_| ())
            .map_err(|error| text(&error))
    }

    async fn append(&self, commands: CommandBatch) -> Result<Vec<Answer>, ProposeError> {
        if self.stopping.is_cancelled() {
            return Err(ProposeError::Stopping);
        }
        let bytes = serde_json::to_vec(&commands).map_or(usize::MAX, |bytes| bytes.len());
        if bytes > MAX_ENTRY_BYTES {
            return Err(ProposeError::TooLarge {
                bytes,
                max: MAX_ENTRY_BYTES,
            });
        }
        let room = ENTRY_OVERHEAD_BYTES.saturating_add(bytes as u64);
        let use_of = if commands.commands().iter().all(is_essential) {
            Use::Essential
        } else {
            Use::Growth
        };
        self.log
            .reserve(room, use_of)
            .await
            .map_err(|error| reserve_error(&error))?;
        let written = self.raft.client_write(commands).await.map_err(write_error)?;
        self.snapshot_if_due(room).await;
        Ok(written.data.0)
    }

    async fn snapshot_if_due(&self, written: u64) {
        let bytes = self
            .bytes_since_snapshot
            .fetch_add(written, Ordering::Relaxed)
            .saturating_add(written);
        if bytes < self.snapshot_bytes {
            return;
        }
        self.bytes_since_snapshot.store(0, Ordering::Relaxed);
        if let Err(error) = self.raft.trigger().snapshot().await {
            tracing::warn!(%error, "cannot take a snapshot of the metadata");
        }
    }
}

impl Consensus for RaftNode {
    fn propose(&self, commands: CommandBatch) -> BoxFuture<'_, Result<Vec<Answer>, ProposeError>> {
        self.append(commands).boxed()
    }

    fn changes(&self) -> watch::Receiver<Arc<State>> {
        self.machine.changes()
    }

    fn is_leader_known(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        metrics.running_state.is_ok() && metrics.current_leader.is_some()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        async {
            self.stopping.cancel();
            if let Err(error) = self.raft.shutdown().await {
                tracing::warn!(%error, "consensus did not end well");
            }
            if let Err(error) = self.log.flush().await {
                tracing::warn!(%error, "cannot finish the metadata log");
            }
        }
        .boxed()
    }
}

fn reserve_error(error: &WalError) -> ProposeError {
    match error {
        WalError::Full { .. } => ProposeError::DiskFull,
        // The commands were not handed to consensus, but that the log has failed is what matters.
        error => ProposeError::Failed {
            cause: error.in_full(),
        },
    }
}

fn write_error(error: RaftError<u64, ClientWriteError<u64, BasicNode>>) -> ProposeError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => ProposeError::NoLeader,
        RaftError::Fatal(Fatal::Stopped) => ProposeError::Failed {
            cause: "consensus has stopped".to_owned(),
        },
        error => ProposeError::Failed {
            cause: error.to_string(),
        },
    }
}

async fn start(voter: u64, settings: &RaftSettings, log: LogStore, machine: Machine) -> Result<Raft, String> {
    let config = Config {
        cluster_name: "strandline".to_owned(),
        // Half of the shortest election timeout at most, and an election ten times an append at least.
        heartbeat_interval: 250,
        election_timeout_min: 1000,
        election_timeout_max: 2000,
        install_snapshot_timeout: 10_000,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(settings.snapshot_entries),
        max_in_snapshot_log_to_keep: settings.kept_entries,
        ..Config::default()
    };
    let config = Arc::new(config.validate().map_err(|error| error.to_string())?);
    Raft::new(voter, config, NoPeers, log, machine)
        .await
        .map_err(|error| error.to_string())
}
