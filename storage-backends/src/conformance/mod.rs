//! The suite that every storage backend has to pass, and anybody's own can be run through.
//!
//! ```
//! use std::sync::Arc;
//! use strandline_storage_backends::{MemoryFactory, SystemDisk, conformance};
//!
//! let directory = tempfile::tempdir().unwrap();
//! let subject = conformance::Subject::new(MemoryFactory::new(), Arc::new(SystemDisk::new()), directory.path());
//! conformance::run_all(&subject);
//! ```
//!
//! Cases are selected by the backend's `Capabilities`. A case that fails panics and names itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a suite that fails says so by a panic"
)]

mod appending;
mod model;
mod reading;
mod records;
mod segments;
mod stores;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use strandline_core::LogId;
use strandline_core::disk::Disk;
use strandline_core::storage::{Factory, Log, LogSettings, Store};

/// A backend under test: each case gets a store of its own.
pub struct Subject {
    factory: Box<dyn Factory>,
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    next: AtomicU64,
    wrap: fn(Arc<dyn Log>) -> Arc<dyn Log>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("factory", &self.factory)
            .finish_non_exhaustive()
    }
}

impl Subject {
    /// A backend whose stores go below `directory` of `disk`.
    pub fn new(factory: impl Factory + 'static, disk: Arc<dyn Disk>, directory: &Path) -> Self {
        let directory = directory.to_owned();
        Self {
            factory: Box::new(factory),
            disk,
            directory,
            next: AtomicU64::new(0),
            wrap: |log| log,
        }
    }

    /// The same with every log wrapped.
    #[must_use]
    pub fn wrapped(mut self, wrap: fn(Arc<dyn Log>) -> Arc<dyn Log>) -> Self {
        self.wrap = wrap;
        self
    }

    /// A directory that no case used before.
    fn fresh(&self) -> PathBuf {
        self.directory
            .join(format!("store-{}", self.next.fetch_add(1, Ordering::Relaxed)))
    }

    fn open_store(&self, directory: &Path) -> Arc<dyn Store> {
        self.factory.open(Arc::clone(&self.disk), directory).unwrap()
    }

    /// A store with one log in it.
    fn log(&self, settings: &LogSettings) -> (Arc<dyn Store>, Arc<dyn Log>) {
        let store = self.open_store(&self.fresh());
        let log = (self.wrap)(store.create(LogId::new(1), settings).unwrap());
        (store, log)
    }
}

/// Runs every case that the backend's capabilities call for.
pub fn run_all(subject: &Subject) {
    let capabilities = subject.open_store(&subject.fresh()).capabilities();
    stores::run(subject, capabilities);
    appending::run(subject, capabilities);
    reading::run(subject);
    if capabilities.segments {
        segments::run(subject);
    }
    model::run(subject, capabilities);
}

/// Runs one case under its name.
fn case(name: &str, run: impl FnOnce()) {
    tracing::debug!(case = name, "conformance");
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    if outcome.is_err() {
        panic!("the storage contract is broken: {name}");
    }
}
