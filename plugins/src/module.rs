//! Modules that are ready to be attached, each compiled once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::Cache;
use crate::error::LoadError;
use crate::inspect::ModuleInfo;
use crate::link::Linked;
use crate::log::told;

/// Where a module came from, and how long that took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was compiled.
    Compiled(Duration),
    /// It had been compiled before and lay on disk.
    Cache(Duration),
    /// It is in use already.
    Memory,
}

/// A module that is ready to be attached. Clones share it.
#[derive(Clone)]
pub struct Module {
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) origin: Origin,
}

impl Module {
    /// What it says of itself.
    pub fn info(&self) -> &ModuleInfo {
        &self.compiled.info
    }

    /// Where it came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("info", self.info())
            .field("origin", &self.origin)
            .finish()
    }
}

/// What is shared by everything that is made of a module.
pub(crate) struct Compiled {
    engine: Engine,
    info: ModuleInfo,
    linked: Linked,
}

impl Compiled {
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn linked(&self) -> &Linked {
        &self.linked
    }
}

/// The modules in use, by their SHA-256.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    slots: Mutex<HashMap<[u8; 32], Arc<Slot>>>,
}

/// The lock is held while the module is compiled: who wants the same one waits for it.
#[derive(Default)]
struct Slot(Mutex<Weak<Compiled>>);

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

impl Modules {
    /// The module: the one in use, else from disk, else compiled.
    pub(crate) fn load(
        &self,
        engine: &Engine,
        cache: Option<&Cache>,
        bytes: &[u8],
        info: ModuleInfo,
    ) -> Result<Module, LoadError> {
        let slot = self.slot(info.sha256);
        let mut slot = slot.0.lock();
        if let Some(compiled) = slot.upgrade() {
            let origin = Origin::Memory;
            return Ok(Module { compiled, origin });
        }
        let start = Instant::now();
        let cached = cache.and_then(|cache| cache.get(engine, &info.sha256));
        let is_cached = cached.is_some();
        let component = match cached {
            Some(component) => component,
            None => compile(engine, bytes)?,
        };
        let linked = Linked::new(engine, &component, &info)?;
        let took = start.elapsed();
        if let Some(cache) = cache
            && !is_cached
        {
            cache.put(&component, &info.sha256);
        }
        let engine = engine.clone();
        let compiled = Arc::new(Compiled { engine, info, linked });
        *slot = Arc::downgrade(&compiled);
        let origin = if is_cached {
            Origin::Cache(took)
        } else {
            Origin::Compiled(took)
        };
        Ok(Module { compiled, origin })
    }

    fn slot(&self, sha256: [u8; 32]) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        // A slot that somebody holds is being filled; one that is locked is held.
        slots.retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.0.try_lock().is_none_or(|module| module.strong_count() > 0)
        });
        slots.entry(sha256).or_default().clone()
    }
}

#[cfg(feature = "compiler")]
fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, LoadError> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    // The compiler is large and modules are made by strangers: should it panic, one module is refused.
    let compiled = catch_unwind(AssertUnwindSafe(|| Component::from_binary(engine, bytes)));
    match compiled {
        Ok(Ok(component)) => Ok(component),
        Ok(Err(error)) => Err(LoadError::Compile(told(&format!("{error:#}")))),
        Err(_) => Err(LoadError::Compile("the compiler gave up on it".to_owned())),
    }
}

#[cfg(not(feature = "compiler"))]
fn compile(_: &Engine, _: &[u8]) -> Result<Component, LoadError> {
    let missing = "this program was built without a compiler (feature `compiler` of strandline-plugins)";
    Err(LoadError::Compile(missing.to_owned()))
}
