//! What a log must hold, as the simplest thing that can be right: its batches in a list.

use std::fmt::Debug;

use strandline_core::record::Batch;
use strandline_core::storage::{EpochEnd, Log, ReadError, ReadLimit};
use strandline_core::{LeaderEpoch, Offset};

use super::records::{offsets_of, time_of};

/// The content of a log as far as its contract fixes it. Where the contract leaves room, such as for the start of a log
/// whose first records compaction took, both borders are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) batches: Vec<Batch>,
    /// The lowest and the highest start.
    pub(super) starts: (u64, u64),
    /// The lowest and the highest end.
    pub(super) ends: (u64, u64),
    /// Everything below is durable.
    pub(super) durable_end: u64,
    /// Leader epochs with where each began.
    pub(super) epochs: Vec<(u64, u64)>,
    /// Time of the newest record there ever was since the last cut, compacted or not, as nanoseconds.
    pub(super) newest: Option<i64>,
}

/// `Err` with what was expected and found unless both are the same.
pub(super) fn same<T: PartialEq + Debug>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    if expected == found {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, found {found:?}"))
    }
}

/// `Err` unless it holds.
pub(super) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

impl Model {
    /// An empty log that goes on at this offset.
    pub(super) fn empty_at(offset: u64) -> Self {
        Self {
            starts: (offset, offset),
            ends: (offset, offset),
            durable_end: offset,
            ..Self::default()
        }
    }

    pub(super) fn start(&self) -> u64 {
        self.starts.0
    }

    pub(super) fn end(&self) -> u64 {
        self.ends.0
    }

    pub(super) fn append(&mut self, batches: &[Batch]) {
        for batch in batches {
            let header = batch.header();
            if self
                .epochs
                .last()
                .is_none_or(|(epoch, _)| *epoch < header.epoch.get())
            {
                self.epochs.push((header.epoch.get(), header.base.get()));
            }
            let end = header.end().get();
            self.ends = (end, end);
            self.newest = Some(header.last_time.nanos());
            self.batches.push(batch.clone());
        }
    }

    /// The log without everything from `end` on; it may end at any offset down to the last record that is left.
    pub(super) fn cut(&self, end: u64) -> Self {
        if end >= self.ends.1 {
            return self.clone();
        }
        let mut cut = self.clone();
        cut.batches.retain(|batch| batch.header().base.get() < end);
        let last = cut.batches.last();
        let lowest = last.map_or(cut.starts.0, |last| last.header().end().get());
        cut.ends = (lowest.min(end), end);
        cut.epochs.retain(|(_, start)| *start < end);
        cut.newest = last.map(|last| last.header().last_time.nanos());
        cut.durable_end = cut.durable_end.min(end);
        cut
    }

    /// The log without the segments before `end`, where the last one that goes ends.
    pub(super) fn without_before(&self, end: u64) -> Self {
        let mut left = self.clone();
        left.batches.retain(|batch| batch.header().base.get() >= end);
        let first = left.batches.first();
        let highest = first.map_or(left.ends.1, |first| first.header().base.get());
        left.starts = (end, highest.max(end));
        left
    }

    /// The log with these batches in place of all that began in a range.
    pub(super) fn replaced(&self, range: (u64, u64), by: &[Batch]) -> Self {
        let mut replaced = self.clone();
        let base = |batch: &Batch| batch.header().base.get();
        let first = replaced.batches.partition_point(|batch| base(batch) < range.0);
        let after = replaced.batches.partition_point(|batch| base(batch) < range.1);
        replaced.batches.splice(first..after, by.iter().cloned());
        replaced
    }

    /// Whether a log may end here: nowhere inside a batch.
    fn is_border(&self, end: u64) -> bool {
        let inside = |batch: &Batch| batch.header().base.get() < end && end < batch.header().end().get();
        !self.batches.iter().any(inside)
    }

    /// What an opened log must hold if it was this one when the process stopped: everything up to some border that is not
    /// before what was durable. What it serves is durable.
    pub(super) fn recovered(&self, log: &dyn Log) -> Result<Self, String> {
        let end = log.end().get();
        ensure(end >= self.durable_end, || {
            format!(
                "the log ends at {end}, everything below {} was durable",
                self.durable_end
            )
        })?;
        ensure(end <= self.ends.1 && self.is_border(end), || {
            format!("the log ends at {end}, where it never ended")
        })?;
        let mut expected = self.cut(end);
        expected.ends = (end, end);
        expected.durable_end = end;
        expected.check(log)?;
        expected.adopt(log);
        Ok(expected)
    }

    /// Takes the log's word where the contract leaves room.
    pub(super) fn adopt(&mut self, log: &dyn Log) {
        let (start, end) = (log.start().get(), log.end().get());
        (self.starts, self.ends) = ((start, start), (end, end));
        self.epochs.retain(|(_, begin)| *begin < end);
        self.durable_end = self.durable_end.max(log.durable_end().get());
    }

    /// Compares what a log holds.
    pub(super) fn check_briefly(&self, log: &dyn Log) -> Result<(), String> {
        self.check_borders(log)?;
        self.check_forwards(log)
    }

    /// Compares everything that a log tells of itself.
    pub(super) fn check(&self, log: &dyn Log) -> Result<(), String> {
        self.check_briefly(log)?;
        self.check_backwards(log)?;
        self.check_refusals(log)?;
        self.check_times(log)?;
        self.check_epochs(log)?;
        self.check_segments(log)
    }

    fn check_borders(&self, log: &dyn Log) -> Result<(), String> {
        let (start, end, durable) = (log.start().get(), log.end().get(), log.durable_end().get());
        ensure((self.starts.0..=self.starts.1).contains(&start), || {
            format!("the log starts at {start}, expected {:?}", self.starts)
        })?;
        ensure((self.ends.0..=self.ends.1).contains(&end), || {
            format!("the log ends at {end}, expected {:?}", self.ends)
        })?;
        ensure((self.durable_end.min(end)..=end).contains(&durable), || {
            format!("durable up to {durable}, expected {} to {end}", self.durable_end)
        })
    }

    fn check_forwards(&self, log: &dyn Log) -> Result<(), String> {
        let (mut next, mut expected) = (log.start(), self.batches.iter());
        let limit = ReadLimit {
            end: Offset::MAX,
            max_bytes: 1500,
        };
        loop {
            let run = log
                .read(next, limit)
                .map_err(|error| format!("reading at {next}: {error}"))?;
            for batch in run.batches() {
                let batch = batch.map_err(|error| format!("reading at {next}: {error}"))?;
                same_batch("read", expected.next(), Some(&batch))?;
                next = batch.header().end();
            }
            same("where a run ends", &next, &run.next)?;
            if run.bytes.is_empty() {
                return same_batch("read", expected.next(), None);
            }
        }
    }

    fn check_backwards(&self, log: &dyn Log) -> Result<(), String> {
        let mut before = log.end();
        for expected in self.batches.iter().rev().map(Some).chain([None]) {
            let found = log
                .read_before(before)
                .map_err(|error| format!("reading before {before}: {error}"))?;
            same_batch("read backwards", expected, found.as_ref())?;
            before = found.map_or(before, |batch| batch.header().base);
        }
        Ok(())
    }

    fn check_refusals(&self, log: &dyn Log) -> Result<(), String> {
        let (start, end) = (log.start(), log.end());
        let limit = ReadLimit {
            end: Offset::MAX,
            max_bytes: 1,
        };
        if let Some(below) = start.before() {
            match log.read(below, limit) {
                Err(ReadError::Trimmed { start: told }) if told == start => {}
                other => return Err(format!("a read below the start {start} gave {other:?}")),
            }
        }
        match log.read(end.plus(1), limit) {
            Err(ReadError::BeyondEnd { end: told }) if told == end => {}
            other => return Err(format!("a read beyond the end {end} gave {other:?}")),
        }
        match log.read_before(end.plus(1)) {
            Err(ReadError::BeyondEnd { .. }) => Ok(()),
            other => Err(format!(
                "a read before {} gave {other:?}, the log ends at {end}",
                end.plus(1)
            )),
        }
    }

    fn check_times(&self, log: &dyn Log) -> Result<(), String> {
        let offsets: Vec<u64> = self.batches.iter().flat_map(offsets_of).collect();
        let (first, end) = (log.start().get(), log.end().get());
        let between = (first + end) / 2;
        for asked in [0, first, between, between + 1, end.saturating_sub(1), end] {
            let after = offsets.partition_point(|offset| *offset < asked);
            let expected = offsets.get(after).copied().unwrap_or(end);
            let found = log
                .offset_at(time_of(asked))
                .map_err(|error| format!("looking for the time of {asked}: {error}"))?;
            same(
                &format!("the offset at the time of {asked}"),
                &expected,
                &found.get(),
            )?;
        }
        let told = log.last_time().map(|time| time.nanos());
        let present = self.batches.last().map(|batch| batch.header().last_time.nanos());
        ensure(told >= present && told <= self.newest.max(present), || {
            format!(
                "the newest record is of {told:?}, expected {present:?} to {:?}",
                self.newest
            )
        })
    }

    /// Epochs of which no record is left may be forgotten at both ends of the list, those that would begin at the end of the log or
    /// behind it have to be, and no others.
    fn check_epochs(&self, log: &dyn Log) -> Result<(), String> {
        let first = self.batches.first().map(|batch| batch.header().epoch.get());
        let last = self.batches.last().map(|batch| batch.header().epoch.get());
        let begun = self.epochs.partition_point(|(_, begin)| *begin < log.end().get());
        let all = &self.epochs[..begun];
        let latest_begin = first.map_or(all.len(), |first| {
            all.partition_point(|(epoch, _)| *epoch < first)
        });
        let earliest_end = last.map_or(0, |last| all.partition_point(|(epoch, _)| *epoch <= last));
        let mut lists = (0..=latest_begin).rev().flat_map(|begin| {
            (earliest_end.max(begin)..=all.len())
                .rev()
                .map(move |end| begin..end)
        });
        let expected = self.check_epochs_as(log, &all[latest_begin.min(earliest_end)..earliest_end]);
        expected.or_else(|reason| {
            let is_one = lists.any(|list| self.check_epochs_as(log, &all[list]).is_ok());
            ensure(is_one, || reason)
        })
    }

    fn check_epochs_as(&self, log: &dyn Log, epochs: &[(u64, u64)]) -> Result<(), String> {
        let last = epochs.last().map(|(epoch, _)| *epoch);
        same("the last epoch", &last, &log.last_epoch().map(LeaderEpoch::get))?;
        let asked = epochs
            .iter()
            .flat_map(|(epoch, _)| [epoch.saturating_sub(1), *epoch, epoch + 1]);
        for asked in asked.chain([0]) {
            let after = epochs.partition_point(|(epoch, _)| *epoch <= asked);
            let expected = after.checked_sub(1).map(|at| EpochEnd {
                epoch: LeaderEpoch::new(epochs[at].0),
                end: epochs
                    .get(after)
                    .map_or(log.end(), |(_, start)| Offset::new(*start)),
            });
            let found = log.epoch_end(LeaderEpoch::new(asked));
            same(&format!("the end of epoch {asked}"), &expected, &found)?;
        }
        Ok(())
    }

    fn check_segments(&self, log: &dyn Log) -> Result<(), String> {
        let segments = log.segments();
        let sealed = segments.iter().map(|segment| segment.sealed);
        let expected = (0..segments.len()).map(|at| at + 1 < segments.len());
        ensure(!segments.is_empty() && sealed.eq(expected), || {
            format!("the last segment and no other takes appends: {segments:?}")
        })?;
        ensure(
            segments.is_sorted_by(|one, next| one.id < next.id && one.range.end <= next.range.start),
            || format!("segments follow one another: {segments:?}"),
        )?;
        let mut rest = self.batches.as_slice();
        for segment in &segments {
            let (own, later) =
                rest.split_at(rest.partition_point(|batch| batch.header().base < segment.range.end));
            let records: u64 = own.iter().map(|batch| u64::from(batch.header().records)).sum();
            let bytes: u64 = own.iter().map(|batch| batch.bytes().len() as u64).sum();
            let times = (
                own.first().map(|batch| batch.header().first_time),
                own.last().map(|batch| batch.header().last_time),
            );
            let inside = own.iter().all(|batch| batch.header().base >= segment.range.start);
            ensure(
                inside
                    && (segment.records, segment.bytes) == (records, bytes)
                    && (segment.first_time, segment.last_time) == times,
                || format!("a segment holds {records} records, {bytes} bytes, {times:?}: {segment:?}"),
            )?;
            rest = later;
        }
        ensure(rest.is_empty(), || {
            format!("records are in no segment: {segments:?}")
        })
    }
}

/// Names the batches instead of printing their bytes.
fn same_batch(what: &str, expected: Option<&Batch>, found: Option<&Batch>) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let name = |batch: Option<&Batch>| match batch {
        None => "nothing".to_owned(),
        Some(batch) => {
            let value = batch
                .records()
                .next()
                .map(|record| String::from_utf8_lossy(record.value()).into_owned());
            format!(
                "{} ({})",
                batch.header().range(),
                value.unwrap_or_default().trim_end()
            )
        }
    };
    Err(format!(
        "{what}: expected {}, found {}",
        name(expected),
        name(found)
    ))
}
