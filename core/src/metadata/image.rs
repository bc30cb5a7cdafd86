//! The state as it is stored in snapshots.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Broker, ClusterId, InvalidState, PluginRegistry, State, StreamEntry, tagged};
use crate::plugin::{Attachment, PluginModule, Sha256};
use crate::{BrokerId, LogId};

/// The format of the state that this version writes. 2 added processes and data keys, 3 plugins, 4 archives,
/// which a reader of the one before would lose.
const FORMAT: u16 = 4;

#[derive(Serialize)]
struct ImageRef<'a> {
    revision: u64,
    cluster: Option<&'a ClusterId>,
    next_log: u64,
    processes: u32,
    keys: u32,
    brokers: Vec<&'a Broker>,
    streams: Vec<&'a StreamEntry>,
    removals: Vec<(LogId, Vec<&'a BrokerId>)>,
    plugins: PluginsRef<'a>,
}

#[derive(Serialize)]
struct PluginsRef<'a> {
    last_attachment: u64,
    modules: Vec<&'a PluginModule>,
    attachments: Vec<&'a Attachment>,
    removals: Vec<(Sha256, Vec<&'a BrokerId>)>,
}

#[derive(Deserialize)]
struct Image {
    revision: u64,
    cluster: Option<ClusterId>,
    next_log: u64,
    processes: Option<u32>,
    #[serde(default)]
    keys: u32,
    brokers: Vec<Broker>,
    streams: Vec<StreamEntry>,
    removals: Vec<(LogId, Vec<BrokerId>)>,
    #[serde(default)]
    plugins: Plugins,
}

#[derive(Default, Deserialize)]
struct Plugins {
    last_attachment: u64,
    modules: Vec<PluginModule>,
    attachments: Vec<Attachment>,
    removals: Vec<(Sha256, Vec<BrokerId>)>,
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let removals = self
            .removals
            .iter()
            .map(|(&log, holders)| (log, holders.iter().collect()));
        let image = ImageRef {
            revision: self.revision,
            cluster: self.cluster.as_ref(),
            next_log: self.next_log,
            processes: self.processes,
            keys: self.keys,
            brokers: self.brokers.values().collect(),
            streams: self.streams.values().map(|stream| &**stream).collect(),
            removals: removals.collect(),
            plugins: PluginsRef::of(&self.plugins),
        };
        tagged::serialize(FORMAT, &image, serializer)
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let image: Image = tagged::deserialize("metadata state", FORMAT, deserializer)?;
        Self::try_from(image).map_err(serde::de::Error::custom)
    }
}

impl TryFrom<Image> for State {
    type Error = InvalidState;

    fn try_from(image: Image) -> Result<Self, InvalidState> {
        let mut state = Self {
            revision: image.revision,
            cluster: image.cluster,
            next_log: image.next_log,
            processes: image.processes.unwrap_or_else(|| count_processes(&image.brokers)),
            keys: image.keys,
            ..Self::default()
        };
        for broker in image.brokers {
            let id = broker.id.clone();
            if state.brokers.insert(id.clone(), broker).is_some() {
                return Err(InvalidState::new(format!("broker {id} is there twice")));
            }
        }
        for stream in image.streams {
            state.count(&stream);
            let name: Arc<str> = stream.definition.name.as_str().into();
            if state
                .streams
                .insert(Arc::clone(&name), Arc::new(stream))
                .is_some()
            {
                return Err(InvalidState::new(format!("stream {name} is there twice")));
            }
        }
        for (log, holders) in image.removals {
            if state
                .removals
                .insert(log, holders.into_iter().collect())
                .is_some()
            {
                return Err(InvalidState::new(format!("removed log {log} is there twice")));
            }
        }
        state.plugins = Arc::new(PluginRegistry::try_from(image.plugins)?);
        state.verify()?;
        Ok(state)
    }
}

impl<'a> PluginsRef<'a> {
    fn of(registry: &'a PluginRegistry) -> Self {
        let removals = registry.removals.iter();
        Self {
            last_attachment: registry.last_attachment,
            modules: registry.modules.values().map(|module| &**module).collect(),
            attachments: registry.attachments.values().map(|entry| &**entry).collect(),
            removals: removals
                .map(|(&sha256, holders)| (sha256, holders.iter().collect()))
                .collect(),
        }
    }
}

impl TryFrom<Plugins> for PluginRegistry {
    type Error = InvalidState;

    fn try_from(stored: Plugins) -> Result<Self, InvalidState> {
        let mut registry = Self {
            last_attachment: stored.last_attachment,
            ..Self::default()
        };
        let twice = |what: String| Err(InvalidState::new(format!("{what} is there twice")));
        for module in stored.modules {
            let name = module.name.clone();
            if registry.modules.insert(name.clone(), Arc::new(module)).is_some() {
                return twice(format!("plugin {name}"));
            }
        }
        for entry in stored.attachments {
            let id = entry.id;
            if registry.attachments.insert(id, Arc::new(entry)).is_some() {
                return twice(format!("attachment {id}"));
            }
        }
        for (sha256, holders) in stored.removals {
            if registry
                .removals
                .insert(sha256, holders.into_iter().collect())
                .is_some()
            {
                return twice(format!("removed module {sha256}"));
            }
        }
        Ok(registry)
    }
}

/// Format 1 did not say it, but every process had registered.
fn count_processes(brokers: &[Broker]) -> u32 {
    let incarnations = brokers.iter().map(|broker| broker.incarnation);
    let processes = incarnations.fold(0_u64, u64::saturating_add);
    u32::try_from(processes).unwrap_or(u32::MAX)
}
