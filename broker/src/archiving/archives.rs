//! The archive of this broker, and its partitions that have to do with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;

use strandline_core::disk::Disk;
use strandline_core::metadata::{ArchivePlace, PartitionEntry, StreamEntry};
use strandline_core::storage::Log;
use strandline_core::stream::StreamSettings;
use strandline_core::{LogId, PartitionId, StreamName};
use strandline_storage_backends::tiered::{
    ArchiveReads, Bucket, BucketError, BucketOptions, DiskSettings, PartitionArchive, Place, ReadSettings,
    Requests, Throttle, TieredLog,
};

use super::hurry::Hurry;
use super::numbers::ArchiveNumbers;
use super::partition::ArchivedPartition;
use super::proof::{Proof, Unfit};
use crate::partition::PartitionHandle;
use crate::settings::{ArchiveSettings, ArchiveTarget};

/// Where what was read from the archive is kept, below the data directory.
const CACHE_DIRECTORY: &str = "archive-cache";

/// Streams are to be archived, and there is nowhere to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this broker has no archive: set archive.url in its configuration to the bucket, or leave archive off"
)]
pub(crate) struct NoArchive;

/// The archive, if there is one, and the partitions that have to do with it.
#[derive(Debug)]
pub(crate) struct Archives {
    settings: ArchiveSettings,
    tools: Option<Tools>,
    partitions: RwLock<BTreeMap<LogId, Arc<ArchivedPartition>>>,
    /// Held by who compacts an archive: one at a time.
    compacting: Mutex<()>,
    /// Times that an archive was begun anew.
    renewals: AtomicU64,
    pub(crate) numbers: ArchiveNumbers,
    /// Whose turn is not to be waited for.
    pub(super) hurry: Hurry,
    /// Held by who makes or removes a point of the cluster: one after the other.
    pub(super) points: tokio::sync::Mutex<()>,
}

/// What all partitions share.
#[derive(Debug)]
struct Tools {
    bucket: Arc<Bucket>,
    reads: Arc<ArchiveReads>,
    throttle: Arc<Throttle>,
    proof: Proof,
}

impl Archives {
    /// The archive as it is configured. Does not ask it for anything: a broker serves whether it answers or not.
    ///
    /// # Errors
    ///
    /// It is configured wrongly.
    pub(crate) fn open(
        settings: ArchiveSettings,
        disk: &Arc<dyn Disk>,
        data_dir: &Path,
    ) -> Result<Self, BucketError> {
        let tools = settings.target.as_ref().map(|target| {
            let bucket = Bucket::open(&target.url, &bucket_options(target))?;
            let reads = ReadSettings {
                disk: (settings.cache_disk > 0).then(|| DiskSettings {
                    disk: Arc::clone(disk),
                    directory: data_dir.join(CACHE_DIRECTORY),
                    max_bytes: settings.cache_disk,
                }),
                deadline: settings.fetch_timeout,
                ..ReadSettings::default()
            };
            let reads = reads.within(settings.cache_memory);
            Ok(Tools {
                bucket: Arc::new(bucket),
                reads: ArchiveReads::new(reads, Handle::current()),
                throttle: Arc::new(Throttle::new(Some(settings.upload_rate).filter(|&rate| rate > 0))),
                proof: Proof::default(),
            })
        });
        Ok(Self {
            tools: tools.transpose()?,
            settings,
            partitions: RwLock::default(),
            compacting: Mutex::default(),
            renewals: AtomicU64::default(),
            numbers: ArchiveNumbers::default(),
            hurry: Hurry::default(),
            points: tokio::sync::Mutex::default(),
        })
    }

    /// Whether there is an archive.
    pub(crate) fn is_configured(&self) -> bool {
        self.tools.is_some()
    }

    pub(crate) fn settings(&self) -> &ArchiveSettings {
        &self.settings
    }

    /// Whether streams that do not say otherwise are archived.
    pub(crate) fn by_default(&self) -> bool {
        self.settings.by_default
    }

    /// Whether a stream with these settings is archived.
    pub(crate) fn wants(&self, settings: &StreamSettings) -> bool {
        self.is_configured() && settings.archive.unwrap_or(self.by_default())
    }

    /// Whether a stream may have these settings.
    ///
    /// # Errors
    ///
    /// It is to be archived, and there is nowhere to.
    pub(crate) fn check(&self, settings: &StreamSettings) -> Result<(), NoArchive> {
        if settings.archive == Some(true) && !self.is_configured() {
            return Err(NoArchive);
        }
        Ok(())
    }

    /// The log with an older tier, which is empty until the partition is [added](Self::add); none without an archive.
    pub(crate) fn tiers(&self, name: &StreamName, log: &Arc<dyn Log>) -> Option<Arc<TieredLog>> {
        let tools = self.tools.as_ref().filter(|_| !name.is_reserved())?;
        Some(Arc::new(TieredLog::new(
            Arc::clone(log),
            Arc::clone(&tools.reads),
        )))
    }

    /// Adds a partition before anybody reads it; what is in the archive is read from there from now on.
    pub(crate) fn add(
        &self,
        (entry, partition, number): (&StreamEntry, &PartitionEntry, PartitionId),
        handle: Arc<PartitionHandle>,
        tiers: Arc<TieredLog>,
    ) {
        let place = entry.archive.as_ref().filter(|_| partition.is_archived);
        let made = place.and_then(|place| self.archive(place, number));
        let hold = self.wants(&entry.definition.settings);
        handle.archive_hold().set_removes_segments(hold);
        let added = ArchivedPartition::new(handle, tiers, partition.leader_epoch, made);
        let before = self.partitions.write().insert(partition.log, Arc::new(added));
        if let Some(before) = before {
            before.closing.cancel();
        }
    }

    /// Forgets a partition that is closed. A turn that it is in ends soon. Its objects stay.
    pub(crate) fn remove(&self, log: LogId) {
        if let Some(partition) = self.partitions.write().remove(&log) {
            partition.closing.cancel();
        }
    }

    /// The partition with this log.
    pub(crate) fn get(&self, log: LogId) -> Option<Arc<ArchivedPartition>> {
        self.partitions.read().get(&log).cloned()
    }

    /// All partitions that could be archived, by log.
    pub(crate) fn all(&self) -> Vec<Arc<ArchivedPartition>> {
        self.partitions.read().values().cloned().collect()
    }

    /// Those that are or were archived, by log.
    pub(crate) fn of_interest(&self) -> Vec<Arc<ArchivedPartition>> {
        let partitions = self.partitions.read();
        let interesting = partitions.values().filter(|partition| partition.is_of_interest());
        interesting.cloned().collect()
    }

    /// What reading from the archive has cost, if there is one.
    pub(crate) fn reads(&self) -> Option<&Arc<ArchiveReads>> {
        self.tools.as_ref().map(|tools| &tools.reads)
    }

    /// What the bucket was asked so far, if there is one.
    pub(crate) fn requests(&self) -> Option<Requests> {
        self.tools.as_ref().map(|tools| tools.bucket.requests())
    }

    /// Ends what is under way: readers that wait are told so.
    pub(crate) fn stop(&self) {
        self.all().iter().for_each(|partition| partition.closing.cancel());
        if let Some(reads) = self.reads() {
            reads.stop();
        }
    }

    /// Held by who compacts an archive.
    pub(super) fn compacting(&self) -> &Mutex<()> {
        &self.compacting
    }

    /// How often an archive was begun anew.
    pub(super) fn renewals(&self) -> u64 {
        self.renewals.load(Ordering::Acquire)
    }

    /// Archives were begun anew: who waits after failures has its turn at once.
    pub(super) fn renewed(&self) {
        self.renewals.fetch_add(1, Ordering::AcqRel);
    }

    /// The bucket, if there is one.
    pub(super) fn bucket(&self) -> Option<Arc<Bucket>> {
        self.tools.as_ref().map(|tools| Arc::clone(&tools.bucket))
    }

    /// Tries the bucket, once, before anything is written to it for good.
    ///
    /// # Errors
    ///
    /// It cannot be used.
    pub(super) async fn prove(&self) -> Result<(), Unfit> {
        match &self.tools {
            Some(tools) => tools.proof.of(&tools.bucket).await,
            None => Ok(()),
        }
    }

    /// Uploads take no more than this from now on, in bytes a second, nor more than the settings say.
    pub(super) fn set_upload_rate(&self, wanted: Option<u64>) {
        let configured = Some(self.settings.upload_rate).filter(|&rate| rate > 0);
        if let Some(tools) = &self.tools {
            let rate = wanted.map_or(configured, |wanted| {
                Some(configured.map_or(wanted, |most| most.min(wanted)))
            });
            tools.throttle.set_rate(rate);
            // A little faster, so that a part has left before the next one is full.
            tools
                .bucket
                .set_pace(rate.map(|rate| rate.saturating_add(rate / 2)));
        }
    }

    pub(super) fn throttle(&self) -> Option<Arc<Throttle>> {
        self.tools.as_ref().map(|tools| Arc::clone(&tools.throttle))
    }

    /// A partition of a stream at its place.
    pub(super) fn archive(
        &self,
        place: &ArchivePlace,
        partition: PartitionId,
    ) -> Option<Arc<PartitionArchive>> {
        let place = Place {
            root: place.root.as_str().to_owned(),
            partition,
        };
        let bucket = Arc::clone(&self.tools.as_ref()?.bucket);
        Some(PartitionArchive::new(bucket, place))
    }
}

/// How the bucket of a target is reached.
pub(crate) fn bucket_options(target: &ArchiveTarget) -> BucketOptions {
    BucketOptions {
        endpoint: target.endpoint.clone(),
        region: target.region.clone(),
        path_style: target.path_style,
        ca: target.ca.clone(),
        ..BucketOptions::default()
    }
}
