//! What an off-line look at a store finds. The look itself is each engine's: `segment::check` and `redb::check`.
//!
//! Nothing is changed and nothing opened for writing. Memory is bounded by one batch and the index of one segment.

mod contents;
mod piece;

use std::path::PathBuf;

use strandline_core::record::Batch;
use strandline_core::{LogId, OffsetRange};

pub(crate) use contents::Contents;
pub(crate) use piece::header_fields;
pub use piece::{Field, Piece};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing that was acknowledged is touched: the next start of a broker removes it, builds it anew or leaves it alone.
    Harmless,
    /// What was stored is not there as it was, or cannot be told to be.
    Damage,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, or the directory that lacks one.
    pub file: PathBuf,
    /// Where in the file; none = all of it.
    pub position: Option<u64>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub advice: &'static str,
}

impl Finding {
    /// Damage of a file.
    pub fn damage(file: impl Into<PathBuf>, problem: impl Into<String>, advice: &'static str) -> Self {
        Self {
            file: file.into(),
            position: None,
            severity: Severity::Damage,
            problem: problem.into(),
            advice,
        }
    }

    /// Something that does no harm.
    pub fn harmless(file: impl Into<PathBuf>, problem: impl Into<String>, advice: &'static str) -> Self {
        Self {
            severity: Severity::Harmless,
            ..Self::damage(file, problem, advice)
        }
    }

    /// At this position.
    #[must_use]
    pub fn at(self, position: u64) -> Self {
        Self {
            position: Some(position),
            ..self
        }
    }
}

/// Who has a store looked at.
pub trait Inspector {
    /// What follows is about this log.
    fn turn_to(&mut self, log: LogId);

    /// The plain form of a packed batch; none when there is no key for it.
    ///
    /// # Errors
    ///
    /// Says why it does not unpack.
    fn unpack(&mut self, batch: &Batch) -> Result<Option<Batch>, String>;

    /// So many more bytes were read.
    fn read(&mut self, bytes: u64);

    /// Something is not as it should be.
    fn found(&mut self, finding: Finding);
}

/// What a log holds, as far as it can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogTotals {
    /// From its first offset to the one behind its last.
    pub range: OffsetRange,
    /// Segments.
    pub segments: u64,
    /// Batches whose checksum is right.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Those of the batches that could not be looked into, for want of a key.
    pub locked: u64,
}

/// What to do about damage that nothing but a copy or a repair helps with.
pub const RESTORE: &str =
    "restore the data directory from a backup, or give the records up with `strandline storage repair`";
/// What to do about damage that nothing but a copy helps with.
pub const RESTORE_ONLY: &str = "restore the data directory from a backup";
/// What to do about a file of a later version.
pub const NEWER: &str = "start the version that wrote it; nothing of it was checked";
/// What to do about a cache.
pub const REBUILT: &str = "nothing: it is built anew when it is needed";
/// What to do about what a start removes.
pub const REMOVED: &str = "nothing: the next start of the broker removes it";
/// What to do about what is none of ours.
pub const LEFT_ALONE: &str = "nothing: the broker leaves it alone; remove it if it is not yours";
/// What to do when the disk fails.
pub const UNREADABLE: &str = "look at the disk (`dmesg`) and at the owner and permissions, then check again";
