//! Reading: what is written from the database, the rest from memory.

use std::io;

use bytes::BytesMut;

use strandline_core::record::Batch;
use strandline_core::storage::{ReadError, ReadLimit, Run};
use strandline_core::{Offset, Timestamp};

use super::log::{RedbLog, State};
use super::shape::{Segment, Shape};
use super::stored::{Stored, first_within};

/// How often a read begins anew because segments that it looked at were removed or replaced meanwhile.
const ATTEMPTS: usize = 16;

/// What a look into the database gave.
enum Look<T> {
    Found(T),
    Nothing,
    /// A segment that was looked at does not belong to the log any more.
    Changed,
}

impl RedbLog {
    pub(super) fn read_run(&self, from: Offset, limit: ReadLimit) -> Result<Run, ReadError> {
        for _ in 0..ATTEMPTS {
            let state = self.readable()?;
            state.check_bounds(from)?;
            let end = limit.end.min(state.now.end());
            let limit = ReadLimit { end, ..limit };
            if from >= state.stored.end() || from >= end {
                return Ok(state.pending_run(from, limit));
            }
            let shape = state.stored.clone();
            drop(state);
            let first = shape.ending_by(from);
            let wanted = shape
                .segments()
                .skip(first)
                .take_while(|segment| segment.content.range.start < end);
            match self.look(&shape, wanted, |stored, segment| {
                stored.run(segment.id, from, limit)
            })? {
                Look::Found(run) => return Ok(run),
                Look::Changed => {}
                Look::Nothing => {
                    let state = self.readable()?;
                    // Else what is looked for may have been written meanwhile.
                    if state.stored == shape {
                        return Ok(state.pending_run(from, limit));
                    }
                }
            }
        }
        Err(changed_too_often())
    }

    pub(super) fn read_batch_before(&self, before: Offset) -> Result<Option<Batch>, ReadError> {
        for _ in 0..ATTEMPTS {
            let state = self.readable()?;
            let end = state.now.end();
            if before > end {
                return Err(ReadError::BeyondEnd { end });
            }
            let after = state
                .pending
                .partition_point(|pending| pending.batch.header().base < before);
            if let Some(last) = after.checked_sub(1).and_then(|last| state.pending.get(last)) {
                return Ok(Some(last.batch.clone()));
            }
            let shape = state.stored.clone();
            drop(state);
            let wanted = shape
                .segments()
                .rev()
                .filter(|segment| segment.content.records > 0 && segment.content.range.start < before);
            match self.look(&shape, wanted, |stored, segment| {
                stored.last_before(segment.id, before)
            })? {
                Look::Found(batch) => return Ok(Some(batch)),
                Look::Nothing => return Ok(None),
                Look::Changed => {}
            }
        }
        Err(changed_too_often())
    }

    pub(super) fn first_offset_at(&self, time: Timestamp) -> Result<Offset, ReadError> {
        for _ in 0..ATTEMPTS {
            let state = self.readable()?;
            let pending = state
                .pending
                .iter()
                .find(|pending| pending.batch.header().last_time >= time)
                .map(|pending| pending.batch.clone());
            let end = state.now.end();
            let shape = state.stored.clone();
            drop(state);
            let wanted = shape
                .segments()
                .filter(|segment| segment.content.records > 0 && segment.content.last_time >= time);
            match self.look(&shape, wanted, |stored, segment| stored.first_at(segment, time))? {
                Look::Found(offset) => return Ok(offset),
                Look::Nothing => return Ok(pending.map_or(end, |batch| first_within(&batch, time))),
                Look::Changed => {}
            }
        }
        Err(changed_too_often())
    }

    /// Looks into segments, one after another, until something is found.
    fn look<'a, T>(
        &self,
        shape: &Shape,
        segments: impl Iterator<Item = &'a Segment>,
        each: impl Fn(&Stored<'_>, &Segment) -> Result<Option<T>, ReadError>,
    ) -> Result<Look<T>, ReadError> {
        let mut seen = Vec::new();
        let database = &self.shared.database;
        let found = database.read(|transaction| {
            let stored = Stored::new(database, self.id, transaction)?;
            for segment in segments {
                seen.push(segment.id);
                let found = each(&stored, segment)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            Ok(None)
        });
        let state = self.readable()?;
        let is_there = |id| state.stored.segments().any(|segment| segment.id == id);
        // A segment that was removed meanwhile may have lost some of its batches already.
        if !std::sync::Arc::ptr_eq(&state.stored.sealed, &shape.sealed) && !seen.into_iter().all(is_there) {
            return Ok(Look::Changed);
        }
        Ok(found?.map_or(Look::Nothing, Look::Found))
    }
}

impl State {
    fn check_bounds(&self, from: Offset) -> Result<(), ReadError> {
        let (start, end) = (self.now.start, self.now.end());
        if from < start {
            return Err(ReadError::Trimmed { start });
        }
        if from > end {
            return Err(ReadError::BeyondEnd { end });
        }
        Ok(())
    }

    /// Batches that are not written yet, from the one that holds `from` on.
    fn pending_run(&self, from: Offset, limit: ReadLimit) -> Run {
        let first = self
            .pending
            .partition_point(|pending| pending.batch.header().end() <= from);
        let wanted = self.pending.iter().skip(first).map(|pending| &pending.batch);
        let mut run: Vec<&Batch> = Vec::new();
        let mut bytes = 0;
        for batch in wanted.take_while(|batch| batch.header().base < limit.end) {
            if bytes > 0 && bytes + batch.bytes().len() > limit.max_bytes {
                break;
            }
            bytes += batch.bytes().len();
            run.push(batch);
        }
        let next = run.last().map_or(from, |last| last.header().end());
        if let [only] = run.as_slice() {
            return Run {
                bytes: only.bytes().clone(),
                next,
            };
        }
        let mut joined = BytesMut::with_capacity(bytes);
        run.iter()
            .for_each(|batch| joined.extend_from_slice(batch.bytes()));
        Run {
            bytes: joined.freeze(),
            next,
        }
    }
}

fn changed_too_often() -> ReadError {
    io::Error::other("the log's segments changed again and again while it was read").into()
}
