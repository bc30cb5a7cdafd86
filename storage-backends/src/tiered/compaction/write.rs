//! Writing what is left of segments, and putting it in their place.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use strandline_core::record::Batch;
use strandline_core::storage::StorageError;
use strandline_core::{LeaderEpoch, Offset, OffsetRange};

use super::{ArchiveSegments, Failure};
use crate::tiered::object::{Blocks, ObjectTotals};
use crate::tiered::{ArchiveError, Entry, Upload};

/// Objects that wait for their deletion at the most, so that HEAD stays small: beyond it compaction waits, too.
const MOST_GONE: usize = 1024;
/// Time between looks whether they have become fewer.
const NAP: Duration = Duration::from_secs(1);

impl ArchiveSegments<'_> {
    /// As [`Log::replace_sealed`](strandline_core::storage::Log::replace_sealed).
    pub(super) fn replace(
        &self,
        range: OffsetRange,
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<(), StorageError> {
        self.wait_for_deletions()?;
        let old = self.covering(range)?;
        let new = self.write(range, &old, batches)?;
        let now = (self.now)();
        let swapped = {
            let mut archiver = self.archiver.lock();
            self.ask(archiver.swap(&old, new.as_ref(), now))
        };
        match swapped.ok_or_else(stopped)? {
            true => Ok(()),
            false => Err(StorageError::Changed { range }),
        }
    }

    /// Waits while many objects are to be deleted.
    fn wait_for_deletions(&self) -> Result<(), StorageError> {
        while self.view().is_some_and(|view| view.head().gone.len() > MOST_GONE) {
            self.wait(async { tokio::time::sleep(NAP).await })
                .ok_or_else(stopped)?;
            self.tend();
        }
        Ok(())
    }

    /// The segments that a range covers exactly.
    fn covering(&self, range: OffsetRange) -> Result<Vec<Arc<Entry>>, StorageError> {
        let mut entries = self.entries().ok_or_else(stopped)?;
        entries.retain(|entry| range.contains(entry.range.start));
        let ends = entries.first().zip(entries.last());
        let is_exact =
            ends.is_some_and(|(first, last)| first.range.start == range.start && last.range.end == range.end);
        if is_exact {
            Ok(entries)
        } else {
            Err(StorageError::Changed { range })
        }
    }

    /// Writes the object; none when nothing is left.
    fn write(
        &self,
        range: OffsetRange,
        old: &[Arc<Entry>],
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<Option<Entry>, StorageError> {
        let (epoch, part_bytes) = {
            let archiver = self.archiver.lock();
            (archiver.settings().epoch, archiver.settings().part_bytes)
        };
        let name = Entry::new_name(range, epoch).map_err(|error| self.failed(error))?;
        let key = self.archive.place().key(&name);
        let mut upload = self.archive.bucket().upload_in_parts(&key, part_bytes);
        let written = self.write_batches(&mut upload, range, old, batches);
        let totals = match written {
            Ok(Some(totals)) => totals,
            other => {
                // When nobody is to wait its parts stay until a rule of the bucket removes them.
                let _ = self.wait(upload.abort());
                return other.map(|_| None);
            }
        };
        let finish = async { upload.finish().await.map_err(ArchiveError::from) };
        let length = self.ask(finish).ok_or_else(stopped)?;
        let entry = Entry::of(name, range, totals);
        entry
            .check_length(&key, length)
            .map_err(|error| self.failed(error))?;
        Ok(Some(entry))
    }

    /// Writes all but the last step that makes the object visible.
    fn write_batches(
        &self,
        upload: &mut Upload,
        range: OffsetRange,
        old: &[Arc<Entry>],
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<Option<ObjectTotals>, StorageError> {
        let (mut blocks, header) = Blocks::begin(range.start);
        self.send(upload, vec![header])?;
        for batch in batches {
            let batch = batch?;
            let found = batch.header().range();
            if found.start < range.start || found.end > range.end {
                let what = format!("a batch of the offsets {found} cannot be in a segment of {range}");
                return Err(StorageError::Invalid { what });
            }
            self.send(upload, blocks.push(&batch))?;
        }
        if self.failure.lock().is_some() {
            return Err(stopped());
        }
        let Some((rest, totals)) = blocks.finish_for(epochs(old)) else {
            return Ok(None);
        };
        self.send(upload, rest)?;
        Ok(Some(totals))
    }

    /// Sends pieces as fast as uploads may be.
    fn send(&self, upload: &mut Upload, pieces: Vec<Bytes>) -> Result<(), StorageError> {
        let throttle = Arc::clone(&self.archiver.lock().settings().throttle);
        let sent = self.ask(async move {
            for piece in pieces {
                upload.meanwhile(throttle.take(piece.len() as u64)).await?;
                upload.write(piece).await?;
            }
            Ok::<(), ArchiveError>(())
        });
        sent.ok_or_else(stopped)
    }

    fn failed(&self, error: ArchiveError) -> StorageError {
        self.fail(Failure::Archive(error));
        stopped()
    }
}

/// The epochs of neighbouring segments, those whose records are gone too.
fn epochs(old: &[Arc<Entry>]) -> Vec<(LeaderEpoch, Offset)> {
    let mut epochs: Vec<(LeaderEpoch, Offset)> = Vec::new();
    for &(epoch, from) in old.iter().flat_map(|entry| &entry.epochs) {
        if epochs.last().is_none_or(|(known, _)| *known < epoch) {
            epochs.push((epoch, from));
        }
    }
    epochs
}

/// What a replacement says that something has ended; what it was is told by [`outcome`](ArchiveSegments::outcome).
fn stopped() -> StorageError {
    StorageError::Io {
        action: "compacting",
        path: PathBuf::from("the archive"),
        source: io::Error::other("the archive cannot be used now"),
    }
}
