//! What can be asked of the state machine, and what it answers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    ArchivePlace, Broker, ClusterId, MAX_CLUSTER_PARTITIONS, PlaceRoot, Placement, PluginChange,
    PluginOutcome, PluginRejection, RestoredStream, Rewrap, StreamEntry, WrappedKey,
};
use crate::plugin::Sha256;
use crate::record::KeyId;
use crate::stream::{InvalidChange, MAX_CHANGES, MAX_PARTITIONS, SettingChange, StreamDefinition};
use crate::{BrokerId, LogId, StreamName, Timestamp};

/// One change of the cluster's state, as it stands in the metadata log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(
    clippy::large_enum_variant,
    reason = "few exist at a time, and most of those create streams"
)]
pub enum Command {
    /// Gives the cluster its identity. Repeating it with the same one is harmless.
    FoundCluster {
        /// The identity.
        cluster: ClusterId,
    },
    /// A broker's process has started; says where clients reach it. Must come before anything is placed on it.
    RegisterBroker {
        /// Who.
        broker: BrokerId,
        /// Host for clients.
        host: String,
        /// Port for clients.
        port: u16,
        /// The proposer's time.
        now: Timestamp,
    },
    /// Creates a stream with all its partitions.
    CreateStream {
        /// As its creator asked for it.
        definition: StreamDefinition,
        /// The proposer's choice of brokers, from a [`Planner`](super::Planner).
        placement: Placement,
        /// The proposer's time.
        now: Timestamp,
    },
    /// Creates a stream of the server's own, under a name that is reserved for it.
    CreateInternalStream {
        /// What the server wants.
        definition: StreamDefinition,
        /// The proposer's choice of brokers, from a [`Planner`](super::Planner).
        placement: Placement,
        /// The proposer's time.
        now: Timestamp,
    },
    /// Changes settings of a stream; all of them or, if one cannot be, none. Repeating it is harmless.
    UpdateStream {
        /// Which.
        name: StreamName,
        /// What changes, in order; at most [`MAX_CHANGES`].
        changes: Vec<SettingChange>,
    },
    /// Deletes a stream. Its logs stay known as [pending removal](super::State::pending_removals) until their holders
    /// report them removed.
    DeleteStream {
        /// Which.
        name: StreamName,
    },
    /// Makes a broker the leader, under a new epoch, of every partition that it led before or that nobody leads, as far
    /// as it is in sync there. A new process asks for this before it appends, so that no batch of it can carry the
    /// epoch of the process before.
    ElectLeader {
        /// Who.
        broker: BrokerId,
    },
    /// A broker has created its logs of a stream, durably. Repeating it is harmless.
    LogsCreated {
        /// Who.
        broker: BrokerId,
        /// The stream.
        name: StreamName,
        /// The log of the stream's first partition: tells the stream from one that was created under its name later.
        first: LogId,
    },
    /// A broker has removed these logs of deleted streams from its disk. Repeating it is harmless.
    LogsRemoved {
        /// Who.
        broker: BrokerId,
        /// Which.
        logs: Vec<LogId>,
    },
    /// Gives a stream its data key, unless it has one: of two proposers the first wins.
    AddDataKey {
        /// The stream.
        name: StreamName,
        /// The log of the stream's first partition, as with [`Command::LogsCreated`].
        first: LogId,
        /// The key.
        wrapped: WrappedKey,
    },
    /// Replaces the wraps of data keys by those of another master key. A data key that is gone, or wrapped with another
    /// master key than it was when the new wrap was made, is left as it is. Repeating it is harmless.
    RewrapDataKeys {
        /// The new wraps.
        wraps: Vec<Rewrap>,
    },
    /// Gives a stream its place in the archive, unless it has one: of two proposers the first wins. To be recorded before
    /// anything is written there.
    BeginArchive {
        /// The stream.
        name: StreamName,
        /// The log of the stream's first partition, as with [`Command::LogsCreated`].
        first: LogId,
        /// The place.
        place: ArchivePlace,
    },
    /// The HEADs of these partitions are in the archive. To be recorded before a segment is. Repeating it is harmless.
    ArchivesMade {
        /// The stream.
        name: StreamName,
        /// The log of the stream's first partition, as with [`Command::LogsCreated`].
        first: LogId,
        /// Logs of the partitions; such as the stream has not are passed over.
        logs: Vec<LogId>,
    },
    /// Gives a stream another place in the archive, with nothing in it: what was in the old one is lost, or given up. One that has
    /// another place than `was` by then is left as it is.
    RenewArchive {
        /// The stream.
        name: StreamName,
        /// The log of the stream's first partition, as with [`Command::LogsCreated`].
        first: LogId,
        /// The place that is given up.
        was: PlaceRoot,
        /// The proposer's time.
        now: Timestamp,
    },
    /// Creates a stream that another cluster has archived. From then on it is this cluster's.
    RestoreStream {
        /// As it was there, or under another name.
        definition: StreamDefinition,
        /// The proposer's choice of brokers, from a [`Planner`](super::Planner).
        placement: Placement,
        /// What the archive says of it.
        restored: Box<RestoredStream>,
        /// The proposer's time.
        now: Timestamp,
    },
    /// Changes plugin modules or their attachments to streams.
    Plugins {
        /// What changes.
        change: PluginChange,
        /// Who asks for it; 1 to [`PluginEvent::MAX_BY_BYTES`](crate::plugin::PluginEvent::MAX_BY_BYTES).
        by: String,
        /// The proposer's time.
        now: Timestamp,
    },
    /// A broker has removed these bytes of deleted modules from its disk. Repeating it is harmless.
    ModulesRemoved {
        /// Who.
        broker: BrokerId,
        /// Which.
        modules: Vec<Sha256>,
    },
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The cluster has this identity.
    Founded,
    /// The broker is registered under this incarnation.
    Registered {
        /// See [`Broker::incarnation`].
        incarnation: u64,
        /// Number of this process among all of the cluster, never given again. Nonces begin with it.
        process: u32,
    },
    /// The stream exists.
    Created(#[serde(with = "shared")] Arc<StreamEntry>),
    /// The stream is like this now.
    Updated(#[serde(with = "shared")] Arc<StreamEntry>),
    /// The stream existed like this and is gone.
    Deleted(#[serde(with = "shared")] Arc<StreamEntry>),
    /// The broker now leads so many partitions under a new epoch.
    Elected {
        /// How many changed.
        partitions: u64,
    },
    /// So many partitions are now known to be stored on the broker.
    LogsCreated {
        /// How many changed.
        partitions: u64,
    },
    /// So many logs that were known as pending on this broker are forgotten.
    LogsRemoved {
        /// How many changed.
        logs: u64,
    },
    /// The stream has a data key, this or an earlier one.
    DataKeyAdded(#[serde(with = "shared")] Arc<StreamEntry>),
    /// So many data keys are wrapped anew.
    DataKeysRewrapped {
        /// How many changed.
        keys: u64,
    },
    /// The stream has a place in the archive, this or an earlier one.
    ArchiveBegun(#[serde(with = "shared")] Arc<StreamEntry>),
    /// So many partitions are now known to have a HEAD in the archive.
    ArchivesMade {
        /// How many changed.
        partitions: u64,
    },
    /// Plugins have changed.
    Plugin(PluginOutcome),
    /// So many modules that were to be removed from this broker are forgotten.
    ModulesRemoved {
        /// How many changed.
        modules: u64,
    },
}

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// The name is taken.
    #[error("stream already exists: {name}")]
    StreamExists {
        /// The name.
        name: StreamName,
    },
    /// There is no such stream.
    #[error("stream does not exist: {name}")]
    NoSuchStream {
        /// The name.
        name: StreamName,
    },
    /// The server keeps this name for a stream of its own.
    #[error("stream is reserved: {name}")]
    ReservedName {
        /// The name.
        name: StreamName,
    },
    /// Only names that the server keeps for itself are those of internal streams.
    #[error("stream is not one of the server's own: {name}")]
    NotReserved {
        /// The name.
        name: StreamName,
    },
    /// A setting cannot have the value.
    #[error("{setting} must be {rule}")]
    InvalidSetting {
        /// The setting, as the configuration calls it.
        setting: String,
        /// What it must be.
        rule: String,
    },
    /// More than [`MAX_CHANGES`].
    #[error("at most {MAX_CHANGES} settings change at once: {changes} asked for")]
    TooManyChanges {
        /// How many were asked for.
        changes: usize,
    },
    /// No partitions, or more than a stream may have.
    #[error("a stream has 1 to {MAX_PARTITIONS} partitions: {partitions} asked for")]
    InvalidPartitionCount {
        /// How many were asked for.
        partitions: u32,
    },
    /// No copies, or more than there are brokers.
    #[error("replication factor must be 1 to the number of brokers: {factor} asked for, {brokers} brokers")]
    InvalidReplicationFactor {
        /// Copies asked for.
        factor: u32,
        /// Brokers registered.
        brokers: usize,
    },
    /// The cluster would hold more than [`MAX_CLUSTER_PARTITIONS`].
    #[error("a cluster holds at most {MAX_CLUSTER_PARTITIONS} partitions: {partitions} exist")]
    TooManyPartitions {
        /// How many exist.
        partitions: u64,
    },
    /// The numbers for logs are used up.
    #[error("log ids are used up")]
    LogIdsExhausted,
    /// The proposer's choice of brokers does not fit the definition or the cluster.
    #[error("placement does not fit the stream: {problem}")]
    InvalidPlacement {
        /// What is wrong with it.
        problem: String,
    },
    /// The broker never registered.
    #[error("broker is not registered: {broker}")]
    UnknownBroker {
        /// Who.
        broker: BrokerId,
    },
    /// Clients could not use this as an address.
    #[error("advertised host must be 1 to {max} bytes: {bytes} bytes", max = Broker::MAX_HOST_BYTES)]
    InvalidHost {
        /// Length of the refused host.
        bytes: usize,
    },
    /// The numbers for processes are used up.
    #[error("process numbers are used up")]
    ProcessesExhausted,
    /// The numbers for data keys are used up.
    #[error("data key ids are used up")]
    KeyIdsExhausted,
    /// A wrapped data key has a length that none has.
    #[error("a wrapped data key is 1 to {max} bytes: {bytes} bytes", max = WrappedKey::MAX_BYTES)]
    InvalidDataKey {
        /// Length of the refused text.
        bytes: usize,
    },
    /// The partitions of a stream cannot be in an archive that it has no place in.
    #[error("stream has no place in the archive: {name}")]
    NotArchived {
        /// The name.
        name: StreamName,
    },
    /// What is said of a restored stream contradicts itself.
    #[error("the stream cannot be restored: {problem}")]
    InvalidRestore {
        /// The contradiction.
        problem: String,
    },
    /// A stream is archived in this place already.
    #[error("stream {name} is archived in {place}: delete it first, its objects stay")]
    PlaceInUse {
        /// The place.
        place: PlaceRoot,
        /// The stream.
        name: StreamName,
    },
    /// A data key of another stream has the number of one of a restored stream.
    #[error(
        "data key {key} of stream {name} has the number of another one: restore it into a cluster without encrypted streams"
    )]
    KeyInUse {
        /// The number.
        key: KeyId,
        /// The restored stream.
        name: StreamName,
    },
    /// A change of plugins cannot be made.
    #[error(transparent)]
    Plugin(#[from] PluginRejection),
    /// The cluster has another identity.
    #[error("the cluster already has the id {cluster}")]
    AlreadyFounded {
        /// The identity it has.
        cluster: ClusterId,
    },
}

impl From<InvalidChange> for Rejection {
    fn from(invalid: InvalidChange) -> Self {
        Self::InvalidSetting {
            setting: invalid.setting.to_owned(),
            rule: invalid.rule.to_owned(),
        }
    }
}

/// Serde for a shared value: as if it were not shared.
pub(super) mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::metadata) fn serialize<T: Serialize, S: Serializer>(
        value: &Arc<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        T::serialize(value, serializer)
    }

    pub(in crate::metadata) fn deserialize<'de, T, D>(deserializer: D) -> Result<Arc<T>, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        T::deserialize(deserializer).map(Arc::new)
    }
}
