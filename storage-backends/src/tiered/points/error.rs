//! Why a point cannot be made or removed.

use super::super::point::MAX_POINTS;
use super::super::{ArchiveError, BucketError};

/// Why there is no such point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Nothing can be called so.
    #[error(
        "{name:?} is not the name of a point: take 1 to 64 letters, digits, '.', '_' and '-', and do not begin with lent-"
    )]
    InvalidName {
        /// The name.
        name: String,
    },
    /// There is one of this name.
    #[error("{place} has a point {name} already: remove it first, or take another name")]
    Taken {
        /// Where.
        place: String,
        /// The name.
        name: String,
    },
    /// There is no room for another one.
    #[error("{place} has {MAX_POINTS} points, which is the most: remove one first")]
    TooMany {
        /// Where.
        place: String,
    },
    /// What was to be kept has left the manifest meanwhile.
    #[error("what was to be kept of {place} was removed meanwhile: try again")]
    Outdated {
        /// Where.
        place: String,
    },
}

impl From<BucketError> for PointError {
    fn from(error: BucketError) -> Self {
        ArchiveError::from(error).into()
    }
}
