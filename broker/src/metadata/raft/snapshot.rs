//! Snapshots of the state on disk: one document that is replaced as a whole.
//!
//! Its body is the length of the description (4 bytes, little-endian), the description and the state.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::LogIdOptionExt;
use parking_lot::Mutex;

use strandline_core::disk::Disk;
use strandline_core::metadata::State;

use super::convert::unreadable;
use super::types::SnapshotMeta;
use crate::metadata::OpenError;
use crate::metadata::document::{self, DocumentError, Kind};

/// The snapshot's place on disk. Writers take turns.
#[derive(Debug)]
pub(super) struct SnapshotFile {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// What the file holds.
    current: Mutex<Option<SnapshotMeta>>,
}

impl SnapshotFile {
    /// Reads the snapshot in `dir`, if there is one.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
    ) -> Result<(Self, Option<(SnapshotMeta, State)>), OpenError> {
        let path = Kind::Snapshot.path_in(dir);
        let stored = match document::read(&*disk, dir, Kind::Snapshot)? {
            Some(body) => {
                let (meta, state) =
                    split(&body).map_err(|problem| unreadable("the snapshot", path.clone(), problem))?;
                let state = decode_state(state)
                    .map_err(|problem| unreadable("the snapshot", path.clone(), problem))?;
                Some((meta, state))
            }
            None => None,
        };
        let current = Mutex::new(stored.as_ref().map(|(meta, _)| meta.clone()));
        Ok((
            Self {
                disk,
                dir: dir.to_owned(),
                current,
            },
            stored,
        ))
    }

    /// Replaces the snapshot, unless the one that is there is as new. Blocks.
    pub(super) fn replace(&self, meta: &SnapshotMeta, state: &[u8]) -> Result<(), DocumentError> {
        let mut current = self.current.lock();
        if current
            .as_ref()
            .is_some_and(|current| current.last_log_id >= meta.last_log_id)
        {
            return Ok(());
        }
        let body = join(meta, state).map_err(DocumentError::io("encode", &self.path()))?;
        document::replace(&*self.disk, &self.dir, Kind::Snapshot, &body)?;
        *current = Some(meta.clone());
        Ok(())
    }

    /// Reads what the file holds. Blocks.
    pub(super) fn read(&self) -> Result<Option<(SnapshotMeta, Vec<u8>)>, OpenError> {
        let _exclusive = self.current.lock();
        let Some(body) = document::read(&*self.disk, &self.dir, Kind::Snapshot)? else {
            return Ok(None);
        };
        let path = Kind::Snapshot.path_in(&self.dir);
        let (meta, state) = split(&body).map_err(|problem| unreadable("the snapshot", path, problem))?;
        Ok(Some((meta, state.to_vec())))
    }

    /// Index after the last entry that the snapshot holds.
    pub(super) fn next_index(&self) -> u64 {
        self.current
            .lock()
            .as_ref()
            .map_or(0, |meta| meta.last_log_id.next_index())
    }

    /// Where the file is.
    pub(super) fn path(&self) -> PathBuf {
        Kind::Snapshot.path_in(&self.dir)
    }
}

/// The state as it travels and is stored.
pub(super) fn encode_state(state: &State) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(state)
}

/// Reads a state that came from a file or a peer.
pub(super) fn decode_state(bytes: &[u8]) -> Result<State, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

fn join(meta: &SnapshotMeta, state: &[u8]) -> Result<Vec<u8>, io::Error> {
    let meta = serde_json::to_vec(meta)?;
    let length = u32::try_from(meta.len()).map_err(io::Error::other)?;
    Ok([&length.to_le_bytes()[..], &meta, state].concat())
}

fn split(body: &[u8]) -> Result<(SnapshotMeta, &[u8]), String> {
    let (length, rest) = body.split_first_chunk().ok_or("it has no description")?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (meta, state) = rest
        .split_at_checked(length)
        .ok_or("its description is cut off")?;
    let meta = serde_json::from_slice(meta).map_err(|error| error.to_string())?;
    Ok((meta, state))
}
