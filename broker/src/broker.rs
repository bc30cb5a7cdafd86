//! A running broker: wiring, start and stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use strandline_core::Clock;
use strandline_core::disk::{Disk, DiskLock};
use strandline_core::storage::{Log, StorageError};
use strandline_nats::Server;
use strandline_storage_backends::{SystemDisk, TailMemory};

use crate::ages::Ages;
use crate::bus::{AckInboxes, Bus, ConnectError, EmbeddedBus, ExternalBus};
use crate::cleaner;
use crate::clock::SystemClock;
use crate::compaction::{Compactor, ProgressFile};
use crate::context::Context;
use crate::cursors::{Cursors, prepare_stream};
use crate::grpc::{GrpcDoors, GrpcServer, GrpcServerError};
use crate::http::{HttpServer, Site};
use crate::metadata::{ChangeError, MetadataHandle, OpenError, ServerIdentity};
use crate::metrics::{CountedDisk, FileNumbers, Metrics};
use crate::partition::BatchLimits;
use crate::settings::{Address, NatsMode, Settings};
use crate::streams::{Expect, Keys, Opener, StoreParts, Stores, Streams, TAIL_CACHES_BYTES};

/// Held by the broker that uses a data directory.
pub(crate) const LOCK_FILE: &str = "lock";

/// A broker that serves clients. Dropping it without [`Broker::shutdown`] ends it like a crash.
#[derive(Debug)]
pub struct Broker {
    context: Arc<Context>,
    grpc: GrpcServer,
    http: Option<HttpServer>,
    nats: Option<Server>,
    cleaner: tokio::task::JoinHandle<()>,
    _lock: Box<dyn DiskLock>,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} for {what}: {source}; {guess}choose another with {setting}", guess = guess(source))]
    Listen {
        /// What was to listen.
        what: &'static str,
        /// The address.
        address: String,
        /// The flags that choose another.
        setting: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The data directory cannot be used.
    #[error("cannot use the data directory {directory}: {problem}; choose another with --data-dir", directory = directory.display(), problem = directory_problem(source))]
    DataDirectory {
        /// The directory.
        directory: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process uses the data directory.
    #[error("the data directory {directory} is in use by another process; stop it or choose another with --data-dir", directory = directory.display())]
    DataDirectoryInUse {
        /// The directory.
        directory: PathBuf,
    },
    /// The store cannot be opened.
    #[error("cannot open the stored streams")]
    Storage(#[source] Arc<StorageError>),
    /// The metadata cannot be opened.
    #[error("cannot open the metadata: {reason}")]
    Metadata {
        /// What is wrong.
        reason: String,
    },
    /// Nothing could be encrypted safely.
    #[error("cannot prepare encryption: {reason}")]
    Keys {
        /// What is wrong.
        reason: String,
    },
    /// The embedded NATS server did not start.
    #[error("cannot start the embedded nats server: {reason}")]
    EmbeddedNats {
        /// What is wrong.
        reason: String,
    },
    /// The external NATS cannot be reached.
    #[error("{reason}")]
    ExternalNats {
        /// What is wrong.
        reason: String,
    },
    /// The API cannot be served.
    #[error("{reason}")]
    Grpc {
        /// What is wrong.
        reason: String,
    },
    /// The operating system gives no thread.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

fn guess(source: &std::io::Error) -> &'static str {
    if source.kind() == std::io::ErrorKind::AddrInUse {
        "is another process using it? "
    } else {
        ""
    }
}

fn directory_problem(source: &std::io::Error) -> String {
    match source.kind() {
        std::io::ErrorKind::AlreadyExists => format!("a file is in its place ({source})"),
        std::io::ErrorKind::NotADirectory => format!("a part of its path is a file ({source})"),
        _ => source.to_string(),
    }
}

impl Broker {
    /// Starts a broker; it serves clients when this returns.
    ///
    /// Cancel safety: a cancelled start leaves nothing behind but what it wrote to the data directory.
    ///
    /// # Errors
    ///
    /// Says what is in the way and how to get it out.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk::new());
        let metrics = Metrics::new();
        let http = start_http(&settings, &metrics).await?;
        let listener = bind("grpc", "--listen or --port", &settings.listen.to_string()).await?;
        let port = listener.local_addr().map_err(StartError::Thread)?.port();
        let lock = lock_data_directory(&disk, &settings.data_dir).await?;
        let (context, nats) = start_engine(&settings, &disk, port, &metrics).await?;
        open_streams(&context).await;
        prepare_stream(&context, &settings.namespace, settings.cursors_partitions).await;
        let cleaner = start_cleaner(&context, &settings, &disk);
        let doors = GrpcDoors {
            tls: settings.grpc_tls.as_ref(),
            admin_token: settings.admin_token.as_ref(),
        };
        let grpc = GrpcServer::start(Arc::clone(&context), listener, doors).await?;
        if let Some(nats) = &nats {
            nats.accept();
        }
        if let Some(http) = &http {
            http.serving(Arc::clone(&context));
        }
        Ok(Self {
            context,
            grpc,
            http,
            nats,
            cleaner,
            _lock: lock,
        })
    }

    /// The address of the gRPC API.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc.address()
    }

    /// The address of the embedded NATS server, if there is one.
    pub fn nats_addr(&self) -> Option<SocketAddr> {
        self.nats.as_ref().map(Server::client_addr)
    }

    /// The address where numbers and health are answered over HTTP, if they are.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(HttpServer::address)
    }

    /// The broker's identity in the cluster.
    pub fn server_id(&self) -> String {
        self.context.metadata.broker().to_string()
    }

    /// Streams that are served.
    pub fn stream_count(&self) -> usize {
        self.context.streams.all().len()
    }

    /// Puts the embedded NATS server into lame duck mode: it takes no new clients, tells those it has, and closes them one by
    /// one over the time that its configuration says. Streams are served meanwhile; [`Broker::shutdown`] comes after it. An
    /// external NATS is left alone.
    ///
    /// Cancel safety: a cancelled call leaves the server without new clients.
    pub async fn send_nats_clients_away(&self) {
        if let Some(nats) = &self.nats {
            nats.lame_duck().await;
        }
    }

    /// Stops taking messages, makes everything taken durable, answers it, tells clients and returns.
    pub async fn shutdown(self) {
        let Self {
            context,
            grpc,
            http,
            nats,
            cleaner,
            _lock,
        } = self;
        if let Some(http) = &http {
            http.stopping();
        }
        grpc.announce_stop().await;
        cleaner.abort();
        context.stopping.cancel();
        context.bus.shutdown().await;
        drop(nats);
        context.tasks.close();
        let stores = Arc::clone(&context.opener.stores);
        if tokio::task::spawn_blocking(move || stores.stop()).await.is_err() {
            tracing::error!("the appenders could not be stopped");
        }
        grpc.stop().await;
        context.tasks.wait().await;
        close_logs(&context).await;
        context.metadata.shutdown().await;
        if let Some(http) = http {
            http.stop().await;
        }
    }
}

/// Everything behind the doors: metadata, bus, stores and their appenders. No stream is open yet.
async fn start_engine(
    settings: &Settings,
    disk: &Arc<dyn Disk>,
    port: u16,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<Context>, Option<Server>), StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metadata = open_metadata(settings, counted(disk, &metrics.metadata_files), port, &clock).await?;
    let started = start_around(metadata.clone(), settings, disk, clock, metrics).await;
    if started.is_err() {
        metadata.shutdown().await;
    }
    started
}

async fn start_around(
    metadata: MetadataHandle,
    settings: &Settings,
    disk: &Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<Context>, Option<Server>), StartError> {
    let inboxes = AckInboxes::new(&settings.namespace, &nonce());
    let (bus, nats) = start_bus(settings, &metadata, &clock, &inboxes).await?;
    let stores = open_stores(settings, disk, &bus, &clock, metrics).await?;
    let streams = Arc::new(Streams::default());
    let opener = Opener {
        streams: Arc::clone(&streams),
        stores: Arc::new(stores),
        tail_memory: Arc::new(TailMemory::new(TAIL_CACHES_BYTES)),
        bus: Arc::clone(&bus),
        defaults: settings.stream_defaults,
        keys: open_keys(settings, &metadata).await?,
        concurrency_control: settings.concurrency_control,
        max_message_bytes: settings.max_message_bytes,
        broker: metadata.broker().clone(),
        settings_turn: tokio::sync::Mutex::default(),
    };
    let context = Context {
        metadata,
        streams,
        opener,
        bus,
        clock,
        inboxes,
        stopping: CancellationToken::new(),
        tasks: TaskTracker::new(),
        max_message_bytes: settings.max_message_bytes,
        max_open_files: settings.max_open_files,
        metrics: Arc::clone(metrics),
        cursors: Cursors::default(),
        retention: settings.retention,
        compaction: settings.compaction,
    };
    Ok((Arc::new(context), nats))
}

/// The metadata, led by this broker.
async fn open_metadata(
    settings: &Settings,
    disk: Arc<dyn Disk>,
    port: u16,
    clock: &Arc<dyn Clock>,
) -> Result<MetadataHandle, StartError> {
    let identity = ServerIdentity {
        configured: settings.server_id.clone(),
        host: settings.advertised_host(),
        port: settings.advertised_port(port),
    };
    let directory = settings.data_dir.join("metadata");
    let metadata = MetadataHandle::open(disk, &directory, identity, Arc::clone(clock)).await?;
    metadata.elect_local_leader().await?;
    Ok(metadata)
}

/// The keys of encrypted streams. Data keys that an earlier master key has wrapped are wrapped anew.
async fn open_keys(settings: &Settings, metadata: &MetadataHandle) -> Result<Keys, StartError> {
    let keys = Keys::new(settings.master_keys.clone(), settings.packing, metadata.clone());
    let keys = keys.map_err(|failure| StartError::Keys {
        reason: crate::streams::describe(&failure),
    })?;
    keys.rewrap().await;
    Ok(keys)
}

async fn open_stores(
    settings: &Settings,
    disk: &Arc<dyn Disk>,
    bus: &Arc<dyn Bus>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Result<Stores, StartError> {
    let parts = StoreParts {
        disk: counted(disk, &metrics.stream_files),
        data_dir: settings.data_dir.clone(),
        max_open_files: settings.max_open_files,
        limits: BatchLimits {
            max_records: settings.batch_max_messages,
            max_bytes: settings.batch_max_bytes,
        },
        bus: Arc::clone(bus),
        clock: Arc::clone(clock),
        metrics: Arc::clone(metrics),
    };
    Stores::open(parts, settings.backend)
        .await
        .map_err(StartError::Storage)
}

async fn bind(what: &'static str, setting: &'static str, address: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen {
            what,
            address: address.to_owned(),
            setting,
            source,
        })
}

/// Answers over HTTP, if that is wanted, before anything that takes its time.
async fn start_http(settings: &Settings, metrics: &Arc<Metrics>) -> Result<Option<HttpServer>, StartError> {
    let Some(listen) = &settings.http_listen else {
        return Ok(None);
    };
    let address = Address {
        host: Some(listen.host.clone().unwrap_or_else(|| "127.0.0.1".to_owned())),
        port: listen.port,
    };
    let listener = bind("http", "--http-listen", &address.to_string()).await?;
    let site = Site::new(Arc::clone(metrics), settings.metrics_per_partition);
    let server = HttpServer::start(listener, site).map_err(StartError::Thread)?;
    Ok(Some(server))
}

fn counted(disk: &Arc<dyn Disk>, numbers: &Arc<FileNumbers>) -> Arc<dyn Disk> {
    Arc::new(CountedDisk::new(Arc::clone(disk), Arc::clone(numbers)))
}

async fn lock_data_directory(
    disk: &Arc<dyn Disk>,
    directory: &Path,
) -> Result<Box<dyn DiskLock>, StartError> {
    let (disk, directory) = (Arc::clone(disk), directory.to_owned());
    let lock = move || {
        create_durably(disk.as_ref(), &directory)
            .and_then(|()| disk.lock(&directory.join(LOCK_FILE)))
            .map_err(|source| {
                if source.kind() == std::io::ErrorKind::WouldBlock {
                    StartError::DataDirectoryInUse {
                        directory: directory.clone(),
                    }
                } else {
                    StartError::DataDirectory {
                        directory: directory.clone(),
                        source,
                    }
                }
            })
    };
    blocking(lock).await
}

/// Creates a directory and what is missing above it so that they survive power loss.
fn create_durably(disk: &dyn Disk, directory: &Path) -> std::io::Result<()> {
    let directory = std::path::absolute(directory)?;
    let created = directory.ancestors().take_while(|path| !path.exists()).count();
    std::fs::create_dir_all(&directory)?;
    for (depth, parent) in directory.ancestors().skip(1).enumerate() {
        let synced = disk.sync_dir(parent);
        // What was there before may still have to be synced, if whoever created it ended before this; but it need not be ours.
        if depth < created {
            synced?;
        }
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    let stopped = |error| StartError::Thread(std::io::Error::other(error));
    tokio::task::spawn_blocking(work).await.map_err(stopped)?
}

async fn start_bus(
    settings: &Settings,
    metadata: &MetadataHandle,
    clock: &Arc<dyn Clock>,
    inboxes: &Arc<AckInboxes>,
) -> Result<(Arc<dyn Bus>, Option<Server>), StartError> {
    match &settings.nats {
        NatsMode::Embedded(options) => {
            let server = Server::bind(options.as_ref().clone()).await;
            let server = server.map_err(embedded_nats_failed)?;
            Ok((
                Arc::new(EmbeddedBus::new(server.clone(), Arc::clone(clock))),
                Some(server),
            ))
        }
        NatsMode::External(external) => {
            let name = format!("LIFT.{}.{}.streams", settings.namespace, metadata.broker());
            let bus = ExternalBus::connect(external, &name, Arc::clone(clock), Arc::clone(inboxes)).await?;
            Ok((Arc::new(bus), None))
        }
    }
}

fn embedded_nats_failed(error: strandline_nats::StartError) -> StartError {
    match error {
        strandline_nats::StartError::Listen { address, source } => StartError::Listen {
            what: "nats clients",
            address,
            setting: "--nats-listen",
            source,
        },
        other => StartError::EmbeddedNats {
            reason: crate::streams::describe(&other),
        },
    }
}

/// Opens every stream of the metadata, and finishes what a crash interrupted.
async fn open_streams(context: &Arc<Context>) {
    let state = context.metadata.state();
    for entry in state.streams() {
        context.opener.open(entry, Expect::Existing).await;
    }
    let mut removed = Vec::new();
    for log in state.pending_removals(context.metadata.broker()) {
        match context.opener.delete_log(log).await {
            Ok(()) => removed.push(log),
            Err(error) => tracing::warn!(%log, %error, "a deleted log could not be removed"),
        }
    }
    if !removed.is_empty()
        && let Err(error) = context.metadata.logs_removed(removed).await
    {
        tracing::warn!(%error, "the removal of deleted logs could not be recorded");
    }
    for engine in context.opener.stores.opened() {
        let found = engine.store().ok().and_then(|store| store.list().ok());
        for log in found.into_iter().flatten().filter(|&log| !state.knew_log(log)) {
            tracing::warn!(%log, "the data directory holds a log that no stream ever had; it is left alone");
        }
    }
}

async fn close_logs(context: &Arc<Context>) {
    let (streams, stores) = (context.streams.all(), Arc::clone(&context.opener.stores));
    let close = move || {
        for handle in streams.iter().flat_map(|stream| stream.open()) {
            if let Err(error) = handle.log().close() {
                tracing::error!(stream = %handle.info().stream, %error, "a log could not be closed cleanly");
            }
        }
        stores.close();
    };
    if tokio::task::spawn_blocking(close).await.is_err() {
        tracing::error!("the logs could not be closed");
    }
}

/// Applies retention and compaction to the streams that are open.
fn start_cleaner(
    context: &Arc<Context>,
    settings: &Settings,
    disk: &Arc<dyn Disk>,
) -> tokio::task::JoinHandle<()> {
    let streams = context.streams.all();
    let newest = streams
        .iter()
        .flat_map(|stream| stream.open())
        .filter_map(|handle| handle.log().last_time())
        .max();
    let ages = Arc::new(Ages::start(
        Arc::clone(&context.clock),
        newest,
        Arc::clone(&context.metrics),
    ));
    let progress = ProgressFile::open(counted(disk, &context.metrics.stream_files), &settings.data_dir);
    let limits = &settings.compaction_limits;
    let compactor = Compactor::new(Arc::clone(context), Arc::clone(&ages), progress, limits);
    let defaults = cleaner::Defaults {
        retention: settings.retention,
        compaction: settings.compaction,
    };
    tokio::spawn(cleaner::run(Arc::clone(context), defaults, ages, compactor))
}

/// Tells this process from earlier ones in ack inboxes.
fn nonce() -> String {
    let mut bytes = [0; 8];
    // Without randomness the time is as good: it only has to differ from earlier processes.
    if getrandom::fill(&mut bytes).is_err() {
        bytes = SystemClock.now().nanos().to_le_bytes();
    }
    format!("{:016x}", u64::from_le_bytes(bytes))
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        Self::Metadata {
            reason: crate::streams::describe(&error),
        }
    }
}

impl From<ChangeError> for StartError {
    fn from(error: ChangeError) -> Self {
        Self::Metadata {
            reason: crate::streams::describe(&error),
        }
    }
}

impl From<ConnectError> for StartError {
    fn from(error: ConnectError) -> Self {
        Self::ExternalNats {
            reason: crate::streams::describe(&error),
        }
    }
}

impl From<GrpcServerError> for StartError {
    fn from(error: GrpcServerError) -> Self {
        Self::Grpc {
            reason: crate::streams::describe(&error),
        }
    }
}
