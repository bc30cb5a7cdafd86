//! Reading the segments of a log that exists.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use strandline_core::disk::{Disk, DiskFile, EntryKind, OpenMode};

use super::active::Active;
use super::segment::{self, Header, Named};
use super::{Record, Recovered, WalError, scan};

/// Longest segment file that is read: a limit for damaged or foreign files.
const MAX_SEGMENT_FILE_BYTES: u64 = 256 << 20;

/// A segment that was read.
pub(super) struct SegmentFile {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) header: Header,
    pub(super) bytes: Vec<u8>,
}

/// What is left to know of a segment once its records are replayed.
pub(super) struct Replayed {
    pub(super) end: u64,
    pub(super) torn: bool,
    pub(super) last_index: Option<u64>,
}

impl SegmentFile {
    /// Reads a segment.
    pub(super) fn read(disk: &dyn Disk, dir: &Path, segment: u64, mode: OpenMode) -> Result<Self, WalError> {
        let path = segment::path_of(dir, segment);
        let file = disk.open(&path, mode).map_err(WalError::io("open", &path))?;
        let length = file.len().map_err(WalError::io("read", &path))?;
        if length > MAX_SEGMENT_FILE_BYTES {
            return Err(WalError::damaged(
                &path,
                MAX_SEGMENT_FILE_BYTES,
                "longer than any segment",
            ));
        }
        let mut bytes = Vec::new();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        file.read_at(0, length, &mut bytes)
            .map_err(WalError::io("read", &path))?;
        let header = Header::decode(&bytes, &path)?;
        Ok(Self {
            path,
            file,
            header,
            bytes,
        })
    }

    /// Adds its records to what was recovered before. `sealed_end` is where its successor says that they end.
    pub(super) fn replay(
        &self,
        recovered: &mut Recovered,
        is_first: bool,
        sealed_end: Option<u64>,
    ) -> Result<Replayed, WalError> {
        if is_first {
            recovered.next_index = self.header.next_index;
        } else if recovered.next_index != self.header.next_index {
            let problem = format!(
                "begins at entry {:?} instead of {:?}",
                self.header.next_index, recovered.next_index
            );
            return Err(WalError::damaged(&self.path, 0, problem));
        }
        let scan = scan::scan(&self.path, &self.bytes, &self.header, sealed_end)?;
        if scan.sealed && sealed_end.is_none() {
            let dir = self.path.parent().unwrap_or(&self.path);
            let successor = self.header.segment.saturating_add(1);
            return Err(WalError::Missing {
                path: segment::path_of(dir, successor),
            });
        }
        let mut last_index = None;
        for (position, record) in scan.records {
            if let Record::Entry { index, .. } = record {
                last_index = last_index.max(Some(index));
            }
            recovered
                .replay(record)
                .map_err(|problem| WalError::damaged(&self.path, position, problem))?;
        }
        Ok(Replayed {
            end: scan.end,
            torn: scan.torn,
            last_index,
        })
    }

    /// Makes the segment ready for writing: cuts what is torn and syncs what was read, so that nothing is built on
    /// pages that may still be lost.
    pub(super) fn into_active(self, replayed: &Replayed) -> Result<Active, WalError> {
        let mut reserved_end = self.bytes.len() as u64;
        if replayed.torn {
            tracing::warn!(file = %self.path.display(), position = replayed.end, "cut a torn write off the metadata log");
            self.file
                .set_len(replayed.end)
                .map_err(WalError::io("shorten", &self.path))?;
            reserved_end = replayed.end;
        }
        self.file.sync_data().map_err(WalError::io("sync", &self.path))?;
        let (segment, end, last_index) = (self.header.segment, replayed.end, replayed.last_index);
        Ok(Active {
            segment,
            path: self.path,
            file: self.file,
            end,
            reserved_end,
            last_index,
        })
    }
}

/// The segments in a directory, oldest first, none missing between them.
pub(super) fn list_segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, WalError> {
    let entries = disk.list(dir).map_err(WalError::io("list", dir))?;
    let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
    let mut segments: Vec<u64> = files
        .filter_map(|entry| match segment::parse_name(&entry.name) {
            Named::Segment(segment) => Some(segment),
            Named::Unfinished(_) | Named::Other => None,
        })
        .collect();
    segments.sort_unstable();
    for pair in segments.windows(2) {
        let expected = pair[0].saturating_add(1);
        if pair[1] != expected {
            return Err(WalError::Missing {
                path: segment::path_of(dir, expected),
            });
        }
    }
    Ok(segments)
}

/// Removes what a crash left half made.
pub(super) fn remove_unfinished(disk: &dyn Disk, dir: &Path) -> Result<(), WalError> {
    for entry in disk.list(dir).map_err(WalError::io("list", dir))? {
        if let Named::Unfinished(_) = segment::parse_name(&entry.name) {
            let path = dir.join(&entry.name);
            disk.remove_file(&path).map_err(WalError::io("remove", &path))?;
        }
    }
    Ok(())
}
