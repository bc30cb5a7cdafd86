//! Which brokers hold the partitions of a new stream.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Rejection, State};
use crate::BrokerId;
use crate::stream::{MAX_PARTITIONS, StreamDefinition};

/// For each partition of a stream its replicas, the leader first.
///
/// It is chosen by the proposer and stands in the command, so that brokers of different versions, which may choose
/// differently, still agree on the outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Placement(Vec<Vec<BrokerId>>);

impl Placement {
    /// A placement with these replicas per partition, the leader first.
    pub fn new(partitions: Vec<Vec<BrokerId>>) -> Self {
        Self(partitions)
    }

    /// Replicas per partition, the leader first.
    pub fn partitions(&self) -> &[Vec<BrokerId>] {
        &self.0
    }
}

/// Chooses brokers for new streams: replicas go to the brokers with the fewest partitions, leadership to the one of
/// them that leads the fewest.
///
/// What was planned counts at once, also between the partitions of one stream, so that these spread over the cluster.
#[derive(Clone, Debug)]
pub struct Planner {
    loads: BTreeMap<BrokerId, Load>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Load {
    partitions: u64,
    leaderships: u64,
}

impl Planner {
    /// A planner that starts from what the brokers hold now.
    pub fn new(state: &State) -> Self {
        let load = |partitions, leaderships| Load {
            partitions,
            leaderships,
        };
        let loads = state
            .brokers()
            .map(|broker| (broker.id.clone(), load(broker.partitions, broker.leaderships)));
        Self {
            loads: loads.collect(),
        }
    }

    /// Chooses brokers for the partitions of a stream. Nothing is counted when it is refused.
    ///
    /// # Errors
    ///
    /// A number of partitions or copies that no placement can satisfy.
    pub fn plan(&mut self, definition: &StreamDefinition) -> Result<Placement, Rejection> {
        let factor = definition.replication_factor;
        let brokers = self.loads.len();
        let replicas = usize::try_from(factor).unwrap_or(usize::MAX);
        if definition.partitions == 0 || definition.partitions > MAX_PARTITIONS {
            return Err(Rejection::InvalidPartitionCount {
                partitions: definition.partitions,
            });
        }
        if replicas == 0 || replicas > brokers {
            return Err(Rejection::InvalidReplicationFactor { factor, brokers });
        }
        let partitions = (0..definition.partitions).map(|_| self.place_partition(replicas));
        Ok(Placement(partitions.collect()))
    }

    fn place_partition(&mut self, replicas: usize) -> Vec<BrokerId> {
        let mut least_loaded: Vec<(&BrokerId, &mut Load)> = self.loads.iter_mut().collect();
        least_loaded.sort_by(|(a, a_load), (b, b_load)| (&**a_load, a).cmp(&(&**b_load, b)));
        least_loaded.truncate(replicas);
        least_loaded.sort_by(|(a, a_load), (b, b_load)| {
            (a_load.leaderships, a_load.partitions, a).cmp(&(b_load.leaderships, b_load.partitions, b))
        });
        for (position, (_, load)) in least_loaded.iter_mut().enumerate() {
            load.partitions += 1;
            load.leaderships += u64::from(position == 0);
        }
        least_loaded
            .into_iter()
            .map(|(broker, _)| broker.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests;
