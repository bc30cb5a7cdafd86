//! Reading archived segments from end to end, past the caches: what is compacted is not what readers want next.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;

use strandline_core::Offset;
use strandline_core::storage::{Damage, ReadError, ReadLimit, Run};

use super::{ArchiveSegments, Failure};
use crate::tiered::reads::{Block, Found, Segment};
use crate::tiered::{self, ArchiveError, Entry};

impl ArchiveSegments<'_> {
    /// As [`Log::read`](strandline_core::storage::Log::read).
    pub(super) fn read_objects(&self, from: Offset, limit: ReadLimit) -> Result<Run, ReadError> {
        let view = self.view().ok_or(ReadError::Closed)?;
        if from < view.start() {
            return Err(ReadError::Trimmed { start: view.start() });
        }
        let mut at = from;
        while at < limit.end.min(view.end()) {
            let found = match view.find(at) {
                Some(tiered::Found::Page(page)) => {
                    let page = self.ask(async { self.archive.page(&page).await });
                    page.ok_or_else(|| self.stopped())?.find(at)
                }
                found => found,
            };
            match found {
                Some(tiered::Found::Entry(entry)) => match self.read_segment(&entry, at, limit)? {
                    Some(run) => return Ok(run),
                    None => at = entry.range.end,
                },
                Some(tiered::Found::Gap(gap)) => at = gap.end,
                Some(tiered::Found::Page(_)) | None => break,
            }
        }
        Ok(Run {
            next: from,
            ..Run::default()
        })
    }

    /// What a segment has for a read; none when nothing follows in it within the limits.
    fn read_segment(
        &self,
        entry: &Arc<Entry>,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Option<Run>, ReadError> {
        let footer = self.ask(async { self.archive.footer(entry).await });
        let segment = Segment::new(&self.archive, entry, footer.ok_or_else(|| self.stopped())?);
        let mut first = segment.first_block_at(from);
        while segment.base_of(first).is_some_and(|base| base < limit.end) {
            let numbers = first..last_block(&segment, first, limit);
            first = numbers.end;
            let (mut bytes, mut next) = (BytesMut::new(), from);
            for block in self.blocks(&segment, numbers)? {
                let all = ReadLimit {
                    end: limit.end,
                    max_bytes: usize::MAX,
                };
                match block.read(next, all) {
                    Found::Run(run) => {
                        bytes.extend_from_slice(&run.bytes);
                        next = run.next;
                    }
                    Found::Past => {}
                    Found::Over => break,
                }
            }
            if !bytes.is_empty() {
                let bytes = bytes.freeze();
                return Ok(Some(Run { bytes, next }));
            }
        }
        Ok(None)
    }

    /// Consecutive blocks. What is wrong is fetched once more.
    fn blocks(&self, segment: &Segment, numbers: Range<usize>) -> Result<Vec<Arc<Block>>, ReadError> {
        let key = segment.entry().key(self.archive.place());
        let mut flaw = None;
        for _ in 0..2 {
            let read = self.ask(async { segment.read(&numbers).await.map_err(ArchiveError::from) });
            let read = read.ok_or_else(|| self.stopped())?;
            let mut checked = segment.check(read, numbers.clone());
            match checked.flaws.pop() {
                None => return Ok(checked.into_blocks()),
                Some((_, damage)) => flaw = Some(damage),
            }
        }
        let damage: Damage = flaw.ok_or(ReadError::Closed)?;
        self.fail(Failure::Archive(ArchiveError::Damaged {
            key,
            reason: format!("at byte {}: {}", damage.position, damage.reason),
        }));
        Err(damage.into())
    }

    /// What a read says that something has ended; what it was is told by [`outcome`](Self::outcome).
    fn stopped(&self) -> ReadError {
        ReadError::Io(io::Error::other("the archive cannot be read now"))
    }
}

/// The block behind those that one request reads: as many as the limit takes, at least one.
fn last_block(segment: &Segment, first: usize, limit: ReadLimit) -> usize {
    let mut end = first + 1;
    while end < segment.blocks()
        && segment.bytes(&(first..end + 1)) <= limit.max_bytes as u64
        && segment.base_of(end).is_some_and(|base| base < limit.end)
    {
        end += 1;
    }
    end
}
