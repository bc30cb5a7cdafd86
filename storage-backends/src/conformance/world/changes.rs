//! Changing what a log holds, and reading it.

use std::time::Duration;

use strandline_core::record::Batch;
use strandline_core::storage::{Log, LogSettings, ReadLimit, StorageError};
use strandline_core::{Offset, OffsetRange};

use super::super::model::{Model, ensure};
use super::super::records::thinned;
use super::{Allowed, Checked, World};

impl World<'_> {
    /// Changes a log; `between` is what a stop meanwhile may leave besides.
    pub(super) fn change(
        &mut self,
        at: usize,
        mut between: Vec<Model>,
        after: Option<Model>,
        act: impl FnOnce(&dyn Log) -> Result<(), StorageError>,
    ) -> Checked {
        let Some(log) = self.log(at) else { return Ok(()) };
        let from = self.disk.moment();
        let mut allowed = self.allowed_now();
        let is_settled = after.is_some();
        let before = self.logs[at].model.clone();
        let after = after.unwrap_or_else(|| before.clone());
        between.extend([before, after.clone()]);
        if let Allowed::OneOf(models) = &mut allowed[at] {
            models.extend(between.iter().cloned());
        }
        let result = act(log.as_ref());
        match self.expect(result, "a change")? {
            Some(()) => {
                self.logs[at].model = after;
                if is_settled {
                    self.logs[at].doubts.clear();
                }
            }
            None => self.unsettled(at, log.as_ref(), between)?,
        }
        self.logs[at].model.check(log.as_ref())?;
        self.check(at)?;
        self.note(from, allowed);
        Ok(())
    }

    /// After a change that failed the log is one of these, and its files any of them.
    pub(super) fn unsettled(&mut self, at: usize, log: &dyn Log, candidates: Vec<Model>) -> Checked {
        let mut reasons = Vec::new();
        for candidate in &candidates {
            // How much of what is left is durable is in doubt, too.
            let candidate = Model {
                durable_end: 0,
                ..candidate.clone()
            };
            match candidate.check(log) {
                Ok(()) => {
                    self.logs[at].model = candidate;
                    self.logs[at].doubt(candidates);
                    return Ok(());
                }
                Err(reason) => reasons.push(reason),
            }
        }
        Err(format!(
            "a change that failed left the log neither as it was nor changed: {reasons:?}"
        ))
    }

    pub(super) fn remove(&mut self, at: usize, place: u16) -> Checked {
        let Some(log) = self.log(at) else { return Ok(()) };
        let model = self.logs[at].model.clone();
        let offset = u64::from(place) % (model.end() + 3);
        let segments = log.segments();
        let gone = segments
            .iter()
            .take_while(|segment| segment.sealed && segment.range.end.get() <= offset);
        let steps: Vec<Model> = gone
            .map(|segment| model.without_before(segment.range.end.get()))
            .collect();
        let after = steps.last().cloned();
        self.change(at, steps, after, |log| log.remove_before(Offset::new(offset)))
    }

    pub(super) fn replace(&mut self, at: usize, first: u8, count: u8, keep: u16) -> Checked {
        let Some(log) = self.log(at) else { return Ok(()) };
        let mut sealed = log.segments();
        sealed.pop();
        if sealed.is_empty() {
            return Ok(());
        }
        let first = usize::from(first) % sealed.len();
        let last = first + usize::from(count) % (sealed.len() - first);
        let range = OffsetRange::new(sealed[first].range.start, sealed[last].range.end);
        let model = &self.logs[at].model;
        let inside = model
            .batches
            .iter()
            .filter(|batch| range.contains(batch.header().base));
        let kept: Vec<Batch> = inside
            .filter_map(|batch| thinned(batch, |offset| keep >> (offset % 16) & 1 == 1))
            .collect();
        let after = model.replaced((range.start.get(), range.end.get()), &kept);
        self.change(at, Vec::new(), Some(after), |log| {
            log.replace_sealed(range, &mut kept.iter().cloned().map(Ok))
        })
    }

    pub(super) fn truncate(&mut self, at: usize, place: u16) -> Checked {
        let Some(log) = self.log(at) else { return Ok(()) };
        let model = self.logs[at].model.clone();
        let lowest = model.start().saturating_sub(1);
        let end = lowest + u64::from(place) % (model.end() + 2 - lowest);
        let inside = |batch: &Batch| batch.header().base.get() < end && end < batch.header().end().get();
        if end < model.end() && (end < model.start() || model.batches.iter().any(inside)) {
            let result = log.truncate(Offset::new(end));
            return match result {
                Err(StorageError::Invalid { .. }) => self.check(at),
                Err(_) if self.is_faulty => Ok(()),
                other => Err(format!("a truncation to {end} was to be refused: {other:?}")),
            };
        }
        if end >= model.end() {
            return self.change(at, Vec::new(), None, |log| log.truncate(Offset::new(end)));
        }
        let mut after = model.cut(end);
        after.durable_end = after.ends.0;
        let mut meanwhile = model;
        meanwhile.durable_end = meanwhile.durable_end.min(after.ends.0);
        self.mark_cut(at, end);
        self.change(at, vec![meanwhile], Some(after), |log| {
            log.truncate(Offset::new(end))
        })
    }

    /// Takes note that handles of records from here on must fail, unless they were durable.
    pub(super) fn mark_cut(&mut self, at: usize, end: u64) {
        let tracked = &mut self.logs[at];
        let durable = tracked.log.as_ref().map_or(0, |log| log.durable_end().get());
        // In doubt whether a truncation that fails has cut them, they may go either way.
        let is_faulty = self.is_faulty;
        tracked.pending.retain_mut(|pending| {
            let goes = pending.end > end;
            pending.is_cut |= goes && pending.end > durable;
            !(goes && (is_faulty || pending.end <= durable))
        });
    }

    pub(super) fn reset(&mut self, at: usize, place: u16) -> Checked {
        let end = self.logs[at].model.end();
        let offset = u64::from(place) % (end + 50);
        self.mark_cut(at, 0);
        let after = Model::empty_at(offset);
        self.change(at, Vec::new(), Some(after), |log| log.reset(Offset::new(offset)))
    }

    pub(super) fn set_settings(&mut self, at: usize, size: u8, age: u8) -> Checked {
        let Some(log) = self.log(at) else { return Ok(()) };
        let settings = LogSettings {
            segment_max_bytes: [700, 1, 300, 1 << 20][usize::from(size) % 4],
            segment_max_age: [None, Some(5), Some(40)][usize::from(age) % 3].map(Duration::from_micros),
            ..self.logs[at].settings
        };
        log.set_settings(&settings)
            .map_err(|error| format!("changing the settings: {error}"))?;
        self.logs[at].settings = settings;
        self.check(at)
    }

    pub(super) fn read(&mut self, at: usize, from: u16, end: u16, max_bytes: u16) -> Checked {
        let Some(log) = self.log(at) else { return Ok(()) };
        let model = &self.logs[at].model;
        let from = model.start() + u64::from(from) % (model.end() + 1 - model.start());
        let end = from + 1 + u64::from(end) % (model.end() + 2 - from);
        let limit = ReadLimit {
            end: Offset::new(end),
            max_bytes: usize::from(max_bytes),
        };
        let run = log
            .read(Offset::new(from), limit)
            .map_err(|error| format!("reading at {from}: {error}"))?;
        let found: Vec<Batch> = run
            .batches()
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?;
        let wanted = model
            .batches
            .iter()
            .filter(|batch| batch.header().end().get() > from);
        let wanted: Vec<&Batch> = wanted
            .take_while(|batch| batch.header().base.get() < end)
            .collect();
        let is_right = found.iter().zip(&wanted).all(|(found, wanted)| found == *wanted);
        let fits = found.len() <= 1 || run.bytes.len() <= limit.max_bytes;
        let next = found.last().map_or(from, |last| last.header().end().get());
        let empty = (found.is_empty(), wanted.is_empty());
        ensure(
            is_right && fits && found.len() <= wanted.len() && empty.0 == empty.1 && run.next.get() == next,
            || {
                format!(
                    "a read from {from} with {limit:?} gave {} of {} batches",
                    found.len(),
                    wanted.len()
                )
            },
        )
    }
}
