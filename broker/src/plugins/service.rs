//! What is attached, kept as the metadata says.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use strandline_core::disk::Disk;
use strandline_core::metadata::PluginRegistry;
use strandline_core::plugin::{Attachment, AttachmentId, Side};
use strandline_core::{Clock, StreamName};

use super::chains::{Chain, Chains, Link, Problem, StreamPlugins};
use super::change::blocking;
use super::live::{Live, Maker};
use super::path::Path;
use super::store::ModuleFiles;
use crate::metadata::MetadataHandle;
use crate::settings::Settings;

/// Pushes that are taken at the same time: each holds a module in memory. Others wait.
const MAX_PUSHES: usize = 2;
/// Modules that are sent at the same time: each is held in memory. Others wait.
const MAX_FETCHES: usize = 2;
/// Streams without attachments that are remembered before those that nobody uses any more are forgotten.
const MIN_STREAMS_TO_SWEEP: usize = 1024;

/// The plugins of this broker.
#[derive(Debug)]
pub(crate) struct Plugins {
    pub(super) metadata: MetadataHandle,
    pub(super) files: Arc<ModuleFiles>,
    pub(super) maker: Arc<Maker>,
    module_max_bytes: usize,
    /// Held while files of modules change along with the metadata.
    pub(super) modules_turn: Mutex<()>,
    pushes: Semaphore,
    pub(super) fetches: Arc<Semaphore>,
    following: Mutex<Following>,
    streams: RwLock<Known>,
    pub(super) path: Path,
}

/// What runs, as of some state of the metadata. Who holds it brings everything up to date.
#[derive(Debug, Default)]
struct Following {
    registry: Arc<PluginRegistry>,
    running: BTreeMap<AttachmentId, Running>,
}

#[derive(Debug)]
struct Running {
    entry: Arc<Attachment>,
    live: Result<Live, Arc<str>>,
}

/// Streams that somebody has asked for.
#[derive(Debug, Default)]
struct Known {
    by_name: HashMap<StreamName, Arc<StreamPlugins>>,
    sweep_at: usize,
}

impl Plugins {
    /// The plugins of a broker whose metadata is open; finishes what a crash interrupted. Nothing runs before
    /// [`follow_changes`](Self::follow_changes).
    pub(crate) async fn open(
        metadata: MetadataHandle,
        disk: Arc<dyn Disk>,
        settings: &Settings,
        clock: Arc<dyn Clock>,
        path: Path,
    ) -> Arc<Self> {
        let files = Arc::new(ModuleFiles::new(disk, &settings.data_dir));
        let plugins = Self {
            metadata,
            maker: Arc::new(Maker::new(Arc::clone(&files), settings, clock)),
            files,
            module_max_bytes: settings.plugins.module_max_bytes,
            modules_turn: Mutex::default(),
            pushes: Semaphore::new(MAX_PUSHES),
            fetches: Arc::new(Semaphore::new(MAX_FETCHES)),
            following: Mutex::default(),
            streams: RwLock::default(),
            path,
        };
        plugins.tidy().await;
        Arc::new(plugins)
    }

    /// The plugins of a stream: the same for as long as the stream is there, also while nothing is attached.
    pub(crate) fn of(&self, stream: &StreamName) -> Arc<StreamPlugins> {
        if let Some(known) = self.streams.read().by_name.get(stream) {
            return Arc::clone(known);
        }
        let registry = Arc::clone(self.metadata.state().plugins());
        let mut streams = self.streams.write();
        streams.sweep(&registry);
        let loading = || StreamPlugins::new(chains(&registry, stream, |entry| Err(loading(entry))));
        let plugins = streams
            .by_name
            .entry(stream.clone())
            .or_insert_with(|| Arc::new(loading()));
        Arc::clone(plugins)
    }

    /// Keeps what runs as the metadata says, from now until the broker stops.
    pub(crate) async fn follow_changes(self: Arc<Self>, stopping: CancellationToken) {
        let mut changes = self.metadata.changes();
        loop {
            changes.mark_unchanged();
            let followed = self.follow();
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = followed => {}
            }
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    /// What runs of an attachment.
    ///
    /// # Errors
    ///
    /// It does not work.
    pub(crate) fn link(&self, entry: &Attachment) -> Result<Link, Problem> {
        let plugins = self.of(&entry.stream);
        let chains = plugins.chains();
        let [write, key, read] = chains.all();
        let chain = match entry.side {
            Side::Write => write,
            Side::Key => key,
            Side::Read => read,
        };
        match chain.link(entry.id) {
            Some(link) => Ok(link.clone()),
            None => Err(chain
                .problem_of(entry.id)
                .cloned()
                .unwrap_or_else(|| loading(entry))),
        }
    }

    /// Largest module that is taken.
    pub(crate) fn module_max_bytes(&self) -> usize {
        self.module_max_bytes
    }

    /// Waits until a module may be held in memory to be pushed; none when the broker stops.
    ///
    /// Cancel safety: safe.
    pub(crate) async fn push_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.pushes.acquire().await.ok()
    }

    /// Makes what runs what the metadata says by now. When this returns, batches that begin meet it.
    ///
    /// Cancel safety: what is brought up until then stays.
    pub(crate) async fn follow(&self) {
        let mut following = self.following.lock().await;
        let registry = Arc::clone(self.metadata.state().plugins());
        if Arc::ptr_eq(&following.registry, &registry) {
            return;
        }
        for stream in following.outdated(&registry) {
            self.bring_up(&mut following, &registry, &stream).await;
        }
        self.maker.forget_unused(&registry);
        following.registry = registry;
    }

    /// As [`follow`](Self::follow), trying once more what did not work.
    pub(crate) async fn retry(&self) {
        let mut following = self.following.lock().await;
        following.running.retain(|_, running| running.live.is_ok());
        following.registry = Arc::default();
        drop(following);
        self.follow().await;
    }

    /// Brings up the attachments of a stream, then puts them in place at once.
    async fn bring_up(&self, following: &mut Following, registry: &Arc<PluginRegistry>, stream: &StreamName) {
        let wanted: Vec<_> = registry.attachments_of(stream).cloned().collect();
        let mut running = following.take(stream);
        for entry in wanted {
            let before = running.remove(&entry.id);
            let live = match before {
                Some(before) if before.entry.revision == entry.revision => before.live,
                before => {
                    self.make(registry, &entry, before.and_then(|before| before.live.ok()))
                        .await
                }
            };
            following.running.insert(entry.id, Running { entry, live });
        }
        let chains = chains(registry, stream, |entry| match following.running.get(&entry.id) {
            Some(Running { live: Ok(live), .. }) => Ok(live),
            Some(Running {
                live: Err(reason), ..
            }) => Err(Problem {
                attachment: entry.id,
                reason: Arc::clone(reason),
                is_loading: false,
            }),
            None => Err(loading(entry)),
        });
        self.put(stream, chains);
        self.equip_stream(stream);
    }

    fn put(&self, stream: &StreamName, chains: Chains) {
        let mut streams = self.streams.write();
        match streams.by_name.get(stream) {
            Some(plugins) => plugins.set(chains),
            None => {
                let plugins = Arc::new(StreamPlugins::new(chains));
                streams.by_name.insert(stream.clone(), plugins);
            }
        }
    }

    async fn make(
        &self,
        registry: &Arc<PluginRegistry>,
        entry: &Arc<Attachment>,
        before: Option<Live>,
    ) -> Result<Live, Arc<str>> {
        let (maker, registry, wanted) = (Arc::clone(&self.maker), Arc::clone(registry), Arc::clone(entry));
        let made = blocking(move || maker.bring_up(&registry, &wanted, before.as_ref())).await;
        made.map_err(|error| {
            let Attachment { id, stream, module, active, .. } = &**entry;
            let error = crate::streams::describe(&error);
            tracing::error!(%stream, attachment = %id, %module, version = active.version, %error, "a plugin does not work");
            format!("plugin {module} of attachment {id} of stream {stream} does not work: {error}").into()
        })
    }

    /// Finishes what a crash interrupted. What cannot be finished now is tried again by the next start.
    async fn tidy(&self) {
        let (files, state) = (Arc::clone(&self.files), self.metadata.state());
        let broker = self.metadata.broker().clone();
        let tidied = tokio::task::spawn_blocking(move || files.tidy(state.plugins(), &broker)).await;
        let tidied = match tidied {
            Ok(Ok(tidied)) => tidied,
            Ok(Err(error)) => {
                let error = crate::streams::describe(&error);
                tracing::warn!(%error, "files of plugins could not be cleared up");
                return;
            }
            Err(_) => return,
        };
        if tidied.given_up > 0 {
            tracing::info!(
                files = tidied.given_up,
                "pushes of plugins that were never finished are removed"
            );
        }
        for name in &tidied.strangers {
            tracing::warn!(
                file = name,
                "the directory of plugins holds a file that the metadata says nothing of; it is left alone"
            );
        }
        if !tidied.removed.is_empty()
            && let Err(error) = self.metadata.modules_removed(tidied.removed).await
        {
            tracing::warn!(%error, "the removal of deleted plugins could not be recorded");
        }
    }
}

impl Following {
    /// The streams whose attachments are others by now.
    fn outdated(&self, registry: &PluginRegistry) -> BTreeSet<StreamName> {
        let is_same = |entry: &Arc<Attachment>| {
            let running = self.running.get(&entry.id);
            running.is_some_and(|running| running.entry.revision == entry.revision)
        };
        let new = registry.attachments().filter(|entry| !is_same(entry));
        let gone = self.running.values().map(|running| &running.entry);
        let gone = gone.filter(|entry| registry.attachment(entry.id).is_none());
        new.chain(gone).map(|entry| entry.stream.clone()).collect()
    }

    fn take(&mut self, stream: &StreamName) -> BTreeMap<AttachmentId, Running> {
        let all = std::mem::take(&mut self.running);
        let (taken, left) = all
            .into_iter()
            .partition(|(_, running)| running.entry.stream == *stream);
        self.running = left;
        taken
    }
}

impl Known {
    /// Forgets streams that nobody uses and nothing is attached to, each time that twice as many are known.
    fn sweep(&mut self, registry: &PluginRegistry) {
        if self.by_name.len() < self.sweep_at.max(MIN_STREAMS_TO_SWEEP) {
            return;
        }
        let attached: BTreeSet<_> = registry.attachments().map(|entry| &entry.stream).collect();
        self.by_name
            .retain(|name, plugins| Arc::strong_count(plugins) > 1 || attached.contains(name));
        self.sweep_at = 2 * self.by_name.len();
    }
}

/// The chains of a stream, of what `live` gives.
fn chains<'l>(
    registry: &PluginRegistry,
    stream: &StreamName,
    live: impl Fn(&Arc<Attachment>) -> Result<&'l Live, Problem>,
) -> Chains {
    let chain = |side| {
        let mut chain = Chain::default();
        for entry in registry.chain(stream, side) {
            match live(&entry) {
                Ok(live) => chain.links.push(live.link(&entry)),
                Err(problem) => chain.problems.push(problem),
            }
        }
        chain
    };
    Chains {
        write: chain(Side::Write),
        key: chain(Side::Key),
        read: chain(Side::Read),
    }
}

fn loading(entry: &Attachment) -> Problem {
    let Attachment {
        id, stream, module, ..
    } = entry;
    Problem {
        attachment: *id,
        reason: format!("plugin {module} of attachment {id} of stream {stream} is being loaded").into(),
        is_loading: true,
    }
}
