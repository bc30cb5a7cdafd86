//! Goes over what is in a database, past what cannot be read.

use bytes::BytesMut;
use redb::ReadableTable;

use strandline_core::record::{Batch, MAX_BATCH_BYTES};
use strandline_core::storage::{ReadError, StorageError};
use strandline_core::{LogId, Offset, OffsetRange};

use super::database::Database;
use super::shape::{Segment, SegmentId};
use super::stored::as_storage_error;
use super::tables::{BATCHES, BatchKey, batch_key, batch_keys, batch_of_key};

/// Goes over the batches of a segment that can be read, in order. Gives back where others are, as far as can be told and there are
/// fewer than the segment's entry says: gaps which compaction has left count where they lie beside what is lost.
///
/// # Errors
///
/// That of `visit`, or the disk failed.
pub(super) fn each_readable(
    database: &Database,
    log: LogId,
    segment: &Segment,
    visit: &mut dyn FnMut(&Batch) -> Result<(), StorageError>,
) -> Result<Vec<OffsetRange>, StorageError> {
    let OffsetRange { start, end } = segment.content.range;
    let mut gaps = Gaps::default();
    let mut found = (0, 0);
    let mut next = segment.id.base;
    loop {
        let mut failure = None;
        let walked = each_batch(database, (log, segment.id), next, &mut |base, batch| {
            if base >= end {
                return false;
            }
            match batch {
                Ok(batch) if base >= next => {
                    gaps.end(base);
                    let header = batch.header();
                    next = header.end();
                    found = (
                        found.0 + u64::from(header.records),
                        found.1 + u64::from(header.bytes),
                    );
                    failure = visit(&batch).err();
                }
                _ => {
                    next = next.max(base);
                    gaps.begin(next.max(start));
                    next = next.plus(1);
                }
            }
            failure.is_none()
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        match walked {
            Ok(()) => break,
            Err(ReadError::Damaged(_)) => gaps.begin(next.max(start)),
            Err(error) => return Err(as_storage_error(database, error)),
        }
        match behind(database, (log, segment.id), next, end) {
            Some(base) => next = base,
            None => break,
        }
    }
    gaps.end(end);
    let is_whole = found == (segment.content.records, segment.content.bytes);
    Ok(if is_whole { Vec::new() } else { gaps.closed })
}

/// Ranges of what cannot be read.
#[derive(Default)]
struct Gaps {
    open: Option<Offset>,
    closed: Vec<OffsetRange>,
}

impl Gaps {
    fn begin(&mut self, at: Offset) {
        self.open.get_or_insert(at);
    }

    fn end(&mut self, at: Offset) {
        if let Some(start) = self.open.take().filter(|start| *start < at) {
            self.closed.push(OffsetRange::new(start, at));
        }
    }
}

/// Where the first batch begins that can be read behind a place that cannot, and before `end`.
///
/// The damaged page does not tell what was on it, so that offsets are tried: each one, and the farther the fewer of them, so that
/// less than a thousandth of what is passed over can be readable.
fn behind(database: &Database, place: (LogId, SegmentId), damaged: Offset, end: Offset) -> Option<Offset> {
    let try_at = |at: Offset| {
        let mut found = None;
        let walked = each_batch(database, place, at, &mut |base, _| {
            found = Some(base);
            false
        });
        walked.map_or(found.map(Some), |()| Some(found))
    };
    let (mut low, mut high) = (damaged, damaged.plus(1));
    while try_at(high).is_none() {
        low = high;
        high = high.plus(1 + high.since(damaged) / 1024);
        if high >= end {
            return None;
        }
    }
    while high.since(low) > 1 {
        let middle = low.plus(high.since(low) / 2);
        match try_at(middle) {
            Some(_) => high = middle,
            None => low = middle,
        }
    }
    try_at(high).flatten()
}

/// Goes over the batches of a segment that begin at `from` or later, each with the offset that its key says, for as long as
/// `visit` wants.
pub(super) fn each_batch(
    database: &Database,
    (log, segment): (LogId, SegmentId),
    from: Offset,
    visit: &mut dyn FnMut(Offset, Result<Batch, String>) -> bool,
) -> Result<(), ReadError> {
    let mut parts = Parts::default();
    let walked = database.read(|transaction| {
        let mut look = || {
            let batches = transaction.open_table(BATCHES)?;
            let first = batch_key(log, segment, from, 0);
            let (_, last) = batch_keys(log, segment);
            for entry in ReadableTable::range::<&BatchKey>(&batches, &first..=&last)? {
                let (key, value) = entry?;
                let (base, part) = batch_of_key(key.value());
                if parts.base != Some(base)
                    && let Some((base, batch)) = parts.finish()
                    && !visit(base, batch)
                {
                    return Ok(());
                }
                parts.add(base, part, value.value());
            }
            Ok(())
        };
        look().map_err(|error: redb::Error| database.read_error(error))
    });
    // Before a place that cannot be read only a whole batch means anything: what is missing of another one lies there.
    if let Some((base, batch)) = parts.finish()
        && (walked.is_ok() || batch.is_ok())
    {
        visit(base, batch);
    }
    walked
}

/// The parts of one batch.
#[derive(Default)]
struct Parts {
    base: Option<Offset>,
    next: u32,
    bytes: BytesMut,
    problem: Option<String>,
}

impl Parts {
    fn add(&mut self, base: Offset, part: u32, bytes: &[u8]) {
        self.base = Some(base);
        if part != self.next {
            self.problem
                .get_or_insert_with(|| format!("part {} of it is missing", self.next));
        }
        self.next = part.saturating_add(1);
        if self.bytes.len() + bytes.len() > MAX_BATCH_BYTES {
            self.problem
                .get_or_insert_with(|| "its parts are longer than any batch".to_owned());
        }
        if self.problem.is_none() {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn finish(&mut self) -> Option<(Offset, Result<Batch, String>)> {
        let parts = std::mem::take(self);
        let base = parts.base?;
        if let Some(problem) = parts.problem {
            return Some((base, Err(problem)));
        }
        let bytes = parts.bytes.freeze();
        let batch = match Batch::checked(&bytes) {
            Err(error) => Err(error.to_string()),
            Ok(batch) if batch.bytes().len() != bytes.len() => Err("more bytes follow it".to_owned()),
            Ok(batch) if batch.header().base != base => Err(format!(
                "it says that it is the batch at offset {}",
                batch.header().base
            )),
            Ok(batch) => Ok(batch),
        };
        Some((base, batch))
    }
}
