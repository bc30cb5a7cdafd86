//! Retention over both tiers: decided from the manifest that we hold, and from nothing that is missing.

use std::sync::Arc;

use strandline_core::retention::{Retention as _, RetentionLimits};
use strandline_core::storage::SegmentSummary;
use strandline_core::{Offset, Timestamp};

use super::super::head::Gone;
use super::super::{ArchiveError, Entry, Head, Page};
use super::lag::beyond;
use super::{Archiver, Situation, Step};

/// Where the archive has to start; none when all of it stays. One step takes no more than the oldest page.
pub(super) fn archive_cut(
    head: &Head,
    oldest: Option<&Page>,
    local: &[SegmentSummary],
    (limits, now): (&RetentionLimits, Timestamp),
) -> Option<Offset> {
    let mut segments: Vec<SegmentSummary> = Vec::new();
    let kept = |entry: &&Arc<Entry>| entry.range.end > head.start;
    segments.extend(
        oldest
            .iter()
            .flat_map(|page| page.entries().iter().filter(kept).map(|entry| entry.summary())),
    );
    segments.extend(head.pages.iter().skip(1).map(|page| page.summary()));
    segments.extend(head.entries.iter().map(Entry::summary));
    let archived_to = oldest.map_or(head.end, |page| page.range().end);
    // What is not archived counts, once, and stays.
    segments.extend(beyond(local, head.end).map(|segment| SegmentSummary {
        sealed: false,
        ..segment
    }));
    let cut = limits.removable_before(&segments, now)?.min(archived_to);
    (cut > head.start).then_some(cut)
}

/// Up to where segments of the local log can be removed: the archive has them, and the limits do not ask for them, or it had them
/// and retention took them.
pub(super) fn local_cut(
    head: &Head,
    local: &[SegmentSummary],
    (limits, now): (&RetentionLimits, Timestamp),
) -> Option<Offset> {
    let is_archived = |segment: &SegmentSummary| segment.sealed && segment.range.end <= head.end;
    let shown: Vec<_> = local
        .iter()
        .map(|segment| SegmentSummary {
            sealed: is_archived(segment),
            ..*segment
        })
        .collect();
    let cut = limits
        .evictable_before(&shown, now)
        .unwrap_or(Offset::ZERO)
        .max(head.start)
        .min(head.end);
    let removes = |segment: &&SegmentSummary| segment.sealed && segment.range.end <= cut;
    local.iter().find(removes).map(|_| cut)
}

/// HEAD without what lies below the cut.
pub(super) fn trimmed(head: &Head, oldest: Option<&Page>, cut: Offset, now: Timestamp) -> Head {
    let mut next = head.clone();
    let mut gone = Vec::new();
    if let Some(page) = oldest {
        // What is borrowed is deleted by those who lent it, or not.
        let leaves = |entry: &&Arc<Entry>| {
            entry.range.end > head.start && entry.range.end <= cut && entry.place.is_none()
        };
        gone.extend(
            page.entries()
                .iter()
                .filter(leaves)
                .map(|entry| entry.name.clone()),
        );
    }
    next.entries.retain(|entry| {
        let stays = entry.range.end > cut;
        if !stays && entry.place.is_none() {
            gone.push(entry.name.clone());
        }
        stays
    });
    // No record lies in a gap: the archive starts behind it.
    let gap = next.gaps.iter().find(|gap| gap.start <= cut && cut < gap.end);
    next.start = gap.map_or(cut, |gap| gap.end);
    next.pages.retain(|page| {
        let stays = page.range.end > next.start;
        if !stays && page.place.is_none() {
            gone.push(page.name.clone());
        }
        stays
    });
    next.gaps.retain(|gap| gap.end > next.start);
    next.gone
        .extend(gone.into_iter().map(|name| Gone { name, since: now }));
    next
}

impl Archiver {
    /// Trims the archive or the local log, if the limits ask for it.
    pub(super) async fn trim(&mut self, situation: &Situation) -> Result<Option<Step>, ArchiveError> {
        let Some(held) = self.held().cloned() else {
            return Ok(None);
        };
        let (now, local) = (situation.now, self.log.segments());
        if let Some(cut) = local_cut(&held.head, &local, (&situation.local, now)) {
            let log = Arc::clone(&self.log);
            let removed = tokio::task::spawn_blocking(move || log.remove_before(cut)).await;
            let removed = removed.map_err(|error| ArchiveError::local(&error))?;
            removed.map_err(|error| ArchiveError::local(&error))?;
            return Ok(Some(Step::TrimmedLocal(cut)));
        }
        if situation.total.is_unlimited() {
            return Ok(None);
        }
        let oldest = match held.head.pages.first() {
            Some(page) => Some(self.archive.page(page).await?),
            None => None,
        };
        let limits = (&situation.total, now);
        let Some(cut) = archive_cut(&held.head, oldest.as_deref(), &local, limits) else {
            return Ok(None);
        };
        let next = trimmed(&held.head, oldest.as_deref(), cut, now);
        let start = next.start;
        let is_done = self.publish(held, next).await?;
        Ok(Some(if is_done {
            Step::TrimmedArchive(start)
        } else {
            Step::Resumed
        }))
    }
}
