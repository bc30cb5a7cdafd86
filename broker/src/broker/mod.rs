//! A running broker: wiring, start and stop.

mod data_directory;
mod engine;
mod error;
mod logs;
mod mount;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use strandline_core::disk::{Disk, DiskLock};
use strandline_core::storage::Log;
use strandline_nats::Server;
use strandline_storage_backends::SystemDisk;

use crate::ages::Ages;
use crate::archiving;
use crate::cleaner;
use crate::compaction::{Compactor, ProgressFile};
use crate::context::Context;
use crate::cursors::prepare_stream;
use crate::grpc::{GrpcDoors, GrpcServer};
use crate::http::{HttpServer, Site};
use crate::metrics::Metrics;
use crate::scrub::Scrubber;
use crate::settings::{Address, Settings};

pub(crate) use data_directory::LOCK_FILE;
use data_directory::lock_data_directory;
use engine::{counted, start_engine};
pub use error::StartError;
use logs::{close_logs, open_streams};
use mount::{clear_mount, start_mount};

/// A broker that serves clients. Dropping it without [`Broker::shutdown`] ends it like a crash.
#[derive(Debug)]
pub struct Broker {
    context: Arc<Context>,
    grpc: GrpcServer,
    http: Option<HttpServer>,
    nats: Option<Server>,
    /// Tasks that look after the data; they can be ended at any time.
    keepers: Vec<tokio::task::JoinHandle<()>>,
    _lock: Box<dyn DiskLock>,
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
        if settings.mount.is_some() {
            clear_mount(&settings.data_dir).await?;
        }
        let (context, nats) = start_engine(&settings, &disk, port, &metrics).await?;
        let follow = Arc::clone(&context.plugins).follow_changes(context.stopping.clone());
        context.tasks.spawn(follow);
        let keepers = match &settings.mount {
            Some(mount) => start_mount(&context, mount).await?,
            None => start_keepers(&context, &settings, &disk).await,
        };
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
            keepers,
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
            keepers,
            _lock,
        } = self;
        if let Some(http) = &http {
            http.stopping();
        }
        grpc.announce_stop().await;
        keepers.iter().for_each(tokio::task::JoinHandle::abort);
        context.stopping.cancel();
        context.archives.stop();
        context.bus.shutdown().await;
        drop(nats);
        context.tasks.close();
        let stopped = Arc::clone(&context);
        let stop = move || {
            // What plugins have looked at is still appended.
            stopped.stage.stop();
            stopped.opener.stores.stop();
        };
        if tokio::task::spawn_blocking(stop).await.is_err() {
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

/// Opens the streams, and starts what looks after them.
async fn start_keepers(
    context: &Arc<Context>,
    settings: &Settings,
    disk: &Arc<dyn Disk>,
) -> Vec<tokio::task::JoinHandle<()>> {
    open_streams(context).await;
    prepare_stream(context, &settings.namespace, settings.cursors_partitions).await;
    let ages = start_ages(context);
    let cleaner = start_cleaner(context, settings, disk, &ages);
    context.tasks.spawn(archiving::run_export(Arc::clone(context)));
    let limits = settings.compaction_limits;
    context
        .tasks
        .spawn(archiving::run(Arc::clone(context), ages, limits));
    let scrubber = tokio::spawn(Scrubber::new(Arc::clone(context), &settings.scrubbing).run());
    vec![cleaner, scrubber]
}

/// The clock by which ages are judged, which has to know the streams that are open.
fn start_ages(context: &Arc<Context>) -> Arc<Ages> {
    let streams = context.streams.all();
    let newest = streams
        .iter()
        .flat_map(|stream| stream.open())
        .filter_map(|handle| handle.log().last_time())
        .max();
    Arc::new(Ages::start(
        Arc::clone(&context.clock),
        newest,
        Arc::clone(&context.metrics),
    ))
}

/// Applies retention and compaction to the streams that are open.
fn start_cleaner(
    context: &Arc<Context>,
    settings: &Settings,
    disk: &Arc<dyn Disk>,
    ages: &Arc<Ages>,
) -> tokio::task::JoinHandle<()> {
    let progress = ProgressFile::open(counted(disk, &context.metrics.stream_files), &settings.data_dir);
    let limits = &settings.compaction_limits;
    let compactor = Compactor::new(Arc::clone(context), Arc::clone(ages), progress, limits);
    let defaults = cleaner::Defaults {
        retention: settings.retention,
        compaction: settings.compaction,
    };
    let ages = Arc::clone(ages);
    tokio::spawn(cleaner::run(Arc::clone(context), defaults, ages, compactor))
}
