//! An archive as a log whose sealed segments can be read and replaced, for who compacts it by key.
//!
//! The compactor of local logs does the rest: it reads, decides, and hands back what stays. Its threads may block, so each
//! request is waited for here. One swap of HEAD puts a new object in the place of old ones; those stay for the grace time.
//!
//! Only what the archive itself holds counts: a record is replaced by a later one in the archive, never by one that is on a
//! disk alone. So the archive is at any time what a reader of the records up to its end would have kept, and a cluster that
//! is restored from it misses no key.

mod look;
mod read;
mod write;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use strandline_core::compaction::{Progress, Work};
use strandline_core::record::Batch;
use strandline_core::storage::{
    AppendError, Commit, EpochEnd, Log, LogSettings, ReadError, ReadLimit, Role, Run, SegmentSummary,
    StorageError,
};
use strandline_core::{LeaderEpoch, LogId, Offset, OffsetRange, Timestamp};

use super::archiver::Pass;
use super::{ArchiveError, Archiver, Entry, Page, PartitionArchive, View};

pub use look::{begins_to_wait, due};

/// Time between looks at what else there is to do for the partition.
const TEND_INTERVAL: Duration = Duration::from_secs(1);

/// Whose thread it is that blocks.
pub trait Host: fmt::Debug + Sync {
    /// Waits until a request is done. False when it was given up because nobody is to wait any more.
    fn wait(&self, work: Pin<&mut (dyn Future<Output = ()> + Send)>) -> bool;

    /// Called about once a second between requests: what is new goes to the archive first.
    ///
    /// # Errors
    ///
    /// It does not, and the compaction ends.
    fn tend(&self, archiver: &mut Archiver) -> Result<(), ArchiveError>;
}

/// The segments of an archive, as a log that can be compacted. Nothing is appended to it or cut from it.
pub struct ArchiveSegments<'a> {
    host: &'a dyn Host,
    archiver: Mutex<&'a mut Archiver>,
    archive: Arc<PartitionArchive>,
    local: Arc<dyn Log>,
    now: &'a (dyn Fn() -> Timestamp + Sync),
    pages: Mutex<HashMap<String, Arc<Page>>>,
    tended: Mutex<Instant>,
    /// The first thing that went wrong. Nothing is done from then on.
    failure: Mutex<Option<Failure>>,
}

/// Why nothing goes on.
#[derive(Clone, Debug)]
enum Failure {
    Stopped,
    Archive(ArchiveError),
}

impl<'a> ArchiveSegments<'a> {
    /// The segments of what this archiver, which has claimed it, archives; `now` is the time by which ages are judged.
    pub fn new(
        archiver: &'a mut Archiver,
        host: &'a dyn Host,
        now: &'a (dyn Fn() -> Timestamp + Sync),
    ) -> Self {
        Self {
            host,
            archive: Arc::clone(archiver.archive()),
            local: Arc::clone(archiver.log()),
            archiver: Mutex::new(archiver),
            now,
            pages: Mutex::default(),
            tended: Mutex::new(Instant::now()),
            failure: Mutex::default(),
        }
    }

    /// How far it is compacted.
    pub fn progress(&self) -> Progress {
        self.view().map_or_else(Progress::default, |view| {
            let head = view.head();
            head.tombstones.progress(head.compacted)
        })
    }

    /// Records in the manifest that a pass over the archive was whole, `first` if it is the first one for this work.
    pub fn remember(&self, work: &Work, progress: &Progress, first: bool) {
        let known = self.progress();
        let is_new = |waiting| known.waiting != Some(waiting);
        let pass = Pass {
            compacted: progress.clean_end,
            has_tombstones: progress.newer_tombstones || progress.waiting.is_some_and(is_new),
            left: work.tombstones_before.filter(|_| first),
        };
        self.note(&pass);
    }

    /// Lets the grace time of tombstones begin whose older records have left the disk.
    pub fn begin_to_wait(&self) {
        let pass = Pass {
            compacted: self.progress().clean_end,
            has_tombstones: false,
            left: None,
        };
        self.note(&pass);
    }

    fn note(&self, pass: &Pass) {
        let (start, now) = (self.local.start(), (self.now)());
        let mut archiver = self.archiver.lock();
        // A failure is kept, and told when the run is over.
        let _ = self.ask(archiver.remember_compaction(pass.compacted, |known| known.after(pass, start, now)));
    }

    /// What went wrong, if something did: what a run said that ended well is not to be believed then.
    ///
    /// # Errors
    ///
    /// The inner one is absent when nobody is to wait any more.
    pub fn outcome(&self) -> Result<(), Option<ArchiveError>> {
        match &*self.failure.lock() {
            None => Ok(()),
            Some(Failure::Stopped) => Err(None),
            Some(Failure::Archive(error)) => Err(Some(error.clone())),
        }
    }

    fn view(&self) -> Option<Arc<View>> {
        self.archive.view()
    }

    /// Waits for a request.
    fn ask<T: Send>(&self, request: impl Future<Output = Result<T, ArchiveError>> + Send) -> Option<T> {
        let answer = self.wait(request)?;
        answer.map_err(|error| self.fail(Failure::Archive(error))).ok()
    }

    /// Waits; none when nobody is to wait any more, or something went wrong before.
    fn wait<T: Send>(&self, work: impl Future<Output = T> + Send) -> Option<T> {
        if self.failure.lock().is_some() {
            return None;
        }
        let mut output = None;
        let is_done = self.host.wait(pin!(async { output = Some(work.await) }));
        if !is_done {
            self.fail(Failure::Stopped);
        }
        output
    }

    fn fail(&self, failure: Failure) {
        self.failure.lock().get_or_insert(failure);
    }

    /// Lets what is new go first. Not to be called with the archiver in hand.
    fn tend(&self) {
        {
            let mut tended = self.tended.lock();
            if tended.elapsed() < TEND_INTERVAL || self.failure.lock().is_some() {
                return;
            }
            *tended = Instant::now();
        }
        let mut archiver = self.archiver.lock();
        if let Err(error) = self.host.tend(&mut archiver) {
            self.fail(Failure::Archive(error));
        }
    }

    /// All segments, oldest first; none when the manifest cannot be had.
    fn entries(&self) -> Option<Vec<Arc<Entry>>> {
        let view = self.view()?;
        let mut entries = Vec::new();
        for page in view.pages() {
            let kept = self.pages.lock().get(&page.name).cloned();
            let loaded = match kept {
                Some(page) => page,
                None => self.ask(async { self.archive.page(page).await })?,
            };
            entries.extend(loaded.entries().iter().cloned());
            self.pages.lock().insert(page.name.clone(), loaded);
        }
        let names: Vec<_> = view.pages().iter().map(|page| &page.name).collect();
        self.pages.lock().retain(|name, _| names.contains(&name));
        entries.retain(|entry| entry.range.end > view.start());
        entries.extend(view.entries().iter().cloned());
        Some(entries)
    }
}

impl fmt::Debug for ArchiveSegments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveSegments")
            .field("archive", &self.archive)
            .finish_non_exhaustive()
    }
}

fn unsupported(what: &str) -> StorageError {
    StorageError::Unsupported {
        backend: "archive",
        what: what.to_owned(),
    }
}

impl Log for ArchiveSegments<'_> {
    fn id(&self) -> LogId {
        self.local.id()
    }

    /// Those of the local log: segments of the archive are as large.
    fn settings(&self) -> LogSettings {
        self.local.settings()
    }

    fn set_settings(&self, _: &LogSettings) -> Result<(), StorageError> {
        Err(unsupported("settings"))
    }

    fn start(&self) -> Offset {
        self.view().map_or(Offset::ZERO, |view| view.start())
    }

    fn end(&self) -> Offset {
        self.view().map_or(Offset::ZERO, |view| view.end())
    }

    fn durable_end(&self) -> Offset {
        self.end()
    }

    fn last_time(&self) -> Option<Timestamp> {
        self.view()?.last_time()
    }

    fn append(&self, _: &[Batch]) -> Result<Commit, AppendError> {
        Err(AppendError::Closed)
    }

    fn read(&self, from: Offset, limit: ReadLimit) -> Result<Run, ReadError> {
        self.tend();
        self.read_objects(from, limit)
    }

    fn read_before(&self, _: Offset) -> Result<Option<Batch>, ReadError> {
        Err(ReadError::Closed)
    }

    fn offset_at(&self, _: Timestamp) -> Result<Offset, ReadError> {
        Err(ReadError::Closed)
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        None
    }

    fn epoch_end(&self, _: LeaderEpoch) -> Option<EpochEnd> {
        None
    }

    fn truncate(&self, _: Offset) -> Result<(), StorageError> {
        Err(unsupported("truncation"))
    }

    fn reset(&self, _: Offset) -> Result<(), StorageError> {
        Err(unsupported("a new start"))
    }

    /// The entries of the manifest.
    fn segments(&self) -> Vec<SegmentSummary> {
        let entries = self.entries().unwrap_or_default();
        entries.iter().map(|entry| entry.summary()).collect()
    }

    fn roll(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn roll_if_due(&self, _: Timestamp) -> Result<(), StorageError> {
        Ok(())
    }

    fn remove_before(&self, _: Offset) -> Result<(), StorageError> {
        Err(unsupported("removal"))
    }

    fn replace_sealed(
        &self,
        range: OffsetRange,
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<(), StorageError> {
        self.tend();
        self.replace(range, batches)
    }

    fn set_role(&self, _: Role, _: LeaderEpoch, _: Offset) {}

    fn close(&self) -> Result<(), StorageError> {
        Ok(())
    }
}
