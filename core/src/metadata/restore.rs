//! Streams that come back from an archive that another cluster has written.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::apply::{check_wrapped, create_stream};
use super::{ArchivePlace, DataKey, Outcome, Placement, Rejection, State, WrappedKey};
use crate::record::KeyId;
use crate::stream::StreamDefinition;
use crate::{LeaderEpoch, Offset, StreamName, Timestamp};

/// What the archive says of a stream, and what it takes to go on with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredStream {
    /// Where its records are, and where it is archived on.
    pub place: ArchivePlace,
    /// The data keys of its records, oldest first, wrapped for its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<DataKey>,
    /// How many numbers of data keys that cluster has given: none of them is given here from now on, so that its other
    /// encrypted streams can be restored, too.
    #[serde(default)]
    pub keys_given: u32,
    /// The key of batches from now on; there must be one where there are others. Nonces begin with numbers of processes,
    /// which this cluster gives anew: with a key of the other one it would use a nonce a second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_key: Option<WrappedKey>,
    /// Its partitions; the position is the number.
    pub partitions: Vec<RestoredPartition>,
}

/// What the archive says of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredPartition {
    /// The first epoch of its leadership here: above all that the archive knows, so that whoever else still writes there is
    /// fenced off.
    pub epoch: LeaderEpoch,
    /// Where its log begins here: the end of what is archived.
    pub start: Offset,
    /// Whether the archive has a HEAD of it.
    pub is_archived: bool,
}

/// Creates the stream as [`Command::CreateStream`](super::Command::CreateStream) does, with what the archive knows of it.
pub(super) fn restore_stream(
    state: &mut State,
    (definition, placement): (&StreamDefinition, &Placement),
    restored: &RestoredStream,
    now: Timestamp,
) -> Result<Outcome, Rejection> {
    check(state, definition, restored)?;
    let last_key = last_key(state, &definition.name, restored)?;
    create_stream(state, definition, placement, now)?;
    let stream = state.streams.get_mut(definition.name.as_str());
    let stream = stream.ok_or_else(|| Rejection::NoSuchStream {
        name: definition.name.clone(),
    })?;
    let entry = Arc::make_mut(stream);
    entry.archive = Some(restored.place.clone());
    for (partition, from) in entry.partitions.iter_mut().zip(&restored.partitions) {
        partition.leader_epoch = from.epoch;
        partition.start = from.start;
        partition.is_archived = from.is_archived;
    }
    entry.keys.clone_from(&restored.keys);
    if let Some((id, wrapped)) = KeyId::new(last_key).zip(restored.new_key.clone()) {
        entry.keys.push(DataKey { id, wrapped });
    }
    let entry = Arc::clone(stream);
    state.keys = state.keys.max(last_key);
    Ok(Outcome::Created(entry))
}

fn check(state: &State, definition: &StreamDefinition, restored: &RestoredStream) -> Result<(), Rejection> {
    let refuse = |problem: String| Err(Rejection::InvalidRestore { problem });
    let partitions = &restored.partitions;
    if partitions.len() as u64 != u64::from(definition.partitions) {
        let defined = definition.partitions;
        return refuse(format!("{} of {defined} partitions", partitions.len()));
    }
    if partitions.iter().any(|partition| partition.epoch.get() == 0) {
        return refuse("a partition without a leader epoch".to_owned());
    }
    if partitions.iter().any(|partition| partition.start > Offset::MAX) {
        return refuse("a partition that begins behind all offsets".to_owned());
    }
    let is_loose = |partition: &RestoredPartition| !partition.is_archived && partition.start > Offset::ZERO;
    if partitions.iter().any(is_loose) {
        return refuse("a partition that begins behind an archive that it has not".to_owned());
    }
    if restored.keys.is_empty() != restored.new_key.is_none() {
        return refuse("an encrypted stream needs a new data key, and no other one does".to_owned());
    }
    let root = &restored.place.root;
    let uses = |place: &ArchivePlace| place.root == *root;
    let mut streams = state.streams.values();
    match streams.find(|stream| stream.archive.as_ref().is_some_and(uses)) {
        Some(stream) => Err(Rejection::PlaceInUse {
            place: root.clone(),
            name: stream.definition.name.clone(),
        }),
        None => restored.new_key.as_ref().map_or(Ok(()), check_wrapped),
    }
}

/// The largest number of a data key once the stream is there, its new one's if it has one.
fn last_key(state: &State, name: &StreamName, restored: &RestoredStream) -> Result<u32, Rejection> {
    let mut known: BTreeSet<_> = state
        .streams
        .values()
        .flat_map(|stream| &stream.keys)
        .map(|key| key.id)
        .collect();
    let mut last = state.keys.max(restored.keys_given);
    for key in &restored.keys {
        check_wrapped(&key.wrapped)?;
        if !known.insert(key.id) {
            let name = name.clone();
            return Err(Rejection::KeyInUse { key: key.id, name });
        }
        last = last.max(key.id.get());
    }
    match restored.new_key {
        Some(_) => last.checked_add(1).ok_or(Rejection::KeyIdsExhausted),
        None => Ok(last),
    }
}
