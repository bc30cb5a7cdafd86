//! A log in both tiers.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use strandline_core::record::Batch;
use strandline_core::storage::{Factory, Log, LogSettings, ReadError, ReadLimit, Run, Store, read_waiting};
use strandline_core::{LogId, Offset};

use super::{WatchedStore, Writer};
use crate::tiered::reads::{ArchiveReads, ReadSettings};
use crate::tiered::{Bucket, BucketOptions, TieredLog};
use crate::{MemoryFactory, SystemDisk};

/// A local log, a bucket, and who writes and reads there.
pub(in crate::tiered) struct World {
    pub(in crate::tiered) store: Arc<WatchedStore>,
    pub(in crate::tiered) local: Arc<dyn Log>,
    pub(in crate::tiered) writer: Writer,
    pub(in crate::tiered) reads: Arc<ArchiveReads>,
    pub(in crate::tiered) log: TieredLog,
    pub(in crate::tiered) runtime: Runtime,
    _store: Arc<dyn Store>,
}

/// Nothing is left out.
pub(in crate::tiered) const ALL: ReadLimit = ReadLimit {
    end: Offset::MAX,
    max_bytes: 512 << 10,
};

impl World {
    /// An empty log with an empty archive that is attached.
    pub(in crate::tiered) fn new() -> Self {
        Self::with(ReadSettings::default())
    }

    /// One whose fetches end after less than half a second.
    pub(in crate::tiered) fn impatient() -> Self {
        Self::with(ReadSettings {
            deadline: Duration::from_millis(400),
            ..ReadSettings::default()
        })
    }

    pub(in crate::tiered) fn with(settings: ReadSettings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let store = WatchedStore::new();
        let options = BucketOptions {
            tries: 1,
            ..BucketOptions::default()
        };
        let bucket = Arc::new(Bucket::of_stores(Arc::clone(&store) as _, None, &options));
        let directory = tempfile::tempdir().unwrap();
        let logs = MemoryFactory::new()
            .open(Arc::new(SystemDisk::new()), directory.path())
            .unwrap();
        let local = logs.create(LogId::new(1), &LogSettings::default()).unwrap();
        let writer = runtime.block_on(Writer::new(bucket, 0));
        let reads = ArchiveReads::new(settings, runtime.handle().clone());
        let log = TieredLog::new(Arc::clone(&local), Arc::clone(&reads));
        log.attach(writer.archive());
        Self {
            store,
            local,
            writer,
            reads,
            log,
            runtime,
            _store: logs,
        }
    }

    /// Another process: nothing in memory of what was read.
    pub(in crate::tiered) fn restart_reads(&mut self, settings: ReadSettings) {
        self.reads = ArchiveReads::new(settings, self.runtime.handle().clone());
        self.log = TieredLog::new(Arc::clone(&self.local), Arc::clone(&self.reads));
        self.log.attach(self.writer.archive());
    }

    /// Appends batches as a sealed segment.
    pub(in crate::tiered) fn append(&self, batches: &[Batch]) {
        let _commit = self.local.append(batches).unwrap();
        self.local.roll().unwrap();
    }

    /// Writes a segment into the archive: what the local log has up to here.
    pub(in crate::tiered) fn archive_to(&mut self, end: u64) {
        let end = Offset::new(end);
        let from = self.writer.head().end;
        let mut batches = Vec::new();
        let mut next = from.max(self.local.start());
        while next < end {
            let run = self.local.read(next, ReadLimit { end, ..ALL }).unwrap();
            if run.bytes.is_empty() {
                break;
            }
            batches.extend(run.batches().map(Result::unwrap));
            next = run.next;
        }
        self.runtime.block_on(self.writer.add(&batches, end));
    }

    /// Removes local segments.
    pub(in crate::tiered) fn remove_local(&self, before: u64) {
        self.local.remove_before(Offset::new(before)).unwrap();
    }

    /// Reads, and waits for what has to be fetched.
    pub(in crate::tiered) fn read(&self, from: u64) -> Result<Run, ReadError> {
        read_waiting(|| self.log.read(Offset::new(from), ALL))
    }

    /// The base offsets of all batches from here on, each with its last offset.
    pub(in crate::tiered) fn read_on(&self, from: u64) -> Vec<(u64, u64)> {
        let (mut found, mut next) = (Vec::new(), Offset::new(from));
        while next < self.log.end() {
            let run = read_waiting(|| self.log.read(next, ALL)).unwrap();
            if run.bytes.is_empty() {
                break;
            }
            found.extend(run.batches().map(|batch| {
                let header = *batch.unwrap().header();
                (header.base.get(), header.last.get())
            }));
            next = run.next;
        }
        found
    }

    /// Waits until nothing is fetched any more.
    pub(in crate::tiered) fn settle(&self) {
        while !self.reads.is_idle() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
