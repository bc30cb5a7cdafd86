//! Changes of what is stored already: each becomes true with one replacement of the state file.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use strandline_core::disk::OpenMode;
use strandline_core::storage::{Log, StorageError};
use strandline_core::{Offset, Timestamp};

use super::super::active::{Active, View};
use super::super::files::{SegmentId, failed, remove_if_there};
use super::super::handles::Access;
use super::super::index::Index;
use super::super::reading::SegmentFile;
use super::super::recovery::{Scan, scan};
use super::super::state::{Content, State};
use super::{NO_TIME, SegmentLog, Writer, newest_time};

impl SegmentLog {
    pub(super) fn remove_sealed_before(&self, offset: Offset) -> Result<(), StorageError> {
        let mut writer = self.writer()?;
        let view = self.view.load_full();
        let removed = view
            .sealed
            .partition_point(|sealed| sealed.content.range.end <= offset);
        if removed == 0 {
            return Ok(());
        }
        let (gone, kept) = view.sealed.split_at(removed);
        let next = View {
            sealed: kept.into(),
            active: Arc::clone(&view.active),
        };
        let new_start = kept
            .first()
            .map_or(writer.content.range.start, |first| first.content.range.start);
        self.checkpoint_as(&mut writer, &next, new_start)?;
        self.start.store(new_start.get(), Ordering::Release);
        writer.epochs.forget_before(new_start);
        self.view.store(Arc::new(next));
        self.remove_files(gone.iter().map(|sealed| sealed.id))
    }

    pub(super) fn truncate_to(&self, end: Offset) -> Result<(), StorageError> {
        let mut writer = self.writer()?;
        if end >= writer.content.range.end {
            return Ok(());
        }
        if end < self.start() {
            return Err(StorageError::Invalid {
                what: format!("cannot truncate to {end}, the log starts at {}", self.start()),
            });
        }
        self.checkpoint(&mut writer)?;
        let _cutting = self.begin_cutting();
        let view = self.view.load_full();
        let place = view
            .sealed
            .partition_point(|sealed| sealed.content.range.end <= end);
        let id = view.sealed.get(place).map_or(view.active.id, |sealed| sealed.id);
        let segment = self.open_to_cut(id)?;
        let (file, path) = (&segment.file, &segment.path);
        // Offsets below the log's start are gone, wherever its first segment began.
        let cut = cut_at(&segment, id.base.max(self.start()), end)?;
        let mut epochs = writer.epochs.clone();
        // Where compaction has taken out what came before `end`, the log ends before it.
        epochs.forget_from(cut.content.range.end);
        let sealed = view.sealed.iter().take(place).cloned().collect();
        let active = Active::new(id, cut.index, cut.content.file_bytes);
        let next = View { sealed, active };
        let mut state = State {
            content: cut.content,
            epochs,
            ..self.state(&next, &writer)
        };
        state.cut_at = Some(cut.content.file_bytes);
        self.write_state(&state)?;
        // From here on the log is cut, if not by this call then by the next start: readers must not look for what is gone.
        let result = file
            .set_len(cut.content.file_bytes)
            .and_then(|()| file.sync_data())
            .map_err(failed("cutting", path));
        state.cut_at = None;
        let settled = result.and_then(|()| self.write_state(&state));
        if let Err(error) = &settled {
            self.poison(format!("truncation was interrupted: {error}"));
        }
        let gone: Vec<_> = all_ids(&view).filter(|gone| gone.base > id.base).collect();
        self.shared.handles.forget(self.id, id);
        self.shared
            .handles
            .put((self.id, id, Access::Active), Arc::clone(file));
        self.install(&mut writer, next, &state, state.content.range.end);
        settled?;
        self.remove_files(gone.into_iter().rev())
    }

    /// A segment file that may be written to.
    fn open_to_cut(&self, id: SegmentId) -> Result<SegmentFile, StorageError> {
        let path = self.directory.join(id.data_file());
        let file = self.shared.disk.open(&path, OpenMode::Write);
        let file = file.map_err(failed("opening", &path))?;
        let end = file.len().map_err(failed("measuring", &path))?;
        Ok(SegmentFile { file, path, end })
    }

    pub(super) fn reset_to(&self, offset: Offset) -> Result<(), StorageError> {
        let mut writer = self.writer()?;
        let _cutting = self.begin_cutting();
        let view = self.view.load_full();
        let generation = all_ids(&view)
            .map(|id| id.generation)
            .max()
            .unwrap_or(0)
            .saturating_add(1);
        let active = self.create_segment(SegmentId {
            base: offset,
            generation,
        })?;
        let state = State::empty(offset, active.id);
        self.write_state(&state)?;
        self.install(
            &mut writer,
            View {
                sealed: Arc::new([]),
                active,
            },
            &state,
            // Nothing is kept, wherever the log goes on.
            Offset::ZERO,
        );
        self.remove_files(all_ids(&view))
    }

    /// Makes this the log's content. Of the records that wait for a sync it has kept those below `kept`, which are durable.
    fn install(&self, writer: &mut Writer, view: View, state: &State, kept: Offset) {
        let last_time = newest_time(&view, &state.content).map_or(NO_TIME, Timestamp::nanos);
        writer.content = state.content;
        writer.epochs.clone_from(&state.epochs);
        (writer.marked, writer.checkpointed) = (state.content.file_bytes, state.content.file_bytes);
        let end = state.content.range.end.get();
        let mut cuts = self.cuts.lock();
        cuts.cut(kept);
        self.end.store(end, Ordering::Release);
        self.durable_end.store(end, Ordering::Release);
        self.start.store(state.start.get(), Ordering::Release);
        self.last_time.store(last_time, Ordering::Release);
        self.view.store(Arc::new(view));
    }

    /// Writes a checkpoint of a view that is about to replace the present one.
    pub(super) fn checkpoint_as(
        &self,
        writer: &mut Writer,
        next: &View,
        start: Offset,
    ) -> Result<(), StorageError> {
        self.checkpoint(writer)?;
        self.write_state(&State {
            start,
            ..self.state(next, writer)
        })
    }

    /// Removes files that the state no longer names. What a crash leaves of them is removed by the next open.
    pub(super) fn remove_files(&self, ids: impl Iterator<Item = SegmentId>) -> Result<(), StorageError> {
        let disk = self.shared.disk.as_ref();
        for id in ids {
            let removed = [id.data_file(), id.index_file()].map(|name| {
                let path = self.directory.join(name);
                remove_if_there(disk, &path).map_err(failed("removing", &path))
            });
            // Afterwards: nobody can open it again.
            self.shared.handles.forget(self.id, id);
            removed.into_iter().collect::<Result<(), _>>()?;
        }
        disk.sync_dir(&self.directory)
            .map_err(failed("sync of", &self.directory))
    }
}

pub(super) fn all_ids(view: &View) -> impl DoubleEndedIterator<Item = SegmentId> + '_ {
    view.sealed.iter().map(|sealed| sealed.id).chain([view.active.id])
}

/// What of a segment lies before an offset; it must be a border between batches.
fn cut_at(file: &SegmentFile, base: Offset, end: Offset) -> Result<Scan, StorageError> {
    let mut beyond = false;
    let scan = scan(file, Content::empty(base), Index::default(), |header| {
        beyond = header.base < end && header.end() > end;
        header.base < end && !beyond
    });
    if beyond {
        return Err(StorageError::Invalid {
            what: format!("offset {end} is inside a batch"),
        });
    }
    scan.map_err(|stop| StorageError::Damaged(stop.damage))
}
