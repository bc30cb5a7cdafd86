//! Points: states of a manifest that are kept.

use serde::{Deserialize, Serialize};
use strandline_core::{Offset, Timestamp};

use super::entry::is_name;
use super::{Head, Place};

/// Most points of a partition, those that others borrow by included.
pub const MAX_POINTS: usize = 64;
/// Longest name of a point.
const MAX_NAME_BYTES: usize = 64;
/// What the names of points begin with by which others borrow.
const LENT: &str = "lent-";

/// What HEAD says of a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointRef {
    /// What it is called; no two points of a HEAD share a name.
    pub name: String,
    /// Name of its document within the place, `points/…`.
    pub object: String,
    /// Number of the state that is kept.
    pub sequence: u64,
    /// First offset of that state.
    pub start: Offset,
    /// First offset that is not in it.
    pub end: Offset,
    /// When it was registered.
    pub since: Timestamp,
}

impl PointRef {
    /// What names of documents begin with.
    pub(super) const DIRECTORY: &str = "points/";

    /// Whether the parts can be true together.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub(super) fn check(&self) -> Result<(), String> {
        if !is_point_name(&self.name) {
            return Err(format!("{:?} is not the name of a point", self.name));
        }
        if !is_name(&self.object, Self::DIRECTORY) {
            return Err(format!("point {:?}: {:?} is no document", self.name, self.object));
        }
        if self.start > self.end || self.end > Offset::MAX {
            return Err(format!("point {:?}: start and end contradict", self.name));
        }
        Ok(())
    }

    /// Whether another place borrows by it.
    pub fn is_lent(&self) -> bool {
        self.name.starts_with(LENT)
    }
}

/// What somebody borrows from a place, as the borrower's HEAD says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Borrowed {
    /// The place, as it is shown.
    pub place: String,
    /// Name of the point there that keeps it.
    pub point: String,
}

impl Borrowed {
    pub(super) fn check(&self) -> Result<(), String> {
        if Place::parse(&self.place).is_none() || !is_point_name(&self.point) {
            return Err(format!(
                "it borrows from {:?} by the point {:?}, which cannot be",
                self.place, self.point
            ));
        }
        Ok(())
    }
}

/// From which places an archive borrows, and by which points there: who removes the archive removes these points then.
pub fn lent_points(head: &Head) -> Vec<(Place, String)> {
    let borrowed = head.borrowed.iter();
    borrowed
        .filter_map(|borrowed| Some((Place::parse(&borrowed.place)?, borrowed.point.clone())))
        .collect()
}

/// Whether a point can be called this: 1 to 64 ASCII letters, digits, `.`, `_` and `-`.
pub fn is_point_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_plain) && name != "." && name != ".."
}

/// Whether people may call a point this: one that nobody borrows by.
pub fn is_free_point_name(name: &str) -> bool {
    is_point_name(name) && !name.starts_with(LENT)
}

/// The name of a point by which somebody borrows.
pub(super) fn lent_name(nonce: &str) -> String {
    format!("{LENT}{nonce}")
}

/// A point as it is stored: HEAD as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PointDocument {
    /// What it is called.
    pub(super) name: String,
    /// The state, without what it had to delete and without its points.
    pub(super) head: Head,
}

impl PointDocument {
    pub(super) const KIND: &str = "point";

    /// The state of a document, if it is the one that HEAD means.
    ///
    /// # Errors
    ///
    /// What contradicts HEAD, or itself.
    pub(super) fn into_head(self, point: &PointRef, place: &Place) -> Result<Head, String> {
        let head = self.head;
        if head.place != place.root || head.partition != place.partition {
            return Err(format!("it belongs to {}/{}", head.place, head.partition));
        }
        head.check()?;
        if (head.sequence, head.start, head.end) != (point.sequence, point.start, point.end) {
            return Err("it is not the state that HEAD says it is".to_owned());
        }
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_points_lead_nowhere_else() {
        for name in ["a", "2026-01-31", "before_upgrade.2", &"x".repeat(64)] {
            assert!(is_free_point_name(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a b", "ü", &"x".repeat(65)] {
            assert!(!is_point_name(name), "{name}");
        }
        assert!(!is_free_point_name("lent-1") && is_point_name(&lent_name("0a")));
    }
}
