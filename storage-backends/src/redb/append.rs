//! Appending: into memory, where a sync finds it.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use strandline_core::record::Batch;
use strandline_core::storage::{AppendError, Commit, StorageError, SyncFailure};

use super::log::{Pending, RedbLog, State};
use super::rounds::Waiting;

impl RedbLog {
    pub(super) fn append_batches(&self, batches: &[Batch]) -> Result<Commit, AppendError> {
        let bytes: usize = batches.iter().map(|batch| batch.bytes().len()).sum();
        let _appending = self.appending.lock();
        self.make_way(bytes)?;
        let mut state = self.writable().map_err(as_append_error)?;
        state.now.check_order(batches)?;
        let (setter, commit) = Commit::pending();
        let Some(log) = self.shared.find_log(self.id) else {
            setter.set(Err(SyncFailure {
                source: Arc::new(io::Error::other("the log is closed")),
            }));
            return Ok(commit);
        };
        state.push(batches, bytes);
        let end = state.now.end();
        // Before the state is free again: whoever cuts the log finds both or neither.
        self.shared.rounds.push(Waiting { log, end, setter }, bytes);
        Ok(commit)
    }

    /// Sees to it that there is room for so many bytes, in memory and on the disk.
    fn make_way(&self, bytes: usize) -> Result<(), AppendError> {
        let rounds = &self.shared.rounds;
        if rounds.queued_bytes() > 0 && rounds.queued_bytes() + bytes > self.shared.queue_bytes {
            rounds.round(rounds.turn());
        }
        if self.shared.has_room(rounds.queued_bytes() + bytes) {
            return Ok(());
        }
        Err(AppendError::Full {
            log: self.id,
            source: io::Error::from(ErrorKind::StorageFull),
        })
    }
}

impl State {
    /// Adds batches. Those of one call stay together where a segment can hold them.
    fn push(&mut self, batches: &[Batch], bytes: usize) {
        let Some(first) = batches.first() else {
            return;
        };
        let settings = self.settings;
        let is_old = self.now.is_too_old(&settings, first.header().first_time);
        if is_old || self.now.is_full(&settings, bytes as u64) {
            self.now.roll();
        }
        for batch in batches {
            if self.now.is_full(&settings, batch.bytes().len() as u64) {
                self.now.roll();
            }
            self.now.note(batch.header());
            self.pending.push_back(Pending {
                segment: self.now.active.id,
                batch: batch.clone(),
            });
        }
    }
}

fn as_append_error(error: StorageError) -> AppendError {
    match error {
        StorageError::Poisoned { log, reason } => AppendError::Poisoned { log, reason },
        _ => AppendError::Closed,
    }
}
