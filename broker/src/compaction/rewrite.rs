//! Writes sealed segments anew without the records that go.

use std::collections::VecDeque;

use strandline_codec::{PackBuffers, PackError, Packer, UnpackError};
use strandline_core::compaction::{Counts, Left, Rewriter, Verdict};
use strandline_core::record::{Batch, RecordView};
use strandline_core::storage::{Log, ReadError, ReadLimit, SegmentSummary, StorageError};
use strandline_core::{Offset, OffsetRange, Timestamp};

use crate::pace::{Pace, Stopped};
use crate::partition::{Packing, PartitionHandle};

/// Bytes that are read at a time.
const READ_BYTES: usize = 4 << 20;
/// Times that the segments may change under a rewrite before it gives up until its next turn.
const ATTEMPTS: usize = 5;

/// Says of every record whether it stays.
pub(crate) type Judge<'a> = dyn Fn(&RecordView<'_>, Offset, Timestamp) -> Verdict + 'a;

/// A log, and how its batches are packed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedLog<'a> {
    pub(crate) log: &'a dyn Log,
    pub(crate) packing: &'a Packing,
    /// Segments that begin below are left as they are.
    pub(crate) floor: Offset,
}

impl<'a> PackedLog<'a> {
    pub(crate) fn of(partition: &'a PartitionHandle) -> Self {
        Self {
            log: partition.log().as_ref(),
            packing: &partition.info().packing,
            floor: partition.archive_hold().floor(),
        }
    }
}

/// What a rewrite did. Segments that were left as they are do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rewritten {
    pub(crate) segments: u64,
    pub(crate) counts: Counts,
    /// Bytes of the batches that were written.
    pub(crate) bytes_out: u64,
}

/// Why work on sealed segments ended early. What was replaced by then stays replaced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RewriteError {
    /// The broker is stopping.
    #[error("the broker is stopping")]
    Stopped,
    /// The operating system gives no randomness.
    #[error("no randomness: {0}")]
    NoRandomness(String),
    /// A batch cannot be looked into.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// What is left cannot be packed as the stream's batches are.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The log cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<Stopped> for RewriteError {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<ReadError> for RewriteError {
    fn from(error: ReadError) -> Self {
        Self::Storage(storage_error(error, OffsetRange::default()))
    }
}

/// Drops the records below `end` that the judge wants gone from the sealed segments. A segment that keeps all its records is
/// only read; neighbours that do not become one where that is not over the log's segment size. Offsets stay as they are.
///
/// Blocks the thread. Appends and readers go on meanwhile; a crash leaves each segment as it was or as it is to be. Adds to
/// `done` what is done, also before an error.
///
/// # Errors
///
/// Records may be left that should have gone; the call can be repeated.
pub(crate) fn rewrite_sealed(
    log: PackedLog<'_>,
    end: Offset,
    judge: &Judge<'_>,
    pace: &Pace,
    done: &mut Rewritten,
) -> Result<(), RewriteError> {
    let judge: &Judge<'_> = &|record, offset, time| {
        if offset < end {
            judge(record, offset, time)
        } else {
            Verdict::Keep
        }
    };
    let mut attempts = 1..ATTEMPTS;
    loop {
        match rewrite_once(log, end, judge, pace, done) {
            // Retention was here, or another rewrite: what is there now is looked at from the start.
            Err(RewriteError::Storage(StorageError::Changed { .. })) if attempts.next().is_some() => {}
            other => return other,
        }
    }
}

fn rewrite_once(
    log: PackedLog<'_>,
    end: Offset,
    judge: &Judge<'_>,
    pace: &Pace,
    done: &mut Rewritten,
) -> Result<(), RewriteError> {
    let max_bytes = log.log.settings().segment_max_bytes;
    let mut group = Group::default();
    let sealed = |segment: &SegmentSummary| {
        segment.sealed && segment.range.start >= log.floor && segment.range.start < end
    };
    for segment in log.log.segments().into_iter().filter(sealed) {
        let changes = loses_records(log, segment.range, judge, pace)?;
        if !changes || !group.fits(&segment, max_bytes) {
            group.replace(log, judge, pace, done)?;
        }
        if changes {
            group.add(&segment);
        }
    }
    group.replace(log, judge, pace, done)
}

/// Makes one segment of those that `range` covers exactly.
pub(super) fn join(
    log: PackedLog<'_>,
    range: OffsetRange,
    pace: &Pace,
    done: &mut Rewritten,
) -> Result<(), RewriteError> {
    replace(log, range, &|_, _, _| Verdict::Keep, pace, done)
}

/// Where the segments of a log begin. What it has in an archive lies before that and is left alone here.
pub(super) fn segments_start(log: &dyn Log) -> Offset {
    let segments = log.segments();
    segments.first().map_or(Offset::ZERO, |oldest| oldest.range.start)
}

/// Reads a range, batch by batch in their plain form, until `take` is done. A gap that retention makes meanwhile is passed, and
/// what went to an archive meanwhile.
pub(super) fn read_batches(
    log: PackedLog<'_>,
    range: OffsetRange,
    pace: &Pace,
    take: &mut dyn FnMut(&Batch) -> Step,
) -> Result<(), RewriteError> {
    let mut next = range.start;
    while next < range.end {
        let limit = ReadLimit {
            end: range.end,
            max_bytes: READ_BYTES,
        };
        let run = match log.log.read(next, limit) {
            Err(ReadError::Trimmed { start }) if start > next => {
                next = start;
                continue;
            }
            Err(ReadError::Fetching(_)) if segments_start(log.log) > next => {
                next = segments_start(log.log);
                continue;
            }
            other => other?,
        };
        pace.take(run.bytes.len())?;
        // The log has checked them.
        for batch in run.batches().map_while(Result::ok) {
            if take(&log.packing.unpacker().unpack(&batch)?) == Step::Done {
                return Ok(());
            }
        }
        if run.next <= next {
            return Ok(());
        }
        next = run.next;
    }
    Ok(())
}

/// Whether a reader wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    More,
    Done,
}

/// Whether any record of a range would go.
///
/// # Errors
///
/// The log cannot be read, or the broker is stopping.
pub(crate) fn loses_records(
    log: PackedLog<'_>,
    range: OffsetRange,
    judge: &Judge<'_>,
    pace: &Pace,
) -> Result<bool, RewriteError> {
    let mut loses = false;
    read_batches(log, range, pace, &mut |batch| {
        let header = batch.header();
        loses = batch.records().any(|record| {
            let offset = header.base.plus(u64::from(record.offset_delta()));
            judge(&record, offset, header.time(&record)) == Verdict::Drop
        });
        if loses { Step::Done } else { Step::More }
    })?;
    Ok(loses)
}

/// Neighbouring segments that lose records and become one.
#[derive(Debug, Default)]
struct Group {
    range: Option<OffsetRange>,
    bytes: u64,
}

impl Group {
    fn fits(&self, segment: &SegmentSummary, max_bytes: u64) -> bool {
        self.range.is_none() || self.bytes.saturating_add(segment.bytes) <= max_bytes
    }

    fn add(&mut self, segment: &SegmentSummary) {
        let start = self.range.map_or(segment.range.start, |range| range.start);
        self.range = Some(OffsetRange::new(start, segment.range.end));
        self.bytes += segment.bytes;
    }

    fn replace(
        &mut self,
        log: PackedLog<'_>,
        judge: &Judge<'_>,
        pace: &Pace,
        done: &mut Rewritten,
    ) -> Result<(), RewriteError> {
        match std::mem::take(self).range {
            Some(range) => replace(log, range, judge, pace, done),
            None => Ok(()),
        }
    }
}

fn replace(
    log: PackedLog<'_>,
    range: OffsetRange,
    judge: &Judge<'_>,
    pace: &Pace,
    done: &mut Rewritten,
) -> Result<(), RewriteError> {
    let covered = |segment: &SegmentSummary| segment.sealed && range.contains(segment.range.start);
    let segments = log.log.segments().into_iter().filter(covered).count() as u64;
    let mut kept = Kept {
        log,
        range,
        next: range.start,
        judge,
        pace,
        rewriter: Rewriter::default(),
        packer: log.packing.packer(),
        buffers: PackBuffers::default(),
        out: VecDeque::new(),
        bytes_out: 0,
        failure: None,
    };
    let result = log.log.replace_sealed(range, &mut kept);
    if let Some(failure) = kept.failure {
        return Err(failure);
    }
    let counts = kept.rewriter.counts();
    result.map_err(|error| match error {
        // It was such a run when it was looked at.
        StorageError::Invalid { .. } => StorageError::Changed { range },
        other => other,
    })?;
    done.segments += segments;
    done.counts.kept += counts.kept;
    done.counts.dropped += counts.dropped;
    done.counts.bytes_in += counts.bytes_in;
    done.bytes_out += kept.bytes_out;
    Ok(())
}

/// What stays of a run of segments, read as it is asked for.
struct Kept<'a> {
    log: PackedLog<'a>,
    range: OffsetRange,
    next: Offset,
    judge: &'a Judge<'a>,
    pace: &'a Pace,
    rewriter: Rewriter,
    packer: Packer,
    buffers: PackBuffers,
    /// Packed, and next to be written.
    out: VecDeque<Batch>,
    bytes_out: u64,
    /// Why there is nothing more, if not because of the log.
    failure: Option<RewriteError>,
}

impl Kept<'_> {
    /// Reads some more; false at the end of the range.
    fn read_on(&mut self) -> Result<bool, RewriteError> {
        if self.next >= self.range.end {
            return Ok(false);
        }
        let limit = ReadLimit {
            end: self.range.end,
            max_bytes: READ_BYTES,
        };
        let read = self.log.log.read(self.next, limit);
        let run = read.map_err(|error| storage_error(error, self.range))?;
        self.pace.take(run.bytes.len())?;
        for batch in run.batches().map_while(Result::ok) {
            let plain = self.log.packing.unpacker().unpack(&batch)?;
            self.rewriter.push(batch, &plain, &mut |record, offset, time| {
                (self.judge)(record, offset, time)
            });
            // At once, so that of what was packed well only a batch at a time is plain.
            self.pack()?;
        }
        // An empty run: nothing is left up to the end of the range.
        self.next = if run.next > self.next {
            run.next
        } else {
            self.range.end
        };
        if self.next >= self.range.end {
            self.rewriter.flush();
            self.pack()?;
        }
        Ok(true)
    }

    /// Packs what was built; what is stored already stays as it is.
    fn pack(&mut self) -> Result<(), RewriteError> {
        while let Some(left) = self.rewriter.pop() {
            self.out.push_back(match left {
                Left::Stored(batch) => batch,
                Left::Built(plain) => self.packer.pack(&plain, &mut self.buffers)?,
            });
        }
        Ok(())
    }
}

impl Iterator for Kept<'_> {
    type Item = Result<Batch, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.out.pop_front() {
                self.bytes_out += batch.bytes().len() as u64;
                return Some(Ok(batch));
            }
            match self.read_on() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(RewriteError::Storage(error)) => return Some(Err(error)),
                Err(failure) => {
                    self.failure = Some(failure);
                    return Some(Err(StorageError::Closed));
                }
            }
        }
    }
}

fn storage_error(error: ReadError, range: OffsetRange) -> StorageError {
    match error {
        ReadError::Damaged(damage) => StorageError::Damaged(damage),
        ReadError::Trimmed { .. }
        | ReadError::BeyondEnd { .. }
        | ReadError::Fetching(_)
        | ReadError::Unreachable { .. } => StorageError::Changed { range },
        ReadError::Closed | ReadError::Deleted => StorageError::Closed,
        ReadError::NotUnpacked { reason } => StorageError::Invalid { what: reason },
        ReadError::Io(source) => StorageError::Io {
            action: "reading",
            path: std::path::PathBuf::from("a segment"),
            source,
        },
    }
}
