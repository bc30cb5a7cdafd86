//! The suite that every storage backend has to pass, and anybody's own can be run through.
//!
//! ```
//! use std::sync::Arc;
//! use strandline_storage_backends::{MemoryFactory, SystemDisk, conformance};
//!
//! let directory = tempfile::tempdir().unwrap();
//! let subject = conformance::Subject::new(MemoryFactory::new(), Arc::new(SystemDisk::new()), directory.path());
//! conformance::run_all(&subject.sequences(100));
//! ```
//!
//! Cases are selected by the backend's `Capabilities`. [`run_all`] and [`run`] panic with the cases that failed, each with
//! what was seen instead; random sequences of operations are shrunk first. [`check`] gives the same as a [`Report`].
//! `docs/storage-backends.md` tells how to write an engine and prove it with this.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a suite that fails says so by a panic"
)]

mod appending;
mod concurrency;
mod crashes;
mod damage;
mod faults;
mod limits;
mod model;
mod operations;
mod reading;
mod records;
mod report;
mod segments;
mod sequences;
mod stores;
mod world;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use strandline_core::LogId;
use strandline_core::disk::Disk;
use strandline_core::storage::{Capabilities, Factory, Log, LogSettings, StorageError, Store};

pub use report::{Failure, Report};

use crate::sim::{Image, SimDisk};
use report::Cases;

/// A part of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The contract, sentence by sentence.
    Contract,
    /// Random sequences of operations against a model.
    Sequences,
    /// Appenders, readers, cleaners and syncs at the same time.
    Concurrency,
    /// Every moment of a power loss. For backends that survive one.
    Crashes,
    /// Each operation of the disk failing in turn. For backends that survive a restart.
    Faults,
    /// Flipped bits and lost sectors of a store at rest. For backends that survive a restart.
    Damage,
    /// The largest and the emptiest.
    Limits,
}

impl Part {
    /// All parts, the quickest first.
    pub const ALL: [Self; 7] = [
        Self::Contract,
        Self::Limits,
        Self::Concurrency,
        Self::Sequences,
        Self::Damage,
        Self::Faults,
        Self::Crashes,
    ];
}

/// A backend under test: each case gets a store of its own.
pub struct Subject {
    factory: Arc<dyn Factory>,
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    next: AtomicU64,
    wrap: fn(Arc<dyn Log>) -> Arc<dyn Log>,
    sequences: u32,
    seed: u64,
    images: usize,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("factory", &self.factory)
            .finish_non_exhaustive()
    }
}

impl Subject {
    /// Random sequences of operations that are tried, unless told otherwise.
    pub const DEFAULT_SEQUENCES: u32 = 10_000;
    /// What a power loss may leave that is looked at for each workload, unless told otherwise.
    pub const DEFAULT_IMAGES: usize = 1_500;

    /// A backend whose stores go below `directory` of `disk`. Sequences, crashes, faults and damage are tried on models of a
    /// disk instead.
    pub fn new(factory: impl Factory + 'static, disk: Arc<dyn Disk>, directory: &Path) -> Self {
        let directory = directory.to_owned();
        Self {
            factory: Arc::new(factory),
            disk,
            directory,
            next: AtomicU64::new(0),
            wrap: |log| log,
            sequences: Self::DEFAULT_SEQUENCES,
            seed: 1,
            images: Self::DEFAULT_IMAGES,
        }
    }

    /// A backend whose stores go onto a model of a disk.
    pub fn in_memory(factory: impl Factory + 'static) -> Self {
        let root = Path::new(ROOT);
        Self::new(factory, Arc::new(SimDisk::of(Image::with_dir(root))), root)
    }

    /// The same with every log wrapped.
    #[must_use]
    pub fn wrapped(mut self, wrap: fn(Arc<dyn Log>) -> Arc<dyn Log>) -> Self {
        self.wrap = wrap;
        self
    }

    /// Tries so many random sequences of operations.
    #[must_use]
    pub fn sequences(mut self, sequences: u32) -> Self {
        self.sequences = sequences;
        self
    }

    /// Draws other random sequences; equal seeds give equal ones.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Looks at up to so many images that a power loss may leave, for each workload; chance chooses which.
    #[must_use]
    pub fn images(mut self, images: usize) -> Self {
        self.images = images;
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

    fn create(
        &self,
        store: &dyn Store,
        id: LogId,
        settings: &LogSettings,
    ) -> Result<Arc<dyn Log>, StorageError> {
        store.create(id, settings).map(self.wrap)
    }

    fn open(
        &self,
        store: &dyn Store,
        id: LogId,
        settings: &LogSettings,
    ) -> Result<Arc<dyn Log>, StorageError> {
        store.open(id, settings).map(self.wrap)
    }
}

/// Where stores go on a model of a disk.
const ROOT: &str = "/data";

/// Runs everything that the backend's capabilities call for.
pub fn run_all(subject: &Subject) {
    run(subject, &Part::ALL);
}

/// Runs parts of the suite.
pub fn run(subject: &Subject, parts: &[Part]) {
    let report = check(subject, parts);
    assert!(
        report.is_clean(),
        "the storage contract is broken by {}: {report}",
        subject.factory.name()
    );
}

/// Runs parts of the suite and says what came of them.
pub fn check(subject: &Subject, parts: &[Part]) -> Report {
    let mut report = Report::default();
    for part in parts {
        report.add(check_part(subject, *part));
    }
    report
}

fn check_part(subject: &Subject, part: Part) -> Report {
    let mut cases = Cases::new(part);
    let mut capabilities = None;
    cases.case("a store opens in a directory that is not there yet", || {
        capabilities = Some(subject.open_store(&subject.fresh()).capabilities());
    });
    let Some(capabilities) = capabilities else {
        return cases.done();
    };
    match part {
        Part::Contract => contract(&mut cases, subject, capabilities),
        Part::Sequences => sequences::run(&mut cases, subject, capabilities),
        Part::Concurrency => concurrency::run(&mut cases, subject, capabilities),
        Part::Crashes if capabilities.survives_power_loss => crashes::run(&mut cases, subject, capabilities),
        Part::Faults if capabilities.survives_restart => faults::run(&mut cases, subject, capabilities),
        Part::Damage if capabilities.survives_restart => damage::run(&mut cases, subject, capabilities),
        Part::Crashes | Part::Faults | Part::Damage => {}
        Part::Limits => limits::run(&mut cases, subject, capabilities),
    }
    cases.done()
}

fn contract(cases: &mut Cases, subject: &Subject, capabilities: Capabilities) {
    stores::run(cases, subject, capabilities);
    appending::run(cases, subject, capabilities);
    reading::run(cases, subject);
    if capabilities.segments {
        segments::run(cases, subject);
    }
}
