//! Closing, deleting, ending and starting again.

use strandline_core::Offset;
use strandline_core::storage::{Durability, ReadError, ReadLimit, SyncBy};

use super::super::model::{Model, ensure};
use super::super::operations::LOGS;
use super::super::records::batch_with;
use super::{Checked, World, recover};
use crate::sim::{Image, SimDisk};

impl World<'_> {
    pub(super) fn close(&mut self, at: usize) -> Checked {
        let (Some(log), Some(store)) = (self.log(at), self.store.clone()) else {
            return Ok(());
        };
        let from = self.disk.moment();
        let between = self.allowed_now();
        let end = log.end().get();
        let closed = log.close();
        if self.expect(closed, "closing a log")?.is_none() {
            return self.restart(None);
        }
        store.sync(SyncBy::Caller);
        self.await_pending(at)?;
        (0..LOGS).try_for_each(|at| self.await_pending(at))?;
        let refused = log.append(&[]).is_err()
            || log
                .append(&[batch_with(&[end], self.epoch, |_| Vec::new())])
                .is_err();
        ensure(refused, || "a closed log takes an append".to_owned())?;
        match log.read(
            Offset::new(end),
            ReadLimit {
                end: Offset::MAX,
                max_bytes: 1,
            },
        ) {
            Err(ReadError::Closed) => {}
            other => return Err(format!("a closed log gives {other:?}")),
        }
        drop(log);
        self.logs[at].log = None;
        self.logs[at].model.durable_end = self.logs[at].model.ends.0;
        let reopened = self.reopen(at);
        self.note(from, between);
        reopened
    }

    /// Opens a log that is closed and takes what it holds, which must be allowed.
    pub(super) fn reopen(&mut self, at: usize) -> Checked {
        let Some(store) = self.store.clone() else {
            return Ok(());
        };
        let tracked = &self.logs[at];
        if !tracked.exists {
            return Ok(());
        }
        let opened = self.subject.open(store.as_ref(), tracked.id, &tracked.settings);
        let Some(log) = self.expect(opened, "opening a log")? else {
            return Ok(());
        };
        let candidates: Vec<Model> = std::iter::once(&tracked.model)
            .chain(&tracked.doubts)
            .cloned()
            .collect();
        let model = recover(&candidates, log.as_ref())?;
        let tracked = &mut self.logs[at];
        (tracked.model, tracked.log, tracked.is_poisoned) = (model, Some(log), false);
        tracked.doubts.clear();
        self.check(at)
    }

    pub(super) fn recreate(&mut self, at: usize) -> Checked {
        let (Some(log), Some(store)) = (self.log(at), self.store.clone()) else {
            return Ok(());
        };
        let from = self.disk.moment();
        let id = self.logs[at].id;
        self.logs[at].pending.clear();
        self.logs[at].doubts.clear();
        self.logs[at].is_poisoned = false;
        (self.logs[at].log, self.logs[at].exists) = (None, false);
        let between = self.allowed_now();
        let mut deleted = store.delete(id);
        if self.is_faulty && deleted.is_err() {
            // The disk failed once: it works again.
            deleted = store.delete(id);
        }
        if self.expect(deleted, "deleting a log")?.is_none() {
            // A store that takes no more changes is opened again.
            return self.restart(None);
        }
        match log.read(
            Offset::ZERO,
            ReadLimit {
                end: Offset::MAX,
                max_bytes: 1,
            },
        ) {
            Err(ReadError::Deleted) => {}
            other => return Err(format!("a deleted log gives {other:?}")),
        }
        let listed = store.list().map_err(|error| format!("listing logs: {error}"))?;
        ensure(!listed.contains(&id), || {
            format!("a deleted log is listed: {listed:?}")
        })?;
        self.note(from, between);
        self.create(at)
    }

    /// Stops without closing anything, with or without power, and starts again.
    pub(in super::super) fn restart(&mut self, power_loss: Option<u64>) -> Checked {
        if !self.capabilities.survives_restart {
            return Ok(());
        }
        let from = self.disk.moment();
        let between = self.allowed_now();
        for tracked in &mut self.logs {
            tracked.pending.clear();
            if let Some(log) = tracked.log.take() {
                tracked.model.durable_end = tracked.model.durable_end.max(log.durable_end().get());
            }
        }
        let is_os = self
            .logs
            .iter()
            .any(|tracked| tracked.settings.durability == Durability::Os);
        // Before the store is dropped, which still syncs: a process that is killed does not.
        let (disk, start) = match power_loss.filter(|_| !is_os) {
            Some(seed) => {
                let left = self.disk.random_loss(&self.start, seed);
                (SimDisk::of(left.clone()), left)
            }
            None => (self.disk.after_kill(), self.start.clone()),
        };
        drop(self.store.take());
        (self.disk, self.start) = (disk, start);
        let opened = self.open_store();
        let Some(store) = self.expect(opened, "opening the store again")? else {
            return Ok(());
        };
        self.store = Some(store);
        let reopened = (0..LOGS).try_for_each(|at| self.reopen(at));
        self.note(from, between);
        reopened
    }

    /// Creates the logs whose creation or deletion failed: what is left of that is no obstacle.
    pub(in super::super) fn complete(&mut self) -> Checked {
        let Some(store) = self.store.clone() else {
            return Ok(());
        };
        for at in (0..LOGS).filter(|at| !self.logs[*at].exists).collect::<Vec<_>>() {
            store
                .delete(self.logs[at].id)
                .map_err(|error| format!("deleting what is left of a log: {error}"))?;
            self.create(at)?;
        }
        Ok(())
    }

    /// The models of all logs, each of which is durable.
    pub(in super::super) fn closed(mut self) -> Checked<(Image, Vec<Model>)> {
        self.sync(SyncBy::Caller)?;
        for tracked in &mut self.logs {
            if let Some(log) = tracked.log.take() {
                log.close().map_err(|error| format!("closing a log: {error}"))?;
            }
        }
        drop(self.store.take());
        Ok((
            self.disk.now(),
            self.logs.into_iter().map(|tracked| tracked.model).collect(),
        ))
    }
}
