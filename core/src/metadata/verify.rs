//! What holds for every state.

use std::collections::BTreeSet;

use super::{Broker, PartitionEntry, State, StreamEntry};
use crate::LogId;
use crate::record::KeyId;

/// A state that no sequence of commands leads to: what it was read from is damaged or was made by other means.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata state contradicts itself: {problem}")]
pub struct InvalidState {
    problem: String,
}

impl InvalidState {
    pub(super) fn new(problem: String) -> Self {
        Self { problem }
    }
}

impl State {
    /// Checks what holds for every state that commands lead to.
    ///
    /// # Errors
    ///
    /// Says the first thing that does not hold.
    pub fn verify(&self) -> Result<(), InvalidState> {
        let (mut logs, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for (name, stream) in &self.streams {
            self.verify_stream(name, stream, &mut logs)
                .and_then(|()| self.verify_keys(stream, &mut keys))
                .and_then(|()| verify_archive(stream))
                .map_err(|problem| InvalidState::new(format!("stream {name}: {problem}")))?;
        }
        for (&log, holders) in &self.removals {
            self.verify_log(log, &mut logs).map_err(InvalidState::new)?;
            if holders.is_empty() {
                return Err(InvalidState::new(format!(
                    "log {log} is to be removed from no broker"
                )));
            }
        }
        self.verify_plugins()?;
        self.verify_counts()
    }

    fn verify_stream(
        &self,
        name: &str,
        stream: &StreamEntry,
        logs: &mut BTreeSet<LogId>,
    ) -> Result<(), String> {
        let definition = &stream.definition;
        if definition.name.as_str() != name {
            return Err(format!(
                "filed under another name than its own: {}",
                definition.name
            ));
        }
        if definition.partitions == 0 || stream.partitions.len() as u64 != u64::from(definition.partitions) {
            return Err(format!(
                "{} of {} partitions",
                stream.partitions.len(),
                definition.partitions
            ));
        }
        for partition in &stream.partitions {
            self.verify_log(partition.log, logs)?;
            self.verify_partition(partition)
                .map_err(|problem| format!("log {}: {problem}", partition.log))?;
        }
        Ok(())
    }

    fn verify_log(&self, log: LogId, logs: &mut BTreeSet<LogId>) -> Result<(), String> {
        if !self.knew_log(log) {
            return Err(format!("log {log} was never given"));
        }
        if !logs.insert(log) {
            return Err(format!("log {log} is there twice"));
        }
        Ok(())
    }

    fn verify_keys(&self, stream: &StreamEntry, keys: &mut BTreeSet<KeyId>) -> Result<(), String> {
        for key in &stream.keys {
            if key.id.get() > self.keys {
                return Err(format!("data key {} was never given", key.id));
            }
            if !keys.insert(key.id) {
                return Err(format!("data key {} is there twice", key.id));
            }
        }
        Ok(())
    }

    fn verify_partition(&self, partition: &PartitionEntry) -> Result<(), &'static str> {
        let replicas: BTreeSet<_> = partition.replicas.iter().collect();
        let isr: BTreeSet<_> = partition.isr.iter().collect();
        if replicas.is_empty() || replicas.len() != partition.replicas.len() {
            return Err("no replicas, or one twice");
        }
        if isr.is_empty() || isr.len() != partition.isr.len() || !isr.is_subset(&replicas) {
            return Err("in-sync replicas are not replicas");
        }
        if partition
            .leader
            .as_ref()
            .is_some_and(|leader| !isr.contains(leader))
        {
            return Err("the leader is not in sync");
        }
        if !partition.stored.iter().all(|id| replicas.contains(id)) {
            return Err("stored on a broker that holds no replica");
        }
        if partition.leader_epoch.get() == 0 {
            return Err("no leader epoch");
        }
        if !replicas.iter().all(|id| self.brokers.contains_key(*id)) {
            return Err("a replica's broker is not registered");
        }
        Ok(())
    }

    fn verify_counts(&self) -> Result<(), InvalidState> {
        let mut recount = Self::default();
        for broker in self.brokers.values() {
            let uncounted = Broker {
                partitions: 0,
                leaderships: 0,
                ..broker.clone()
            };
            recount.brokers.insert(broker.id.clone(), uncounted);
        }
        self.streams.values().for_each(|stream| recount.count(stream));
        if (recount.partitions, &recount.brokers) != (self.partitions, &self.brokers) {
            return Err(InvalidState::new("partitions are counted wrongly".to_owned()));
        }
        Ok(())
    }
}

fn verify_archive(stream: &StreamEntry) -> Result<(), String> {
    let mut partitions = stream.partitions.iter();
    match partitions.find(|partition| partition.is_archived && stream.archive.is_none()) {
        None => Ok(()),
        Some(partition) => Err(format!(
            "log {} is archived, but the stream has no place in the archive",
            partition.log
        )),
    }
}
