//! One partition's log in segment files.

mod append;
mod change;
mod cuts;
mod read;
mod replace;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard, RwLock};

use strandline_core::disk::DiskFile;
use strandline_core::record::Batch;
use strandline_core::storage::{
    AppendError, Commit, EpochEnd, Log, LogSettings, ReadError, ReadLimit, Role, Run, SegmentSummary,
    StorageError, SyncFailure,
};
use strandline_core::{LeaderEpoch, LogId, Offset, OffsetRange, Timestamp};

use super::active::View;
use super::files::{SegmentId, failed, is_no_room, replace_cache, write_aside};
use super::handles::Access;
use super::state::{Content, STATE_FILE, SealedEntry, State};
use super::store::Shared;
use super::sync::Waiting;
use crate::epochs::Epochs;

use cuts::Cuts;
pub(super) use cuts::LowestCut;

/// Bytes by which the active segment grows before the next checkpoint: what recovery scans at the most, plus what was
/// written since the last sync.
const CHECKPOINT_BYTES: u64 = 64 << 20;
/// Stands for "never had a record" in the atomic last time.
const NO_TIME: i64 = i64::MIN;

/// The log.
#[derive(Debug)]
pub(super) struct SegmentLog {
    pub(super) id: LogId,
    pub(super) directory: PathBuf,
    pub(super) shared: Arc<Shared>,
    writer: Mutex<Writer>,
    /// Held while a replacement of sealed segments is written: one at a time.
    replacing: Mutex<()>,
    view: ArcSwap<View>,
    start: AtomicU64,
    end: AtomicU64,
    durable_end: AtomicU64,
    last_time: AtomicI64,
    cuts: Mutex<Cuts>,
    /// Odd while the log is being cut.
    cutting: AtomicU64,
    condition: RwLock<Condition>,
}

/// State that only the appending side touches.
#[derive(Debug)]
struct Writer {
    settings: LogSettings,
    epochs: Epochs,
    /// What is in the active segment.
    content: Content,
    /// Durable bytes of the active segment that the last mark told of.
    marked: u64,
    /// Bytes of the active segment at the last checkpoint.
    checkpointed: u64,
    scratch: Vec<u8>,
}

/// Whether the log can be used.
#[derive(Clone, Debug)]
enum Condition {
    Open,
    /// No more writes; reads go on.
    Poisoned(String),
    Closed,
    Deleted,
}

/// What recovery found.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) view: View,
    pub(super) start: Offset,
    pub(super) content: Content,
    pub(super) epochs: Epochs,
}

impl SegmentLog {
    pub(super) fn new(
        id: LogId,
        directory: PathBuf,
        shared: Arc<Shared>,
        settings: LogSettings,
        recovered: Recovered,
    ) -> Arc<Self> {
        let Recovered {
            view,
            start,
            content,
            epochs,
        } = recovered;
        let last_time = newest_time(&view, &content);
        let end = content.range.end.get();
        let file_bytes = content.file_bytes;
        Arc::new(Self {
            id,
            directory,
            shared,
            writer: Mutex::new(Writer {
                settings,
                epochs,
                content,
                marked: file_bytes,
                checkpointed: file_bytes,
                scratch: Vec::new(),
            }),
            replacing: Mutex::default(),
            view: ArcSwap::from_pointee(view),
            start: AtomicU64::new(start.get()),
            end: AtomicU64::new(end),
            durable_end: AtomicU64::new(end),
            last_time: AtomicI64::new(last_time.map_or(NO_TIME, Timestamp::nanos)),
            cuts: Mutex::default(),
            cutting: AtomicU64::new(0),
            condition: RwLock::new(Condition::Open),
        })
    }

    /// Takes note of the outcome of a sync that covered an append. A log that failed before stays failed.
    pub(super) fn synced(
        &self,
        waiting: &Waiting,
        outcome: Result<(), SyncFailure>,
    ) -> Result<(), SyncFailure> {
        if let Condition::Poisoned(reason) = &*self.condition.read() {
            return Err(SyncFailure {
                source: Arc::new(io::Error::other(reason.clone())),
            });
        }
        match outcome {
            Ok(()) => self.advance_durable(waiting),
            Err(failure) => {
                self.poison(format!("sync failed: {}", failure.source));
                Err(failure)
            }
        }
    }

    fn advance_durable(&self, waiting: &Waiting) -> Result<(), SyncFailure> {
        // Held, so that no cut comes in between.
        let _cuts = self.cuts.lock();
        match waiting.lowest_cut.get() {
            None => {
                waiting.active.advance_durable(waiting.position);
                self.durable_end.fetch_max(waiting.end.get(), Ordering::AcqRel);
                Ok(())
            }
            Some(cut) if cut < waiting.end => Err(SyncFailure {
                source: Arc::new(io::Error::other("the records were cut off before the sync")),
            }),
            // The cut has made durable what it left.
            Some(_) => Ok(()),
        }
    }

    /// Writes a checkpoint if the active segment has grown enough. A checkpoint that fails costs the next start time, not
    /// data.
    pub(super) fn checkpoint_if_due(&self) {
        let grown = self.view.load().active.durable();
        let Some(mut writer) = self.writer.try_lock() else {
            return;
        };
        if grown.saturating_sub(writer.checkpointed) < CHECKPOINT_BYTES {
            return;
        }
        if let Err(error) = self.checkpoint(&mut writer) {
            tracing::warn!(log = %self.id, %error, "checkpoint of a log failed");
            writer.checkpointed = grown;
        }
    }

    /// Takes the log out of service because it is being deleted.
    pub(super) fn mark_deleted(&self) {
        *self.condition.write() = Condition::Deleted;
    }

    fn poison(&self, reason: String) {
        let mut condition = self.condition.write();
        if matches!(*condition, Condition::Open) {
            tracing::error!(log = %self.id, %reason, "a log takes no more writes until it is opened again");
            *condition = Condition::Poisoned(reason);
        }
    }

    fn is_poisoned(&self) -> bool {
        matches!(*self.condition.read(), Condition::Poisoned(_))
    }

    /// Makes the active segment durable and remembers that it is.
    fn checkpoint(&self, writer: &mut Writer) -> Result<(), StorageError> {
        let view = self.view.load_full();
        let path = view.active.path(&self.directory);
        let file = self.active_file().map_err(failed("opening", &path))?;
        if let Err(source) = file.sync_data() {
            self.poison(format!("sync failed: {source}"));
            return Err(StorageError::Io {
                action: "sync of",
                path,
                source,
            });
        }
        let bytes = writer.content.file_bytes;
        view.active.advance_durable(bytes);
        // What an append has only begun is no part of the log yet.
        let end = writer.content.range.end.min(self.end());
        self.durable_end.fetch_max(end.get(), Ordering::AcqRel);
        let index = view.active.index.read().encode(bytes);
        replace_cache(
            self.shared.disk.as_ref(),
            &self.directory,
            &view.active.id.index_file(),
            &index,
        )
        .map_err(failed("writing an index in", &self.directory))?;
        self.write_state(&self.state(&view, writer))?;
        writer.checkpointed = bytes;
        Ok(())
    }

    /// The state as it is now, with the active segment complete up to its end.
    fn state(&self, view: &View, writer: &Writer) -> State {
        let sealed = view.sealed.iter().map(|sealed| SealedEntry {
            id: sealed.id,
            content: sealed.content,
        });
        State {
            start: self.start(),
            sealed: sealed.collect(),
            active: view.active.id,
            content: writer.content,
            cut_at: None,
            epochs: writer.epochs.clone(),
        }
    }

    /// Replaces the state file. When it is unknown which of the two is there now, the log must not go on: what it would
    /// acknowledge might lie where the next start does not look.
    fn write_state(&self, state: &State) -> Result<(), StorageError> {
        let disk = self.shared.disk.as_ref();
        let written = write_aside(disk, &self.directory, STATE_FILE, &state.encode(), true);
        let is_unchanged = written.as_ref().is_err_and(is_no_room);
        let result = written.and_then(|()| disk.sync_dir(&self.directory));
        if let Err(error) = &result
            && !is_unchanged
        {
            self.poison(format!("writing the state failed: {error}"));
        }
        result.map_err(failed("writing the state of", &self.directory))
    }

    /// The open file of a segment.
    fn segment_file(&self, segment: SegmentId, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let disk = self.shared.disk.as_ref();
        self.shared
            .handles
            .get(disk, &self.directory, (self.id, segment, access))
    }

    /// The writer, if the log takes writes.
    fn writer(&self) -> Result<MutexGuard<'_, Writer>, StorageError> {
        let writer = self.writer.lock();
        match &*self.condition.read() {
            Condition::Open => Ok(writer),
            Condition::Poisoned(reason) => Err(StorageError::Poisoned {
                log: self.id,
                reason: reason.clone(),
            }),
            Condition::Closed | Condition::Deleted => Err(StorageError::Closed),
        }
    }
}

impl Log for SegmentLog {
    fn id(&self) -> LogId {
        self.id
    }

    fn settings(&self) -> LogSettings {
        self.writer.lock().settings
    }

    fn set_settings(&self, settings: &LogSettings) -> Result<(), StorageError> {
        self.writer.lock().settings = *settings;
        Ok(())
    }

    fn start(&self) -> Offset {
        Offset::new(self.start.load(Ordering::Acquire))
    }

    fn end(&self) -> Offset {
        Offset::new(self.end.load(Ordering::Acquire))
    }

    fn durable_end(&self) -> Offset {
        Offset::new(self.durable_end.load(Ordering::Acquire))
    }

    fn last_time(&self) -> Option<Timestamp> {
        let nanos = self.last_time.load(Ordering::Acquire);
        (nanos != NO_TIME).then(|| Timestamp::from_nanos(nanos))
    }

    fn append(&self, batches: &[Batch]) -> Result<Commit, AppendError> {
        self.append_batches(batches)
    }

    fn read(&self, from: Offset, limit: ReadLimit) -> Result<Run, ReadError> {
        self.undisturbed(|| self.read_run(from, limit))
    }

    fn read_before(&self, before: Offset) -> Result<Option<Batch>, ReadError> {
        self.undisturbed(|| self.read_batch_before(before))
    }

    fn offset_at(&self, time: Timestamp) -> Result<Offset, ReadError> {
        self.undisturbed(|| self.first_offset_at(time))
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.writer.lock().epochs.last()
    }

    fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let writer = self.writer.lock();
        writer.epochs.end_of(epoch, writer.content.range.end)
    }

    fn truncate(&self, end: Offset) -> Result<(), StorageError> {
        self.truncate_to(end)
    }

    fn reset(&self, offset: Offset) -> Result<(), StorageError> {
        self.reset_to(offset)
    }

    fn segments(&self) -> Vec<SegmentSummary> {
        let writer = self.writer.lock();
        let view = self.view.load();
        let sealed = view
            .sealed
            .iter()
            .map(|sealed| summary(sealed.id.base, &sealed.content, true));
        sealed
            .chain([summary(view.active.id.base, &writer.content, false)])
            .collect()
    }

    fn roll(&self) -> Result<(), StorageError> {
        let mut writer = self.writer()?;
        if writer.content.records == 0 {
            Ok(())
        } else {
            self.roll_active(&mut writer)
        }
    }

    fn roll_if_due(&self, now: Timestamp) -> Result<(), StorageError> {
        let mut writer = self.writer()?;
        if writer.is_too_old(now) {
            self.roll_active(&mut writer)
        } else {
            Ok(())
        }
    }

    fn remove_before(&self, offset: Offset) -> Result<(), StorageError> {
        self.remove_sealed_before(offset)
    }

    fn replace_sealed(
        &self,
        range: OffsetRange,
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<(), StorageError> {
        self.replace_range(range, batches)
    }

    fn set_role(&self, _: Role, _: LeaderEpoch, _: Offset) {
        // Files are the same whoever leads.
    }

    fn close(&self) -> Result<(), StorageError> {
        let mut writer = match self.writer() {
            Ok(writer) => writer,
            Err(StorageError::Closed) => return Ok(()),
            Err(error) => return Err(error),
        };
        let result = if writer.content.file_bytes > writer.checkpointed {
            self.checkpoint(&mut writer)
        } else {
            Ok(())
        };
        *self.condition.write() = Condition::Closed;
        drop(writer);
        let view = self.view.load();
        let sealed = view.sealed.iter().map(|sealed| sealed.id);
        for segment in sealed.chain([view.active.id]) {
            self.shared.handles.forget(self.id, segment);
        }
        self.shared.forget_log(self.id);
        result
    }
}

impl Writer {
    fn is_too_old(&self, now: Timestamp) -> bool {
        let max_age = self.settings.segment_max_age;
        self.content.records > 0
            && max_age.is_some_and(|max_age| now.since(self.content.first_time) >= max_age)
    }
}

/// Time of the newest record that is left.
fn newest_time(view: &View, content: &Content) -> Option<Timestamp> {
    let sealed = view.sealed.iter().map(|sealed| &sealed.content);
    let contents = sealed.chain([content]).rev();
    let with_records = |content: &&Content| content.records > 0;
    contents
        .filter(with_records)
        .map(|content| content.last_time)
        .next()
}

fn summary(id: Offset, content: &Content, sealed: bool) -> SegmentSummary {
    let has_records = content.records > 0;
    SegmentSummary {
        id,
        range: content.range,
        records: content.records,
        bytes: content.bytes,
        first_time: has_records.then_some(content.first_time),
        last_time: has_records.then_some(content.last_time),
        sealed,
    }
}
