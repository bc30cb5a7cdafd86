//! What points keep from being deleted.

use std::collections::HashSet;

use super::super::{ArchiveError, Head, points};
use super::Archiver;

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
}
