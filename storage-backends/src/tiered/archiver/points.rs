//! What points keep from being deleted, and noticing that others make and remove them.

use std::collections::HashSet;
use std::time::Duration;

use strandline_core::Timestamp;

use super::super::{ArchiveError, Head, View, points};
use super::Archiver;

/// HEAD with points is not read more often than this to find out whether they are still there.
const LEAST_PAUSE: Duration = Duration::from_mins(1);

impl Archiver {
    /// The names of all objects of this place that points of HEAD lead to. Asks the bucket for each point and for each page of it.
    ///
    /// # Errors
    ///
    /// Something of a point is missing or damaged: what it holds is not known then, and nothing must be deleted before the point is
    /// removed.
    pub(super) async fn held_by_points(&self, head: &Head) -> Result<HashSet<String>, ArchiveError> {
        points::held(&self.archive, head).await
    }

    /// Finds out whether points were made or removed since HEAD was read, which the next replacement would find anyway: a partition
    /// to which nothing is written any more has to let go of what a point has held, too. Costs a request when HEAD is known to have
    /// changed, and every grace time as long as there are points.
    ///
    /// # Errors
    ///
    /// HEAD cannot be read, or is not ours any more.
    pub(super) async fn look_for_others(&mut self, now: Timestamp) -> Result<bool, ArchiveError> {
        let Some(held) = self.held() else {
            return Ok(false);
        };
        let known = held.head.sequence;
        let seen = self.archive.view().as_deref().map_or(0, View::sequence);
        let pause = self.settings.grace.max(LEAST_PAUSE);
        let is_time = !held.head.points.is_empty() && now.since(self.looked) >= pause;
        if seen <= known && !is_time {
            return Ok(false);
        }
        self.recheck().await?;
        self.looked = now;
        Ok(self.held().is_some_and(|held| held.head.sequence != known))
    }
}
