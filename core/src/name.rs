//! Names of streams, checked once where they enter.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a stream, unique in its cluster.
///
/// Names are for people and clients; they never become paths (see [`LogId`](crate::LogId)). They are still kept to
/// what every tool can show and every path-minded client expects: no control characters, no separators.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamName(String);

impl StreamName {
    /// Longest name, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Checks and wraps a name.
    ///
    /// # Errors
    ///
    /// Says which rule the name breaks.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        if name.is_empty() {
            return Err(InvalidName::Empty);
        }
        if name.len() > Self::MAX_BYTES {
            return Err(InvalidName::TooLong { bytes: name.len() });
        }
        if let Some(character) = name.chars().find(|c| c.is_control() || matches!(c, '/' | '\\')) {
            return Err(InvalidName::Character { name, character });
        }
        if name == "." || name.contains("..") {
            return Err(InvalidName::PathLike { name });
        }
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the server keeps this name for a stream of its own.
    pub fn is_reserved(&self) -> bool {
        matches!(self.as_str(), "__activity" | "__cursors")
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::borrow::Borrow<str> for StreamName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for StreamName {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl From<StreamName> for String {
    fn from(name: StreamName) -> Self {
        name.0
    }
}

/// Why a text cannot name a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// There is no text.
    #[error("stream name cannot be empty")]
    Empty,
    /// The text is over [`StreamName::MAX_BYTES`].
    #[error("stream name is longer than {max} bytes: {bytes} bytes", max = StreamName::MAX_BYTES)]
    TooLong {
        /// Length of the refused text.
        bytes: usize,
    },
    /// The text holds a separator or a control character.
    #[error("stream name must not contain {character:?}: {name:?}")]
    Character {
        /// The refused text.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// The text reads like a way through directories.
    #[error("stream name must not look like a path: {name:?}")]
    PathLike {
        /// The refused text.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_taken_as_they_are() {
        for name in ["foo", "foo.bar", "orders-2026", "__cursors", "ä ö", "a b"] {
            assert_eq!(StreamName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_look_like_paths_are_refused() {
        for name in ["", ".", "..", "../x", "a/b", "a\\b", "a\0b", "a\nb", "a..b"] {
            assert!(StreamName::new(name).is_err(), "{name:?}");
        }
        assert!(StreamName::new("x".repeat(256)).is_err());
    }
}
