//! Changes of what is stored already: each becomes true with one transaction.

use std::io::{self, ErrorKind};

use strandline_core::record::Batch;
use strandline_core::storage::StorageError;
use strandline_core::{Offset, OffsetRange};

use super::log::{RedbLog, State};
use super::shape::{Content, Segment, SegmentId, Shape};
use super::stored::{Stored, as_storage_error, load};

/// Bytes of batches of one transaction of a replacement; appends have their turn in between.
const SLICE_BYTES: usize = 4 << 20;

impl RedbLog {
    pub(super) fn remove_sealed_before(&self, offset: Offset) -> Result<(), StorageError> {
        let _changing = self.changing.lock();
        let state = self.writable()?;
        let (removable, stored) = (state.now.ending_by(offset), state.stored.ending_by(offset));
        // The new start may lie behind a gap that is not written yet.
        let start = state.now.start_without(removable);
        let is_behind = start > state.stored.end();
        drop(state);
        if removable == 0 {
            return Ok(());
        }
        if removable > stored || is_behind {
            self.flush()?;
        }
        let turn = self.shared.rounds.turn();
        let state = self.writable()?;
        let count = state.stored.ending_by(offset);
        let start = state.now.start_without(count);
        let old = state.stored.clone();
        drop(state);
        let mut new = old.clone();
        new.drop_leading(count, start.min(old.end()));
        self.store(&old, &new)?;
        let mut state = self.state.lock();
        state.now.drop_leading(count, start);
        state.stored = new;
        drop((state, turn));
        self.shared.sweep()
    }

    pub(super) fn truncate_to(&self, end: Offset) -> Result<(), StorageError> {
        let _changing = self.changing.lock();
        let appending = self.appending.lock();
        let rounds = &self.shared.rounds;
        let turn = rounds.turn();
        let mut state = self.writable()?;
        if end >= state.now.end() {
            return Ok(());
        }
        if end < state.now.start {
            let what = format!("cannot truncate to {end}, the log starts at {}", state.now.start);
            return Err(StorageError::Invalid { what });
        }
        if end >= state.stored.end() {
            rounds.no_longer_queued(state.cut_pending(end)?);
            drop(state);
        } else {
            let (old, generation) = (state.stored.clone(), state.now.generation);
            drop(state);
            self.cut_stored(&old, generation, end)?;
        }
        let cut = rounds.take_beyond(self, end);
        // What is kept becomes durable with it.
        rounds.round(turn);
        drop(appending);
        drop(cut); // Fails their handles, whose callbacks may come back here.
        self.check_failure()?;
        self.shared.sweep()
    }

    pub(super) fn reset_to(&self, offset: Offset) -> Result<(), StorageError> {
        let _changing = self.changing.lock();
        let appending = self.appending.lock();
        let rounds = &self.shared.rounds;
        let turn = rounds.turn();
        let state = self.writable()?;
        let old = state.stored.clone();
        let generation = state.now.generation.saturating_add(1);
        drop(state);
        let new = Shape::empty(offset, generation);
        self.store(&old, &new)?;
        self.install(new);
        // An append of nothing to an empty log has lost nothing.
        let cut = rounds.take_beyond(self, Offset::ZERO);
        drop(turn);
        drop(appending);
        drop(cut);
        self.shared.sweep()
    }

    pub(super) fn replace_range(
        &self,
        range: OffsetRange,
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<(), StorageError> {
        let _changing = self.changing.lock();
        let id = self.begin_replacement(range)?;
        let writing = self.shared.writing(self.id, id);
        let written = self.write_segment(id, range, batches);
        let replaced = written.and_then(|content| self.put_in_place(range, Segment { id, content }));
        drop(writing);
        // Of the old segments, or of the new one if it is not in place.
        let swept = self.shared.sweep();
        replaced.and(swept)
    }

    /// Checks that a range is sealed segments, and names the one that is to be in their place.
    fn begin_replacement(&self, range: OffsetRange) -> Result<SegmentId, StorageError> {
        let mut state = self.writable()?;
        let covered = state.now.covered(range).ok_or_else(|| not_covered(range))?;
        let is_stored = state.stored.covered(range) == Some(covered);
        let base = state
            .now
            .sealed
            .get(covered.0)
            .map_or(range.start, |first| first.id.base);
        let generation = state.now.next_generation();
        drop(state);
        if !is_stored {
            self.flush()?;
        }
        Ok(SegmentId { base, generation })
    }

    /// Writes the batches of a segment that belongs to no log yet.
    fn write_segment(
        &self,
        id: SegmentId,
        range: OffsetRange,
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<Content, StorageError> {
        let mut content = Content::empty(range.start);
        let (mut slice, mut bytes, mut next) = (Vec::new(), 0, range.start);
        for batch in batches {
            let batch = batch?;
            let header = batch.header();
            if header.base < next || header.end() > range.end {
                let found = header.range();
                let what = format!("a batch at {found} does not fit between {next} and {}", range.end);
                return Err(StorageError::Invalid { what });
            }
            content.note(header);
            (next, bytes) = (header.end(), bytes + batch.bytes().len());
            slice.push(batch);
            if bytes >= SLICE_BYTES {
                self.write_slice(id, &slice, bytes)?;
                slice.clear();
                bytes = 0;
            }
        }
        self.write_slice(id, &slice, bytes)?;
        content.range = range;
        Ok(content)
    }

    fn write_slice(&self, id: SegmentId, slice: &[Batch], bytes: usize) -> Result<(), StorageError> {
        if slice.is_empty() {
            return Ok(());
        }
        if !self.shared.has_room(self.shared.rounds.queued_bytes() + bytes) {
            return Err(self.shared.failed_write(io::Error::from(ErrorKind::StorageFull)));
        }
        let _turn = self.shared.rounds.turn();
        self.shared.write(|tables| {
            tables.leave(self.id, id)?;
            slice
                .iter()
                .try_for_each(|batch| tables.put_batch(self.id, id, batch))
        })
    }

    fn put_in_place(&self, range: OffsetRange, segment: Segment) -> Result<(), StorageError> {
        let turn = self.shared.rounds.turn();
        let state = self.writable()?;
        let old = state.stored.clone();
        let generation = state.now.generation;
        drop(state);
        let (first, count) = old.covered(range).ok_or_else(|| not_covered(range))?;
        let mut new = Shape {
            generation,
            ..old.clone()
        };
        new.replace(first, count, segment);
        self.shared.write(|tables| {
            tables.take_over(self.id, segment.id)?;
            tables.change(self.id, &old, &new)
        })?;
        let mut state = self.state.lock();
        state.now.replace(first, count, segment);
        state.stored = new;
        drop((state, turn));
        Ok(())
    }

    /// Cuts what is written, and all that is not.
    fn cut_stored(&self, old: &Shape, generation: u32, end: Offset) -> Result<(), StorageError> {
        let place = old.ending_by(end);
        let id = old.sealed.get(place).map_or(old.active.id, |segment| segment.id);
        let database = &self.shared.database;
        let content = database
            .read(|transaction| Stored::new(database, self.id, transaction)?.content_before(id, end))
            .map_err(|error| as_storage_error(database, error))?
            .map_err(|batch| StorageError::Invalid {
                what: format!("offset {end} is inside the batch {}", batch.range()),
            })?;
        let content = if content.records > 0 {
            content
        } else {
            // Offsets below the log's start are gone, wherever its first segment began.
            Content::empty(id.base.max(old.start))
        };
        let mut epochs = old.epochs.clone();
        // Where compaction has taken out what came before `end`, the log ends before it.
        epochs.forget_from(content.range.end);
        let new = Shape {
            start: old.start,
            generation,
            sealed: old.sealed.iter().take(place).copied().collect(),
            active: Segment { id, content },
            epochs,
        };
        let written = self.shared.write(|tables| {
            tables.cut(self.id, id, end)?;
            tables.change(self.id, old, &new)
        });
        // When only the sync has failed, what is cut off cannot be read any more.
        if written.is_ok() || matches!(load(database, self.id), Ok(Some(found)) if found == new) {
            self.install(new);
        }
        written
    }

    /// Makes a log have this shape, where nothing of it is pending.
    fn install(&self, new: Shape) {
        let mut state = self.state.lock();
        self.shared
            .rounds
            .no_longer_queued(state.drop_pending_from(Offset::ZERO));
        state.now = new.clone();
        state.stored = new;
    }

    fn store(&self, old: &Shape, new: &Shape) -> Result<(), StorageError> {
        self.shared.write(|tables| tables.change(self.id, old, new))
    }
}

impl State {
    /// Cuts what is not written; says how many bytes of batches that were.
    fn cut_pending(&mut self, end: Offset) -> Result<usize, StorageError> {
        let mut headers = self.pending.iter().map(|pending| *pending.batch.header());
        if let Some(inside) = headers.find(|header| header.base < end && header.end() > end) {
            let what = format!("offset {end} is inside the batch {}", inside.range());
            return Err(StorageError::Invalid { what });
        }
        let bytes = self.drop_pending_from(end);
        let mut shape = self.stored.clone();
        shape.generation = self.now.generation;
        for pending in &self.pending {
            if pending.segment != shape.active.id {
                shape.sealed = shape.sealed.iter().copied().chain([shape.active]).collect();
                shape.active = Segment {
                    id: pending.segment,
                    content: Content::empty(pending.segment.base),
                };
            }
            shape.note(pending.batch.header());
        }
        self.now = shape;
        Ok(bytes)
    }
}

fn not_covered(range: OffsetRange) -> StorageError {
    StorageError::Invalid {
        what: format!("{range} is not exactly a run of sealed segments"),
    }
}
