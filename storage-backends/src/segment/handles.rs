//! Open files of sealed segments, a bounded number of them.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use strandline_core::LogId;
use strandline_core::disk::{Disk, DiskFile, OpenMode};

use super::files::SegmentId;

/// Files of sealed segments that one store keeps open.
const MAX_OPEN: usize = 256;

/// Opens sealed segments when they are read and closes those that were not read for the longest time.
#[derive(Debug, Default)]
pub(super) struct Handles {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    files: HashMap<(LogId, SegmentId), Handle>,
    clock: u64,
}

#[derive(Debug)]
struct Handle {
    file: Arc<dyn DiskFile>,
    used: u64,
}

impl Handles {
    /// The open file of a segment.
    pub(super) fn get(
        &self,
        disk: &dyn Disk,
        directory: &Path,
        log: LogId,
        segment: SegmentId,
    ) -> io::Result<Arc<dyn DiskFile>> {
        let key = (log, segment);
        {
            let mut open = self.open.lock();
            open.clock += 1;
            let now = open.clock;
            if let Some(handle) = open.files.get_mut(&key) {
                handle.used = now;
                return Ok(Arc::clone(&handle.file));
            }
        }
        let file = disk.open(&directory.join(segment.data_file()), OpenMode::Read)?;
        let mut open = self.open.lock();
        if open.files.len() >= MAX_OPEN {
            let oldest = open
                .files
                .iter()
                .min_by_key(|(_, handle)| handle.used)
                .map(|(key, _)| *key);
            oldest.map(|key| open.files.remove(&key));
        }
        let used = open.clock;
        open.files.insert(
            key,
            Handle {
                file: Arc::clone(&file),
                used,
            },
        );
        Ok(file)
    }

    /// Closes a segment that is going away. Reads that have begun go on.
    pub(super) fn forget(&self, log: LogId, segment: SegmentId) {
        self.open.lock().files.remove(&(log, segment));
    }
}
