//! Reading an archive from one end to the other with no broker: for who wants its records printed, copied or counted.
//!
//! Memory is bounded by one request, and nothing is written. Who reads for hours is not misled by retention and compaction: an
//! object that is gone is looked up in the manifest of that moment.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use strandline_core::record::Batch;
use strandline_core::storage::ReadLimit;
use strandline_core::{Offset, OffsetRange, Timestamp};

use super::reads::{Block, Found, Segment};
use super::survey::{RESTORE, Survey, next_blocks};
use super::{ArchiveError, BucketError, Entry, PartitionArchive, Place, View};
use crate::check::Finding;

/// All of a block.
const ALL: ReadLimit = ReadLimit {
    end: Offset::MAX,
    max_bytes: usize::MAX,
};

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatFrom {
    /// At this offset, or at the next one that the archive has.
    Offset(Offset),
    /// At the batch with the first record that is not older, as far as can be seen from outside of packed batches; what comes
    /// before it in its block may be handed out, too.
    Time(Timestamp),
}

/// Who takes what is read.
pub trait CatTaker {
    /// A checked batch as it is archived, compressed and encrypted as it may be. Says whether to go on.
    fn batch(&mut self, batch: &Batch) -> bool;

    /// What cannot be read of these offsets. Says whether to go on behind them.
    fn damaged(&mut self, range: OffsetRange, finding: Finding) -> bool;
}

impl Survey {
    /// Hands out the batches of a partition in their order, for as long as they are taken. Offsets that were never archived
    /// are passed over.
    ///
    /// # Errors
    ///
    /// There is no manifest, it is damaged, or the bucket cannot be asked. Of damage behind the manifest the taker is told.
    pub async fn cat(
        &self,
        place: &Place,
        from: CatFrom,
        taker: &mut dyn CatTaker,
    ) -> Result<(), ArchiveError> {
        let archive = self.archive(place);
        let (at, time) = match from {
            CatFrom::Offset(offset) => (offset, None),
            CatFrom::Time(time) => (Offset::ZERO, Some(time)),
        };
        let mut walk = Walk {
            archive: &archive,
            at,
            time,
            taker,
        };
        let mut view = archive.load().await?;
        while let Next::Again(newer) = walk.go(&view).await? {
            view = newer;
        }
        Ok(())
    }
}

/// How to go on.
enum Next {
    On,
    Enough,
    /// The manifest has changed.
    Again(Arc<View>),
}

/// What could not be read.
struct Lost {
    key: String,
    range: OffsetRange,
    position: Option<u64>,
}

struct Walk<'a> {
    archive: &'a Arc<PartitionArchive>,
    /// What lies below was handed out, or is not wanted.
    at: Offset,
    time: Option<Timestamp>,
    taker: &'a mut dyn CatTaker,
}

impl Walk<'_> {
    /// Reads all that this state of the manifest has.
    async fn go(&mut self, view: &Arc<View>) -> Result<Next, ArchiveError> {
        self.at = self.at.max(view.start());
        for page in view.pages() {
            if !self.wants(page.range, page.last_time) {
                continue;
            }
            let next = match self.archive.page(page).await {
                Ok(page) => self.entries(view, page.entries()).await?,
                Err(error) => {
                    let lost = Lost {
                        key: page.key(self.archive.place()),
                        range: page.range,
                        position: None,
                    };
                    self.lose(view, &lost, error).await?
                }
            };
            if !matches!(next, Next::On) {
                return Ok(next);
            }
        }
        match self.entries(view, view.entries()).await? {
            Next::On => Ok(Next::Enough),
            next => Ok(next),
        }
    }

    fn wants(&self, range: OffsetRange, last_time: Timestamp) -> bool {
        range.end > self.at && self.time.is_none_or(|time| last_time >= time)
    }

    async fn entries(&mut self, view: &Arc<View>, entries: &[Arc<Entry>]) -> Result<Next, ArchiveError> {
        for entry in entries {
            if !self.wants(entry.range, entry.last_time) {
                continue;
            }
            let next = self.entry(view, entry).await?;
            if !matches!(next, Next::On) {
                return Ok(next);
            }
            self.at = self.at.max(entry.range.end);
        }
        Ok(Next::On)
    }

    async fn entry(&mut self, view: &Arc<View>, entry: &Arc<Entry>) -> Result<Next, ArchiveError> {
        let key = entry.key(self.archive.place());
        let lost = Lost {
            key: key.clone(),
            range: entry.range,
            position: None,
        };
        let footer = match self.archive.footer(entry).await {
            Ok(footer) => footer,
            Err(error) => return self.lose(view, &lost, error).await,
        };
        let segment = Segment::new(self.archive, entry, footer);
        let by_time = self.time.and_then(|time| segment.last_block_older_than(time));
        let mut begun = by_time.unwrap_or(0).max(segment.first_block_at(self.at));
        while begun < segment.blocks() {
            let numbers = next_blocks(&segment, begun);
            begun = numbers.end;
            let next = match segment.read(&numbers).await {
                Ok(read) => self.hand_out(&key, &segment, (read, numbers)),
                Err(error) => {
                    let lost = Lost {
                        key: key.clone(),
                        range: range_of(&segment, &numbers),
                        position: Some(segment.extent(&numbers).start),
                    };
                    self.lose(view, &lost, error.into()).await?
                }
            };
            if !matches!(next, Next::On) {
                return Ok(next);
            }
        }
        Ok(Next::On)
    }

    fn hand_out(
        &mut self,
        key: &str,
        segment: &Segment,
        (read, numbers): (Vec<Bytes>, Range<usize>),
    ) -> Next {
        let mut checked = segment.check(read, numbers.clone());
        for number in numbers {
            if let Some(flaw) = checked.flaw_of(number) {
                let finding = Finding::damage(key, flaw.reason, RESTORE).at(flaw.position);
                let range = range_of(segment, &(number..number + 1));
                if !self.taker.damaged(range, finding) {
                    return Next::Enough;
                }
            }
            let block = checked.blocks.iter().find(|(found, _)| *found == number);
            if let Some((_, block)) = block
                && !self.hand_out_block(block)
            {
                return Next::Enough;
            }
        }
        Next::On
    }

    fn hand_out_block(&mut self, block: &Block) -> bool {
        let Found::Run(run) = block.read(self.at, ALL) else {
            return true;
        };
        for batch in run.batches().map_while(Result::ok) {
            self.at = batch.header().end();
            if !self.taker.batch(&batch) {
                return false;
            }
        }
        true
    }

    /// An object is missing or damaged: goes on with a newer manifest if there is one that does without it, and tells the taker
    /// otherwise.
    async fn lose(&mut self, view: &View, lost: &Lost, error: ArchiveError) -> Result<Next, ArchiveError> {
        let is_missing = matches!(error, ArchiveError::Bucket(BucketError::NotFound { .. }));
        let is_damage = matches!(
            error,
            ArchiveError::Bucket(BucketError::Damaged { .. }) | ArchiveError::Damaged { .. }
        );
        if is_missing {
            let newer = self.archive.load().await?;
            if newer.sequence() > view.sequence() {
                return Ok(Next::Again(newer));
            }
        } else if !is_damage {
            return Err(error);
        }
        let finding = Finding::damage(&lost.key, error.to_string(), RESTORE);
        let finding = match lost.position {
            Some(position) => finding.at(position),
            None => finding,
        };
        let range = OffsetRange::new(lost.range.start.max(self.at), lost.range.end);
        if !self.taker.damaged(range, finding) {
            return Ok(Next::Enough);
        }
        self.at = self.at.max(range.end);
        Ok(Next::On)
    }
}

/// The offsets that consecutive blocks answer for.
fn range_of(segment: &Segment, numbers: &Range<usize>) -> OffsetRange {
    let entry = segment.entry().range;
    let start = segment.base_of(numbers.start).unwrap_or(entry.start);
    OffsetRange::new(start, segment.base_of(numbers.end).unwrap_or(entry.end))
}
