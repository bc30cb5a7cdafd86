//! Writing sealed segments without some of their records.

use std::collections::VecDeque;

use bytes::BytesMut;
use tokio_util::sync::CancellationToken;

use strandline_core::compaction::Verdict;
use strandline_core::record::{Batch, BatchBuilder, Fields, RecordIter, RecordView, append_record};
use strandline_core::storage::{Log, ReadLimit};
use strandline_core::{LeaderEpoch, Offset, OffsetRange, Timestamp};

use super::{RemovalError, check_running};

/// Bytes that one read takes at the most, unless a single batch is larger.
const READ_MAX_BYTES: usize = 1 << 20;

/// Says of every record whether it stays.
pub(super) type Judge<'a> = dyn Fn(&RecordView<'_>, Offset, Timestamp) -> Verdict + 'a;

/// What a rewrite did. Segments that were left as they are do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rewritten {
    /// Records that are gone.
    pub(super) dropped: u64,
    /// Bytes of the batches that came in.
    pub(super) bytes_in: u64,
    /// Bytes of the batches that came out.
    pub(super) bytes_out: u64,
}

/// Drops the records below `end` that the judge wants gone from the sealed segments. A segment that keeps all its records is
/// only read. Adds to `done` what is done, also before an error.
///
/// # Errors
///
/// The log cannot be read or written; the segment that it happened in is as it was.
pub(super) fn rewrite_sealed(
    log: &dyn Log,
    end: Offset,
    judge: &Judge<'_>,
    stopping: &CancellationToken,
    done: &mut Rewritten,
) -> Result<(), RemovalError> {
    let judge: &Judge<'_> = &|record, offset, time| {
        if offset < end {
            judge(record, offset, time)
        } else {
            Verdict::Keep
        }
    };
    let segments = log.segments();
    let sealed = segments
        .iter()
        .filter(|segment| segment.sealed && segment.range.start < end);
    for segment in sealed {
        if any_goes(log, segment.range, judge, stopping)? {
            replace(log, segment.range, judge, stopping, done)?;
        }
    }
    Ok(())
}

/// Whether any record of a range goes.
///
/// # Errors
///
/// The log cannot be read.
pub(super) fn any_goes(
    log: &dyn Log,
    range: OffsetRange,
    judge: &Judge<'_>,
    stopping: &CancellationToken,
) -> Result<bool, RemovalError> {
    let mut batches = Batches::new(log, range, stopping);
    while let Some(batch) = batches.next_batch()? {
        if batch.records().any(|record| goes(&batch, &record, judge)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn replace(
    log: &dyn Log,
    range: OffsetRange,
    judge: &Judge<'_>,
    stopping: &CancellationToken,
    done: &mut Rewritten,
) -> Result<(), RemovalError> {
    let mut rest = Rest {
        batches: Batches::new(log, range, stopping),
        range,
        judge,
        builder: BatchBuilder::new(),
        ready: VecDeque::new(),
        counts: Rewritten::default(),
        failure: None,
    };
    let replaced = log.replace_sealed(range, &mut rest);
    // What stopped the source says more than that it stopped.
    if let Some(failure) = rest.failure {
        return Err(failure);
    }
    replaced?;
    done.dropped += rest.counts.dropped;
    done.bytes_in += rest.counts.bytes_in;
    done.bytes_out += rest.counts.bytes_out;
    Ok(())
}

fn offset_of(batch: &Batch, record: &RecordView<'_>) -> Offset {
    batch.header().base.plus(u64::from(record.offset_delta()))
}

fn goes(batch: &Batch, record: &RecordView<'_>, judge: &Judge<'_>) -> bool {
    judge(record, offset_of(batch, record), batch.header().time(record)) == Verdict::Drop
}

/// The batches of a range, from the log.
struct Batches<'a> {
    log: &'a dyn Log,
    next: Offset,
    end: Offset,
    read: VecDeque<Batch>,
    stopping: &'a CancellationToken,
}

impl<'a> Batches<'a> {
    fn new(log: &'a dyn Log, range: OffsetRange, stopping: &'a CancellationToken) -> Self {
        Self {
            log,
            next: range.start,
            end: range.end,
            read: VecDeque::new(),
            stopping,
        }
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, RemovalError> {
        while self.read.is_empty() && self.next < self.end {
            check_running(self.stopping)?;
            let limit = ReadLimit {
                end: self.end,
                max_bytes: READ_MAX_BYTES,
            };
            let run = self.log.read(self.next, limit)?;
            // Without progress there is nothing more before the end.
            self.next = if run.next > self.next { run.next } else { self.end };
            for batch in run.batches() {
                self.read.push_back(batch?);
            }
        }
        Ok(self.read.pop_front())
    }
}

/// What is left of a range without the records that go. The only place where removal takes batches apart and packs them.
struct Rest<'a> {
    batches: Batches<'a>,
    range: OffsetRange,
    judge: &'a Judge<'a>,
    builder: BatchBuilder,
    ready: VecDeque<Batch>,
    counts: Rewritten,
    failure: Option<RemovalError>,
}

impl Rest<'_> {
    /// Goes on to the next batch that keeps records.
    fn advance(&mut self) -> Result<(), RemovalError> {
        while self.ready.is_empty()
            && let Some(batch) = self.batches.next_batch()?
        {
            self.counts.bytes_in += batch.bytes().len() as u64;
            self.take(batch);
            let out: usize = self.ready.iter().map(|batch| batch.bytes().len()).sum();
            self.counts.bytes_out += out as u64;
        }
        Ok(())
    }

    fn take(&mut self, batch: Batch) {
        let goes = |record: &RecordView<'_>| goes(&batch, record, self.judge);
        let dropped = batch.records().filter(goes).count() as u64;
        self.counts.dropped += dropped;
        if dropped == 0 {
            self.ready.push_back(batch);
            return;
        }
        let header = *batch.header();
        for record in batch.records().filter(|record| !goes(record)) {
            let (offset, time) = (offset_of(&batch, &record), header.time(&record));
            if self.builder.must_finish_before(record.bytes(), offset, time) {
                self.ready.extend(self.builder.finish());
            }
            self.builder.push(&record, header.epoch, offset, time);
        }
        self.ready.extend(self.builder.finish());
    }
}

impl Iterator for Rest<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if self.failure.is_none()
            && let Err(failure) = self.advance()
        {
            self.failure = Some(failure);
        }
        if self.failure.is_some() {
            // To end here would replace the segment by a part of it.
            return refused_batch(self.range);
        }
        self.ready.pop_front()
    }
}

/// A batch beyond a range. The contract has no word by which a source of batches says that it failed, but a batch outside
/// the range is refused, and with it the replacement.
fn refused_batch(range: OffsetRange) -> Option<Batch> {
    let fields = Fields {
        key: None,
        value: b"",
        subject: "",
        reply: "",
    };
    let mut bytes = BytesMut::new();
    append_record(&mut bytes, &fields, std::iter::empty()).ok()?;
    let mut builder = BatchBuilder::new();
    let record = RecordIter::new(&bytes).next()?;
    builder.push(&record, LeaderEpoch::new(0), range.end, Timestamp::ZERO);
    builder.finish()
}

#[cfg(test)]
mod tests;
