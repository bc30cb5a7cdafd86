//! Appending: one write per call, and rolling to the next segment.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use strandline_core::disk::{DiskFile, OpenMode};
use strandline_core::record::{Batch, BatchHeader};
use strandline_core::storage::{AppendError, Commit, Durability, StorageError, SyncFailure};

use super::super::active::{Active, Sealed, View};
use super::super::files::{SegmentId, failed, is_no_room, replace_cache};
use super::super::frames::{MARK_BYTES, Mark};
use super::super::handles::Access;
use super::super::index::Index;
use super::super::state::Content;
use super::super::sync::Waiting;
use super::{SegmentLog, Writer};

/// Up to here a mark and the batches after it are put together and written at once.
const JOIN_MAX_BYTES: usize = 64 << 10;

impl SegmentLog {
    pub(super) fn append_batches(&self, batches: &[Batch]) -> Result<Commit, AppendError> {
        let mut writer = self.writer().map_err(as_append_error)?;
        writer.epochs.check_order(writer.content.range.end, batches)?;
        if writer.needs_roll(batches) {
            self.roll_for_append(&mut writer)?;
        }
        let mut file = self
            .active_file()
            .map_err(|source| AppendError::Busy { log: self.id, source })?;
        let before = (writer.content, writer.epochs.len());
        let mut before_rolls = None;
        let mut rest = batches;
        while !rest.is_empty() {
            let fitting = writer.fitting(rest);
            let (now, later) = rest.split_at(fitting);
            if let Err(error) = self.write(&mut writer, file.as_ref(), now) {
                let error = self.take_back(&writer, file.as_ref(), before_rolls.is_none(), error);
                self.forget_batches(&mut writer, before, before_rolls);
                return Err(error);
            }
            if !later.is_empty() {
                let view = before_rolls.get_or_insert_with(|| self.view.load_full());
                file = match self.roll_within_append(&mut writer) {
                    Ok(file) => file,
                    Err(error) => {
                        self.forget_batches(&mut writer, before, Some(Arc::clone(view)));
                        return Err(error);
                    }
                };
            }
            rest = later;
        }
        Ok(self.accept(&writer, file))
    }

    /// Tells no more of batches of a call that failed between two segments. The log takes no more writes; the next open finds
    /// out what of them is there.
    fn forget_batches(
        &self,
        writer: &mut Writer,
        (content, epochs): (Content, usize),
        view: Option<Arc<View>>,
    ) {
        writer.content = content;
        writer.epochs.take_back(epochs);
        if let Some(view) = view {
            self.view.store(view);
        }
    }

    /// The file of the active segment.
    pub(super) fn active_file(&self) -> io::Result<Arc<dyn DiskFile>> {
        let active = self.view.load().active.id;
        self.segment_file(active, Access::Active)
    }

    /// Rolls between batches of one call, which are more than a segment holds. Those before cannot be taken back.
    fn roll_within_append(&self, writer: &mut Writer) -> Result<Arc<dyn DiskFile>, AppendError> {
        let rolled = self.roll_active(writer).and_then(|()| {
            let path = self.view.load().active.path(&self.directory);
            self.active_file().map_err(failed("opening", &path))
        });
        rolled.map_err(|error| {
            let reason = format!("no next segment within an append: {error}");
            self.poison(reason.clone());
            AppendError::Poisoned { log: self.id, reason }
        })
    }

    /// Publishes the new end and hands out the handle.
    fn accept(&self, writer: &Writer, file: Arc<dyn DiskFile>) -> Commit {
        let end = writer.content.range.end;
        if writer.content.records > 0 {
            self.last_time
                .fetch_max(writer.content.last_time.nanos(), Ordering::AcqRel);
        }
        self.end.store(end.get(), Ordering::Release);
        if writer.settings.durability == Durability::Os {
            self.durable_end.fetch_max(end.get(), Ordering::AcqRel);
            return Commit::done();
        }
        let (setter, commit) = Commit::pending();
        let Some(log) = self.shared.find_log(self.id) else {
            setter.set(Err(SyncFailure {
                source: Arc::new(io::Error::other("the log is closed")),
            }));
            return commit;
        };
        let active = Arc::clone(&self.view.load().active);
        self.shared.syncs.push(Waiting {
            log,
            active,
            file,
            position: writer.content.file_bytes,
            end,
            lowest_cut: Arc::clone(&self.cuts.lock().current),
            setter,
        });
        commit
    }

    /// Writes batches behind the active segment's end, a mark before them if there is news.
    fn write(&self, writer: &mut Writer, file: &dyn DiskFile, batches: &[Batch]) -> io::Result<()> {
        let view = self.view.load();
        let active = &view.active;
        let start = writer.content.file_bytes;
        let durable = active.durable();
        let mark = (durable > writer.marked).then(|| {
            Mark {
                durable,
                position: start,
            }
            .encode()
        });
        let mark_bytes = mark.map_or(0, |mark| mark.len());
        let bytes: usize = batches.iter().map(|batch| batch.bytes().len()).sum();
        if bytes <= JOIN_MAX_BYTES {
            writer.scratch.clear();
            writer.scratch.extend(mark.iter().flatten());
            batches
                .iter()
                .for_each(|batch| writer.scratch.extend_from_slice(batch.bytes()));
            file.write_at(start, &writer.scratch)?;
        } else {
            write_apart(file, start, mark.as_ref(), batches)?;
        }
        if mark.is_some() {
            writer.marked = durable;
        }
        let mut position = start + mark_bytes as u64;
        let mut index = active.index.write();
        for batch in batches {
            index.note(batch.header(), position);
            position += batch.bytes().len() as u64;
            writer.note(batch.header());
        }
        drop(index);
        writer.content.file_bytes = position;
        active.set_written(position);
        Ok(())
    }

    /// A write failed: nothing of the call may stay. Without room that is an answer, with anything else the end.
    ///
    /// Batches of this call that are written already, in a segment before, cannot be taken back one by one.
    fn take_back(
        &self,
        writer: &Writer,
        file: &dyn DiskFile,
        is_first: bool,
        error: io::Error,
    ) -> AppendError {
        let whole = writer.content.file_bytes;
        let clean = is_first && file.set_len(whole).is_ok();
        if clean && is_no_room(&error) {
            return AppendError::Full {
                log: self.id,
                source: error,
            };
        }
        let reason = format!("write failed: {error}");
        self.poison(reason.clone());
        AppendError::Poisoned { log: self.id, reason }
    }

    fn roll_for_append(&self, writer: &mut Writer) -> Result<(), AppendError> {
        self.roll_active(writer).map_err(|error| match error {
            // A sync that finds no room has ended the log's life all the same.
            StorageError::Io { source, .. } if is_no_room(&source) && !self.is_poisoned() => {
                AppendError::Full { log: self.id, source }
            }
            StorageError::Io { action, path, source } => {
                let reason = format!("{action} {} failed: {source}", path.display());
                self.poison(reason.clone());
                AppendError::Poisoned { log: self.id, reason }
            }
            other => as_append_error(other),
        })
    }

    /// Seals the active segment and starts the next one: everything of the old one is durable before the new one exists.
    pub(super) fn roll_active(&self, writer: &mut Writer) -> Result<(), StorageError> {
        self.checkpoint(writer)?;
        let view = self.view.load_full();
        let sealed = Sealed::new(view.active.id, writer.content);
        let base = writer.content.range.end;
        let id = SegmentId { base, generation: 0 };
        let active = self.create_segment(id)?;
        let next = View {
            sealed: view.sealed.iter().cloned().chain([Arc::clone(&sealed)]).collect(),
            active,
        };
        let old_content = std::mem::replace(&mut writer.content, Content::empty(base));
        if let Err(error) = self.write_state(&self.state(&next, writer)) {
            // Without room the old state is there still; with anything else the log is poisoned.
            writer.content = old_content;
            return Err(error);
        }
        let _ = sealed.index.set(view.active.index.read().clone());
        (writer.marked, writer.checkpointed) = (0, 0);
        self.shared.handles.forget(self.id, sealed.id);
        self.view.store(Arc::new(next));
        Ok(())
    }

    /// Creates an empty segment file, durably. One that a failed attempt left is used again.
    pub(super) fn create_segment(&self, id: SegmentId) -> Result<Arc<Active>, StorageError> {
        let path = self.directory.join(id.data_file());
        let disk = self.shared.disk.as_ref();
        let file = match disk.open(&path, OpenMode::CreateNew) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let left = disk
                    .open(&path, OpenMode::Write)
                    .map_err(failed("opening", &path))?;
                left.set_len(0).map_err(failed("emptying", &path))?;
                left
            }
            other => other.map_err(failed("creating", &path))?,
        };
        disk.sync_dir(&self.directory)
            .map_err(failed("sync of", &self.directory))?;
        self.shared.handles.put((self.id, id, Access::Active), file);
        Ok(Active::new(id, Index::default(), 0))
    }

    /// Writes the index of a segment that is complete.
    pub(super) fn write_index(&self, id: SegmentId, index: &Index, covered: u64) -> Result<(), StorageError> {
        replace_cache(
            self.shared.disk.as_ref(),
            &self.directory,
            &id.index_file(),
            &index.encode(covered),
        )
        .map_err(failed("writing an index in", &self.directory))
    }
}

impl Writer {
    /// Whether these batches begin the next segment. Batches of one call stay together where a segment can hold them, so
    /// that a roll that fails leaves nothing of them behind.
    fn needs_roll(&self, batches: &[Batch]) -> bool {
        let Some(first) = batches.first().filter(|_| self.content.records > 0) else {
            return false;
        };
        let bytes: u64 = batches.iter().map(|batch| batch.bytes().len() as u64).sum();
        self.is_too_old(first.header().first_time)
            || self.content.file_bytes + bytes > self.settings.segment_max_bytes
    }

    /// How many of these batches go into the active segment, at least one.
    fn fitting(&self, batches: &[Batch]) -> usize {
        let mut bytes = self.content.file_bytes;
        let mut count = 0;
        for batch in batches {
            bytes += batch.bytes().len() as u64;
            if bytes > self.settings.segment_max_bytes && count > 0 {
                break;
            }
            count += 1;
        }
        count
    }

    pub(super) fn note(&mut self, header: &BatchHeader) {
        self.epochs.note(header.epoch, header.base);
        self.content.note(header);
    }
}

impl Content {
    /// Adds a batch; the length of the file is the caller's to set.
    pub(in super::super) fn note(&mut self, header: &BatchHeader) {
        if self.records == 0 {
            self.range.start = header.base;
            self.first_time = header.first_time;
        }
        self.range.end = header.end();
        self.records += u64::from(header.records);
        self.bytes += u64::from(header.bytes);
        self.last_time = header.last_time;
    }
}

fn write_apart(
    file: &dyn DiskFile,
    start: u64,
    mark: Option<&[u8; MARK_BYTES]>,
    batches: &[Batch],
) -> io::Result<()> {
    let mut position = start;
    if let Some(mark) = mark {
        file.write_at(position, mark)?;
        position += mark.len() as u64;
    }
    for batch in batches {
        file.write_at(position, batch.bytes())?;
        position += batch.bytes().len() as u64;
    }
    Ok(())
}

fn as_append_error(error: StorageError) -> AppendError {
    match error {
        StorageError::Poisoned { log, reason } => AppendError::Poisoned { log, reason },
        _ => AppendError::Closed,
    }
}
