//! What the rest of the broker sees of the metadata.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use strandline_core::disk::{Disk, DiskLock};
use strandline_core::metadata::{
    ArchivePlace, ClusterId, Command, Outcome, PlaceRoot, PluginChange, PluginOutcome, Rejection,
    RestoredStream, Rewrap, State, StreamEntry, WrappedKey,
};
use strandline_core::plugin::Sha256;
use strandline_core::stream::{SettingChange, StreamDefinition};
use strandline_core::{BrokerId, Clock, LogId, StreamName};

use super::consensus::Consensus;
use super::identity::{Identity, random_id};
use super::proposer::{Change, MAX_BATCH_ITEMS, MAX_WAITING_CHANGES, Proposer, Request};
use super::raft::{RaftNode, RaftSettings};
use super::{ChangeError, OpenError, ProposeError, ServerIdentity};

/// File that is locked while a process uses the directory.
pub(super) const LOCK_FILE: &str = "lock";

/// The cluster's metadata, open on this broker. Cheap to clone.
#[derive(Clone)]
pub(crate) struct MetadataHandle {
    inner: Arc<Inner>,
}

struct Inner {
    broker: BrokerId,
    process: OnceLock<u32>,
    consensus: Arc<dyn Consensus>,
    state: watch::Receiver<Arc<State>>,
    requests: mpsc::Sender<Request>,
    clock: Arc<dyn Clock>,
    stopping: CancellationToken,
    proposer: Mutex<Option<JoinHandle<()>>>,
    lock: Mutex<Option<Box<dyn DiskLock>>>,
}

impl fmt::Debug for MetadataHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataHandle")
            .field("broker", &self.inner.broker)
            .finish_non_exhaustive()
    }
}

impl MetadataHandle {
    /// Opens the metadata in `dir`, or founds a cluster of one broker there if the directory is not there or empty, and
    /// registers this broker. On return everything that was ever acked is applied.
    ///
    /// # Errors
    ///
    /// A directory that is in use, of another version, damaged or incomplete is refused by name and left as it is.
    pub(crate) async fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        identity: ServerIdentity,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        Self::open_with(disk, dir, identity, (clock, RaftSettings::default())).await
    }

    pub(super) async fn open_with(
        disk: Arc<dyn Disk>,
        dir: &Path,
        identity: ServerIdentity,
        (clock, settings): (Arc<dyn Clock>, RaftSettings),
    ) -> Result<Self, OpenError> {
        let lock = take_directory(Arc::clone(&disk), dir.to_owned()).await?;
        let (node, Identity { server, .. }) =
            RaftNode::open(disk, dir, identity.configured.as_ref(), settings).await?;
        let consensus: Arc<dyn Consensus> = Arc::new(node);
        let handle = Self::start(consensus, server, clock);
        *handle.inner.lock.lock() = Some(lock);
        if let Err(error) = handle.register(identity).await {
            handle.shutdown().await;
            return Err(error);
        }
        Ok(handle)
    }

    fn start(consensus: Arc<dyn Consensus>, broker: BrokerId, clock: Arc<dyn Clock>) -> Self {
        let (requests, waiting) = mpsc::channel(MAX_WAITING_CHANGES);
        let (state, stopping) = (consensus.changes(), CancellationToken::new());
        let proposer = Proposer {
            consensus: Arc::clone(&consensus),
            state: state.clone(),
            requests: waiting,
            stopping: stopping.clone(),
        };
        let proposer = Mutex::new(Some(tokio::spawn(proposer.run())));
        let lock = Mutex::new(None);
        Self {
            inner: Arc::new(Inner {
                broker,
                process: OnceLock::new(),
                consensus,
                state,
                requests,
                clock,
                stopping,
                proposer,
                lock,
            }),
        }
    }

    /// Registers this process. That it is answered means that all entries before are applied, too.
    async fn register(&self, ServerIdentity { host, port, .. }: ServerIdentity) -> Result<(), OpenError> {
        let (broker, now) = (self.inner.broker.clone(), self.inner.clock.now());
        let register = Command::RegisterBroker {
            broker,
            host,
            port,
            now,
        };
        match self.change(Change::plain(register)).await? {
            Outcome::Registered { process, .. } => self.inner.process.get_or_init(|| process),
            other => return Err(unexpected(&other).into()),
        };
        if self.state().cluster().is_none() {
            let cluster = ClusterId::new(random_id()?).map_err(|error| OpenError::Consensus {
                problem: error.to_string(),
            })?;
            self.change(Change::plain(Command::FoundCluster { cluster }))
                .await?;
        }
        Ok(())
    }

    /// Identity of this broker: the stored one, which may differ from the configured one.
    pub(crate) fn broker(&self) -> &BrokerId {
        &self.inner.broker
    }

    /// Changes that wait, and most of them.
    pub(crate) fn waiting_changes(&self) -> (usize, usize) {
        let most = self.inner.requests.max_capacity();
        (most - self.inner.requests.capacity(), most)
    }

    /// Number of this process among all of the cluster, given when it registered: no other ever has it.
    pub(crate) fn process(&self) -> u32 {
        self.inner.process.get().copied().unwrap_or_default()
    }

    /// The state as far as it is applied here.
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.inner.state.borrow())
    }

    /// The state and its changes. Only the newest state is kept for who looks late.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<State>> {
        self.inner.state.clone()
    }

    /// Whether somebody is known to lead the metadata.
    pub(crate) fn is_leader_known(&self) -> bool {
        self.inner.consensus.is_leader_known()
    }

    /// Creates a stream. On success it is durable and visible in [`state`](Self::state).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether the stream is created.
    pub(crate) async fn create_stream(
        &self,
        definition: StreamDefinition,
    ) -> Result<Arc<StreamEntry>, ChangeError> {
        self.create(definition, false).await
    }

    /// As [`create_stream`](Self::create_stream), for a stream of the server's own under a reserved name.
    ///
    /// # Cancel safety
    ///
    /// As [`create_stream`](Self::create_stream).
    pub(crate) async fn create_internal_stream(
        &self,
        definition: StreamDefinition,
    ) -> Result<Arc<StreamEntry>, ChangeError> {
        self.create(definition, true).await
    }

    async fn create(
        &self,
        definition: StreamDefinition,
        internal: bool,
    ) -> Result<Arc<StreamEntry>, ChangeError> {
        let change = Change::Create {
            definition: Box::new(definition),
            now: self.inner.clock.now(),
            internal,
        };
        match self.change(change).await? {
            Outcome::Created(entry) => Ok(entry),
            other => Err(unexpected(&other)),
        }
    }

    /// Creates a stream that another cluster has archived. On success it is durable and visible in [`state`](Self::state).
    ///
    /// # Cancel safety
    ///
    /// As [`create_stream`](Self::create_stream).
    pub(crate) async fn restore_stream(
        &self,
        definition: StreamDefinition,
        restored: RestoredStream,
    ) -> Result<Arc<StreamEntry>, ChangeError> {
        let change = Change::Restore {
            definition: Box::new(definition),
            restored: Box::new(restored),
            now: self.inner.clock.now(),
        };
        match self.change(change).await? {
            Outcome::Created(entry) => Ok(entry),
            other => Err(unexpected(&other)),
        }
    }

    /// Changes settings of a stream and returns it as it is then. Whoever has its partitions open has to follow.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether the settings are changed.
    pub(crate) async fn update_stream(
        &self,
        name: &StreamName,
        changes: Vec<SettingChange>,
    ) -> Result<Arc<StreamEntry>, ChangeError> {
        let name = name.clone();
        match self
            .change(Change::plain(Command::UpdateStream { name, changes }))
            .await?
        {
            Outcome::Updated(entry) => Ok(entry),
            other => Err(unexpected(&other)),
        }
    }

    /// Deletes a stream and returns what it was. Its logs are then [pending removal](State::pending_removals).
    ///
    /// # Cancel safety
    ///
    /// As [`create_stream`](Self::create_stream).
    pub(crate) async fn delete_stream(&self, name: &StreamName) -> Result<Arc<StreamEntry>, ChangeError> {
        match self
            .change(Change::plain(Command::DeleteStream { name: name.clone() }))
            .await?
        {
            Outcome::Deleted(entry) => Ok(entry),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes this broker the leader, under new epochs, of every partition that it led before or that nobody leads; says
    /// how many. To be called at start, before anything is appended. One entry of the log, however many partitions.
    pub(crate) async fn elect_local_leader(&self) -> Result<u64, ChangeError> {
        match self
            .change(Change::plain(Command::ElectLeader {
                broker: self.inner.broker.clone(),
            }))
            .await?
        {
            Outcome::Elected { partitions } => Ok(partitions),
            other => Err(unexpected(&other)),
        }
    }

    /// Reports that this broker's logs of a stream exist, durably.
    pub(crate) async fn logs_created(&self, entry: &StreamEntry) -> Result<(), ChangeError> {
        let Some(first) = entry.first_log() else {
            return Ok(());
        };
        let (broker, name) = (self.inner.broker.clone(), entry.definition.name.clone());
        let created = Command::LogsCreated { broker, name, first };
        self.change(Change::plain(created)).await.map(|_| ())
    }

    /// Gives a stream its data key, unless it has one, and returns what the stream is then.
    pub(crate) async fn add_data_key(
        &self,
        entry: &StreamEntry,
        wrapped: WrappedKey,
    ) -> Result<Arc<StreamEntry>, ChangeError> {
        let name = entry.definition.name.clone();
        let Some(first) = entry.first_log() else {
            return Err(Rejection::NoSuchStream { name }.into());
        };
        match self
            .change(Change::plain(Command::AddDataKey { name, first, wrapped }))
            .await?
        {
            Outcome::DataKeyAdded(entry) => Ok(entry),
            other => Err(unexpected(&other)),
        }
    }

    /// Replaces the wraps of data keys; says how many changed.
    pub(crate) async fn rewrap_data_keys(&self, wraps: Vec<Rewrap>) -> Result<u64, ChangeError> {
        let mut changed = 0;
        for wraps in wraps.chunks(MAX_BATCH_ITEMS as usize) {
            let rewrap = Command::RewrapDataKeys {
                wraps: wraps.to_vec(),
            };
            match self.change(Change::plain(rewrap)).await? {
                Outcome::DataKeysRewrapped { keys } => changed += keys,
                other => return Err(unexpected(&other)),
            }
        }
        Ok(changed)
    }

    /// Gives a stream its place in the archive, unless it has one, and returns what the stream is then. To be called before
    /// anything is written there.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether the stream has its place.
    pub(crate) async fn begin_archive(&self, entry: &StreamEntry) -> Result<Arc<StreamEntry>, ChangeError> {
        let name = entry.definition.name.clone();
        let state = self.state();
        let Some((first, cluster)) = entry.first_log().zip(state.cluster()) else {
            return Err(Rejection::NoSuchStream { name }.into());
        };
        let place = ArchivePlace {
            root: PlaceRoot::of(cluster, &name, first),
            since: self.inner.clock.now(),
        };
        match self
            .change(Change::plain(Command::BeginArchive { name, first, place }))
            .await?
        {
            Outcome::ArchiveBegun(entry) => Ok(entry),
            other => Err(unexpected(&other)),
        }
    }

    /// Gives a stream another place in the archive instead of the one that it has, and returns what the stream is then. What was in
    /// the old place is no longer its.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether the stream has another place.
    pub(crate) async fn renew_archive(&self, entry: &StreamEntry) -> Result<Arc<StreamEntry>, ChangeError> {
        let name = entry.definition.name.clone();
        let (Some(first), Some(place)) = (entry.first_log(), &entry.archive) else {
            return Err(Rejection::NotArchived { name }.into());
        };
        let (was, now) = (place.root.clone(), self.inner.clock.now());
        let renew = Command::RenewArchive {
            name,
            first,
            was,
            now,
        };
        match self.change(Change::plain(renew)).await? {
            Outcome::ArchiveBegun(entry) => Ok(entry),
            other => Err(unexpected(&other)),
        }
    }

    /// Records that the HEAD of a partition is in the archive. To be called before a segment of it is.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it is recorded.
    pub(crate) async fn archive_made(&self, entry: &StreamEntry, log: LogId) -> Result<(), ChangeError> {
        let name = entry.definition.name.clone();
        let Some(first) = entry.first_log() else {
            return Err(Rejection::NoSuchStream { name }.into());
        };
        let logs = vec![log];
        self.change(Change::plain(Command::ArchivesMade { name, first, logs }))
            .await
            .map(|_| ())
    }

    /// Reports that these logs of deleted streams are gone from this broker's disk, durably.
    pub(crate) async fn logs_removed(&self, logs: Vec<LogId>) -> Result<(), ChangeError> {
        for logs in logs.chunks(MAX_BATCH_ITEMS as usize) {
            let (broker, logs) = (self.inner.broker.clone(), logs.to_vec());
            self.change(Change::plain(Command::LogsRemoved { broker, logs }))
                .await?;
        }
        Ok(())
    }

    /// Changes plugin modules or attachments on behalf of somebody. Who runs them has to follow.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether they are changed.
    pub(crate) async fn change_plugins(
        &self,
        change: PluginChange,
        by: String,
    ) -> Result<PluginOutcome, ChangeError> {
        let now = self.inner.clock.now();
        match self
            .change(Change::plain(Command::Plugins { change, by, now }))
            .await?
        {
            Outcome::Plugin(outcome) => Ok(outcome),
            other => Err(unexpected(&other)),
        }
    }

    /// Reports that the bytes of these deleted modules are gone from this broker's disk, durably.
    pub(crate) async fn modules_removed(&self, modules: Vec<Sha256>) -> Result<(), ChangeError> {
        for modules in modules.chunks(MAX_BATCH_ITEMS as usize) {
            let (broker, modules) = (self.inner.broker.clone(), modules.to_vec());
            self.change(Change::plain(Command::ModulesRemoved { broker, modules }))
                .await?;
        }
        Ok(())
    }

    /// Answers what is waiting, closes the log and gives the directory free. Repeating it is harmless.
    pub(crate) async fn shutdown(&self) {
        self.inner.stopping.cancel();
        let proposer = self.inner.proposer.lock().take();
        if let Some(proposer) = proposer
            && let Err(error) = proposer.await
        {
            tracing::error!(%error, "the metadata proposer did not end well");
        }
        self.inner.consensus.shutdown().await;
        self.inner.lock.lock().take();
    }

    async fn change(&self, change: Change) -> Result<Outcome, ChangeError> {
        let (answer, answered) = oneshot::channel();
        let lost = |_| ProposeError::Failed {
            cause: "the proposer ended without an answer".to_owned(),
        };
        if self.inner.stopping.is_cancelled() {
            return Err(ProposeError::Stopping.into());
        }
        self.inner
            .requests
            .send(Request { change, answer })
            .await
            .map_err(|_| ProposeError::Stopping)?;
        answered.await.map_err(lost)?
    }
}

fn unexpected(outcome: &Outcome) -> ChangeError {
    ProposeError::Failed {
        cause: format!("the state machine answered something else: {outcome:?}"),
    }
    .into()
}

/// Creates the directory if it is not there and makes sure that no other process uses it.
async fn take_directory(disk: Arc<dyn Disk>, dir: PathBuf) -> Result<Box<dyn DiskLock>, OpenError> {
    let take = move || {
        match disk.create_dir(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(OpenError::io("create", &dir)(error));
            }
            _ => {}
        }
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        disk.sync_dir(parent).map_err(OpenError::io("sync", parent))?;
        let path = dir.join(LOCK_FILE);
        disk.lock(&path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse { dir: dir.clone() },
            _ => OpenError::io("lock", &path)(error),
        })
    };
    tokio::task::spawn_blocking(take)
        .await
        .map_err(|error| OpenError::Consensus {
            problem: error.to_string(),
        })?
}
