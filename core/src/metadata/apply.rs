//! What each command does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::restore::restore_stream;
use super::{
    ArchivePlace, Broker, ClusterId, Command, DataKey, MAX_CLUSTER_PARTITIONS, Outcome, PartitionEntry,
    PlaceRoot, Placement, Rejection, plugins,
};
use super::{Rewrap, State, StreamEntry, WrappedKey};
use crate::plugin::Sha256;
use crate::record::KeyId;
use crate::stream::{MAX_CHANGES, MAX_PARTITIONS, SettingChange, StreamDefinition};
use crate::{BrokerId, LeaderEpoch, LogId, Offset, StreamName, Timestamp};

/// Applies the command at `index` of the metadata log. The same state and command give the same result on every broker;
/// any command at all gives one.
///
/// # Errors
///
/// A rejected command has changed nothing.
pub fn apply(state: &mut State, index: u64, command: &Command) -> Result<Outcome, Rejection> {
    let outcome = match command {
        Command::FoundCluster { cluster } => found_cluster(state, cluster),
        Command::RegisterBroker {
            broker,
            host,
            port,
            now,
        } => register_broker(state, broker, (host, *port), *now),
        Command::CreateStream {
            definition,
            placement,
            now,
        } => {
            refuse_reserved(&definition.name)?;
            create_stream(state, definition, placement, *now)
        }
        Command::CreateInternalStream {
            definition,
            placement,
            now,
        } => {
            require_reserved(&definition.name)?;
            create_stream(state, definition, placement, *now)
        }
        Command::UpdateStream { name, changes } => update_stream(state, name, changes),
        Command::DeleteStream { name } => delete_stream(state, name),
        Command::ElectLeader { broker } => elect_leader(state, broker),
        Command::LogsCreated { broker, name, first } => logs_created(state, broker, (name, *first)),
        Command::LogsRemoved { broker, logs } => logs_removed(state, broker, logs),
        Command::AddDataKey { name, first, wrapped } => add_data_key(state, (name, *first), wrapped),
        Command::RewrapDataKeys { wraps } => rewrap_data_keys(state, wraps),
        Command::BeginArchive { name, first, place } => begin_archive(state, (name, *first), place),
        Command::RenewArchive {
            name,
            first,
            was,
            now,
        } => renew_archive(state, (name, *first), was, *now),
        Command::ArchivesMade { name, first, logs } => archives_made(state, (name, *first), logs),
        Command::RestoreStream {
            definition,
            placement,
            restored,
            now,
        } => {
            refuse_reserved(&definition.name)?;
            restore_stream(state, (definition, placement), restored, *now)
        }
        Command::Plugins { change, by, now } => plugins::change(state, change, (by, *now, index)),
        Command::ModulesRemoved { broker, modules } => Ok(modules_removed(state, broker, modules)),
    }?;
    state.revision = state.revision.max(index);
    Ok(outcome)
}

fn found_cluster(state: &mut State, cluster: &ClusterId) -> Result<Outcome, Rejection> {
    match &state.cluster {
        Some(existing) if existing != cluster => Err(Rejection::AlreadyFounded {
            cluster: existing.clone(),
        }),
        _ => {
            state.cluster = Some(cluster.clone());
            Ok(Outcome::Founded)
        }
    }
}

fn register_broker(
    state: &mut State,
    id: &BrokerId,
    (host, port): (&str, u16),
    now: Timestamp,
) -> Result<Outcome, Rejection> {
    if host.is_empty() || host.len() > Broker::MAX_HOST_BYTES {
        return Err(Rejection::InvalidHost { bytes: host.len() });
    }
    let process = state.processes.checked_add(1);
    let process = process.ok_or(Rejection::ProcessesExhausted)?;
    state.processes = process;
    let broker = state.brokers.entry(id.clone()).or_insert_with(|| Broker {
        id: id.clone(),
        host: String::new(),
        port,
        incarnation: 0,
        registered: now,
        partitions: 0,
        leaderships: 0,
    });
    host.clone_into(&mut broker.host);
    broker.port = port;
    broker.registered = now;
    broker.incarnation = broker.incarnation.saturating_add(1);
    Ok(Outcome::Registered {
        incarnation: broker.incarnation,
        process,
    })
}

pub(super) fn create_stream(
    state: &mut State,
    definition: &StreamDefinition,
    placement: &Placement,
    now: Timestamp,
) -> Result<Outcome, Rejection> {
    check_definition(state, definition)?;
    check_placement(state, definition, placement)?;
    let first_log = state.next_log;
    let next_log = first_log
        .checked_add(u64::from(definition.partitions))
        .ok_or(Rejection::LogIdsExhausted)?;
    let partitions = (first_log..next_log).map(LogId::new).zip(placement.partitions());
    let partitions = partitions
        .map(|(log, replicas)| new_partition(log, replicas))
        .collect();
    let entry = Arc::new(StreamEntry {
        definition: definition.clone(),
        created: now,
        partitions,
        keys: Vec::new(),
        archive: None,
    });
    state.next_log = next_log;
    state.count(&entry);
    state
        .streams
        .insert(definition.name.as_str().into(), Arc::clone(&entry));
    Ok(Outcome::Created(entry))
}

fn new_partition(log: LogId, replicas: &[BrokerId]) -> PartitionEntry {
    PartitionEntry {
        log,
        leader_epoch: LeaderEpoch::new(1),
        leader: replicas.first().cloned(),
        replicas: replicas.to_vec(),
        isr: replicas.to_vec(),
        stored: Vec::new(),
        is_archived: false,
        start: Offset::ZERO,
    }
}

fn check_definition(state: &State, definition: &StreamDefinition) -> Result<(), Rejection> {
    let StreamDefinition {
        name,
        partitions,
        replication_factor: factor,
        ..
    } = definition;
    let brokers = state.brokers.len();
    if !(1..=MAX_PARTITIONS).contains(partitions) {
        return Err(Rejection::InvalidPartitionCount {
            partitions: *partitions,
        });
    }
    if *factor == 0 || u64::from(*factor) > brokers as u64 {
        return Err(Rejection::InvalidReplicationFactor {
            factor: *factor,
            brokers,
        });
    }
    if state.streams.contains_key(name.as_str()) {
        return Err(Rejection::StreamExists { name: name.clone() });
    }
    if state.partitions.saturating_add(u64::from(*partitions)) > MAX_CLUSTER_PARTITIONS {
        return Err(Rejection::TooManyPartitions {
            partitions: state.partitions,
        });
    }
    Ok(())
}

fn check_placement(
    state: &State,
    definition: &StreamDefinition,
    placement: &Placement,
) -> Result<(), Rejection> {
    let refuse = |problem: String| Err(Rejection::InvalidPlacement { problem });
    let placed = placement.partitions();
    if placed.len() as u64 != u64::from(definition.partitions) {
        return refuse(format!(
            "{} partitions placed, {} defined",
            placed.len(),
            definition.partitions
        ));
    }
    for replicas in placed {
        if replicas.len() as u64 != u64::from(definition.replication_factor) {
            let factor = definition.replication_factor;
            return refuse(format!(
                "{} replicas, replication factor {factor}",
                replicas.len()
            ));
        }
        if replicas.iter().collect::<BTreeSet<_>>().len() != replicas.len() {
            return refuse("a broker holds two replicas of one partition".to_owned());
        }
        if let Some(broker) = replicas.iter().find(|id| !state.brokers.contains_key(id)) {
            return Err(Rejection::UnknownBroker {
                broker: broker.clone(),
            });
        }
    }
    Ok(())
}

fn refuse_reserved(name: &StreamName) -> Result<(), Rejection> {
    if name.is_reserved() {
        return Err(Rejection::ReservedName { name: name.clone() });
    }
    Ok(())
}

fn require_reserved(name: &StreamName) -> Result<(), Rejection> {
    if name.is_reserved() {
        return Ok(());
    }
    Err(Rejection::NotReserved { name: name.clone() })
}

fn update_stream(
    state: &mut State,
    name: &StreamName,
    changes: &[SettingChange],
) -> Result<Outcome, Rejection> {
    refuse_reserved(name)?;
    if changes.len() > MAX_CHANGES {
        return Err(Rejection::TooManyChanges {
            changes: changes.len(),
        });
    }
    changes.iter().try_for_each(SettingChange::check)?;
    let Some(stream) = state.streams.get_mut(name.as_str()) else {
        return Err(Rejection::NoSuchStream { name: name.clone() });
    };
    let mut settings = stream.definition.settings;
    changes.iter().for_each(|&change| settings.change(change));
    if settings != stream.definition.settings {
        Arc::make_mut(stream).definition.settings = settings;
    }
    Ok(Outcome::Updated(Arc::clone(stream)))
}

fn delete_stream(state: &mut State, name: &StreamName) -> Result<Outcome, Rejection> {
    refuse_reserved(name)?;
    plugins::refuse_deletion(state, name)?;
    let Some(entry) = state.streams.remove(name.as_str()) else {
        return Err(Rejection::NoSuchStream { name: name.clone() });
    };
    state.uncount(&entry);
    if state.plugins.attachments_of(name).next().is_some() {
        Arc::make_mut(&mut state.plugins).remove_stream(name);
    }
    for partition in &entry.partitions {
        state
            .removals
            .insert(partition.log, partition.replicas.iter().cloned().collect());
    }
    Ok(Outcome::Deleted(entry))
}

fn elect_leader(state: &mut State, broker: &BrokerId) -> Result<Outcome, Rejection> {
    if !state.brokers.contains_key(broker) {
        return Err(Rejection::UnknownBroker {
            broker: broker.clone(),
        });
    }
    let (mut elected, mut gained) = (0_u64, 0_u64);
    for stream in state.streams.values_mut() {
        if !stream
            .partitions
            .iter()
            .any(|partition| can_lead(partition, broker))
        {
            continue;
        }
        for partition in &mut Arc::make_mut(stream).partitions {
            if can_lead(partition, broker) {
                elected += 1;
                gained += u64::from(partition.leader.is_none());
                partition.leader = Some(broker.clone());
                partition.leader_epoch = LeaderEpoch::new(partition.leader_epoch.get().saturating_add(1));
            }
        }
    }
    if let Some(broker) = state.brokers.get_mut(broker) {
        broker.leaderships = broker.leaderships.saturating_add(gained);
    }
    Ok(Outcome::Elected { partitions: elected })
}

fn can_lead(partition: &PartitionEntry, broker: &BrokerId) -> bool {
    let free_or_own = partition.leader.as_ref().is_none_or(|leader| leader == broker);
    free_or_own && partition.isr.contains(broker)
}

fn logs_created(
    state: &mut State,
    broker: &BrokerId,
    (name, first): (&StreamName, LogId),
) -> Result<Outcome, Rejection> {
    let stream = meant_stream(state, name, first)?;
    let is_new = |partition: &PartitionEntry| partition.is_held_by(broker) && !partition.is_stored_on(broker);
    let mut created = 0;
    if stream.partitions.iter().any(is_new) {
        for partition in Arc::make_mut(stream)
            .partitions
            .iter_mut()
            .filter(|partition| is_new(partition))
        {
            partition.stored.push(broker.clone());
            created += 1;
        }
    }
    Ok(Outcome::LogsCreated { partitions: created })
}

/// The stream of this name, unless it was deleted and created again meanwhile.
fn meant_stream<'s>(
    state: &'s mut State,
    name: &StreamName,
    first: LogId,
) -> Result<&'s mut Arc<StreamEntry>, Rejection> {
    let is_meant = |stream: &&mut Arc<StreamEntry>| stream.first_log() == Some(first);
    let stream = state.streams.get_mut(name.as_str()).filter(is_meant);
    stream.ok_or_else(|| Rejection::NoSuchStream { name: name.clone() })
}

fn logs_removed(state: &mut State, broker: &BrokerId, logs: &[LogId]) -> Result<Outcome, Rejection> {
    let mut removed = 0;
    for log in logs {
        let Some(holders) = state.removals.get_mut(log) else {
            continue;
        };
        removed += u64::from(holders.remove(broker));
        if holders.is_empty() {
            state.removals.remove(log);
        }
    }
    Ok(Outcome::LogsRemoved { logs: removed })
}

fn add_data_key(
    state: &mut State,
    (name, first): (&StreamName, LogId),
    wrapped: &WrappedKey,
) -> Result<Outcome, Rejection> {
    check_wrapped(wrapped)?;
    let next = state.keys.checked_add(1);
    let stream = meant_stream(state, name, first)?;
    if !stream.keys.is_empty() {
        return Ok(Outcome::DataKeyAdded(Arc::clone(stream)));
    }
    let next = next.ok_or(Rejection::KeyIdsExhausted)?;
    let id = KeyId::new(next).ok_or(Rejection::KeyIdsExhausted)?;
    let wrapped = wrapped.clone();
    Arc::make_mut(stream).keys.push(DataKey { id, wrapped });
    let entry = Arc::clone(stream);
    state.keys = next;
    Ok(Outcome::DataKeyAdded(entry))
}

fn rewrap_data_keys(state: &mut State, wraps: &[Rewrap]) -> Result<Outcome, Rejection> {
    wraps.iter().try_for_each(|wrap| check_wrapped(&wrap.wrapped))?;
    let wraps: BTreeMap<_, _> = wraps.iter().map(|wrap| ((wrap.key, wrap.from), wrap)).collect();
    let wrap_of = |key: &DataKey| wraps.get(&(key.id, key.wrapped.master));
    let mut rewrapped = 0;
    for stream in state.streams.values_mut() {
        if stream.keys.iter().all(|key| wrap_of(key).is_none()) {
            continue;
        }
        for key in &mut Arc::make_mut(stream).keys {
            if let Some(wrap) = wrap_of(key) {
                key.wrapped = wrap.wrapped.clone();
                rewrapped += 1;
            }
        }
    }
    Ok(Outcome::DataKeysRewrapped { keys: rewrapped })
}

fn begin_archive(
    state: &mut State,
    (name, first): (&StreamName, LogId),
    place: &ArchivePlace,
) -> Result<Outcome, Rejection> {
    let stream = meant_stream(state, name, first)?;
    if stream.archive.is_none() {
        Arc::make_mut(stream).archive = Some(place.clone());
    }
    Ok(Outcome::ArchiveBegun(Arc::clone(stream)))
}

fn renew_archive(
    state: &mut State,
    (name, first): (&StreamName, LogId),
    was: &PlaceRoot,
    now: Timestamp,
) -> Result<Outcome, Rejection> {
    let cluster = state.cluster.clone();
    let number = state.next_log;
    let next_log = number.checked_add(1).ok_or(Rejection::LogIdsExhausted)?;
    let stream = meant_stream(state, name, first)?;
    let place = stream.archive.as_ref().zip(cluster);
    let Some((place, cluster)) = place else {
        return Err(Rejection::NotArchived { name: name.clone() });
    };
    if place.root != *was {
        return Ok(Outcome::ArchiveBegun(Arc::clone(stream)));
    }
    let entry = Arc::make_mut(stream);
    entry.archive = Some(ArchivePlace {
        // No log gets this number any more.
        root: PlaceRoot::anew(&cluster, name, first, LogId::new(number)),
        since: now,
    });
    for partition in &mut entry.partitions {
        partition.is_archived = false;
    }
    let entry = Arc::clone(stream);
    state.next_log = next_log;
    Ok(Outcome::ArchiveBegun(entry))
}

fn archives_made(
    state: &mut State,
    (name, first): (&StreamName, LogId),
    logs: &[LogId],
) -> Result<Outcome, Rejection> {
    let stream = meant_stream(state, name, first)?;
    if stream.archive.is_none() {
        return Err(Rejection::NotArchived { name: name.clone() });
    }
    let logs: BTreeSet<_> = logs.iter().collect();
    let is_new = |partition: &PartitionEntry| !partition.is_archived && logs.contains(&partition.log);
    let mut made = 0;
    if stream.partitions.iter().any(is_new) {
        for partition in Arc::make_mut(stream)
            .partitions
            .iter_mut()
            .filter(|partition| is_new(partition))
        {
            partition.is_archived = true;
            made += 1;
        }
    }
    Ok(Outcome::ArchivesMade { partitions: made })
}

fn modules_removed(state: &mut State, broker: &BrokerId, modules: &[Sha256]) -> Outcome {
    let modules = Arc::make_mut(&mut state.plugins).removed(broker, modules);
    Outcome::ModulesRemoved { modules }
}

pub(super) fn check_wrapped(wrapped: &WrappedKey) -> Result<(), Rejection> {
    let bytes = wrapped.text.len();
    if (1..=WrappedKey::MAX_BYTES).contains(&bytes) {
        Ok(())
    } else {
        Err(Rejection::InvalidDataKey { bytes })
    }
}

impl State {
    /// Adds a stream's partitions to what is counted per broker and cluster.
    pub(super) fn count(&mut self, entry: &StreamEntry) {
        self.adjust(entry, |number| number.saturating_add(1));
    }

    fn uncount(&mut self, entry: &StreamEntry) {
        self.adjust(entry, |number| number.saturating_sub(1));
    }

    fn adjust(&mut self, entry: &StreamEntry, step: fn(u64) -> u64) {
        for partition in &entry.partitions {
            self.partitions = step(self.partitions);
            for replica in &partition.replicas {
                let Some(broker) = self.brokers.get_mut(replica) else {
                    continue;
                };
                broker.partitions = step(broker.partitions);
                if partition.is_led_by(replica) {
                    broker.leaderships = step(broker.leaderships);
                }
            }
        }
    }
}
