//! Which logs a data directory has to hold, and for whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use strandline_codec::{MasterKeys, Unpacker};
use strandline_core::metadata::{PluginRegistry, State, StreamEntry};
use strandline_core::storage::Backend;
use strandline_core::{BrokerId, LogId, PartitionId};

use super::MaintenanceError;

/// A partition, and where its records are.
#[derive(Clone, Debug)]
pub struct Place {
    /// The stream.
    pub stream: Arc<StreamEntry>,
    /// Its partition.
    pub partition: PartitionId,
    /// The log.
    pub log: LogId,
    /// Whether the log was created for good. Nothing was ever acknowledged from one that was not.
    pub is_created: bool,
}

impl Place {
    /// The engine that has the log.
    pub fn backend(&self) -> Backend {
        self.stream.definition.settings.backend()
    }

    /// The stream and the partition as users name them.
    pub fn name(&self) -> String {
        format!("{}:{}", self.stream.definition.name, self.partition)
    }

    /// What unpacks its batches with these master keys, and whether that can decrypt.
    pub(super) fn unpacker(&self, masters: &MasterKeys) -> (Unpacker, bool) {
        let keys = masters.open(&self.stream.definition.name, &self.stream.keys);
        let can_decrypt = keys.is_ok();
        (
            Unpacker::new(self.partition, keys.unwrap_or_default()),
            can_decrypt,
        )
    }
}

/// A stream, or one partition of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The stream's name.
    pub stream: String,
    /// The partition; none = all.
    pub partition: Option<u32>,
}

/// The partitions of a broker and what else its metadata says about logs.
#[derive(Debug)]
pub(super) struct Inventory {
    places: BTreeMap<LogId, Place>,
    removals: BTreeSet<LogId>,
    state: Arc<State>,
}

/// Why there is a log that belongs to no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stray {
    /// Its stream was deleted.
    Deleted,
    /// This cluster had it once.
    Unused,
    /// This cluster never had it.
    Foreign,
}

impl Inventory {
    /// What this broker has; of an unknown one what any has.
    pub(super) fn new(state: &Arc<State>, server: Option<&BrokerId>) -> Self {
        let is_ours = |holder: &BrokerId| server.is_none_or(|server| server == holder);
        let mut places = BTreeMap::new();
        for stream in state.streams() {
            for (partition, entry) in stream.numbered_partitions() {
                if entry.replicas.iter().any(is_ours) {
                    let place = Place {
                        stream: Arc::clone(stream),
                        partition,
                        log: entry.log,
                        is_created: entry.stored.iter().any(is_ours),
                    };
                    places.insert(entry.log, place);
                }
            }
        }
        let removals = server.map_or_else(BTreeSet::new, |server| state.pending_removals(server).collect());
        Self {
            places,
            removals,
            state: Arc::clone(state),
        }
    }

    /// The plugins.
    pub(super) fn plugins(&self) -> &PluginRegistry {
        self.state.plugins()
    }

    pub(super) fn place(&self, log: LogId) -> Option<&Place> {
        self.places.get(&log)
    }

    /// The partitions that are kept by an engine, by their logs.
    pub(super) fn on(&self, backend: Backend) -> impl Iterator<Item = &Place> {
        self.places
            .values()
            .filter(move |place| place.backend() == backend)
    }

    /// Why there is a log of which no partition knows.
    pub(super) fn stray(&self, log: LogId) -> Stray {
        if self.removals.contains(&log) {
            Stray::Deleted
        } else if self.state.knew_log(log) {
            Stray::Unused
        } else {
            Stray::Foreign
        }
    }

    /// The partitions that are meant.
    ///
    /// # Errors
    ///
    /// There are none.
    pub(super) fn find(&self, target: &Target) -> Result<Vec<Place>, MaintenanceError> {
        let named = |place: &&Place| place.stream.definition.name.as_str() == target.stream;
        let places: Vec<_> = self.places.values().filter(named).cloned().collect();
        if places.is_empty() {
            return Err(MaintenanceError::NoStream {
                name: target.stream.clone(),
            });
        }
        let Some(partition) = target.partition else {
            return Ok(places);
        };
        let place = places
            .into_iter()
            .find(|place| place.partition.get() == partition);
        place
            .map(|place| vec![place])
            .ok_or_else(|| MaintenanceError::NoPartition {
                stream: target.stream.clone(),
                partition,
            })
    }
}
