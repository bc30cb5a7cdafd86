//! openraft's log on our write-ahead log.

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, LogState, OptionalSend, RaftLogReader};
use parking_lot::Mutex;

use super::convert::{from_body, to_body};
use super::types::{Entry, EntryId, StorageError, StorageIoError, TypeConfig, Vote};
use super::view::View;
use crate::metadata::OpenError;
use crate::metadata::wal::{Record, Recovered, Use, Wal, WalError};

/// Most entries that are handed to one replication at a time.
const MAX_READ_ENTRIES: usize = 64;

/// The log: on disk in the [`Wal`], and in memory for reading. Clones share it.
///
/// openraft awaits one write before it begins the next, which is the order that the log needs.
#[derive(Clone, Debug)]
pub(super) struct LogStore {
    wal: Arc<Mutex<Wal>>,
    view: Arc<Mutex<View>>,
}

impl LogStore {
    /// The log in `dir` from what was recovered of it.
    pub(super) fn new(wal: Wal, recovered: &Recovered, dir: &Path) -> Result<Self, OpenError> {
        Ok(Self {
            wal: Arc::new(Mutex::new(wal)),
            view: Arc::new(Mutex::new(decode(recovered, dir)?)),
        })
    }

    /// Makes sure that an entry of `bytes` finds room.
    pub(super) async fn reserve(&self, bytes: u64, use_of: Use) -> Result<(), WalError> {
        self.blocking(move |wal| wal.reserve(bytes, use_of)).await
    }

    /// Writes what was put off. The log stays readable.
    pub(super) async fn flush(&self) -> Result<(), WalError> {
        self.blocking(Wal::flush).await
    }

    /// Runs an operation of the log where it may block.
    async fn blocking<T, F>(&self, operation: F) -> Result<T, WalError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Wal) -> Result<T, WalError> + Send + 'static,
    {
        let committed = self.take_committed();
        let wal = Arc::clone(&self.wal);
        let run = move || {
            let mut wal = wal.lock();
            if let Some(committed) = committed {
                wal.set_committed(committed);
            }
            operation(&mut wal)
        };
        let lost = |error: tokio::task::JoinError| WalError::Poisoned {
            cause: error.to_string(),
        };
        tokio::task::spawn_blocking(run).await.map_err(lost)?
    }

    fn take_committed(&self) -> Option<Vec<u8>> {
        let mut view = self.view.lock();
        if !std::mem::take(&mut view.committed_is_news) {
            return None;
        }
        view.committed.as_ref().and_then(|id| serde_json::to_vec(id).ok())
    }

    async fn write(&self, records: Vec<Record>) -> Result<(), StorageError> {
        self.blocking(move |wal| wal.write(&records))
            .await
            .map_err(|error| write_error(&error))
    }
}

/// What the log in `dir` holds, from what was recovered of it.
pub(super) fn decode(recovered: &Recovered, dir: &Path) -> Result<View, OpenError> {
    let body = |what: &str, body: &Option<Vec<u8>>| match body {
        Some(body) => from_body(what, dir, body).map(Some),
        None => Ok(None),
    };
    let mut view = View {
        committed: body("the commit position", &recovered.committed)?,
        ..View::default()
    };
    if let Some(vote) = &recovered.vote {
        view.vote = Some(from_body("the vote", dir, vote)?);
    }
    if let Some((upto, id)) = &recovered.purged {
        let id: EntryId = from_body("the purge position", dir, id)?;
        check_index(dir, *upto, id)?;
        view.purge(id);
    }
    for (index, entry) in &recovered.entries {
        let entry: Entry = from_body(&format!("entry {index}"), dir, entry)?;
        check_index(dir, *index, entry.log_id)?;
        view.push(entry);
    }
    Ok(view)
}

fn check_index(dir: &Path, index: u64, id: EntryId) -> Result<(), OpenError> {
    if id.index == index {
        return Ok(());
    }
    let problem = format!("it says that it is entry {}", id.index);
    Err(super::convert::unreadable(
        &format!("entry {index}"),
        dir.to_owned(),
        problem,
    ))
}

fn write_error(error: &WalError) -> StorageError {
    StorageIoError::write_logs(AnyError::new(error)).into()
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        Ok(self.view.lock().range(&range, usize::MAX))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        Ok(self.view.lock().range(&(start..end), MAX_READ_ENTRIES))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let view = self.view.lock();
        Ok(LogState {
            last_purged_log_id: view.purged,
            last_log_id: view.last(),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.write(vec![Record::Vote(to_body(vote)?)]).await?;
        self.view.lock().vote = Some(*vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.view.lock().vote)
    }

    /// Only noted; it reaches the disk with the next write. Without it a restart applies fewer entries before it has a
    /// leader, no more.
    async fn save_committed(&mut self, committed: Option<EntryId>) -> Result<(), StorageError> {
        let mut view = self.view.lock();
        view.committed = committed;
        view.committed_is_news = true;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<EntryId>, StorageError> {
        Ok(self.view.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<TypeConfig>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let records = entries
            .iter()
            .map(|entry| {
                Ok(Record::Entry {
                    index: entry.log_id.index,
                    body: to_body(entry)?,
                })
            })
            .collect::<Result<Vec<_>, StorageError>>()?;
        self.write(records).await?;
        let mut view = self.view.lock();
        entries.into_iter().for_each(|entry| view.push(entry));
        drop(view);
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, from: EntryId) -> Result<(), StorageError> {
        self.write(vec![Record::Truncate { since: from.index }]).await?;
        self.view.lock().truncate(from.index);
        Ok(())
    }

    async fn purge(&mut self, upto: EntryId) -> Result<(), StorageError> {
        self.write(vec![Record::Purge {
            upto: upto.index,
            body: to_body(&upto)?,
        }])
        .await?;
        self.view.lock().purge(upto);
        if let Err(error) = self.blocking(Wal::remove_purged).await {
            tracing::warn!(%error, "purged files of the metadata log stay for now");
        }
        Ok(())
    }
}
