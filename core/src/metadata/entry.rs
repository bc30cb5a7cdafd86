//! Streams and partitions as the cluster knows them.

use serde::{Deserialize, Serialize};

use super::{ArchivePlace, DataKey};
use crate::stream::StreamDefinition;
use crate::{BrokerId, LeaderEpoch, LogId, Offset, PartitionId, Timestamp};

/// A stream that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamEntry {
    /// As its creator asked for it.
    pub definition: StreamDefinition,
    /// When it was created.
    pub created: Timestamp,
    /// Its partitions; the position is the number.
    pub partitions: Vec<PartitionEntry>,
    /// Its data keys, oldest first; new batches take the last one. They go with the stream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<DataKey>,
    /// Where it is archived; stays when archiving is turned off, since what is there is still read. None = it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchivePlace>,
}

impl StreamEntry {
    /// The partition with this number.
    pub fn partition(&self, partition: PartitionId) -> Option<&PartitionEntry> {
        self.partitions.get(usize::try_from(partition.get()).ok()?)
    }

    /// The log of the first partition. No other stream ever has it, also not a later one of the same name.
    pub fn first_log(&self) -> Option<LogId> {
        self.partitions.first().map(|partition| partition.log)
    }

    /// The partitions with their numbers, in order.
    pub fn numbered_partitions(&self) -> impl Iterator<Item = (PartitionId, &PartitionEntry)> {
        (0..).map(PartitionId::new).zip(&self.partitions)
    }
}

/// A partition of a stream that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionEntry {
    /// Identity of its log, never given again.
    pub log: LogId,
    /// Generation of its leadership; grows with every election, also when the same broker is elected again.
    pub leader_epoch: LeaderEpoch,
    /// Who leads; none = nobody, until an election.
    pub leader: Option<BrokerId>,
    /// Who holds a copy; the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// Which replicas are in sync.
    pub isr: Vec<BrokerId>,
    /// Which replicas have reported that their log exists. On one of these a log that is missing is lost; on another its
    /// creation may never have been finished, and nothing was acknowledged from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stored: Vec<BrokerId>,
    /// Whether its HEAD was created in the archive. One that is missing from then on is a loss, never a beginning.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_archived: bool,
    /// Where its log begins that is not [stored](Self::stored) yet: behind the records of the archive that it came back from.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start: Offset,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "what serde calls gets a reference"
)]
fn is_zero(offset: &Offset) -> bool {
    *offset == Offset::ZERO
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "what serde calls gets a reference"
)]
fn is_false(on: &bool) -> bool {
    !on
}

impl PartitionEntry {
    /// Whether this broker leads the partition.
    pub fn is_led_by(&self, broker: &BrokerId) -> bool {
        self.leader.as_ref() == Some(broker)
    }

    /// Whether this broker has reported that its log exists.
    pub fn is_stored_on(&self, broker: &BrokerId) -> bool {
        self.stored.contains(broker)
    }

    /// Whether this broker holds a replica.
    pub fn is_held_by(&self, broker: &BrokerId) -> bool {
        self.replicas.contains(broker)
    }
}
