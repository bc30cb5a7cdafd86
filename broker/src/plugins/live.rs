//! From what the metadata says of an attachment to one that runs.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use strandline_plugins::{AttachOptions, Host, HostSettings, Limits, Module};

use strandline_core::Clock;
use strandline_core::metadata::PluginRegistry;
use strandline_core::plugin::{Attachment, ModuleName, PluginLimits, Sha256, Variant};

use super::PluginError;
use super::chains::{Link, LiveCanary, Trial};
use super::store::{ModuleFiles, PLUGINS_DIRECTORY};
use crate::settings::{PluginSettings, Settings};

/// Compiled modules, below the directory of plugins: a cache.
const CACHE_DIRECTORY: &str = "compiled";

/// Everything that makes a live attachment what it is: with the same one it can be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Recipe {
    module: ModuleName,
    sha256: Sha256,
    variant: Variant,
    limits: PluginLimits,
}

/// A live attachment with what it was made of.
#[derive(Clone, Debug)]
struct Made {
    recipe: Recipe,
    live: Arc<strandline_plugins::Attachment>,
}

/// What runs of an attachment.
#[derive(Clone, Debug)]
pub(super) struct Live {
    active: Made,
    canary: Option<(Made, Arc<Trial>)>,
}

/// Makes live attachments. The host is started when the first is needed: brokers without plugins pay nothing.
#[derive(Debug)]
pub(super) struct Maker {
    files: Arc<ModuleFiles>,
    settings: PluginSettings,
    host_settings: HostSettings,
    host: OnceLock<Result<Host, String>>,
    /// The modules that are in use.
    modules: Mutex<HashMap<Sha256, Module>>,
}

impl Maker {
    pub(super) fn new(files: Arc<ModuleFiles>, settings: &Settings, clock: Arc<dyn Clock>) -> Self {
        let plugins = settings.plugins;
        let host_settings = HostSettings {
            cache_dir: Some(settings.data_dir.join(PLUGINS_DIRECTORY).join(CACHE_DIRECTORY)),
            cache_bytes: plugins.cache_max_bytes,
            module_bytes: plugins.module_max_bytes,
            limits: limits(&PluginLimits::default(), &plugins),
            idle_memory: plugins.idle_memory_max_bytes,
            ..HostSettings::new(clock)
        };
        Self {
            files,
            settings: plugins,
            host_settings,
            host: OnceLock::new(),
            modules: Mutex::default(),
        }
    }

    /// Checks and compiles bytes. Blocks, for seconds at times.
    ///
    /// # Errors
    ///
    /// They are no plugin; says why in words for its author.
    pub(super) fn compile(&self, bytes: &[u8]) -> Result<Module, PluginError> {
        self.host()?.load(bytes).map_err(|error| PluginError::Unfit {
            reason: crate::streams::describe(&error),
        })
    }

    /// Whether a version takes settings and limits. Blocks.
    ///
    /// # Errors
    ///
    /// It does not, or cannot be loaded.
    pub(super) fn rehearse(
        &self,
        registry: &PluginRegistry,
        module: &ModuleName,
        variant: &Variant,
        limits: PluginLimits,
    ) -> Result<(), PluginError> {
        // What is not there is the metadata's to refuse.
        let Some(recipe) = recipe(registry, module, variant, limits) else {
            return Ok(());
        };
        self.make(recipe).map(|_| ())
    }

    /// Makes what an attachment needs and `before` has not. Blocks.
    ///
    /// # Errors
    ///
    /// It cannot be loaded, or refuses its settings.
    pub(super) fn bring_up(
        &self,
        registry: &PluginRegistry,
        entry: &Attachment,
        before: Option<&Live>,
    ) -> Result<Live, PluginError> {
        let make = |variant: &Variant| {
            let recipe = recipe(registry, &entry.module, variant, entry.limits);
            let recipe = recipe.ok_or_else(|| PluginError::Unfit {
                reason: format!("plugin {} has no version {}", entry.module, variant.version),
            })?;
            match before.and_then(|before| before.with(&recipe)) {
                Some(made) => Ok(made.clone()),
                None => self.make(recipe),
            }
        };
        let canary = match &entry.canary {
            None => None,
            Some(canary) => {
                let made = make(&canary.candidate)?;
                let trial = before.and_then(|before| before.trial_of(&made.recipe));
                Some((made, trial.unwrap_or_default()))
            }
        };
        Ok(Live {
            active: make(&entry.active)?,
            canary,
        })
    }

    /// The filter of subscriptions that ask for this version with these settings. Blocks.
    ///
    /// # Errors
    ///
    /// There is no such version, it cannot be loaded, or refuses its settings.
    pub(super) fn of_subscription(
        &self,
        registry: &PluginRegistry,
        module: &ModuleName,
        variant: &Variant,
    ) -> Result<Arc<strandline_plugins::Attachment>, PluginError> {
        let recipe = recipe(registry, module, variant, PluginLimits::default());
        let recipe = recipe.ok_or_else(|| PluginError::Unfit {
            reason: format!("plugin {module} has no version {}", variant.version),
        })?;
        Ok(self.make(recipe)?.live)
    }

    /// Forgets the compiled modules that no version has any more.
    pub(super) fn forget_unused(&self, registry: &PluginRegistry) {
        let used: Vec<_> = registry
            .attachments()
            .filter_map(|entry| {
                let module = registry.module(entry.module.as_str())?;
                let version = |variant: &Variant| {
                    module
                        .version(variant.version)
                        .map(|version| version.facts.sha256)
                };
                Some(entry.variants().filter_map(version).collect::<Vec<_>>())
            })
            .flatten()
            .collect();
        self.modules.lock().retain(|sum, _| used.contains(sum));
    }

    fn make(&self, recipe: Recipe) -> Result<Made, PluginError> {
        let module = self.module(&recipe.sha256)?;
        let options = AttachOptions {
            world: module.info().world,
            settings: recipe.variant.settings.clone(),
            limits: limits(&recipe.limits, &self.settings),
        };
        let live = self
            .host()?
            .attach(&module, options)
            .map_err(|error| PluginError::Unfit {
                reason: crate::streams::describe(&error),
            })?;
        Ok(Made {
            recipe,
            live: Arc::new(live),
        })
    }

    fn module(&self, sum: &Sha256) -> Result<Module, PluginError> {
        if let Some(module) = self.modules.lock().get(sum) {
            return Ok(module.clone());
        }
        let module = self.compile(&self.files.read(sum)?)?;
        self.modules.lock().insert(*sum, module.clone());
        Ok(module)
    }

    fn host(&self) -> Result<&Host, PluginError> {
        let start =
            || Host::new(self.host_settings.clone()).map_err(|error| crate::streams::describe(&error));
        let host = self.host.get_or_init(start);
        host.as_ref().map_err(|reason| PluginError::Host {
            reason: reason.clone(),
        })
    }
}

impl Live {
    fn with(&self, recipe: &Recipe) -> Option<&Made> {
        let candidate = self.canary.as_ref().map(|(made, _)| made);
        [Some(&self.active), candidate]
            .into_iter()
            .flatten()
            .find(|made| made.recipe == *recipe)
    }

    fn trial_of(&self, recipe: &Recipe) -> Option<Arc<Trial>> {
        let canary = self.canary.as_ref().filter(|(made, _)| made.recipe == *recipe);
        canary.map(|(_, trial)| Arc::clone(trial))
    }

    /// As a part of a chain.
    pub(super) fn link(&self, entry: &Arc<Attachment>) -> Link {
        let canary = entry.canary.as_ref().zip(self.canary.as_ref());
        Link {
            entry: Arc::clone(entry),
            active: Arc::clone(&self.active.live),
            canary: canary.map(|(canary, (made, trial))| LiveCanary {
                mode: canary.mode,
                version: canary.candidate.version,
                live: Arc::clone(&made.live),
                trial: Arc::clone(trial),
            }),
        }
    }
}

fn recipe(
    registry: &PluginRegistry,
    name: &ModuleName,
    variant: &Variant,
    limits: PluginLimits,
) -> Option<Recipe> {
    let version = registry.module(name.as_str())?.version(variant.version)?;
    Some(Recipe {
        module: name.clone(),
        sha256: version.facts.sha256,
        variant: variant.clone(),
        limits,
    })
}

fn limits(own: &PluginLimits, server: &PluginSettings) -> Limits {
    let memory = own.memory_bytes.unwrap_or(server.memory_max_bytes);
    Limits {
        memory_bytes: usize::try_from(memory).unwrap_or(usize::MAX),
        budget: own
            .budget_ms
            .map_or(server.batch_budget, |ms| Duration::from_millis(ms.into())),
    }
}
