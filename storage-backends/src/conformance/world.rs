//! A store on a model of a disk, with the model of what its logs must hold: operations are done to both.

mod appends;
mod changes;
mod restarts;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strandline_core::LogId;
use strandline_core::storage::{
    Capabilities, Commit, Durability, Log, LogSettings, StorageError, Store, SyncBy,
};

use super::model::{Model, same};
use super::operations::{LOGS, Operation};
use super::records::time_of;
use super::{ROOT, Subject};
use crate::sim::{Image, SimDisk};

/// One comparison in so many is of everything.
const FULL_CHECK: usize = 3;

/// The outcome of an operation; the text says what was expected and found.
pub(super) type Checked<T = ()> = Result<T, String>;

/// What one log may hold after a stop.
#[derive(Clone, Debug)]
pub(super) enum Allowed {
    /// It is being created or deleted: anything, and nothing.
    Anything,
    /// What one of these leaves.
    OneOf(Vec<Model>),
}

/// The store, its logs and their models.
pub(super) struct World<'a> {
    subject: &'a Subject,
    capabilities: Capabilities,
    pub(super) disk: SimDisk,
    /// What was on the disk before the first operation that it remembers.
    pub(super) start: Image,
    store: Option<Arc<dyn Store>>,
    logs: Vec<Tracked>,
    serial: u64,
    epoch: u64,
    checks: usize,
    /// Whether operations of the disk fail.
    pub(super) is_faulty: bool,
    /// What each log may hold at each moment of the disk, if that is to be known.
    pub(super) allowed: Option<BTreeMap<usize, Arc<Vec<Allowed>>>>,
}

/// One log with its model.
struct Tracked {
    id: LogId,
    log: Option<Arc<dyn Log>>,
    /// Whether its creation was acknowledged, and no deletion begun.
    exists: bool,
    settings: LogSettings,
    model: Model,
    /// What it may hold besides, after a change that failed.
    doubts: Vec<Model>,
    pending: Vec<Pending>,
    is_poisoned: bool,
}

struct Pending {
    commit: Commit,
    end: u64,
    /// Whether what it stands for was cut off before it was durable.
    is_cut: bool,
    /// Whether something failed after the append, so that its success tells nothing about that.
    is_before_doubts: bool,
}

impl Tracked {
    /// Takes note that its files may hold what one of these leaves.
    fn doubt(&mut self, models: impl IntoIterator<Item = Model>) {
        self.doubts.extend(models);
        for pending in &mut self.pending {
            pending.is_before_doubts = true;
        }
    }
}

impl<'a> World<'a> {
    /// A store with its logs on an empty disk.
    pub(super) fn new(
        subject: &'a Subject,
        capabilities: Capabilities,
        durability: Durability,
    ) -> Checked<Self> {
        let mut world = Self::before_start(subject, capabilities, durability);
        world.found()?;
        Ok(world)
    }

    /// A disk without a store.
    pub(super) fn before_start(
        subject: &'a Subject,
        capabilities: Capabilities,
        durability: Durability,
    ) -> Self {
        let start = Image::with_dir(Path::new(ROOT));
        let settings = LogSettings {
            durability,
            segment_max_bytes: 700,
            segment_max_age: None,
        };
        let tracked = |number| Tracked {
            id: log_id(number),
            log: None,
            exists: false,
            settings,
            model: Model::default(),
            doubts: Vec::new(),
            pending: Vec::new(),
            is_poisoned: false,
        };
        Self {
            subject,
            capabilities,
            disk: SimDisk::of(start.clone()),
            start,
            store: None,
            logs: (0..LOGS).map(tracked).collect(),
            serial: 0,
            epoch: 1,
            checks: 0,
            is_faulty: false,
            allowed: None,
        }
    }

    /// Creates the store and its logs. With faults it may end early.
    pub(super) fn found(&mut self) -> Checked {
        let from = self.disk.moment();
        let opened = self.open_store();
        let Some(store) = self.expect(opened, "opening a store in an empty directory")? else {
            return Ok(());
        };
        self.store = Some(store);
        self.note(from, vec![Allowed::Anything; LOGS]);
        (0..LOGS).try_for_each(|at| self.create(at))
    }

    fn create(&mut self, at: usize) -> Checked {
        let from = self.disk.moment();
        let Some(store) = self.store.clone() else {
            return Ok(());
        };
        let (id, settings) = (self.logs[at].id, self.logs[at].settings);
        let created = self.subject.create(store.as_ref(), id, &settings);
        let Some(log) = self.expect(created, "creating a log")? else {
            return Ok(());
        };
        let tracked = &mut self.logs[at];
        tracked.model = Model::empty_at(0);
        (tracked.log, tracked.exists) = (Some(log), true);
        let mut between = self.allowed_now();
        between[at] = Allowed::Anything;
        self.note(from, between);
        self.check(at)
    }

    fn open_store(&self) -> Result<Arc<dyn Store>, StorageError> {
        self.subject
            .factory
            .open(Arc::new(self.disk.clone()), &Self::directory())
    }

    pub(super) fn directory() -> PathBuf {
        Path::new(ROOT).join("store")
    }

    /// Does an operation to both.
    pub(super) fn apply(&mut self, operation: &Operation) -> Checked {
        match *operation {
            Operation::Append { log, ref batches } => self.append(log, batches),
            Operation::AppendWrong { log, is_epoch } => self.append_wrong(log, is_epoch),
            Operation::Sync { by_store } => self.sync(if by_store { SyncBy::Store } else { SyncBy::Caller }),
            Operation::Roll { log } if self.capabilities.segments => {
                self.change(log, Vec::new(), None, |log| log.roll())
            }
            Operation::RollIfDue { log, after } if self.capabilities.segments => {
                self.change(log, Vec::new(), None, |log| {
                    log.roll_if_due(time_of(log.end().get() + u64::from(after)))
                })
            }
            Operation::Remove { log, place } if self.capabilities.segments => self.remove(log, place),
            Operation::Replace {
                log,
                first,
                count,
                keep,
            } if self.capabilities.segments => self.replace(log, first, count, keep),
            Operation::Truncate { log, place } => self.truncate(log, place),
            Operation::Reset { log, place } => self.reset(log, place),
            Operation::Settings { log, size, age } => self.set_settings(log, size, age),
            Operation::Read {
                log,
                from,
                end,
                max_bytes,
            } => self.read(log, from, end, max_bytes),
            Operation::Close { log } => self.close(log),
            Operation::Recreate { log } => self.recreate(log),
            Operation::Restart => self.restart(None),
            Operation::PowerLoss { seed } if self.capabilities.survives_power_loss => {
                self.restart(Some(seed))
            }
            _ => Ok(()),
        }
    }

    /// The value, none if a fault explains the error.
    fn expect<T, E: std::error::Error>(&self, result: Result<T, E>, what: &str) -> Checked<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(_) if self.is_faulty && self.disk.has_failed() => Ok(None),
            Err(error) => Err(format!("{what} failed: {error}")),
        }
    }

    fn log(&self, at: usize) -> Option<Arc<dyn Log>> {
        self.logs[at].log.clone()
    }

    /// Compares a log with its model: what it holds, and now and then everything else.
    fn check(&mut self, at: usize) -> Checked {
        self.checks += 1;
        let is_brief = !self.checks.is_multiple_of(FULL_CHECK);
        let tracked = &mut self.logs[at];
        let Some(log) = &tracked.log else { return Ok(()) };
        if is_brief {
            tracked.model.check_briefly(log.as_ref())?;
        } else {
            tracked.model.check(log.as_ref())?;
        }
        tracked.model.adopt(log.as_ref());
        same("the settings", &tracked.settings, &log.settings())
    }

    /// Compares everything of all logs with their models.
    pub(super) fn check_all(&mut self) -> Checked {
        let mut logs = self
            .logs
            .iter()
            .filter_map(|tracked| Some((&tracked.model, tracked.log.as_ref()?)));
        logs.try_for_each(|(model, log)| model.check(log.as_ref()))
    }

    // What may be there after a stop.

    pub(super) fn allowed_now(&self) -> Vec<Allowed> {
        let of_log = |tracked: &Tracked| {
            if tracked.exists {
                Allowed::OneOf(
                    std::iter::once(&tracked.model)
                        .chain(&tracked.doubts)
                        .cloned()
                        .collect(),
                )
            } else {
                Allowed::Anything
            }
        };
        self.logs.iter().map(of_log).collect()
    }

    /// Takes note of an operation that began at this moment of the disk and is done now.
    fn note(&mut self, from: usize, between: Vec<Allowed>) {
        let (to, now, between) = (
            self.disk.moment(),
            Arc::new(self.allowed_now()),
            Arc::new(between),
        );
        if let Some(allowed) = &mut self.allowed {
            allowed.extend((from + 1..to).map(|moment| (moment, Arc::clone(&between))));
            allowed.insert(to, now);
        }
    }
}

/// The id of a log by its place.
pub(super) fn log_id(at: usize) -> LogId {
    LogId::new(3 + at as u64)
}

/// What a log holds, which must be what one of these leaves.
pub(super) fn recover(candidates: &[Model], log: &dyn Log) -> Checked<Model> {
    let mut reasons = Vec::new();
    for candidate in candidates {
        match candidate.recovered(log) {
            Ok(model) => return Ok(model),
            Err(reason) => {
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
        }
    }
    Err(reasons.join("; or "))
}
