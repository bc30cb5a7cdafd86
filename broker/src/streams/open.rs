//! Opening and closing streams.

use std::sync::Arc;

use strandline_core::metadata::{PartitionEntry, StreamEntry};
use strandline_core::storage::{Durability, Log, LogSettings, StorageError};
use strandline_core::{BrokerId, PartitionId};
use strandline_storage_backends::{TailCache, TailMemory};

use super::keys::{KeyFailure, Keys};
use super::stream::{OpenPartition, PartitionState, Stream};
use super::{Engine, Stores, Streams};
use crate::archiving::Archives;
use crate::bus::{Bus, BusError};
use crate::partition::{Packing, PartitionHandle, PartitionInfo, ReadState};
use crate::plugins::Plugins;

/// Records that a partition keeps in memory for readers that follow its end.
pub(crate) const TAIL_CACHE_BYTES: usize = 4 << 20;
/// Records that all partitions together keep in memory.
pub(crate) const TAIL_CACHES_BYTES: usize = 256 << 20;

/// Makes streams of this broker available, and takes them away.
#[derive(Debug)]
pub(crate) struct Opener {
    pub(crate) streams: Arc<Streams>,
    pub(crate) stores: Arc<Stores>,
    pub(crate) tail_memory: Arc<TailMemory>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) archives: Arc<Archives>,
    pub(crate) defaults: LogSettings,
    pub(crate) keys: Keys,
    /// Whether streams that do not say otherwise check expected offsets.
    pub(crate) concurrency_control: bool,
    pub(crate) max_message_bytes: usize,
    /// Who this broker is.
    pub(crate) broker: BrokerId,
    /// Held while partitions are made to follow the settings of their stream.
    pub(crate) settings_turn: tokio::sync::Mutex<()>,
}

/// Whether a log has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The stream is being created.
    New,
    /// The stream was created before. A log that is missing is not replaced by an empty one, unless the metadata says
    /// that its creation was never finished.
    Existing,
}

/// Why a partition could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Its log could not.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The store that it is in is not open.
    #[error(transparent)]
    Unavailable(Arc<StorageError>),
    /// The bus refused its subject.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Its keys cannot be used.
    #[error(transparent)]
    Keys(#[from] Arc<KeyFailure>),
    /// The broker is stopping.
    #[error("broker is stopping")]
    Stopping,
}

impl Opener {
    /// Opens a stream's partitions and makes the stream available. A partition that cannot be opened is out of service
    /// and says why; the others work.
    pub(crate) async fn open(&self, entry: &StreamEntry, expect: Expect) -> Arc<Stream> {
        let packing = self.keys.packing(entry).await.map_err(Arc::new);
        let mut partitions = Vec::with_capacity(entry.partitions.len());
        for (number, partition) in (0..).zip(&entry.partitions) {
            let number = PartitionId::new(number);
            let opened = match &packing {
                Ok(packing) => {
                    let info = self.info(entry, number, partition, packing.of(number));
                    self.open_partition(entry, info, partition, expect).await
                }
                Err(failure) => Err(Arc::clone(failure).into()),
            };
            partitions.push(opened.unwrap_or_else(|error| {
                let reason = describe(&error);
                tracing::error!(stream = %entry.definition.name, partition = %number, %reason,
                    "partition is out of service");
                PartitionState::OutOfService {
                    reason: reason.into(),
                }
            }));
        }
        let stream = Arc::new(Stream::new(entry.definition.name.clone(), partitions));
        self.streams.insert(Arc::clone(&stream));
        // What was attached meanwhile did not find the partitions here.
        stream.open().for_each(|partition| self.plugins.equip(partition));
        stream
    }

    /// Takes a stream out of service for good and removes its logs.
    ///
    /// # Errors
    ///
    /// A log could not be removed; the next start of the broker tries again.
    pub(crate) async fn delete(&self, entry: &StreamEntry) -> Result<(), OpenError> {
        let stream = self.streams.remove(entry.definition.name.as_str());
        let engine = self.stores.engine(entry.definition.settings.backend()).await?;
        for handle in stream.iter().flat_map(|stream| stream.open()) {
            let log = handle.info().log;
            self.archives.remove(log);
            engine.appender().remove(log, ReadState::Deleted).await;
        }
        drop(stream);
        for partition in &entry.partitions {
            self.delete_log(partition.log).await?;
        }
        Ok(())
    }

    /// Removes a log that belongs to no stream any more.
    ///
    /// # Errors
    ///
    /// The disk failed.
    pub(crate) async fn delete_log(&self, log: strandline_core::LogId) -> Result<(), OpenError> {
        let stores = Arc::clone(&self.stores);
        let deleted = tokio::task::spawn_blocking(move || stores.delete(log)).await;
        deleted.map_err(|_| OpenError::Stopping)?
    }

    async fn open_partition(
        &self,
        entry: &StreamEntry,
        info: PartitionInfo,
        partition: &PartitionEntry,
        expect: Expect,
    ) -> Result<PartitionState, OpenError> {
        let settings = self.log_settings(entry);
        let engine = self.stores.engine(entry.definition.settings.backend()).await?;
        let log = self.open_log(engine, partition, settings, expect).await?;
        let appender = engine.appender();
        let tiers = self.archives.tiers(&info.stream, &log);
        let whole = match &tiers {
            Some(tiers) => Arc::clone(tiers) as Arc<dyn Log>,
            None => log,
        };
        let number = info.partition;
        let handle = PartitionHandle::new(info, self.cached(whole), appender.clone());
        if let Some(tiers) = tiers {
            let known = (entry, partition, number);
            self.archives.add(known, Arc::clone(&handle), tiers);
        }
        appender.add(Arc::clone(&handle), partition.leader_epoch).await;
        self.plugins.equip(&handle);
        // The server's own streams are written to by it alone, whatever arrives on their subject.
        let subscription = match entry.definition.name.is_reserved() {
            true => None,
            false => Some(self.bus.subscribe(Arc::clone(&handle)).await?),
        };
        Ok(PartitionState::Open(OpenPartition::new(handle, subscription)))
    }

    /// What a stream asks for, and the server's defaults for the rest. An engine that always syncs does so whatever the default.
    fn log_settings(&self, entry: &StreamEntry) -> LogSettings {
        let settings = &entry.definition.settings;
        let mut resolved = settings.log_settings(&self.defaults);
        if settings.durability.is_none() && !self.stores.capabilities(settings.backend()).durability_os {
            resolved.durability = Durability::Fsync;
        }
        resolved
    }

    async fn open_log(
        &self,
        engine: &Engine,
        partition: &PartitionEntry,
        settings: LogSettings,
        expect: Expect,
    ) -> Result<Arc<dyn Log>, OpenError> {
        let (store, id) = (engine.store()?, partition.log);
        let (created, start) = (partition.is_stored_on(&self.broker), partition.start);
        let open = move || {
            // Nothing was ever acknowledged for a log whose creation was not finished.
            let log = match store.open(id, &settings) {
                Err(StorageError::NotFound { .. }) if expect == Expect::New || !created => {
                    store.create(id, &settings)?
                }
                other => other?,
            };
            // What the archive has of it is not here. An end before it means that a crash came between.
            if log.end() < start && !created {
                log.reset(start)?;
            }
            Ok::<_, StorageError>(log)
        };
        let log = tokio::task::spawn_blocking(open)
            .await
            .map_err(|_| OpenError::Stopping)??;
        Ok(log)
    }

    fn cached(&self, log: Arc<dyn Log>) -> Arc<TailCache> {
        let memory = Arc::clone(&self.tail_memory);
        Arc::new(TailCache::sharing(log, TAIL_CACHE_BYTES, memory))
    }

    fn info(
        &self,
        entry: &StreamEntry,
        number: PartitionId,
        partition: &PartitionEntry,
        packing: Packing,
    ) -> PartitionInfo {
        let definition = &entry.definition;
        let literal = !definition.subject.has_wildcard();
        PartitionInfo {
            log: partition.log,
            stream: definition.name.clone(),
            partition: number,
            base_subject: definition.subject.clone(),
            literal_subject: literal.then(|| definition.subject.for_partition(number.get())),
            group: definition.group.clone(),
            concurrency_control: definition
                .settings
                .optimistic_concurrency_control
                .unwrap_or(self.concurrency_control),
            max_message_bytes: self.max_message_bytes,
            packing,
        }
    }
}

/// An error with its causes on one line. A cause whose text stands in the error already is left out.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}
