//! Plugins on the way of records: before the partitions of a stream, and behind their readers.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use strandline_core::plugin::{
    Attachment, AttachmentId, ErrorHandling, ErrorPolicy, ModuleName, PluginLimits, Side, Variant, World,
};
use strandline_core::{StreamName, Timestamp};

use super::PluginError;
use super::chains::{Chains, Link, StreamPlugins};
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::service::Plugins;
use super::shadow::Shadows;
use crate::partition::{PartitionHandle, Screen, StageHandle};
use crate::streams::Streams;

/// Where plugins meet records.
#[derive(Debug)]
pub(crate) struct Path {
    streams: Arc<Streams>,
    stage: StageHandle,
    shadows: Shadows,
    /// Held while a partition is given the plugins that are there: the last one to look has the last word.
    equipping: Mutex<()>,
    /// Filters of subscriptions that somebody uses, by what they are made of.
    subscribed: Mutex<HashMap<(ModuleName, u32, String), Weak<strandline_plugins::Attachment>>>,
}

/// A filter that a subscriber asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilterWish {
    module: ModuleName,
    /// None = the newest.
    version: Option<u32>,
    settings: String,
}

impl FilterWish {
    /// Reads `NAME` or `NAME@VERSION`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, version)) => (name, Some(version.parse().ok()?)),
        };
        Some(Self {
            module: ModuleName::new(name).ok()?,
            version,
            settings: String::new(),
        })
    }

    /// The same with these settings, a JSON text; empty for none.
    pub(crate) fn with_settings(self, settings: String) -> Self {
        Self { settings, ..self }
    }
}

impl fmt::Display for FilterWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.module),
            None => self.module.fmt(f),
        }
    }
}

impl Path {
    pub(crate) fn new(streams: Arc<Streams>, stage: StageHandle, runtime: tokio::runtime::Handle) -> Self {
        Self {
            streams,
            stage,
            shadows: Shadows::new(runtime),
            equipping: Mutex::default(),
            subscribed: Mutex::default(),
        }
    }
}

impl Plugins {
    /// Has the records of a partition pass the plugins of its stream, as they are now.
    pub(crate) fn equip(&self, partition: &Arc<PartitionHandle>) {
        let _turn = self.path.equipping.lock();
        let stream = &partition.info().stream;
        let plugins = self.of(stream);
        let is_plain = {
            let chains = plugins.chains();
            matches!((chains.write.ready(), chains.key.ready()), (Ok([]), Ok([])))
        };
        let screen = || {
            let inbound = Inbound::new(stream.clone(), Arc::clone(&plugins), self.path.shadows.clone());
            Arc::new(inbound) as Arc<dyn Screen>
        };
        partition.screen_by((!is_plain).then(screen), &self.path.stage);
    }

    /// The same for all open partitions of a stream.
    pub(super) fn equip_stream(&self, stream: &StreamName) {
        let stream = self.path.streams.get(stream.as_str());
        for partition in stream.iter().flat_map(|stream| stream.open()) {
            self.equip(partition);
        }
    }

    /// The filters of a subscription: those of the stream, unless it wants what is `stored`, and the one that the subscriber
    /// asks for.
    ///
    /// # Errors
    ///
    /// The subscriber's filter is none that there is, or does not take its settings.
    pub(crate) async fn outbound(
        self: &Arc<Self>,
        stream: &StreamName,
        wish: Option<FilterWish>,
        stored: bool,
    ) -> Result<Arc<Outbound>, PluginError> {
        let own = match wish {
            None => Vec::new(),
            Some(wish) => {
                let (plugins, stream) = (Arc::clone(self), stream.clone());
                let make = move || plugins.of_subscription(&stream, wish);
                let made = tokio::task::spawn_blocking(make).await;
                vec![made.unwrap_or(Err(PluginError::Stopping))?]
            }
        };
        let of_stream = if stored {
            Arc::new(StreamPlugins::new(Chains::default()))
        } else {
            self.of(stream)
        };
        Ok(Arc::new(Outbound::new(of_stream, own, self.path.shadows.clone())))
    }

    /// The filter of one subscription. Those with the same plugin and settings share it.
    fn of_subscription(&self, stream: &StreamName, wish: FilterWish) -> Result<Link, PluginError> {
        let registry = Arc::clone(self.metadata.state().plugins());
        let module = registry.module(wish.module.as_str());
        let version = match wish.version {
            Some(number) => module.and_then(|module| module.version(number)),
            None => module.and_then(|module| module.newest()),
        };
        let version = version.ok_or_else(|| unfit(format!("there is no plugin {wish}")))?;
        if version.facts.world != World::Filter {
            return Err(unfit(format!("plugin {wish} is no filter")));
        }
        let version = version.number;
        let settings = wish.settings;
        let variant = Variant { version, settings };
        let key = (wish.module.clone(), version, variant.settings.clone());
        let mut subscribed = self.path.subscribed.lock();
        subscribed.retain(|_, live| live.strong_count() > 0);
        let live = match subscribed.get(&key).and_then(Weak::upgrade) {
            Some(live) => live,
            None => {
                let live = self.maker.of_subscription(&registry, &wish.module, &variant)?;
                subscribed.insert(key, Arc::downgrade(&live));
                live
            }
        };
        drop(subscribed);
        Ok(Link {
            entry: Arc::new(entry(stream, wish.module, variant)),
            active: live,
            canary: None,
        })
    }
}

fn unfit(reason: String) -> PluginError {
    PluginError::Unfit { reason }
}

/// What an attachment of one subscription would look like in the metadata.
fn entry(stream: &StreamName, module: ModuleName, active: Variant) -> Attachment {
    Attachment {
        id: AttachmentId::new(0),
        stream: stream.clone(),
        side: Side::Read,
        order: 0,
        module,
        active,
        previous: None,
        canary: None,
        on_error: ErrorHandling {
            policy: ErrorPolicy::Fail,
            dead_letters: None,
        },
        limits: PluginLimits::default(),
        debug: false,
        revision: 0,
        attached: Timestamp::ZERO,
        history: Vec::new(),
    }
}
