//! Batches without the records that go.

use std::collections::VecDeque;

use super::Verdict;
use crate::record::{Batch, BatchBuilder, RecordView};
use crate::{LeaderEpoch, Offset, Timestamp};

/// Size up to which what is left of neighbouring batches is put into one.
const JOINED_MAX_BYTES: usize = 512 << 10;

/// A batch that stays, or what stays of some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// It keeps all its records: the bytes that are stored.
    Stored(Batch),
    /// It was built of what is left of others, and is plain.
    Built(Batch),
}

/// Takes batches in the order of the log and gives back what stays of them.
///
/// A batch that keeps all its records comes out as the same bytes. What is left of others is joined, within one epoch, so
/// that a log with many gaps is no slower to read than one without.
#[derive(Debug, Default)]
pub struct Rewriter {
    builder: BatchBuilder,
    epoch: LeaderEpoch,
    last_time: Timestamp,
    verdicts: Vec<Verdict>,
    out: VecDeque<Left>,
    counts: Counts,
}

/// What a rewriter has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that stay.
    pub kept: u64,
    /// Records that are gone.
    pub dropped: u64,
    /// Bytes of the batches that came in.
    pub bytes_in: u64,
}

impl Rewriter {
    /// Asks for the verdict on every record of a batch, given as it is stored and in its plain form. The next ones to take
    /// come from [`Rewriter::pop`].
    pub fn push(
        &mut self,
        stored: Batch,
        plain: &Batch,
        verdict: &mut dyn FnMut(&RecordView<'_>, Offset, Timestamp) -> Verdict,
    ) {
        self.counts.bytes_in += stored.bytes().len() as u64;
        let header = *plain.header();
        let place = |record: &RecordView<'_>| {
            (
                header.base.plus(u64::from(record.offset_delta())),
                header.time(record),
            )
        };
        self.verdicts.clear();
        let mut kept_bytes = 0;
        for record in plain.records() {
            let (offset, time) = place(&record);
            let verdict = verdict(&record, offset, time);
            if verdict == Verdict::Keep {
                kept_bytes += record.bytes();
            }
            self.verdicts.push(verdict);
        }
        let kept = self
            .verdicts
            .iter()
            .filter(|verdict| **verdict == Verdict::Keep)
            .count();
        self.counts.kept += kept as u64;
        self.counts.dropped += (self.verdicts.len() - kept) as u64;
        if kept == self.verdicts.len() {
            self.flush();
            self.out.push_back(Left::Stored(stored));
            return;
        }
        if self.builder.records() == 0 {
            self.builder.reserve(kept_bytes.min(JOINED_MAX_BYTES));
        }
        let verdicts = std::mem::take(&mut self.verdicts);
        for (record, _) in plain
            .records()
            .zip(&verdicts)
            .filter(|(_, verdict)| **verdict == Verdict::Keep)
        {
            let (offset, time) = place(&record);
            self.add(&record, header.epoch, offset, time);
        }
        self.verdicts = verdicts;
    }

    /// There are no more batches: what waits to be joined comes out, too.
    pub fn flush(&mut self) {
        if let Some(batch) = self.builder.finish() {
            self.out.push_back(Left::Built(batch));
        }
    }

    /// The next batch that is complete.
    pub fn pop(&mut self) -> Option<Left> {
        self.out.pop_front()
    }

    /// What came in and out so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn add(&mut self, record: &RecordView<'_>, epoch: LeaderEpoch, offset: Offset, time: Timestamp) {
        let is_other = self.builder.records() > 0 && (epoch != self.epoch || time < self.last_time);
        let is_full = self.builder.records() > 0 && self.builder.bytes() + record.bytes() > JOINED_MAX_BYTES;
        if is_other || is_full || self.builder.must_finish_before(record.bytes(), offset, time) {
            self.flush();
        }
        (self.epoch, self.last_time) = (epoch, time);
        self.builder.push(record, epoch, offset, time);
    }
}
