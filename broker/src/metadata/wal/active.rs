//! The segment that is written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strandline_core::disk::{Disk, DiskFile, OpenMode};

use super::frame::{self, Place};
use super::segment::{self, HEADER_BYTES, Header};
use super::{Record, Recovered, WalError, WalSettings};

/// The last segment of the log, open for writing.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: u64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    /// Where the records end.
    pub(super) end: u64,
    /// Where the reserved zeroes end.
    pub(super) reserved_end: u64,
    /// Largest index of an entry in this segment.
    pub(super) last_index: Option<u64>,
}

impl Active {
    /// Marks the segment as one that another follows, which exists. What was written before is durable already, so a
    /// failure costs no more than that the loss of the newest file would not be seen.
    pub(super) fn seal(&self) -> Result<(), WalError> {
        let start = Place {
            segment: self.segment,
            position: self.end,
        };
        let mut bytes = Vec::new();
        frame::encode(&mut bytes, start, &Record::Sealed)?;
        self.file
            .write_at(self.end, &bytes)
            .map_err(WalError::io("write", &self.path))?;
        self.file.sync_data().map_err(WalError::io("sync", &self.path))
    }
}

/// What a new segment is told.
#[derive(Clone, Copy)]
pub(super) struct Begin<'a> {
    pub(super) segment: u64,
    pub(super) previous_end: u64,
    pub(super) room: &'a WalSettings,
}

/// Writes a new segment under another name and gives it its own once it is durable.
pub(super) fn begin_segment(
    disk: &dyn Disk,
    dir: &Path,
    summary: &Recovered,
    begin: Begin<'_>,
) -> Result<Active, WalError> {
    let path = segment::path_of(dir, begin.segment);
    let unfinished = segment::unfinished_path_of(dir, begin.segment);
    let end = match write_unfinished(disk, &unfinished, summary, &begin) {
        Ok(end) => end,
        Err(error) => {
            // A leftover is removed at the next start if it cannot be now.
            let _ = disk.remove_file(&unfinished);
            return Err(error);
        }
    };
    disk.rename(&unfinished, &path)
        .map_err(WalError::io("rename", &unfinished))?;
    disk.sync_dir(dir).map_err(WalError::io("sync", dir))?;
    let file = disk
        .open(&path, OpenMode::Write)
        .map_err(WalError::io("open", &path))?;
    let reserved_end = round_up(
        end.saturating_add(begin.room.headroom_bytes),
        begin.room.reserve_step_bytes,
    );
    Ok(Active {
        segment: begin.segment,
        path,
        file,
        end,
        reserved_end,
        last_index: None,
    })
}

fn write_unfinished(
    disk: &dyn Disk,
    path: &Path,
    summary: &Recovered,
    begin: &Begin<'_>,
) -> Result<u64, WalError> {
    let start = Place {
        segment: begin.segment,
        position: HEADER_BYTES as u64,
    };
    let mut records = Vec::new();
    let vote = summary.vote.clone().map(Record::Vote);
    let purge = summary
        .purged
        .clone()
        .map(|(upto, body)| Record::Purge { upto, body });
    let committed = summary.committed.clone().map(Record::Committed);
    for record in [vote, purge, committed].into_iter().flatten() {
        frame::encode(&mut records, start, &record)?;
    }
    let end = (HEADER_BYTES + records.len()) as u64;
    let header = Header {
        segment: begin.segment,
        previous_end: begin.previous_end,
        next_index: summary.next_index,
        checkpoint_end: end,
    };
    let mut bytes = header.encode();
    bytes.append(&mut records);
    let reserved_end = round_up(
        end.saturating_add(begin.room.headroom_bytes),
        begin.room.reserve_step_bytes,
    );
    let file = match disk.open(path, OpenMode::CreateNew) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove_file(path).map_err(WalError::io("remove", path))?;
            disk.open(path, OpenMode::CreateNew)
        }
        opened => opened,
    }
    .map_err(WalError::io("create", path))?;
    file.write_at(0, &bytes).map_err(WalError::io("write", path))?;
    write_zeroes(&*file, end, reserved_end).map_err(WalError::io("write", path))?;
    file.sync_data().map_err(WalError::io("sync", path))?;
    Ok(end)
}

pub(super) fn write_zeroes(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    const ZEROES: [u8; 16 << 10] = [0; 16 << 10];
    let mut position = from;
    while position < to {
        let bytes = usize::try_from(to - position)
            .unwrap_or(usize::MAX)
            .min(ZEROES.len());
        file.write_at(position, ZEROES.get(..bytes).unwrap_or(&ZEROES))?;
        position += bytes as u64;
    }
    Ok(())
}

pub(super) fn round_up(bytes: u64, step: u64) -> u64 {
    bytes.checked_next_multiple_of(step.max(1)).unwrap_or(bytes)
}
