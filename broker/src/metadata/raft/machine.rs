//! openraft's state machine on ours.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use strandline_core::metadata::{State, apply};

use super::snapshot::{SnapshotFile, decode_state, encode_state};
use super::types::{
    Answers, Entry, EntryId, Membership, Snapshot, SnapshotMeta, StorageError, StorageIoError, TypeConfig,
};
use crate::metadata::document::DocumentError;

/// How long a snapshot that found no space waits before it tries again.
const DISK_FULL_PAUSE: Duration = Duration::from_secs(1);

/// The state with its place in the log. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    applied: Arc<Mutex<Applied>>,
    changes: watch::Sender<Arc<State>>,
    file: Arc<SnapshotFile>,
    stopping: CancellationToken,
}

#[derive(Clone, Debug, Default)]
struct Applied {
    last: Option<EntryId>,
    membership: Membership,
    state: Arc<State>,
}

impl Machine {
    /// A state machine that starts from a snapshot, or from nothing.
    pub(super) fn new(
        file: SnapshotFile,
        stored: Option<(SnapshotMeta, State)>,
        stopping: CancellationToken,
    ) -> Self {
        let applied = stored.map_or_else(Applied::default, Applied::of);
        let (changes, _) = watch::channel(Arc::clone(&applied.state));
        Self {
            applied: Arc::new(Mutex::new(applied)),
            changes,
            file: Arc::new(file),
            stopping,
        }
    }

    /// The state and its changes.
    pub(super) fn changes(&self) -> watch::Receiver<Arc<State>> {
        self.changes.subscribe()
    }
}

/// The state that a snapshot and the entries after it lead to.
pub(super) fn replayed(
    stored: Option<(SnapshotMeta, State)>,
    entries: impl IntoIterator<Item = Entry>,
) -> Arc<State> {
    let mut applied = stored.map_or_else(Applied::default, Applied::of);
    for entry in entries {
        if applied.last.is_none_or(|last| last < entry.log_id) {
            applied.take(entry);
        }
    }
    applied.state
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<EntryId>, Membership), StorageError> {
        let applied = self.applied.lock();
        Ok((applied.last, applied.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Answers>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut applied = self.applied.lock();
        let answers: Vec<Answers> = entries.into_iter().map(|entry| applied.take(entry)).collect();
        let state = Arc::clone(&applied.state);
        drop(applied);
        self.changes.send_if_modified(|current| {
            let changed = !Arc::ptr_eq(current, &state);
            *current = state;
            changed
        });
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let applied = self.applied.lock().clone();
        Builder {
            applied,
            file: Arc::clone(&self.file),
            stopping: self.stopping.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let bytes = snapshot.into_inner();
        let refused =
            |problem: String| StorageIoError::read_snapshot(Some(meta.signature()), AnyError::error(problem));
        let state = Arc::new(decode_state(&bytes).map_err(refused)?);
        let (file, written) = (Arc::clone(&self.file), meta.clone());
        let write = move || file.replace(&written, &bytes);
        blocking(write)
            .await?
            .map_err(|error| write_error(meta, &error))?;
        let (last, membership) = (meta.last_log_id, meta.last_membership.clone());
        *self.applied.lock() = Applied {
            last,
            membership,
            state: Arc::clone(&state),
        };
        self.changes.send_replace(state);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let file = Arc::clone(&self.file);
        let stored = blocking(move || file.read()).await?;
        let stored = stored.map_err(|error| StorageIoError::read_snapshot(None, AnyError::new(&error)))?;
        Ok(stored.map(|(meta, state)| Snapshot {
            meta,
            snapshot: Box::new(Cursor::new(state)),
        }))
    }
}

impl Applied {
    /// What a snapshot holds.
    fn of((meta, state): (SnapshotMeta, State)) -> Self {
        Self {
            last: meta.last_log_id,
            membership: meta.last_membership,
            state: Arc::new(state),
        }
    }

    /// Applies one entry. What readers hold of the state before stays as it is.
    fn take(&mut self, entry: Entry) -> Answers {
        self.last = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => Answers::default(),
            EntryPayload::Membership(membership) => {
                self.membership = Membership::new(Some(entry.log_id), membership);
                Answers::default()
            }
            EntryPayload::Normal(batch) => {
                let state = Arc::make_mut(&mut self.state);
                let apply = |command| apply(state, entry.log_id.index, command);
                Answers(batch.commands().iter().map(apply).collect())
            }
        }
    }
}

/// Writes a snapshot of the state as it was when the builder was made, while the state machine goes on.
#[derive(Debug)]
pub(super) struct Builder {
    applied: Applied,
    file: Arc<SnapshotFile>,
    stopping: CancellationToken,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    /// A full disk does not end consensus: the snapshot waits for room, while proposals are refused or accepted by
    /// what room the log has.
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let meta = self.applied.meta();
        loop {
            let (file, state, written) = (
                Arc::clone(&self.file),
                Arc::clone(&self.applied.state),
                meta.clone(),
            );
            let written = blocking(move || write(&file, &state, &written)).await?;
            match written {
                Ok(bytes) => {
                    let snapshot = Box::new(Cursor::new(bytes));
                    return Ok(Snapshot { meta, snapshot });
                }
                Err(error) if error.is_disk_full() && !self.stopping.is_cancelled() => {
                    tracing::warn!(%error, "no space left for a snapshot of the metadata, trying again");
                }
                Err(error) => return Err(write_error(&meta, &error).into()),
            }
            tokio::select! {
                () = tokio::time::sleep(DISK_FULL_PAUSE) => {}
                () = self.stopping.cancelled() => {}
            }
        }
    }
}

impl Applied {
    fn meta(&self) -> SnapshotMeta {
        let snapshot_id = self
            .last
            .map_or_else(|| "empty".to_owned(), |last| last.to_string());
        SnapshotMeta {
            last_log_id: self.last,
            last_membership: self.membership.clone(),
            snapshot_id,
        }
    }
}

fn write(file: &SnapshotFile, state: &State, meta: &SnapshotMeta) -> Result<Vec<u8>, DocumentError> {
    let encoded = encode_state(state).map_err(std::io::Error::from);
    let bytes = encoded.map_err(DocumentError::io("encode", &file.path()))?;
    file.replace(meta, &bytes)?;
    Ok(bytes)
}

fn write_error(meta: &SnapshotMeta, error: &DocumentError) -> StorageIoError {
    StorageIoError::write_snapshot(Some(meta.signature()), AnyError::new(error))
}

async fn blocking<T: Send + 'static>(
    operation: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StorageError> {
    let lost = |error| StorageIoError::write_state_machine(AnyError::new(&error));
    Ok(tokio::task::spawn_blocking(operation).await.map_err(lost)?)
}
