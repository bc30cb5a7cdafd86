//! What of a log is in its archive, and how a read finds its way there and back.

use std::sync::Arc;

use parking_lot::Mutex;

use strandline_core::record::Batch;
use strandline_core::storage::{EpochEnd, Log, ReadError, ReadLimit, Run, read_waiting};
use strandline_core::{LeaderEpoch, Offset, OffsetRange, Timestamp};

use crate::tiered::reads::{ArchiveReads, Direction, Found, Reader, Segment};
use crate::tiered::{self, Entry, PartitionArchive, View};

/// The archive below a local log.
#[derive(Debug)]
pub(super) struct ColdLog {
    local: Arc<dyn Log>,
    reads: Arc<ArchiveReads>,
    archive: Arc<PartitionArchive>,
    /// Between the archive's end and the local start there is nothing: a manifest said so that was loaded after both were seen.
    hole: Arc<Mutex<Option<OffsetRange>>>,
}

/// What the archive has for a read.
#[derive(Debug)]
pub(super) enum Cold {
    /// Batches.
    Run(Run),
    /// Nothing follows before the end of the read.
    Over,
    /// The local log goes on here.
    Local(Offset),
}

/// What is to be read of a segment.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    from: Offset,
    limit: ReadLimit,
    reader: Reader,
}

impl ColdLog {
    pub(super) fn new(local: Arc<dyn Log>, reads: Arc<ArchiveReads>, archive: Arc<PartitionArchive>) -> Self {
        Self {
            local,
            reads,
            archive,
            hole: Arc::default(),
        }
    }

    pub(super) fn archive(&self) -> &Arc<PartitionArchive> {
        &self.archive
    }

    /// Where both tiers begin, of which the local one begins here.
    pub(super) fn start(&self, local: Offset) -> Offset {
        match self.archive.view() {
            None => Offset::ZERO,
            Some(view) => start_of(&view, local),
        }
    }

    /// As [`Log::read`] below the local start.
    pub(super) fn read(&self, from: Offset, limit: ReadLimit) -> Result<Cold, ReadError> {
        let (view, local) = self.view()?;
        if view.start() >= view.end() {
            self.settle(&view, local)?;
        }
        let start = start_of(&view, local);
        if from < start {
            return Err(ReadError::Trimmed { start });
        }
        let track = (self.local.id(), Direction::Forward, from);
        let reader = Reader {
            direction: Direction::Forward,
            goes_on: self.reads.goes_on(&track),
        };
        let mut at = from;
        loop {
            if at >= local {
                return Ok(Cold::Local(at));
            }
            if at >= limit.end {
                return Ok(Cold::Over);
            }
            if at >= view.end() {
                self.settle(&view, local)?;
                at = local;
                continue;
            }
            let entry = match self.find(&view, at)? {
                Ok(entry) => entry,
                Err(gap) => {
                    at = gap.end;
                    continue;
                }
            };
            let wanted = Wanted {
                from: at,
                limit,
                reader,
            };
            match self.read_segment(&view, &entry, wanted)? {
                Found::Run(run) => {
                    let to = (self.local.id(), Direction::Forward, run.next);
                    self.reads.moved(&track, to);
                    return Ok(Cold::Run(run));
                }
                Found::Over => return Ok(Cold::Over),
                Found::Past => at = entry.range.end,
            }
        }
    }

    /// As [`Log::read_before`] where the local log has nothing.
    pub(super) fn read_before(&self, before: Offset) -> Result<Option<Batch>, ReadError> {
        if self.is_all_local() {
            return Ok(None);
        }
        let (view, local) = self.view()?;
        if before > view.end() {
            self.settle(&view, local)?;
        }
        let track = (self.local.id(), Direction::Backward, before);
        let reader = Reader {
            direction: Direction::Backward,
            goes_on: self.reads.goes_on(&track),
        };
        let mut at = before.min(local);
        loop {
            let Some(entry) = self.before(&view, at)? else {
                return Ok(None);
            };
            let segment = self.reads.segment(&self.archive, &entry)?;
            if let Some(number) = segment.last_block_before(at) {
                let block = self.reads.block(&segment, number, reader)?;
                self.prepare_next(&view, &segment, number, reader);
                if let Some(batch) = block.last_before(at) {
                    let to = (self.local.id(), Direction::Backward, batch.header().base);
                    self.reads.moved(&track, to);
                    return Ok(Some(batch));
                }
            }
            at = entry.range.start;
        }
    }

    /// As [`Log::offset_at`]; none when the local log is to be asked.
    pub(super) fn offset_at(&self, time: Timestamp) -> Result<Option<Offset>, ReadError> {
        if self.is_all_local() {
            return Ok(None);
        }
        let oldest = self
            .local
            .segments()
            .iter()
            .find_map(|segment| segment.first_time);
        if oldest.is_some_and(|oldest| oldest < time) {
            return Ok(None);
        }
        let (view, local) = self.view()?;
        let Some(entry) = self.at_time(&view, time)? else {
            return self.settle(&view, local).map(|()| None);
        };
        let segment = self.reads.segment(&self.archive, &entry)?;
        let reader = Reader {
            direction: Direction::Forward,
            goes_on: false,
        };
        let Some(number) = segment.last_block_older_than(time) else {
            return Ok(segment.base_of(0));
        };
        let block = self.reads.block(&segment, number, reader)?;
        // The records of the next one are not older.
        Ok(block.first_at(time).or_else(|| segment.base_of(number + 1)))
    }

    /// As [`Log::epoch_end`] for epochs that the local log has none of. Blocks when it has to read a page of the manifest; none
    /// when that cannot be had.
    pub(super) fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let view = self.archive.view()?;
        let mut epochs = Vec::new();
        let in_entries = view.entries().first().and_then(|oldest| oldest.epochs.first());
        if in_entries.is_none_or(|(oldest, _)| *oldest > epoch) {
            let later = view.pages().partition_point(|page| page.epoch <= epoch);
            let page = view.pages().get(later.checked_sub(1)?)?;
            let page = read_waiting(|| self.reads.page(&self.archive, page)).ok()?;
            note_epochs(&mut epochs, page.entries());
            if let Some(next) = view.pages().get(later) {
                epochs.push((next.epoch, next.range.start));
            }
        }
        note_epochs(&mut epochs, view.entries());
        let after = epochs.partition_point(|(known, _)| *known <= epoch);
        let (epoch, _) = *epochs.get(after.checked_sub(1)?)?;
        let end = epochs.get(after).map_or(view.end(), |(_, start)| *start);
        Some(EpochEnd { epoch, end })
    }

    /// Whether nothing was ever removed here: then the archive has nothing that the local log has not.
    fn is_all_local(&self) -> bool {
        self.local.start() == Offset::ZERO
    }

    /// What is known of the archive, and a local start below which that is all of it, as far as it is settled.
    ///
    /// # Errors
    ///
    /// [`ReadError::Fetching`] as long as nothing is known.
    fn view(&self) -> Result<(Arc<View>, Offset), ReadError> {
        // The start first: a view that is taken later knows of all that this broker archived before it removed it.
        let local = self.local.start();
        match self.archive.view() {
            Some(view) => Ok((view, local)),
            None => Err(self.reads.load(&self.archive, || {})),
        }
    }

    /// Sees to it that nothing is taken for a gap between the tiers that another broker has archived.
    ///
    /// # Errors
    ///
    /// [`ReadError::Fetching`] as long as that is not known.
    fn settle(&self, view: &View, local: Offset) -> Result<(), ReadError> {
        let hole = OffsetRange::new(view.end(), local);
        if hole.is_empty() || *self.hole.lock() == Some(hole) {
            return Ok(());
        }
        let (archive, known) = (Arc::clone(&self.archive), Arc::clone(&self.hole));
        Err(self.reads.load(&self.archive, move || {
            if archive.view().is_some_and(|view| view.end() == hole.start) {
                *known.lock() = Some(hole);
            }
        }))
    }

    /// What answers for an offset between start and end: a segment, or a gap.
    fn find(&self, view: &View, at: Offset) -> Result<Result<Arc<Entry>, OffsetRange>, ReadError> {
        let found = match view.find(at) {
            Some(tiered::Found::Page(page)) => self.reads.page(&self.archive, &page)?.find(at),
            found => found,
        };
        Ok(match found {
            Some(tiered::Found::Entry(entry)) => Ok(entry),
            Some(tiered::Found::Gap(gap)) => Err(gap),
            // A page that answers for the offset knows it. If it does not, there is nothing to be read.
            Some(tiered::Found::Page(_)) | None => Err(OffsetRange::new(at, view.end())),
        })
    }

    /// The last segment that begins before an offset.
    fn before(&self, view: &View, at: Offset) -> Result<Option<Arc<Entry>>, ReadError> {
        let found = match view.before(at) {
            Some(tiered::Found::Page(page)) => self.reads.page(&self.archive, &page)?.before(at),
            Some(tiered::Found::Entry(entry)) => Some(entry),
            Some(tiered::Found::Gap(_)) | None => None,
        };
        Ok(found.filter(|entry| entry.range.end > view.start()))
    }

    /// The first segment with a record at or after a point in time.
    fn at_time(&self, view: &View, time: Timestamp) -> Result<Option<Arc<Entry>>, ReadError> {
        let found = match view.at_time(time) {
            Some(tiered::Found::Page(page)) => self.reads.page(&self.archive, &page)?.at_time(time),
            Some(tiered::Found::Entry(entry)) => Some(entry),
            Some(tiered::Found::Gap(_)) | None => None,
        };
        let mut at = view.start();
        if found.as_ref().is_none_or(|entry| entry.range.end > at) {
            return Ok(found);
        }
        // Of a page that reaches below the start: what was found is gone, and all that is left is not older.
        while at < view.end() {
            match self.find(view, at)? {
                Ok(entry) => return Ok(Some(entry)),
                Err(gap) => at = gap.end,
            }
        }
        Ok(None)
    }

    fn read_segment(&self, view: &View, entry: &Arc<Entry>, wanted: Wanted) -> Result<Found, ReadError> {
        let Wanted { from, limit, reader } = wanted;
        let segment = self.reads.segment(&self.archive, entry)?;
        for number in segment.first_block_at(from)..segment.blocks() {
            if segment.base_of(number).is_none_or(|base| base >= limit.end) {
                return Ok(Found::Over);
            }
            let block = self.reads.block(&segment, number, reader)?;
            self.prepare_next(view, &segment, number, reader);
            match block.read(from, limit) {
                Found::Past => {}
                found => return Ok(found),
            }
        }
        Ok(Found::Past)
    }

    /// Sees to it that a reader who goes on does not wait where the next segment begins.
    fn prepare_next(&self, view: &View, segment: &Segment, number: usize, reader: Reader) {
        if !reader.goes_on || !self.reads.is_near_the_end(segment, number, reader.direction) {
            return;
        }
        let range = segment.entry().range;
        let next = match reader.direction {
            Direction::Forward if range.end < view.end() => self.find(view, range.end).map(Result::ok),
            Direction::Forward => return,
            Direction::Backward => self.before(view, range.start),
        };
        // A page or a footer that is not at hand is on its way now.
        if let Ok(Some(entry)) = next
            && let Ok(segment) = self.reads.segment(&self.archive, &entry)
        {
            self.reads.fetch_next(&segment, reader.direction);
        }
    }
}

/// Takes note of the epochs of entries, each where it begins.
fn note_epochs(epochs: &mut Vec<(LeaderEpoch, Offset)>, entries: &[Arc<Entry>]) {
    for &(epoch, start) in entries.iter().flat_map(|entry| &entry.epochs) {
        if epochs.last().is_none_or(|(known, _)| *known < epoch) {
            epochs.push((epoch, start));
        }
    }
}

/// Where both tiers begin.
fn start_of(view: &View, local: Offset) -> Offset {
    if view.start() < view.end() {
        view.start().min(local)
    } else {
        local
    }
}
