//! The generation of a partition's leadership.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Generation of a partition's leadership, taken from the metadata log; every batch carries it.
///
/// Epochs of one partition never go back. Zero is the epoch of a partition that never had a leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaderEpoch(u64);

impl LeaderEpoch {
    /// The epoch before any leadership.
    pub const ZERO: Self = Self(0);

    /// The epoch with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of the epoch.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
