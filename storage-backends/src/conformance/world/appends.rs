//! Appending, and becoming durable.

use strandline_core::record::Batch;
use strandline_core::storage::{AppendError, Commit, Durability, SyncBy};

use super::super::model::{Model, ensure};
use super::super::operations::{LOGS, Shape};
use super::super::records::batch_with;
use super::{Allowed, Checked, Pending, World};

impl World<'_> {
    pub(super) fn batches(&mut self, at: usize, shapes: &[Shape]) -> Vec<Batch> {
        let mut next = self.logs[at].model.end();
        let mut batches = Vec::new();
        for shape in shapes {
            next += u64::from(shape.gap);
            self.epoch += u64::from(shape.is_new_epoch);
            self.serial += 1;
            let offsets: Vec<u64> = (next..next + u64::from(shape.records)).collect();
            let (serial, padding) = (self.serial, usize::from(shape.padding));
            let value = |offset| format!("record {offset} of append {serial}{:padding$}", "").into_bytes();
            batches.push(batch_with(&offsets, self.epoch, value));
            next += u64::from(shape.records);
        }
        batches
    }

    pub(super) fn append(&mut self, at: usize, shapes: &[Shape]) -> Checked {
        let Some(log) = self.log(at) else { return Ok(()) };
        let from = self.disk.moment();
        let mut between = self.allowed_now();
        let batches = self.batches(at, shapes);
        let mut after = self.logs[at].model.clone();
        after.append(&batches);
        if let Allowed::OneOf(models) = &mut between[at] {
            models.push(after.clone());
        }
        let mut result = log.append(&batches);
        if let Err(AppendError::Full { .. } | AppendError::Busy { .. }) = &result
            && self.is_faulty
        {
            self.check(at)?;
            // The disk failed once: it works again.
            result = Ok(log
                .append(&batches)
                .map_err(|error| format!("an append that was to be tried again: {error}"))?);
        }
        match self.expect(result, "an append")? {
            Some(commit) => self.accepted(at, commit, after)?,
            None => {
                self.logs[at].is_poisoned = true;
                self.logs[at].doubt([after]);
            }
        }
        self.note(from, between);
        self.check(at)
    }

    pub(super) fn accepted(&mut self, at: usize, commit: Commit, after: Model) -> Checked {
        let tracked = &mut self.logs[at];
        ensure(!tracked.is_poisoned, || {
            "a log takes an append although a sync failed".to_owned()
        })?;
        let outcome = commit.outcome();
        let durable = tracked.log.as_ref().map_or(0, |log| log.durable_end().get());
        if tracked.settings.durability == Durability::Os {
            ensure(matches!(outcome, Some(Ok(()))), || {
                "an append under durability os is not done".to_owned()
            })?;
        }
        ensure(!matches!(outcome, Some(Ok(()))) || durable >= after.end(), || {
            format!("a handle has resolved, but the log is durable up to {durable} only")
        })?;
        let end = after.end();
        tracked.model = after;
        tracked.pending.push(Pending {
            commit,
            end,
            is_cut: false,
            is_before_doubts: false,
        });
        Ok(())
    }

    pub(super) fn append_wrong(&mut self, at: usize, is_epoch: bool) -> Checked {
        let Some(log) = self.log(at) else { return Ok(()) };
        let model = &self.logs[at].model;
        let (Some(last), false) = (model.batches.last(), self.logs[at].is_poisoned) else {
            return Ok(());
        };
        let (base, epoch) = match is_epoch {
            true if last.header().epoch.get() == 0 => return Ok(()),
            true => (model.end(), last.header().epoch.get() - 1),
            false => (model.end() - 1, self.epoch),
        };
        match log.append(&[batch_with(&[base], epoch, |_| b"wrong".to_vec())]) {
            Err(AppendError::OutOfOrder { .. }) => self.check(at),
            // A write that failed has ended the log's life before.
            Err(AppendError::Poisoned { .. }) if self.is_faulty && self.disk.has_failed() => Ok(()),
            other => Err(format!(
                "a batch at {base} of epoch {epoch} was to be refused: {other:?}"
            )),
        }
    }

    pub(super) fn sync(&mut self, by: SyncBy) -> Checked {
        let Some(store) = self.store.clone() else {
            return Ok(());
        };
        let from = self.disk.moment();
        let between = self.allowed_now();
        // Without a handle that is still open there is nothing to tell when the store's own sync is over, and it would go on
        // beside what follows.
        let mut pending = self.logs.iter().flat_map(|tracked| &tracked.pending);
        let is_awaited = pending.any(|pending| pending.commit.outcome().is_none());
        store.sync(if is_awaited { by } else { SyncBy::Caller });
        (0..LOGS).try_for_each(|at| self.await_pending(at))?;
        self.note(from, between);
        (0..LOGS).try_for_each(|at| self.check(at))
    }

    pub(super) fn await_pending(&mut self, at: usize) -> Checked {
        let pending = std::mem::take(&mut self.logs[at].pending);
        let mut has_failed = false;
        for Pending {
            commit,
            end,
            is_cut,
            is_before_doubts,
        } in pending
        {
            let outcome = commit.wait();
            match outcome {
                Ok(()) if is_cut => {
                    return Err(format!(
                        "the handle of records up to {end}, which were cut, succeeded"
                    ));
                }
                Ok(()) if has_failed => {
                    return Err(format!(
                        "the handle up to {end} succeeded after one before failed"
                    ));
                }
                Ok(()) => {
                    self.is_durable(at, end)?;
                    if !is_before_doubts {
                        // What was acknowledged settles what is there.
                        self.logs[at].doubts.clear();
                    }
                }
                Err(_) if is_cut => {}
                Err(failure) => {
                    let explained = self.expect(Err::<(), _>(failure), "a sync")?;
                    has_failed = explained.is_none();
                }
            }
        }
        self.logs[at].is_poisoned |= has_failed;
        Ok(())
    }

    pub(super) fn is_durable(&mut self, at: usize, end: u64) -> Checked {
        let tracked = &mut self.logs[at];
        let told = tracked.log.as_ref().map_or(end, |log| log.durable_end().get());
        ensure(told >= end, || {
            format!("durable up to {told} after the handle up to {end} resolved")
        })?;
        tracked.model.durable_end = tracked.model.durable_end.max(end);
        Ok(())
    }
}
