//! What exists in the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Broker, ClusterId, PartitionEntry, PluginRegistry, StreamEntry};
use crate::{BrokerId, LogId, PartitionId};

/// Most partitions of one cluster. Keeps the state, which every broker holds in memory, within reason.
pub const MAX_CLUSTER_PARTITIONS: u64 = 1_000_000;

/// What exists in the cluster: streams, brokers, and the logs of deleted streams that still have to be removed.
///
/// Cloning shares the streams and costs a pointer each, so that a reader's snapshot is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub(super) revision: u64,
    pub(super) cluster: Option<ClusterId>,
    pub(super) next_log: u64,
    pub(super) processes: u32,
    pub(super) keys: u32,
    pub(super) partitions: u64,
    pub(super) brokers: BTreeMap<BrokerId, Broker>,
    pub(super) streams: BTreeMap<Arc<str>, Arc<StreamEntry>>,
    pub(super) removals: BTreeMap<LogId, BTreeSet<BrokerId>>,
    pub(super) plugins: Arc<PluginRegistry>,
}

impl State {
    /// Index in the metadata log of the last command that changed this state; 0 = none did.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Identity of the cluster, once it is founded.
    pub fn cluster(&self) -> Option<&ClusterId> {
        self.cluster.as_ref()
    }

    /// The stream with this name.
    pub fn stream(&self, name: &str) -> Option<&Arc<StreamEntry>> {
        self.streams.get(name)
    }

    /// The streams, by name.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = &Arc<StreamEntry>> {
        self.streams.values()
    }

    /// The plugins.
    pub fn plugins(&self) -> &Arc<PluginRegistry> {
        &self.plugins
    }

    /// How many numbers of data keys were given.
    pub fn keys_given(&self) -> u32 {
        self.keys
    }

    /// Number of partitions of all streams.
    pub fn partition_count(&self) -> u64 {
        self.partitions
    }

    /// The broker with this identity.
    pub fn broker(&self, id: &BrokerId) -> Option<&Broker> {
        self.brokers.get(id)
    }

    /// The registered brokers, by identity.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &Broker> {
        self.brokers.values()
    }

    /// The partitions that a broker holds a replica of.
    pub fn partitions_on<'a>(
        &'a self,
        broker: &'a BrokerId,
    ) -> impl Iterator<Item = (&'a Arc<StreamEntry>, PartitionId, &'a PartitionEntry)> {
        self.streams.values().flat_map(move |stream| {
            let held = stream
                .numbered_partitions()
                .filter(move |(_, entry)| entry.is_held_by(broker));
            held.map(move |(partition, entry)| (stream, partition, entry))
        })
    }

    /// Logs of deleted streams that a broker has to remove and has not reported removed.
    ///
    /// Only these may be removed from a disk: a log that is neither here nor [held](Self::partitions_on) is unknown,
    /// and what is unknown is kept.
    pub fn pending_removals<'a>(&'a self, broker: &'a BrokerId) -> impl Iterator<Item = LogId> + 'a {
        self.removals
            .iter()
            .filter(|(_, holders)| holders.contains(broker))
            .map(|(&log, _)| log)
    }

    /// Whether this identity was ever given to a log. One that was not cannot belong to this cluster.
    pub fn knew_log(&self, log: LogId) -> bool {
        log.get() < self.next_log
    }
}
