//! Archiving the next sealed segment.

use strandline_core::storage::SegmentSummary;
use strandline_core::{Offset, OffsetRange};

use super::super::object::{Source, write_segment};
use super::super::{ArchiveError, Entry, Head, Upload};
use super::{Archiver, Situation, Step};

/// What to archive next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The local log starts behind the archive's end.
    Skip(OffsetRange),
    /// Up to the end of a sealed segment. It may begin earlier, when this log was cut elsewhere than the one before.
    Segment(OffsetRange),
    Nothing,
}

/// Decides from the local log. Only what is sealed and committed is archived.
fn next(archived_to: Offset, local_start: Offset, local: &[SegmentSummary], committed: Offset) -> Next {
    if local_start > archived_to {
        let gap = OffsetRange::new(archived_to, local_start);
        return if gap.end <= committed {
            Next::Skip(gap)
        } else {
            Next::Nothing
        };
    }
    // What compaction has emptied goes with the next one that has records.
    let wanted = local
        .iter()
        .take_while(|segment| segment.sealed && segment.range.end <= committed)
        .find(|segment| segment.range.end > archived_to && segment.records > 0);
    wanted.map_or(Next::Nothing, |segment| {
        Next::Segment(OffsetRange::new(archived_to, segment.range.end))
    })
}

/// HEAD with one more gap.
fn skipping(head: &Head, gap: OffsetRange) -> Head {
    let mut next = head.clone();
    next.end = gap.end;
    if next.start == head.end {
        // The archive is empty: it starts behind the gap.
        next.start = gap.end;
        next.gaps.clear();
        return next;
    }
    match next.gaps.last_mut().filter(|last| last.end == gap.start) {
        Some(last) => last.end = gap.end,
        None => next.gaps.push(gap),
    }
    next
}

/// About how long the object of a range becomes.
fn length_of(local: &[SegmentSummary], range: OffsetRange) -> u64 {
    let within = local
        .iter()
        .filter(|segment| segment.range.end > range.start && segment.range.end <= range.end);
    within.map(|segment| segment.bytes).sum()
}

impl Archiver {
    /// Archives the next segment, or records that there is a gap.
    pub(super) async fn upload(&mut self, situation: &Situation) -> Result<Option<Step>, ArchiveError> {
        let Some(held) = self.held().cloned() else {
            return Ok(None);
        };
        let archived_to = held.head.end;
        if archived_to > self.log.end() {
            return Err(ArchiveError::Behind {
                local: self.log.end(),
                archived: archived_to,
            });
        }
        let (start, local) = (self.log.start(), self.log.segments());
        match next(archived_to, start, &local, situation.committed) {
            Next::Nothing => Ok(None),
            Next::Skip(gap) => {
                let next = skipping(&held.head, gap);
                let is_done = self.publish(held, next).await?;
                Ok(Some(if is_done {
                    Step::Skipped(gap)
                } else {
                    Step::Resumed
                }))
            }
            Next::Segment(range) => {
                let Some(entry) = self.upload_range(range).await? else {
                    return Ok(None);
                };
                let mut next = held.head.clone();
                next.end = range.end;
                next.entries.push(entry.clone());
                let is_done = self.publish(held, next).await?;
                Ok(Some(if is_done {
                    Step::Uploaded(entry)
                } else {
                    Step::Resumed
                }))
            }
        }
    }

    /// Writes the object; none when compaction has emptied the range meanwhile.
    async fn upload_range(&self, range: OffsetRange) -> Result<Option<Entry>, ArchiveError> {
        let name = Entry::new_name(range, self.settings.epoch)?;
        let key = self.archive.place().key(&name);
        let mut upload: Upload = self
            .archive
            .bucket()
            .upload_in_parts(&key, self.settings.part_bytes)
            .expecting(length_of(&self.log.segments(), range));
        let source = Source {
            log: &self.log,
            range,
            throttle: &self.settings.throttle,
        };
        let totals = match write_segment(&mut upload, &source).await {
            Ok(Some(totals)) => totals,
            Ok(None) => return Ok(None),
            Err(error) => {
                upload.abort().await;
                return Err(error);
            }
        };
        let length = upload.finish().await?;
        let entry = Entry::of(name, range, totals);
        entry.check_length(&key, length)?;
        Ok(Some(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: u64, end: u64, sealed: bool) -> SegmentSummary {
        SegmentSummary {
            id: Offset::new(start),
            range: range(start, end),
            records: end - start,
            bytes: end - start,
            first_time: None,
            last_time: None,
            sealed,
        }
    }

    fn range(start: u64, end: u64) -> OffsetRange {
        OffsetRange::new(Offset::new(start), Offset::new(end))
    }

    fn decide(archived_to: u64, local: &[SegmentSummary], committed: u64) -> Next {
        next(
            Offset::new(archived_to),
            local[0].range.start,
            local,
            Offset::new(committed),
        )
    }

    #[test]
    fn only_sealed_and_committed_segments_are_archived() {
        let local = [
            segment(0, 10, true),
            segment(10, 20, true),
            segment(20, 25, false),
        ];
        assert_eq!(decide(0, &local, 25), Next::Segment(range(0, 10)));
        assert_eq!(decide(10, &local, 25), Next::Segment(range(10, 20)));
        assert_eq!(decide(10, &local, 19), Next::Nothing);
        assert_eq!(decide(20, &local, 25), Next::Nothing);
    }

    #[test]
    fn a_log_that_was_cut_elsewhere_goes_on_inside_its_segment() {
        let local = [segment(0, 15, true), segment(15, 20, false)];
        assert_eq!(decide(10, &local, 20), Next::Segment(range(10, 15)));
    }

    #[test]
    fn what_the_log_has_lost_is_a_gap_once_it_is_committed() {
        let local = [segment(30, 40, true), segment(40, 40, false)];
        assert_eq!(decide(10, &local, 40), Next::Skip(range(10, 30)));
        assert_eq!(decide(10, &local, 20), Next::Nothing);
    }

    #[test]
    fn a_segment_that_compaction_has_emptied_goes_with_the_next_one() {
        let mut local = [
            segment(0, 10, true),
            segment(10, 20, true),
            segment(20, 20, false),
        ];
        local[0].records = 0;
        assert_eq!(decide(0, &local, 20), Next::Segment(range(0, 20)));
        local[1].records = 0;
        assert_eq!(decide(0, &local, 20), Next::Nothing);
    }
}
