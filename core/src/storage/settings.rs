//! What a log is told when it is created or opened.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When an append counts as done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Once fdatasync has returned: survives power loss.
    #[default]
    Fsync,
    /// Once the operating system has the bytes: survives the end of the process, not power loss.
    Os,
}

/// The storage engine that keeps a stream. It is chosen when the stream is created and stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Append-only segment files.
    #[default]
    Segment,
    /// An embedded database, one file for all of a broker's streams on it.
    Redb,
}

impl Backend {
    /// Every engine.
    pub const ALL: [Self; 2] = [Self::Segment, Self::Redb];

    /// The word by which settings choose it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Redb => "redb",
        }
    }

    /// The engine of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.name() == name)
    }
}

/// Settings of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// When an append counts as done.
    pub durability: Durability,
    /// Size in bytes at which the active segment is sealed; at least 1. A segment holds at least one batch.
    pub segment_max_bytes: u64,
    /// Age of the active segment's first record at which it is sealed by the next append or by
    /// [`Log::roll_if_due`](super::Log::roll_if_due); none = by size only.
    pub segment_max_age: Option<Duration>,
}

impl LogSettings {
    /// Liftbridge's default size of a segment.
    pub const DEFAULT_SEGMENT_MAX_BYTES: u64 = 256 << 20;
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            segment_max_bytes: Self::DEFAULT_SEGMENT_MAX_BYTES,
            segment_max_age: None,
        }
    }
}
