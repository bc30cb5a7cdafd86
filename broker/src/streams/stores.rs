//! The stores of a broker: one for each storage engine that is used.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OnceCell, oneshot};

use strandline_core::disk::Disk;
use strandline_core::storage::{Backend, Capabilities, Factory, StorageError, Store};
use strandline_core::{Clock, LogId};
use strandline_storage_backends::{RedbFactory, SegmentFactory};

use super::OpenError;
use crate::bus::Bus;
use crate::metrics::Metrics;
use crate::partition::{Answerer, Appender, AppenderHandle, AppenderLimits, BatchLimits};

/// Where the streams of an engine are, below the data directory.
pub(crate) const SEGMENT_DIRECTORY: &str = "streams";
pub(crate) const REDB_DIRECTORY: &str = "streams-redb";

/// What a store and its appender are made of.
#[derive(Debug)]
pub(crate) struct StoreParts {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) data_dir: PathBuf,
    pub(crate) max_open_files: usize,
    pub(crate) limits: BatchLimits,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
}

/// The stores. That of segment files is always open; the others are opened when the first stream needs them.
#[derive(Debug)]
pub(crate) struct Stores {
    default: Backend,
    parts: StoreParts,
    segment: Engine,
    /// Tried once: a store that could not be opened is tried again by the next start.
    redb: OnceCell<Result<Engine, Arc<StorageError>>>,
}

/// A store with the thread that appends to it.
#[derive(Debug)]
pub(crate) struct Engine {
    store: Mutex<Option<Arc<dyn Store>>>,
    appender: Mutex<Option<Appender>>,
    handle: AppenderHandle,
}

impl Stores {
    /// Opens the stores that hold something, and that of streams whose creator does not choose.
    ///
    /// # Errors
    ///
    /// The store of segment files or the default one cannot be opened. Of another one each stream says so.
    pub(crate) async fn open(parts: StoreParts, default: Backend) -> Result<Self, Arc<StorageError>> {
        let segment = parts.open(Backend::Segment).await.map_err(Arc::new)?;
        let stores = Self {
            default,
            parts,
            segment,
            redb: OnceCell::new(),
        };
        if default == Backend::Redb {
            stores.redb().await.as_ref().map_err(Arc::clone)?;
        } else if stores
            .parts
            .disk
            .list(&stores.parts.directory(Backend::Redb))
            .is_ok()
            && let Err(error) = stores.redb().await
        {
            tracing::error!(error = %super::describe(error.as_ref()), "the streams in redb are out of service");
        }
        Ok(stores)
    }

    /// The engine of streams whose creator does not choose.
    pub(crate) fn default_backend(&self) -> Backend {
        self.default
    }

    /// What an engine can do, whether it is open or not.
    pub(crate) fn capabilities(&self, backend: Backend) -> Capabilities {
        match backend {
            Backend::Segment => SegmentFactory::CAPABILITIES,
            Backend::Redb => RedbFactory::CAPABILITIES,
        }
    }

    /// An engine, opened if it is not.
    ///
    /// # Errors
    ///
    /// Its store cannot be opened.
    pub(crate) async fn engine(&self, backend: Backend) -> Result<&Engine, OpenError> {
        match backend {
            Backend::Segment => Ok(&self.segment),
            Backend::Redb => self.redb().await.as_ref().map_err(unavailable),
        }
    }

    /// The engines that are open.
    pub(crate) fn opened(&self) -> impl Iterator<Item = &Engine> {
        let redb = self.redb.get().and_then(|opened| opened.as_ref().ok());
        [&self.segment].into_iter().chain(redb)
    }

    /// Removes a log, whichever store has it. Blocks.
    ///
    /// # Errors
    ///
    /// The disk failed, or a store that could have the log is not open.
    pub(crate) fn delete(&self, log: LogId) -> Result<(), OpenError> {
        if let Some(Err(error)) = self.redb.get() {
            return Err(unavailable(error));
        }
        for engine in self.opened() {
            engine.store()?.delete(log)?;
        }
        Ok(())
    }

    /// Asks every appender for a sign of life.
    pub(crate) fn ping(&self) -> Vec<oneshot::Receiver<()>> {
        self.opened().map(|engine| engine.handle.ping()).collect()
    }

    /// Appends what has queued, answers it and ends the threads. Blocks.
    pub(crate) fn stop(&self) {
        let appenders = self.opened().filter_map(|engine| engine.appender.lock().take());
        appenders.for_each(Appender::stop);
    }

    /// Closes the stores, whose logs are closed. Blocks.
    pub(crate) fn close(&self) {
        self.opened().for_each(|engine| drop(engine.store.lock().take()));
    }

    async fn redb(&self) -> &Result<Engine, Arc<StorageError>> {
        let open = || async { self.parts.open(Backend::Redb).await.map_err(Arc::new) };
        self.redb.get_or_init(open).await
    }
}

impl Engine {
    /// The store.
    ///
    /// # Errors
    ///
    /// The broker is stopping.
    pub(crate) fn store(&self) -> Result<Arc<dyn Store>, OpenError> {
        self.store.lock().clone().ok_or(OpenError::Stopping)
    }

    /// The way to the thread that appends.
    pub(crate) fn appender(&self) -> &AppenderHandle {
        &self.handle
    }
}

impl StoreParts {
    fn directory(&self, backend: Backend) -> PathBuf {
        self.data_dir.join(match backend {
            Backend::Segment => SEGMENT_DIRECTORY,
            Backend::Redb => REDB_DIRECTORY,
        })
    }

    async fn open(&self, backend: Backend) -> Result<Engine, StorageError> {
        let factory: Box<dyn Factory> = match backend {
            Backend::Segment => Box::new(SegmentFactory::new().max_open_files(self.max_open_files)),
            Backend::Redb => Box::new(RedbFactory::new()),
        };
        let (disk, directory) = (Arc::clone(&self.disk), self.directory(backend));
        let open = move || factory.open(disk, &directory);
        let stopped = |source| StorageError::Io {
            action: "opening",
            path: self.directory(backend),
            source,
        };
        let opened = tokio::task::spawn_blocking(open).await;
        let store = opened.map_err(|error| stopped(std::io::Error::other(error)))??;
        let answerer = Answerer::new(self.bus.ack_publisher(), Arc::clone(&self.metrics));
        let (clock, metrics) = (Arc::clone(&self.clock), Arc::clone(&self.metrics));
        let limits = AppenderLimits {
            batch: self.limits,
            max_unsynced: match backend {
                // The other half is left to readers.
                Backend::Segment => self.max_open_files / 2,
                // Partitions hold no files of their own, and one sync is for all of them.
                Backend::Redb => usize::MAX,
            },
        };
        let appender =
            Appender::start(Arc::clone(&store), limits, clock, answerer, metrics).map_err(stopped)?;
        Ok(Engine {
            handle: appender.handle().clone(),
            store: Mutex::new(Some(store)),
            appender: Mutex::new(Some(appender)),
        })
    }
}

fn unavailable(error: &Arc<StorageError>) -> OpenError {
    OpenError::Unavailable(Arc::clone(error))
}
