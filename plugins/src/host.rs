//! The host: an engine, what it has compiled and what all attachments share.

use std::num::NonZeroUsize;
use std::sync::Arc;

use wasmtime::{Config, Engine, WasmBacktraceDetails};

use crate::attachment::{AttachOptions, Attachment};
use crate::cache::Cache;
use crate::error::{AttachError, HostError, LoadError};
use crate::idle::Idle;
use crate::inspect::ModuleInfo;
use crate::module::{Module, Modules};
use crate::settings::HostSettings;
use crate::ticker::Ticker;

/// Most calls of a backtrace that are looked at.
const BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// Loads and attaches plugins. Clones share everything.
#[derive(Clone, Debug)]
pub struct Host(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) settings: HostSettings,
    engine: Engine,
    cache: Option<Cache>,
    modules: Modules,
    pub(crate) idle: Arc<Idle>,
    pub(crate) ticker: Arc<Ticker>,
}

impl Host {
    /// Starts the engine and its one thread, which ends with the host and its last attachment.
    ///
    /// # Errors
    ///
    /// When the machine cannot run compiled code, or the directory for it cannot be made.
    pub fn new(settings: HostSettings) -> Result<Self, HostError> {
        let engine = engine(&settings).map_err(|error| HostError::Engine(format!("{error:#}")))?;
        let cache = match &settings.cache_dir {
            Some(dir) => {
                let opened = Cache::open(dir, settings.cache_bytes);
                let path = dir.display().to_string();
                Some(opened.map_err(|error| HostError::Cache { path, error })?)
            }
            None => None,
        };
        let idle = Arc::new(Idle::new(settings.idle_memory, settings.idle_time));
        let ticker = Ticker::start(engine.weak(), idle.clone()).map_err(HostError::Thread)?;
        Ok(Self(Arc::new(Inner {
            settings,
            engine,
            cache,
            modules: Modules::default(),
            idle,
            ticker: Arc::new(ticker),
        })))
    }

    /// What a module says of itself: its world, its imports. Takes no longer than reading it; whether its code is valid shows
    /// [`Host::load`].
    ///
    /// # Errors
    ///
    /// When the module cannot be a plugin of this host.
    pub fn inspect(&self, bytes: &[u8]) -> Result<ModuleInfo, LoadError> {
        ModuleInfo::read(bytes, self.0.settings.module_bytes)
    }

    /// Makes a module ready to be attached. Compiles it, which takes seconds for large ones, unless it is in use or compiled
    /// already; who loads the same module at the same time waits for that.
    ///
    /// # Errors
    ///
    /// When the module cannot be a plugin of this host.
    pub fn load(&self, bytes: &[u8]) -> Result<Module, LoadError> {
        let info = self.inspect(bytes)?;
        self.0
            .modules
            .load(&self.0.engine, self.0.cache.as_ref(), bytes, info)
    }

    /// Attaches a module: makes its first instance, whose `init` sees the settings.
    ///
    /// # Errors
    ///
    /// When the plugin refuses the settings or fails at its start.
    pub fn attach(&self, module: &Module, options: AttachOptions) -> Result<Attachment, AttachError> {
        Attachment::start(&self.0, module, options)
    }

    /// What the host was told.
    pub fn settings(&self) -> &HostSettings {
        &self.0.settings
    }
}

fn engine(settings: &HostSettings) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(settings.stack_bytes)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES))
        // The same module gives the same verdicts on every machine.
        .relaxed_simd_deterministic(true)
        // Only debuggers of the process would read it.
        .native_unwind_info(false);
    Engine::new(&config)
}
