//! A log whose older records are in an archive.

mod cold;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use strandline_core::record::Batch;
use strandline_core::storage::{
    AppendError, Commit, EpochEnd, Log, LogSettings, ReadError, ReadLimit, Role, Run, SegmentSummary,
    StorageError,
};
use strandline_core::{LeaderEpoch, LogId, Offset, OffsetRange, Timestamp};

use super::PartitionArchive;
use super::reads::ArchiveReads;
use cold::{Cold, ColdLog};

/// Wraps a local log and, once an archive is attached, goes on in it where the local one does not reach.
///
/// The newest records are always read from the local log: nobody who follows the end learns of the archive. Below the local
/// start a read finds what is at hand and answers [`ReadError::Fetching`] otherwise. What the archive says to have never got
/// reads as a gap that compaction left.
///
/// Appends, cuts, segments and their removal are those of the local log alone; whoever removes local segments has seen to it that
/// the archive has them.
#[derive(Debug)]
pub struct TieredLog {
    local: Arc<dyn Log>,
    reads: Arc<ArchiveReads>,
    archive: ArcSwapOption<ColdLog>,
}

impl TieredLog {
    /// Wraps a log. Without an archive it is that log.
    pub fn new(local: Arc<dyn Log>, reads: Arc<ArchiveReads>) -> Self {
        Self {
            local,
            reads,
            archive: ArcSwapOption::empty(),
        }
    }

    /// Goes on in this archive below the local log. To be called for an archive that was made: as long as its manifest is not
    /// loaded, what lies below the local start is taken to be there, and a read waits until more is known.
    pub fn attach(&self, archive: Arc<PartitionArchive>) {
        let cold = ColdLog::new(Arc::clone(&self.local), Arc::clone(&self.reads), archive);
        self.archive.store(Some(Arc::new(cold)));
    }

    /// Ends with the local log again. Readers below its start see [`ReadError::Trimmed`] then.
    pub fn detach(&self) {
        self.archive.store(None);
    }

    /// The archive, if one is attached.
    pub fn archive(&self) -> Option<Arc<PartitionArchive>> {
        self.archive
            .load()
            .as_ref()
            .map(|cold| Arc::clone(cold.archive()))
    }

    /// The local log.
    pub fn local(&self) -> &Arc<dyn Log> {
        &self.local
    }
}

impl Log for TieredLog {
    fn id(&self) -> LogId {
        self.local.id()
    }

    fn settings(&self) -> LogSettings {
        self.local.settings()
    }

    fn set_settings(&self, settings: &LogSettings) -> Result<(), StorageError> {
        self.local.set_settings(settings)
    }

    /// The lower start of the two; 0 while the manifest is not loaded.
    fn start(&self) -> Offset {
        let local = self.local.start();
        match &*self.archive.load() {
            Some(cold) => cold.start(local),
            None => local,
        }
    }

    fn end(&self) -> Offset {
        self.local.end()
    }

    fn durable_end(&self) -> Offset {
        self.local.durable_end()
    }

    fn last_time(&self) -> Option<Timestamp> {
        self.local.last_time()
    }

    fn append(&self, batches: &[Batch]) -> Result<Commit, AppendError> {
        self.local.append(batches)
    }

    fn read(&self, from: Offset, limit: ReadLimit) -> Result<Run, ReadError> {
        let mut next = from;
        loop {
            let trimmed = match self.local.read(next, limit) {
                Err(ReadError::Trimmed { start }) => start,
                Ok(run) if run.bytes.is_empty() => return Ok(nothing(from)),
                other => return other,
            };
            let Some(cold) = self.archive.load_full() else {
                return Err(ReadError::Trimmed { start: trimmed });
            };
            match cold.read(next, limit)? {
                Cold::Run(run) => return Ok(run),
                Cold::Over => return Ok(nothing(from)),
                // It may be gone by now: then the archive has it.
                Cold::Local(start) => next = start,
            }
        }
    }

    fn read_before(&self, before: Offset) -> Result<Option<Batch>, ReadError> {
        if let Some(batch) = self.local.read_before(before)? {
            return Ok(Some(batch));
        }
        match self.archive.load_full() {
            Some(cold) => cold.read_before(before),
            None => Ok(None),
        }
    }

    fn offset_at(&self, time: Timestamp) -> Result<Offset, ReadError> {
        loop {
            let start = self.local.start();
            if let Some(cold) = self.archive.load_full()
                && let Some(found) = cold.offset_at(time)?
            {
                return Ok(found);
            }
            let found = self.local.offset_at(time)?;
            if self.local.start() == start {
                return Ok(found);
            }
            // What was looked for may have gone to the archive meanwhile.
        }
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.local.last_epoch()
    }

    fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let local = self.local.epoch_end(epoch);
        local.or_else(|| self.archive.load().as_ref()?.epoch_end(epoch))
    }

    fn truncate(&self, end: Offset) -> Result<(), StorageError> {
        self.local.truncate(end)
    }

    fn reset(&self, offset: Offset) -> Result<(), StorageError> {
        self.local.reset(offset)
    }

    fn segments(&self) -> Vec<SegmentSummary> {
        self.local.segments()
    }

    fn roll(&self) -> Result<(), StorageError> {
        self.local.roll()
    }

    fn roll_if_due(&self, now: Timestamp) -> Result<(), StorageError> {
        self.local.roll_if_due(now)
    }

    fn remove_before(&self, offset: Offset) -> Result<(), StorageError> {
        self.local.remove_before(offset)
    }

    fn replace_sealed(
        &self,
        range: OffsetRange,
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<(), StorageError> {
        self.local.replace_sealed(range, batches)
    }

    fn set_role(&self, role: Role, epoch: LeaderEpoch, committed_end: Offset) {
        self.local.set_role(role, epoch, committed_end);
    }

    fn close(&self) -> Result<(), StorageError> {
        self.local.close()
    }
}

fn nothing(from: Offset) -> Run {
    Run {
        next: from,
        ..Run::default()
    }
}
