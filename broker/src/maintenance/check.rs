//! Verifies everything in a data directory, and changes nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strandline_codec::{MasterKeys, Unpacker};
use strandline_core::disk::{Disk, EntryKind};
use strandline_core::record::Batch;
use strandline_core::storage::Backend;
use strandline_core::{LogId, PartitionId};
use strandline_storage_backends::check::{
    Finding, Inspector, LEFT_ALONE, LogTotals, REBUILT, REMOVED, RESTORE_ONLY, Severity, UNREADABLE,
};
use strandline_storage_backends::{
    SystemDisk, check_redb_store, check_segment_log, check_segment_store, redb_store_bytes, segment_log_bytes,
};

use super::MaintenanceError;
use super::inventory::{Inventory, Place, Stray, Target};
use super::lock::lock_for_reading;
use super::metadata::{METADATA_DIRECTORY, Metadata};
use super::plugins::check_plugins;
use super::repair::ASIDE_PREFIX;
use crate::broker::LOCK_FILE;
use crate::compaction::{PROGRESS_FILE, problem_of};
use crate::plugins::PLUGINS_DIRECTORY;
use crate::streams::{REDB_DIRECTORY, SEGMENT_DIRECTORY};

/// What is to be verified.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Only this.
    pub only: Option<Target>,
    /// What encrypted batches are looked into with; of others only the checksums are verified.
    pub masters: MasterKeys,
}

/// Who is told what is found, while it is being found.
pub trait Report {
    /// Something is not as it should be, in this partition if it is in one.
    fn found(&mut self, place: Option<&Place>, finding: &Finding);

    /// So much of what is to be read has been read.
    fn progress(&mut self, done: u64, total: u64);
}

/// What was verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Findings that are damage.
    pub damage: u64,
    /// Findings that are not.
    pub harmless: u64,
    /// Logs that were read.
    pub logs: u64,
    /// What they hold together; the range means nothing.
    pub totals: LogTotals,
}

/// Verifies every checksum, index and promise in a data directory. Blocks.
///
/// # Errors
///
/// A broker uses the directory, it cannot be read, or there is no such stream. What is wrong in it is no error.
pub fn check(options: &CheckOptions, report: &mut dyn Report) -> Result<Checked, MaintenanceError> {
    let system = SystemDisk::new();
    let data_dir = &options.data_dir;
    let _lock = lock_for_reading(system, data_dir)?;
    let disk: Arc<dyn Disk> = Arc::new(system);
    let metadata = Metadata::read(&disk, data_dir);
    let mut eyes = Eyes {
        report,
        masters: &options.masters,
        inventory: metadata.inventory.as_ref(),
        place: None,
        unpacker: (Unpacker::new(PartitionId::default(), []), false),
        done: 0,
        total: 0,
        checked: Checked::default(),
    };
    metadata
        .findings
        .iter()
        .for_each(|finding| eyes.found(finding.clone()));
    match &options.only {
        Some(target) => {
            let inventory = metadata.named(data_dir)?;
            let places = inventory.find(target)?;
            eyes.check_places(disk.as_ref(), data_dir, &places);
        }
        None => eyes.check_all(disk.as_ref(), data_dir),
    }
    Ok(eyes.checked)
}

impl Metadata {
    /// The inventory, for who needs names.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(super) fn named(&self, data_dir: &Path) -> Result<&Inventory, MaintenanceError> {
        let problem = || match self
            .findings
            .iter()
            .find(|finding| finding.severity == Severity::Damage)
        {
            Some(finding) => format!("{}: {}", finding.file.display(), finding.problem),
            None => "there is none".to_owned(),
        };
        self.inventory.as_ref().ok_or_else(|| MaintenanceError::Metadata {
            directory: data_dir.join(METADATA_DIRECTORY),
            problem: problem(),
        })
    }
}

/// Looks at one log after the other on behalf of a report.
struct Eyes<'a> {
    report: &'a mut dyn Report,
    masters: &'a MasterKeys,
    inventory: Option<&'a Inventory>,
    /// The partition that is looked at.
    place: Option<&'a Place>,
    /// What unpacks its batches, and whether that can decrypt.
    unpacker: (Unpacker, bool),
    done: u64,
    total: u64,
    checked: Checked,
}

impl Inspector for Eyes<'_> {
    fn turn_to(&mut self, log: LogId) {
        self.place = self.inventory.and_then(|inventory| inventory.place(log));
        self.unpacker = match self.place {
            Some(place) => place.unpacker(self.masters),
            None => (Unpacker::new(PartitionId::default(), []), false),
        };
    }

    fn unpack(&mut self, batch: &Batch) -> Result<Option<Batch>, String> {
        let (unpacker, can_decrypt) = &self.unpacker;
        if batch.header().encryption.is_some() && !can_decrypt {
            return Ok(None);
        }
        unpacker
            .unpack(batch)
            .map(Some)
            .map_err(|error| error.to_string())
    }

    fn read(&mut self, bytes: u64) {
        self.done += bytes;
        self.report.progress(self.done.min(self.total), self.total);
    }

    fn found(&mut self, finding: Finding) {
        match finding.severity {
            Severity::Damage => self.checked.damage += 1,
            Severity::Harmless => self.checked.harmless += 1,
        }
        self.report.found(self.place, &finding);
    }
}

impl Eyes<'_> {
    fn check_all(&mut self, disk: &dyn Disk, data_dir: &Path) {
        self.check_names(disk, data_dir);
        if let Some((path, problem)) = problem_of(disk, data_dir) {
            let advice = "nothing: logs are compacted from their start, and the file is written anew";
            self.found(Finding::harmless(path, problem, advice));
        }
        let registry = self.inventory.map(Inventory::plugins);
        check_plugins(disk, data_dir, registry, &mut |finding| self.found(finding));
        let store = data_dir.join(SEGMENT_DIRECTORY);
        let logs: BTreeSet<_> = check_segment_store(disk, &store, self).into_iter().collect();
        let expected = self.expected(Backend::Segment);
        let database = data_dir.join(REDB_DIRECTORY);
        self.total = logs.iter().map(|&log| segment_log_bytes(disk, &store, log)).sum();
        self.total += redb_store_bytes(disk, &database);
        for log in logs.union(&expected) {
            self.check_log(disk, &store, *log);
        }
        self.place = None;
        let expected = self.expected(Backend::Redb);
        self.check_database(disk, &database, &expected, None);
        self.place = None;
    }

    /// The logs that an engine has to have.
    fn expected(&self, backend: Backend) -> BTreeSet<LogId> {
        let places = self
            .inventory
            .into_iter()
            .flat_map(|inventory| inventory.on(backend));
        places.map(|place| place.log).collect()
    }

    /// Looks at the logs in redb: at all, or at these.
    fn check_database(
        &mut self,
        disk: &dyn Disk,
        database: &Path,
        expected: &BTreeSet<LogId>,
        only: Option<&BTreeSet<LogId>>,
    ) {
        let Some(found) = check_redb_store(disk, database, only, self) else {
            return;
        };
        for (&log, totals) in &found {
            self.checked.add(totals);
            self.turn_to(log);
            if self.place.is_none() {
                self.judge_stray(log, database.to_owned());
            }
        }
        for &log in expected.iter().filter(|log| !found.contains_key(log)) {
            self.turn_to(log);
            self.judge_missing(database);
        }
    }

    fn check_places(&mut self, disk: &dyn Disk, data_dir: &Path, places: &[Place]) {
        let (store, database) = (data_dir.join(SEGMENT_DIRECTORY), data_dir.join(REDB_DIRECTORY));
        let on = |backend| places.iter().filter(move |place| place.backend() == backend);
        let logs = || on(Backend::Segment).map(|place| place.log);
        let in_database: BTreeSet<_> = on(Backend::Redb).map(|place| place.log).collect();
        self.total = logs().map(|log| segment_log_bytes(disk, &store, log)).sum();
        for log in logs() {
            self.check_log(disk, &store, log);
        }
        if !in_database.is_empty() {
            self.total += redb_store_bytes(disk, &database);
            self.check_database(disk, &database, &in_database, Some(&in_database));
        }
    }

    fn check_log(&mut self, disk: &dyn Disk, store: &Path, log: LogId) {
        let directory = store.join(log.to_string());
        let Some(totals) = check_segment_log(disk, store, log, self) else {
            self.judge_missing(&directory);
            return;
        };
        self.checked.add(&totals);
        if self.place.is_none() {
            self.judge_stray(log, directory);
        }
    }

    /// There is no log where a partition, or a directory, says that there is one.
    fn judge_missing(&mut self, directory: &Path) {
        let finding = match self.place {
            Some(place) if place.is_created => {
                let problem = format!("the log of partition {} is missing", place.name());
                Finding::damage(directory, problem, RESTORE_ONLY)
            }
            Some(place) => {
                let problem = format!("the log of partition {} was never finished", place.name());
                Finding::harmless(
                    directory,
                    problem,
                    "nothing: the next start of the broker creates it",
                )
            }
            None => Finding::harmless(directory, "there is no log in this directory", LEFT_ALONE),
        };
        self.found(finding);
    }

    fn judge_stray(&mut self, log: LogId, directory: PathBuf) {
        let Some(inventory) = self.inventory else { return };
        let (problem, advice) = match inventory.stray(log) {
            Stray::Deleted => ("the log of a stream that was deleted", REMOVED),
            Stray::Unused => ("the log belongs to no stream", LEFT_ALONE),
            Stray::Foreign => (
                "the log is none of this broker's: another data directory had it",
                LEFT_ALONE,
            ),
        };
        self.found(Finding::harmless(directory, problem, advice));
    }

    /// Names what in the data directory is none of the broker's.
    fn check_names(&mut self, disk: &dyn Disk, data_dir: &Path) {
        let entries = match disk.list(data_dir) {
            Ok(entries) => entries,
            Err(error) => {
                let problem = format!("cannot be read: {error}");
                self.found(Finding::damage(data_dir, problem, UNREADABLE));
                return;
            }
        };
        let own = |name: &str, kind: EntryKind| match kind {
            EntryKind::Directory => {
                [
                    METADATA_DIRECTORY,
                    SEGMENT_DIRECTORY,
                    REDB_DIRECTORY,
                    PLUGINS_DIRECTORY,
                ]
                .contains(&name)
                    || name.starts_with(ASIDE_PREFIX)
            }
            EntryKind::File => [LOCK_FILE, PROGRESS_FILE].contains(&name),
            EntryKind::Other => false,
        };
        for entry in entries.iter().filter(|entry| !own(&entry.name, entry.kind)) {
            let path = data_dir.join(&entry.name);
            let finding = if entry.name == format!("{PROGRESS_FILE}.tmp") {
                Finding::harmless(path, "a write was interrupted", REBUILT)
            } else {
                Finding::harmless(path, "this is no file of the broker's", LEFT_ALONE)
            };
            self.found(finding);
        }
        let is_there = |name: &str| entries.iter().any(|entry| entry.name == name);
        if !is_there(METADATA_DIRECTORY) && (is_there(SEGMENT_DIRECTORY) || is_there(REDB_DIRECTORY)) {
            let problem = "the directory is missing: nothing says which streams the logs belong to";
            self.found(Finding::damage(
                data_dir.join(METADATA_DIRECTORY),
                problem,
                RESTORE_ONLY,
            ));
        }
    }
}

impl Checked {
    fn add(&mut self, log: &LogTotals) {
        self.logs += 1;
        self.totals.segments += log.segments;
        self.totals.batches += log.batches;
        self.totals.records += log.records;
        self.totals.bytes += log.bytes;
        self.totals.locked += log.locked;
    }
}
