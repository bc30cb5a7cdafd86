//! Where a stream is archived: its place in the bucket, given once and never again.
//!
//! The order keeps "nothing was archived yet" and "the bucket was emptied" apart, whatever crashes:
//!
//! 1. [`Command::BeginArchive`](super::Command::BeginArchive) records the place;
//! 2. the leader of a partition creates its HEAD in the bucket, only if there is none;
//! 3. [`Command::ArchivesMade`](super::Command::ArchivesMade) records that the HEAD was there;
//! 4. only then is a first segment uploaded.
//!
//! [`Command::RenewArchive`](super::Command::RenewArchive) begins at 1 again, in another place, when somebody has said that what
//! was archived is lost.
//!
//! So a HEAD that is missing is a new one as long as 3 is not recorded, since nothing can have been archived, and is a
//! loss from then on. After a crash between 2 and 3 the HEAD that is found says who made it and lists nothing.

use std::fmt;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::ClusterId;
use crate::{LogId, StreamName, Timestamp};

/// Numbers from here on are those of places that borrow: drawn, not those of logs.
const FIRST_DRAWN: u64 = 1 << 63;

/// A stream's place in the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivePlace {
    /// Its objects' names begin with this, below the prefix of the bucket.
    pub root: PlaceRoot,
    /// When it was given.
    pub since: Timestamp,
}

/// What names of a stream's objects begin with: `<cluster id>/<stream>.<log of its first partition>`. No two streams ever
/// share one, also not one that is created under the name of another, since no log is given twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlaceRoot(String);

impl PlaceRoot {
    /// Longest root, in bytes: object stores take 1024 for a whole name.
    pub const MAX_BYTES: usize = 512;
    /// Longest part of it that a stream's name makes up, in bytes: file systems take 255 for a name. What is cut off is for
    /// people only; the number behind it is what tells streams apart.
    const NAME_MAX_BYTES: usize = 200;

    /// The root of a stream with this name whose first partition has this log.
    pub fn of(cluster: &ClusterId, name: &StreamName, first: LogId) -> Self {
        Self(format!("{cluster}/{}.{first}", escaped(name.as_str())))
    }

    /// The root of a stream with this name that begins with what it borrows from another place. `drawn` is any number that was
    /// drawn at random: no log has the one that stands in the root.
    pub fn drawn(cluster: &ClusterId, name: &StreamName, drawn: u64) -> Self {
        Self::of(cluster, name, LogId::new(drawn | FIRST_DRAWN))
    }

    /// Whether the number in it was drawn.
    pub fn is_drawn(&self) -> bool {
        let number = self.0.rsplit_once('.').map(|(_, number)| number);
        let number: Option<u64> = number.and_then(|number| number.parse().ok());
        number.is_some_and(|number| number >= FIRST_DRAWN)
    }

    /// The root of a stream that gives up the one that it had. `number` is one that no log has or gets, so that it is no
    /// stream's root of [`PlaceRoot::of`] either, whatever that is called.
    pub fn anew(cluster: &ClusterId, name: &StreamName, first: LogId, number: LogId) -> Self {
        Self(format!("{}.{number}", Self::of(cluster, name, first)))
    }

    /// Checks and wraps a root.
    ///
    /// # Errors
    ///
    /// Text that is not two parts of ASCII letters, digits, `.`, `_`, `-` and `%`, or is too long.
    pub fn new(root: impl Into<String>) -> Result<Self, InvalidPlace> {
        let root = root.into();
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-%".contains(&byte);
        let is_part = |part: &str| !part.is_empty() && part.bytes().all(good) && !part.contains("..");
        let parts = root.split_once('/');
        let is_root = parts.is_some_and(|(cluster, stream)| is_part(cluster) && is_part(stream));
        if !is_root || root.len() > Self::MAX_BYTES {
            return Err(InvalidPlace { root });
        }
        Ok(Self(root))
    }

    /// The root as text, without a `/` at its ends.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlaceRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for PlaceRoot {
    type Error = InvalidPlace;

    fn try_from(root: String) -> Result<Self, InvalidPlace> {
        Self::new(root)
    }
}

impl From<PlaceRoot> for String {
    fn from(root: PlaceRoot) -> Self {
        root.0
    }
}

/// A text that cannot be a place in the archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a place in the archive is CLUSTER/STREAM.NUMBER of letters, digits, '.', '_', '-' and '%': {root:?}"
)]
pub struct InvalidPlace {
    /// The refused text.
    pub root: String,
}

/// The name with everything but plain characters as `%` and two hexadecimal digits, cut where it gets long.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        // Room for one more of the longest.
        if text.len() + 3 > PlaceRoot::NAME_MAX_BYTES {
            break;
        }
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    // A name that ends in a dot would make two of them with the one that follows.
    if let Some(rest) = text.strip_suffix('.') {
        text = format!("{rest}%2E");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(name: &str) -> String {
        let cluster = ClusterId::new("c-1").unwrap();
        let root = PlaceRoot::of(&cluster, &StreamName::new(name).unwrap(), LogId::new(7));
        assert_eq!(PlaceRoot::new(root.as_str()), Ok(root.clone()));
        root.into()
    }

    #[test]
    fn plain_names_stand_in_the_place_as_they_are_and_others_escaped() {
        assert_eq!(root("orders"), "c-1/orders.7");
        assert_eq!(root("a b%ü"), "c-1/a%20b%25%C3%BC.7");
        assert_eq!(root("ends."), "c-1/ends%2E.7");
    }

    #[test]
    fn a_number_that_was_drawn_is_not_one_of_a_log() {
        let (cluster, name) = (ClusterId::new("c-1").unwrap(), StreamName::new("orders").unwrap());
        let drawn = PlaceRoot::drawn(&cluster, &name, 5);
        assert_eq!(drawn.as_str(), "c-1/orders.9223372036854775813");
        assert!(drawn.is_drawn() && PlaceRoot::new(drawn.as_str()).is_ok());
        assert!(!PlaceRoot::of(&cluster, &name, LogId::new(5)).is_drawn());
        assert!(!PlaceRoot::new("c/orders").unwrap().is_drawn());
    }

    #[test]
    fn the_longest_name_makes_a_part_that_file_systems_take() {
        let root = root(&"ü".repeat(127));
        let (_, part) = root.split_once('/').unwrap();
        assert!(part.len() <= 255 && part.ends_with(".7"), "{part}");
    }

    #[test]
    fn a_stream_that_begins_anew_has_a_place_of_its_own() {
        let (cluster, name) = (ClusterId::new("c-1").unwrap(), StreamName::new("orders").unwrap());
        let root = PlaceRoot::anew(&cluster, &name, LogId::new(7), LogId::new(12));
        assert_eq!(root.as_str(), "c-1/orders.7.12");
        assert_eq!(PlaceRoot::new(root.as_str()), Ok(root));
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_place() {
        for text in ["", "a", "a/", "/a", "a/b/c", "a/..", "../b", "a/b c", "a/b\\c"] {
            assert!(PlaceRoot::new(text).is_err(), "{text}");
        }
        assert!(PlaceRoot::new(format!("a/{}", "b".repeat(PlaceRoot::MAX_BYTES))).is_err());
    }
}
