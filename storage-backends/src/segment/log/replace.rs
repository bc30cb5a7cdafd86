//! Replacing sealed segments by their compacted form. The writing is done aside, while appends go on; only the switch from
//! the old segments to the new one takes the writer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use strandline_core::OffsetRange;
use strandline_core::disk::{Disk, DiskFile, OpenMode};
use strandline_core::record::Batch;
use strandline_core::storage::{Log, StorageError};

use super::super::active::{Sealed, View};
use super::super::files::{SegmentId, TEMPORARY, failed, remove_if_there};
use super::super::index::Index;
use super::super::state::Content;
use super::SegmentLog;
use super::change::all_ids;

/// Small batches are written together, so many bytes at a time.
const WRITE_BYTES: usize = 1 << 20;
/// Bytes after which what was written is made durable, so that the syncs of appends do not wait for a whole segment.
const SYNC_BYTES: u64 = 16 << 20;

impl SegmentLog {
    pub(super) fn replace_range(
        &self,
        range: OffsetRange,
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<(), StorageError> {
        let _one_at_a_time = self.replacing.lock();
        drop(self.writer()?);
        let view = self.view.load_full();
        let old = covered(&view, range)?;
        let id = SegmentId {
            base: old.first().map_or(range.start, |sealed| sealed.id.base),
            generation: all_ids(&view)
                .map(|id| id.generation)
                .max()
                .unwrap_or(0)
                .saturating_add(1),
        };
        let aside = self.directory.join(format!("{}{TEMPORARY}", id.data_file()));
        let file = Aside::create(self.shared.disk.as_ref(), &aside, range);
        let written = file.and_then(|file| file.fill(batches));
        let switched = written.and_then(|(content, index)| {
            self.write_index(id, &index, content.file_bytes)?;
            self.sync_ahead()?;
            self.switch(&old, &aside, Sealed::new(id, content))
        });
        if let Err(error) = switched {
            self.discard(id, &aside);
            return Err(error);
        }
        self.remove_files(old.iter().map(|sealed| sealed.id))
    }

    /// Gives back the room of a replacement that did not come to be. Not when it is unknown whether it did: then the log
    /// takes no more writes, and the next open finds out.
    fn discard(&self, id: SegmentId, aside: &Path) {
        let disk = self.shared.disk.as_ref();
        // What stays because a removal fails, too, is removed by the next open.
        let _ = remove_if_there(disk, aside);
        if let Ok(_writer) = self.writer()
            && all_ids(&self.view.load()).all(|there| there != id)
        {
            for name in [id.data_file(), id.index_file()] {
                let _ = remove_if_there(disk, &self.directory.join(name));
            }
        }
    }

    /// Puts a segment that is written and durable in the place of others.
    fn switch(&self, old: &[Arc<Sealed>], aside: &Path, new: Arc<Sealed>) -> Result<(), StorageError> {
        let mut writer = self.writer()?;
        let view = self.view.load_full();
        let Some(place) = place_of(&view, old) else {
            return Err(StorageError::Changed {
                range: new.content.range,
            });
        };
        let disk = self.shared.disk.as_ref();
        let path = self.directory.join(new.id.data_file());
        disk.rename(aside, &path).map_err(failed("renaming", aside))?;
        disk.sync_dir(&self.directory)
            .map_err(failed("sync of", &self.directory))?;
        let before = view.sealed.iter().take(place).cloned();
        let after = view.sealed.iter().skip(place + old.len()).cloned();
        let next = View {
            sealed: before.chain([new]).chain(after).collect(),
            active: Arc::clone(&view.active),
        };
        self.checkpoint_as(&mut writer, &next, self.start())?;
        self.view.store(Arc::new(next));
        Ok(())
    }

    /// Syncs the active segment while nobody waits for it: the checkpoint of the switch, for which appends do wait, finds
    /// little left to do.
    fn sync_ahead(&self) -> Result<(), StorageError> {
        let path = self.view.load().active.path(&self.directory);
        let file = self.active_file().map_err(failed("opening", &path))?;
        file.sync_data().map_err(|source| {
            self.poison(format!("sync failed: {source}"));
            failed("sync of", &path)(source)
        })
    }
}

/// The sealed segments that a range covers exactly.
fn covered(view: &View, range: OffsetRange) -> Result<Vec<Arc<Sealed>>, StorageError> {
    let place = |matches: &dyn Fn(&Sealed) -> bool| view.sealed.iter().position(|sealed| matches(sealed));
    let first = place(&|sealed| sealed.content.range.start == range.start);
    let last = place(&|sealed| sealed.content.range.end == range.end);
    let run = first
        .zip(last)
        .and_then(|(first, last)| view.sealed.get(first..=last));
    match run {
        Some(run) if !run.is_empty() => Ok(run.to_vec()),
        _ => Err(StorageError::Invalid {
            what: format!("{range} is not exactly a run of sealed segments"),
        }),
    }
}

/// Where these very segments stand; none when one of them is gone.
fn place_of(view: &View, segments: &[Arc<Sealed>]) -> Option<usize> {
    let first = segments.first()?;
    let place = view.sealed.iter().position(|sealed| Arc::ptr_eq(sealed, first))?;
    let there = view.sealed.get(place..place + segments.len())?;
    let all = there
        .iter()
        .zip(segments)
        .all(|(there, wanted)| Arc::ptr_eq(there, wanted));
    all.then_some(place)
}

/// A sealed segment that is being written under a temporary name.
struct Aside {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    range: OffsetRange,
    content: Content,
    index: Index,
    /// What was taken and is not written yet.
    buffer: Vec<u8>,
    written: u64,
    synced: u64,
}

impl Aside {
    fn create(disk: &dyn Disk, path: &Path, range: OffsetRange) -> Result<Self, StorageError> {
        remove_if_there(disk, path).map_err(failed("removing", path))?;
        let file = disk
            .open(path, OpenMode::CreateNew)
            .map_err(failed("creating", path))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            range,
            content: Content::empty(range.start),
            index: Index::default(),
            buffer: Vec::new(),
            written: 0,
            synced: 0,
        })
    }

    /// Takes all batches and makes them durable.
    fn fill(
        mut self,
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<(Content, Index), StorageError> {
        let mut next = self.range.start;
        for batch in batches {
            let batch = batch?;
            let header = batch.header();
            if header.base < next || header.end() > self.range.end {
                let (range, end) = (header.range(), self.range.end);
                let what = format!("a batch at {range} does not fit between {next} and {end}");
                return Err(StorageError::Invalid { what });
            }
            next = header.end();
            self.take(&batch)?;
        }
        self.write_out()?;
        self.file.sync_data().map_err(failed("sync of", &self.path))?;
        self.content.range = self.range;
        Ok((self.content, self.index))
    }

    fn take(&mut self, batch: &Batch) -> Result<(), StorageError> {
        let bytes = batch.bytes();
        self.index.note(batch.header(), self.content.file_bytes);
        self.content.note(batch.header());
        self.content.file_bytes += bytes.len() as u64;
        if self.buffer.len() + bytes.len() > WRITE_BYTES {
            self.write_out()?;
        }
        if bytes.len() < WRITE_BYTES {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.write(bytes)
    }

    fn write_out(&mut self) -> Result<(), StorageError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer)?;
        buffer.clear();
        self.buffer = buffer;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.file
            .write_at(self.written, bytes)
            .map_err(failed("writing", &self.path))?;
        self.written += bytes.len() as u64;
        if self.written - self.synced >= SYNC_BYTES {
            self.file.sync_data().map_err(failed("sync of", &self.path))?;
            self.synced = self.written;
        }
        Ok(())
    }
}
