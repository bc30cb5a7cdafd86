//! Positions in a partition.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Position of a record in a partition, from 0; also used for exclusive ends (LEO, HW).
///
/// The wire's inclusive, -1-based values are converted in `strandline-proto` and nowhere else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(u64);

impl Offset {
    /// The first position of every partition.
    pub const ZERO: Self = Self(0);
    /// The largest position that the wire can name.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// The position with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of the position.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position `count` further on, held at the largest number instead of wrapping.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// The position before this one, if there is one.
    pub const fn before(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// How many positions lie from `earlier` up to this one; 0 when `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A half-open range of positions: `start` belongs to it, `end` does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OffsetRange {
    /// First position of the range.
    pub start: Offset,
    /// First position after the range.
    pub end: Offset,
}

impl OffsetRange {
    /// The range from `start` up to, not including, `end`.
    pub const fn new(start: Offset, end: Offset) -> Self {
        Self { start, end }
    }

    /// Whether no position lies in the range.
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Whether the range holds this position.
    pub fn contains(&self, offset: Offset) -> bool {
        self.start <= offset && offset < self.end
    }
}

impl fmt::Display for OffsetRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}
