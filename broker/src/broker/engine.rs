//! Starting what is behind the doors.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use strandline_core::Clock;
use strandline_core::disk::Disk;
use strandline_nats::Server;
use strandline_storage_backends::TailMemory;

use super::StartError;
use crate::archiving::Archives;
use crate::bus::{AckInboxes, Bus, EmbeddedBus, ExternalBus, SilentBus};
use crate::clock::SystemClock;
use crate::context::Context;
use crate::cursors::Cursors;
use crate::metadata::{MetadataHandle, ServerIdentity};
use crate::metrics::{CountedDisk, FileNumbers, Metrics};
use crate::nonce::nonce;
use crate::partition::{BatchLimits, LetterBox, Stage};
use crate::plugins::{Path, Plugins};
use crate::settings::{NatsMode, Settings};
use crate::streams::{Keys, Opener, StoreParts, Stores, Streams, TAIL_CACHES_BYTES};

/// Everything behind the doors: metadata, bus, stores and their appenders. No stream is open yet.
pub(super) async fn start_engine(
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
    // Tells this process from earlier ones in ack inboxes.
    let inboxes = AckInboxes::new(&settings.namespace, &nonce(&*clock));
    let (bus, nats) = start_bus(settings, &metadata, &clock, &inboxes).await?;
    let stores = open_stores(settings, disk, &bus, &clock, metrics).await?;
    let plugin_files = counted(disk, &metrics.metadata_files);
    let streams = Arc::new(Streams::default());
    let stage = Stage::start(Arc::clone(&streams) as Arc<dyn LetterBox>).map_err(StartError::Thread)?;
    let path = Path::new(Arc::clone(&streams), stage.handle().clone(), Handle::current());
    let plugins = Plugins::open(metadata.clone(), plugin_files, settings, Arc::clone(&clock), path).await;
    let archives = open_archives(settings, disk, &metadata, metrics).await?;
    let opener = Opener {
        streams: Arc::clone(&streams),
        stores: Arc::new(stores),
        tail_memory: Arc::new(TailMemory::new(TAIL_CACHES_BYTES)),
        bus: Arc::clone(&bus),
        plugins: Arc::clone(&plugins),
        archives: Arc::clone(&archives),
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
        reads_only: settings.mount.is_some(),
        max_open_files: settings.max_open_files,
        metrics: Arc::clone(metrics),
        cursors: Cursors::default(),
        plugins,
        archives,
        stage,
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

/// The archive. Streams that have something in one are not served without it: readers would not see that they miss it.
async fn open_archives(
    settings: &Settings,
    disk: &Arc<dyn Disk>,
    metadata: &MetadataHandle,
    metrics: &Arc<Metrics>,
) -> Result<Arc<Archives>, StartError> {
    let archive = settings.archive.clone();
    let (disk, data_dir) = (counted(disk, &metrics.stream_files), settings.data_dir.clone());
    let open = move || Archives::open(archive, &disk, &data_dir);
    // The cache on the disk is looked through.
    let runtime = Handle::current();
    let opened = tokio::task::spawn_blocking(move || {
        let _inside = runtime.enter();
        open()
    });
    let opened = opened.await.map_err(|error| StartError::Archive {
        reason: error.to_string(),
    })?;
    let archives = opened.map_err(|error| StartError::Archive {
        reason: crate::streams::describe(&error),
    })?;
    let state = metadata.state();
    let archived = state.streams().find(|entry| {
        let mut partitions = entry.partitions.iter();
        partitions.any(|partition| partition.is_archived)
    });
    match archived {
        Some(entry) if !archives.is_configured() => Err(StartError::ArchiveMissing {
            stream: entry.definition.name.to_string(),
            place: entry
                .archive
                .as_ref()
                .map_or_else(String::new, |place| place.root.to_string()),
        }),
        _ => Ok(Arc::new(archives)),
    }
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

/// The disk as this broker's numbers see it.
pub(super) fn counted(disk: &Arc<dyn Disk>, numbers: &Arc<FileNumbers>) -> Arc<dyn Disk> {
    Arc::new(CountedDisk::new(Arc::clone(disk), Arc::clone(numbers)))
}

async fn start_bus(
    settings: &Settings,
    metadata: &MetadataHandle,
    clock: &Arc<dyn Clock>,
    inboxes: &Arc<AckInboxes>,
) -> Result<(Arc<dyn Bus>, Option<Server>), StartError> {
    if settings.mount.is_some() {
        return Ok((Arc::new(SilentBus), None));
    }
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
