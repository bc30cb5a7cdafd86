//! Writes the batches of a segment that can be read into a new one.

use std::path::Path;

use strandline_core::Offset;
use strandline_core::disk::{Disk, OpenMode};
use strandline_core::record::Batch;
use strandline_core::storage::StorageError;

use super::super::check::{Seen, Surveyor};
use super::super::files::{SegmentId, TEMPORARY, failed, remove_if_there, replace_cache};
use super::super::index::Index;
use super::super::reading::SegmentFile;
use super::super::state::Content;

/// Bytes that are written at a time, but for a batch that is larger.
const WRITE_BYTES: usize = 1 << 20;

/// A segment that is to be written anew.
#[derive(Debug)]
pub(super) struct Rewrite {
    /// What is to be kept lies before its end, as far as it can be read. None if it is missing.
    pub(super) from: Option<SegmentFile>,
    /// Where it says that batches begin.
    pub(super) guide: Option<Index>,
    /// Where it begins.
    pub(super) base: Offset,
    pub(super) to: SegmentId,
}

impl Rewrite {
    /// What the new segment will hold. It begins at this offset if that is nothing.
    pub(super) fn content(&self, start: Offset) -> Content {
        let mut content = Content::empty(start);
        let counted = self.each(&mut |batch| {
            content.note(batch.header());
            content.file_bytes += batch.bytes().len() as u64;
            Ok(())
        });
        debug_assert!(counted.is_ok(), "nothing is written");
        content
    }

    /// Writes it, durably but for its place in the directory.
    pub(super) fn write(&self, disk: &dyn Disk, directory: &Path) -> Result<(), StorageError> {
        let path = directory.join(self.to.data_file());
        let aside = directory.join(format!("{}{TEMPORARY}", self.to.data_file()));
        remove_if_there(disk, &aside).map_err(failed("removing", &aside))?;
        let file = disk
            .open(&aside, OpenMode::CreateNew)
            .map_err(failed("creating", &aside))?;
        let (mut buffer, mut written, mut index) = (Vec::new(), 0, Index::default());
        self.each(&mut |batch| {
            index.note(batch.header(), written + buffer.len() as u64);
            buffer.extend_from_slice(batch.bytes());
            if buffer.len() >= WRITE_BYTES {
                file.write_at(written, &buffer)
                    .map_err(failed("writing", &aside))?;
                written += buffer.len() as u64;
                buffer.clear();
            }
            Ok(())
        })?;
        file.write_at(written, &buffer)
            .map_err(failed("writing", &aside))?;
        written += buffer.len() as u64;
        file.sync_data().map_err(failed("sync of", &aside))?;
        if written > 0 {
            replace_cache(disk, directory, &self.to.index_file(), &index.encode(written))
                .map_err(failed("writing an index in", directory))?;
        }
        disk.rename(&aside, &path).map_err(failed("renaming", &aside))
    }

    /// Goes over the batches.
    fn each(&self, visit: &mut dyn FnMut(&Batch) -> Result<(), StorageError>) -> Result<(), StorageError> {
        let Some(file) = &self.from else { return Ok(()) };
        let surveyor = Surveyor {
            file,
            guide: self.guide.as_ref(),
            durable: None,
        };
        let mut result = Ok(());
        surveyor.run(self.base, &mut |seen| {
            if let Seen::Batch(_, batch) = seen {
                result = visit(batch);
            }
            result.is_ok()
        });
        result
    }
}
