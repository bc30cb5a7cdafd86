//! Identities that never come from a user: numbers for directories, partitions and brokers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Identity of one partition's log on this cluster, and the name of its directory.
///
/// Given once by the metadata log and never again, also not when a stream is deleted and created anew: what users
/// call their streams never becomes a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogId(u64);

impl LogId {
    /// The identity with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of the identity.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of a partition within its stream, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionId(u32);

impl PartitionId {
    /// The partition with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number of the partition.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identity of a broker as clients see it: opaque text without spaces or dots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BrokerId(String);

impl BrokerId {
    /// Longest identity, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Checks and wraps an identity.
    ///
    /// # Errors
    ///
    /// Empty or too long text, or one with a blank, a control character or a dot.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidBrokerId> {
        let id = id.into();
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '.';
        if id.is_empty() || id.len() > Self::MAX_BYTES || id.contains(bad) {
            return Err(InvalidBrokerId { id });
        }
        Ok(Self(id))
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that cannot be a broker's identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("broker id must be 1 to 255 bytes without blanks, control characters or dots: {id:?}")]
pub struct InvalidBrokerId {
    /// The refused text.
    pub id: String,
}
