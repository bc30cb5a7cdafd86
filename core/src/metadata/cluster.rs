//! The identity of a cluster.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Identity of a cluster: drawn at its first start and never changed, so that brokers, archives and data directories
/// of different clusters cannot be taken for each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterId(String);

impl ClusterId {
    /// Longest identity, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// Checks and wraps an identity.
    ///
    /// # Errors
    ///
    /// Empty or too long text, or a character that is not an ASCII letter, a digit, `-` or `_`.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidClusterId> {
        let id = id.into();
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if id.is_empty() || id.len() > Self::MAX_BYTES || !id.bytes().all(good) {
            return Err(InvalidClusterId { id });
        }
        Ok(Self(id))
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for ClusterId {
    type Error = InvalidClusterId;

    fn try_from(id: String) -> Result<Self, InvalidClusterId> {
        Self::new(id)
    }
}

impl From<ClusterId> for String {
    fn from(id: ClusterId) -> Self {
        id.0
    }
}

/// A text that cannot be a cluster's identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cluster id must be 1 to 64 ASCII letters, digits, - or _: {id:?}")]
pub struct InvalidClusterId {
    /// The refused text.
    pub id: String,
}
