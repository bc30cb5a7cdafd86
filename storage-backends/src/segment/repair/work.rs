//! Carries a plan out.

use std::path::{Path, PathBuf};

use strandline_core::disk::{Disk, OpenMode};
use strandline_core::storage::StorageError;

use super::super::files::{SegmentId, failed, remove_if_there, replace};
use super::super::index::Index;
use super::super::reading::SegmentFile;
use super::super::recovery::scan;
use super::super::state::{Content, STATE_FILE, State};
use super::Plan;
use super::rewrite::Rewrite;
use crate::repair::RepairWork;

/// What a plan has to do.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Segments that are written anew.
    pub(super) rewrites: Vec<Rewrite>,
    /// An empty segment that is begun.
    pub(super) create: Option<SegmentId>,
    /// A segment whose content the state counts on.
    pub(super) durable: Option<SegmentId>,
    pub(super) state: Option<State>,
    /// Indexes that are built anew, with the bytes of the segment that each covers.
    pub(super) indexes: Vec<(SegmentId, u64)>,
    /// Segments that the state does not name any more.
    pub(super) gone: Vec<SegmentId>,
}

/// The work in the directory of the log.
#[derive(Debug)]
pub(super) struct WorkIn {
    pub(super) directory: PathBuf,
    pub(super) work: Work,
}

impl RepairWork for WorkIn {
    fn carry_out(&self, disk: &dyn Disk) -> Result<(), StorageError> {
        self.work.carry_out(disk, &self.directory)?;
        disk.sync_dir(&self.directory)
            .map_err(failed("sync of", &self.directory))
    }
}

impl Plan {
    /// Removes segments, which the state does not name any more.
    pub(super) fn remove(&mut self, gone: impl Iterator<Item = SegmentId>) {
        self.originals.push(self.directory.join(STATE_FILE));
        for id in gone {
            self.steps.push(format!("remove {}", id.data_file()));
            let files = [id.data_file(), id.index_file()];
            self.originals.extend(files.map(|name| self.directory.join(name)));
            self.work.gone.push(id);
        }
    }
}

impl Work {
    /// Everything but the removals can be done twice; until the state is replaced it means nothing.
    fn carry_out(&self, disk: &dyn Disk, directory: &Path) -> Result<(), StorageError> {
        for rewrite in &self.rewrites {
            rewrite.write(disk, directory)?;
        }
        if let Some(id) = self.create {
            let path = directory.join(id.data_file());
            remove_if_there(disk, &path).map_err(failed("removing", &path))?;
            let created = disk.open(&path, OpenMode::CreateNew);
            created.map_err(failed("creating", &path))?;
        }
        if let Some(id) = self.durable {
            let path = directory.join(id.data_file());
            let synced = disk
                .open(&path, OpenMode::Write)
                .and_then(|file| file.sync_data());
            synced.map_err(failed("sync of", &path))?;
        }
        for &(id, covered) in &self.indexes {
            write_index(disk, directory, id, covered)?;
        }
        if let Some(state) = &self.state {
            disk.sync_dir(directory).map_err(failed("sync of", directory))?;
            replace(disk, directory, STATE_FILE, &state.encode())
                .map_err(failed("writing the state of", directory))?;
        }
        for id in &self.gone {
            for name in [id.data_file(), id.index_file()] {
                let path = directory.join(name);
                remove_if_there(disk, &path).map_err(failed("removing", &path))?;
            }
        }
        Ok(())
    }
}

/// Builds the index of a segment that can be read, and writes it.
fn write_index(disk: &dyn Disk, directory: &Path, id: SegmentId, covered: u64) -> Result<(), StorageError> {
    let path = directory.join(id.data_file());
    let file = disk
        .open(&path, OpenMode::Read)
        .map_err(failed("opening", &path))?;
    let end = covered;
    let file = SegmentFile { file, path, end };
    let built = scan(&file, Content::empty(id.base), Index::default(), |_| true);
    let built = built.map_err(|stop| StorageError::Damaged(stop.damage))?;
    replace(disk, directory, &id.index_file(), &built.index.encode(covered))
        .map_err(failed("writing an index in", directory))
}
