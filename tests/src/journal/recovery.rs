//! Reading a journal file from end to end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use strandline_core::Offset;
use strandline_core::disk::{Disk, DiskFile, OpenMode};
use strandline_core::storage::{Damage, StorageError};

use super::content::Content;
use super::frame::{self, Frame, HEAD_BYTES};
use super::store::failed;

/// A log as its file tells it.
pub(super) struct Recovered {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) path: PathBuf,
    pub(super) content: Content,
    /// Length of the file, all of which is durable.
    pub(super) bytes: u64,
}

/// Reads a file, cuts what was torn, and makes the rest durable.
pub(super) fn recover(disk: &dyn Disk, path: &Path, is_trusting: bool) -> Result<Recovered, StorageError> {
    let file = disk
        .open(path, OpenMode::Write)
        .map_err(failed("opening", path))?;
    let end = file.len().map_err(failed("measuring", path))?;
    let mut content = Content::empty_at(Offset::ZERO);
    let mut position = 0;
    while position < end {
        let Some(frame) = frame_at(file.as_ref(), position, is_trusting).map_err(failed("reading", path))?
        else {
            refuse_damage(file.as_ref(), path, position, end)?;
            // Nobody was told that this was written.
            file.set_len(position).map_err(failed("cutting", path))?;
            break;
        };
        if !content.apply(&frame.event, position) {
            return Err(damage(path, position, "this cannot have happened to the log"));
        }
        position += frame.bytes;
    }
    // What is served from now on must not vanish with the next power loss.
    file.sync_data().map_err(failed("sync of", path))?;
    Ok(Recovered {
        file,
        path: path.to_owned(),
        content,
        bytes: position,
    })
}

fn frame_at(file: &dyn DiskFile, position: u64, is_trusting: bool) -> std::io::Result<Option<Frame>> {
    let mut bytes = Vec::new();
    file.read_at(position, HEAD_BYTES, &mut bytes)?;
    let Some(length) = frame::claimed_bytes(&bytes, position) else {
        return Ok(None);
    };
    file.read_at(
        position + bytes.len() as u64,
        length - bytes.len().min(length),
        &mut bytes,
    )?;
    Ok(frame::decode(&Bytes::from(bytes), position, is_trusting))
}

/// A place that cannot be read is damage if a frame behind it says that it was durable.
fn refuse_damage(file: &dyn DiskFile, path: &Path, position: u64, end: u64) -> Result<(), StorageError> {
    for later in position + 1..end {
        let mut head = Vec::new();
        file.read_at(later, HEAD_BYTES, &mut head)
            .map_err(failed("reading", path))?;
        if frame::claimed_bytes(&head, later).is_none() {
            continue;
        }
        let frame = frame_at(file, later, false).map_err(failed("reading", path))?;
        if frame.is_some_and(|frame| frame.durable > position) {
            return Err(damage(path, position, "this was durable and cannot be read"));
        }
    }
    Ok(())
}

pub(super) fn damage(path: &Path, position: u64, reason: &str) -> StorageError {
    StorageError::Damaged(Damage {
        file: path.to_owned(),
        position,
        reason: reason.to_owned(),
    })
}
