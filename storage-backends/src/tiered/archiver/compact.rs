//! Compaction by key of what is archived: the requests that change the manifest, and what is remembered of it there.

use std::sync::Arc;

use strandline_core::compaction::{self, Progress};
use strandline_core::storage::Log;
use strandline_core::{Offset, Timestamp};

use super::super::head::{Tombstones, Waiting};
use super::super::{ArchiveError, Entry, Head, Page, PageRef, PartitionArchive};
use super::swap::{Swap, Swapped};
use super::{Archiver, ArchiverSettings, Held};

/// How often a change is decided anew when HEAD had moved.
const TRIES: u32 = 4;
/// Pages that one swap writes at the most; a name is drawn for each before.
const MOST_PAGES: usize = 64;

/// What a pass over the archive has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Pass {
    /// Below it each key has one record.
    pub(in super::super) compacted: Offset,
    /// Whether tombstones may be in what it covered.
    pub(in super::super) has_tombstones: bool,
    /// Tombstones below this have left.
    pub(in super::super) left: Option<Offset>,
}

impl Tombstones {
    /// What the archive knows of its compaction, as the decisions want it.
    pub(in super::super) fn progress(&self, compacted: Offset) -> Progress {
        Progress {
            clean_end: compacted,
            waiting: self.waiting.map(|waiting| compaction::Waiting {
                before: waiting.before,
                since: waiting.since,
            }),
            newer_tombstones: self.newer,
        }
    }

    /// What is known after a pass.
    ///
    /// The grace time of tombstones begins once no reader can meet an older record of their keys: also not on the disk here,
    /// where they lie as long as the local log has not been cut. So it begins for those below the local start only.
    pub(in super::super) fn after(&self, pass: &Pass, local_start: Offset, now: Timestamp) -> Self {
        let mut next = *self;
        next.newer |= pass.has_tombstones;
        if let Some(left) = pass.left {
            next.left = next.left.max(left);
            next.waiting = next.waiting.filter(|waiting| waiting.before > left);
        }
        next.begun(pass.compacted, local_start, now)
            .unwrap_or_else(|unchanged| unchanged)
    }

    /// With a grace time that begins now, if there is reason to; otherwise as it was.
    pub(in super::super) fn begun(
        self,
        compacted: Offset,
        local_start: Offset,
        now: Timestamp,
    ) -> Result<Self, Self> {
        let before = compacted.min(local_start);
        if self.waiting.is_some() || !self.newer || before <= self.left {
            return Err(self);
        }
        Ok(Self {
            waiting: Some(Waiting { before, since: now }),
            newer: before < compacted,
            ..self
        })
    }
}

impl Archiver {
    /// What readers share.
    pub(in super::super) fn archive(&self) -> &Arc<PartitionArchive> {
        &self.archive
    }

    /// The local log.
    pub(in super::super) fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// What it was told once.
    pub(in super::super) fn settings(&self) -> &ArchiverSettings {
        &self.settings
    }

    /// Puts what is left of segments in their place, at once for all readers; the old objects go after the grace time. The new
    /// object is there. False when the segments are not there any more: nothing was changed then.
    ///
    /// Cancel safety: as [`Archiver::step`].
    pub(in super::super) async fn swap(
        &mut self,
        old: &[Arc<Entry>],
        new: Option<&Entry>,
        now: Timestamp,
    ) -> Result<bool, ArchiveError> {
        let swap = Swap { old, new, now };
        for _ in 0..TRIES {
            let held = self.surely_held().await?;
            let mut pages = Vec::new();
            for page in held.head.pages.get(swap.pages(&held.head)).unwrap_or_default() {
                pages.push(self.archive.page(page).await?);
            }
            let Some(swapped) = self.swapped(&swap, &held.head, &pages)? else {
                return Ok(false);
            };
            for (name, entries) in swapped.pages {
                self.write_page(&name, entries).await?;
            }
            if self.publish(held, swapped.head).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn swapped(
        &self,
        swap: &Swap<'_>,
        head: &Head,
        pages: &[Arc<Page>],
    ) -> Result<Option<Swapped>, ArchiveError> {
        let sequence = head.sequence.saturating_add(1);
        let mut names = Vec::new();
        if !pages.is_empty() {
            for _ in 0..MOST_PAGES {
                names.push(PageRef::new_name(sequence)?);
            }
        }
        Ok(swap.apply(head, pages, || names.pop().unwrap_or_default()))
    }

    /// Records how far the archive is compacted.
    ///
    /// Cancel safety: as [`Archiver::step`].
    pub(in super::super) async fn remember_compaction(
        &mut self,
        compacted: Offset,
        decide: impl Fn(&Tombstones) -> Tombstones,
    ) -> Result<(), ArchiveError> {
        for _ in 0..TRIES {
            let held = self.surely_held().await?;
            let next = Head {
                compacted: compacted.max(held.head.compacted).min(held.head.end),
                tombstones: decide(&held.head.tombstones),
                ..held.head.clone()
            };
            if next == held.head || self.publish(held, next).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// HEAD that is ours; the answer to a write that was lost is looked up first.
    async fn surely_held(&mut self) -> Result<Held, ArchiveError> {
        self.recheck_if_in_doubt().await?;
        let held = self.held().cloned();
        held.ok_or_else(|| {
            let reason = "it was not claimed yet".to_owned();
            ArchiveError::Local { reason }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO.plus(Duration::from_secs(seconds))
    }

    fn offset(number: u64) -> Offset {
        Offset::new(number)
    }

    fn pass(compacted: u64, left: Option<u64>) -> Pass {
        Pass {
            compacted: offset(compacted),
            has_tombstones: true,
            left: left.map(offset),
        }
    }

    #[test]
    fn tombstones_wait_from_when_what_they_removed_has_left_the_disk_too() {
        let none = Tombstones::default();
        let after = none.after(&pass(50, None), offset(0), at(1));
        assert_eq!(
            (after.waiting, after.newer),
            (None, true),
            "all of it is on the disk"
        );
        assert_eq!(after.begun(offset(50), offset(0), at(2)), Err(after));
        let begun = after.begun(offset(50), offset(30), at(2)).unwrap();
        let expected = Waiting {
            before: offset(30),
            since: at(2),
        };
        assert_eq!((begun.waiting, begun.newer), (Some(expected), true));
        assert_eq!(begun.begun(offset(50), offset(50), at(3)), Err(begun), "it runs");
        let gone = none.after(&pass(50, None), offset(70), at(1));
        assert_eq!(gone.waiting.unwrap().before, offset(50));
        assert!(!gone.newer);
    }

    #[test]
    fn those_that_have_left_do_not_wait_again() {
        let known = Tombstones {
            waiting: Some(Waiting {
                before: offset(30),
                since: at(1),
            }),
            newer: true,
            left: offset(0),
        };
        let kept = known.after(&pass(60, None), offset(30), at(5));
        assert_eq!(kept.waiting, known.waiting, "not due yet");
        let after = known.after(&pass(60, Some(30)), offset(30), at(9));
        assert_eq!((after.waiting, after.newer, after.left), (None, true, offset(30)));
        assert_eq!(after.begun(offset(60), offset(30), at(10)), Err(after));
        let next = after.begun(offset(60), offset(60), at(10)).unwrap();
        assert_eq!((next.waiting.unwrap().before, next.newer), (offset(60), false));
    }
}
