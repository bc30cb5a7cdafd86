//! The log of one partition.

use std::fmt;

use bytes::Bytes;

use super::{AppendError, Commit, LogSettings, ReadError, StorageError};
use crate::record::{Batch, BatchIter};
use crate::{LeaderEpoch, LogId, Offset, OffsetRange, Timestamp};

/// What this broker is for a partition. Tiering and compaction act on leaders only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes writes from publishers.
    Leader,
    /// Takes batches from the leader.
    Follower,
}

/// How far a read may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// Batches that begin at or after this offset are left out. A batch that begins before it comes whole: cutting
    /// inside a batch is the reader's business. One at or below the offset that is read from may leave out everything.
    pub end: Offset,
    /// Stop before the batch that would make the run longer than this. The first batch always comes.
    pub max_bytes: usize,
}

/// Whole batches that follow one another, as they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The batches, one after another. Checked: their checksums are right.
    pub bytes: Bytes,
    /// Where to read on: the end of the last batch, or the asked offset when there is none.
    pub next: Offset,
}

impl Run {
    /// The batches of the run.
    pub fn batches(&self) -> BatchIter {
        BatchIter::new(self.bytes.clone())
    }
}

/// The answer to "where did this epoch end".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch of the log that is not above the asked one.
    pub epoch: LeaderEpoch,
    /// Where the next epoch of the log begins, or the log's end: no record of the epoch lies there or later.
    pub end: Offset,
}

/// One sealed unit of a log, or its active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Identity within the log: the base offset that the segment was created with.
    pub id: Offset,
    /// From its first record to its end. Empty for an active segment without records.
    pub range: OffsetRange,
    /// Records in it. Less than the range is long where compaction left gaps.
    pub records: u64,
    /// Bytes of batches in it.
    pub bytes: u64,
    /// Time of its first record, if there is one.
    pub first_time: Option<Timestamp>,
    /// Time of its last record, if there is one.
    pub last_time: Option<Timestamp>,
    /// Whether it takes no more appends.
    pub sealed: bool,
}

/// The batches of one partition.
///
/// # To be correct an implementation keeps these
///
/// - Accepted batches are readable when `append` returns, in the order of the appends, byte for byte.
/// - A [`Commit`] resolves with success only when its batches and all before them would survive what the log's
///   durability promises. A sync that began before an append never resolves that append's handle.
/// - After a failed sync, or a failed write that cannot be taken back, every pending and later handle fails and `append`
///   answers [`AppendError::Poisoned`] until the log is opened again.
/// - What `start`, `end` and `durable_end` say never goes back, except by `truncate` and `reset`.
/// - After a crash, `open` gives a log that holds everything up to some point that is not before `durable_end`.
pub trait Log: fmt::Debug + Send + Sync {
    /// The id that the log was created with.
    fn id(&self) -> LogId;

    /// The settings in force.
    fn settings(&self) -> LogSettings;

    /// Changes the settings; they hold from the next append on.
    ///
    /// # Errors
    ///
    /// [`StorageError::Unsupported`] when the backend cannot do what they ask for.
    fn set_settings(&self, settings: &LogSettings) -> Result<(), StorageError>;

    /// First offset that can be read; equal to `end` when there is none. Offsets below were removed. A gap before the first
    /// batch of an empty log does not move it.
    fn start(&self) -> Offset;

    /// The offset that the next record gets at the least (LEO).
    fn end(&self) -> Offset;

    /// Everything below this offset is durable.
    fn durable_end(&self) -> Offset;

    /// Time of the newest record; none when the log never had one or forgot it by removal.
    fn last_time(&self) -> Option<Timestamp>;

    /// Appends batches at the end, in order, and returns once they are accepted. They are not durable before the handle
    /// resolves, which needs a [`Store::sync`](super::Store::sync) unless the durability is `os`. No batches: the
    /// handle is that of the appends before.
    ///
    /// The first batch starts at `end` or, after compaction on a leader, later; epochs do not fall.
    ///
    /// # Errors
    ///
    /// Nothing of the batches is in the log, and what was there is unharmed. [`AppendError::Full`] and
    /// [`AppendError::Busy`] can be tried again.
    fn append(&self, batches: &[Batch]) -> Result<Commit, AppendError>;

    /// Reads whole batches from the one that holds `from`, or the next one after a gap, on. `from == end` gives an
    /// empty run. A run may be shorter than its limits allow, but is empty only if nothing follows within them.
    ///
    /// # Errors
    ///
    /// [`ReadError::Trimmed`] below the start, [`ReadError::BeyondEnd`] above the end, [`ReadError::Damaged`] when a
    /// checksum is wrong: the damaged bytes are not handed out. A log whose older records are in an archive answers
    /// [`ReadError::Fetching`] where they have to be fetched first, and [`ReadError::Unreachable`] when they cannot be.
    fn read(&self, from: Offset, limit: ReadLimit) -> Result<Run, ReadError>;

    /// Reads the one batch that holds the last record before `before`; none at the start of the log.
    ///
    /// # Errors
    ///
    /// As [`Log::read`].
    fn read_before(&self, before: Offset) -> Result<Option<Batch>, ReadError>;

    /// Offset of the first record at or after a point in time; `end` when there is none. Right as long as times do not
    /// fall along the log. Of a packed batch that holds the record it is the offset that the batch begins with: logs do not
    /// look into packed payloads, so the rest of the search is the caller's.
    ///
    /// # Errors
    ///
    /// As [`Log::read`].
    fn offset_at(&self, time: Timestamp) -> Result<Offset, ReadError>;

    /// The epoch of the last batch; none when the log is empty and was never told one.
    fn last_epoch(&self) -> Option<LeaderEpoch>;

    /// The largest epoch not above `epoch`, and where it ended; none when all epochs of the log are above.
    fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd>;

    /// Removes everything from `end` on. Durable when it returns. An `end` at or after the log's does nothing. Where compaction
    /// has taken out the records before `end`, the log may end as early as behind the last one that it keeps; epochs that began
    /// at or after its end are forgotten. The handles of appends that it removes and that were not durable fail. A crash
    /// meanwhile leaves the log as it was, cut at `end`, or cut anywhere between.
    ///
    /// # Errors
    ///
    /// [`StorageError::Invalid`] inside a batch or below the start; or the disk failed.
    fn truncate(&self, end: Offset) -> Result<(), StorageError>;

    /// Removes everything and continues at `offset`. Durable when it returns. Handles fail as in [`Log::truncate`]. A crash
    /// meanwhile leaves the log as it was or the new one.
    ///
    /// # Errors
    ///
    /// The disk failed.
    fn reset(&self, offset: Offset) -> Result<(), StorageError>;

    /// All segments in order; the last one is active. There is always one.
    fn segments(&self) -> Vec<SegmentSummary>;

    /// Seals the active segment if it has records, so that retention, compaction and archive can take it.
    ///
    /// # Errors
    ///
    /// The disk failed.
    fn roll(&self) -> Result<(), StorageError>;

    /// Seals the active segment if the settings say that it is too old at this time. Cheap when it is not.
    ///
    /// # Errors
    ///
    /// The disk failed.
    fn roll_if_due(&self, now: Timestamp) -> Result<(), StorageError>;

    /// Removes sealed segments that end at or before `offset`, oldest first. Readers in them go on with what they hold
    /// and then see [`ReadError::Trimmed`]. Removing nothing is no error.
    ///
    /// # Errors
    ///
    /// The disk failed; leading segments may be gone, never one in the middle.
    fn remove_before(&self, offset: Offset) -> Result<(), StorageError>;

    /// Replaces the sealed segments that `range` covers exactly by one that holds `batches`, whose offsets lie in the
    /// range and keep their order. Epochs stay as they are, also those whose records are gone. A crash leaves the old ones
    /// or the new one.
    ///
    /// May run beside appends, rolls and removals, which do not wait for the batches: they may come slowly, and may be read
    /// from this very log.
    ///
    /// # Errors
    ///
    /// In all cases the old ones are in place: [`StorageError::Invalid`] when `range` is not exactly sealed segments or a
    /// batch lies outside; [`StorageError::Changed`] when they were removed meanwhile; the first error that comes instead of
    /// a batch; or the disk failed.
    fn replace_sealed(
        &self,
        range: OffsetRange,
        batches: &mut dyn Iterator<Item = Result<Batch, StorageError>>,
    ) -> Result<(), StorageError>;

    /// Tells the log what this broker is for its partition, in which epoch, and below which offset all is committed.
    fn set_role(&self, role: Role, epoch: LeaderEpoch, committed_end: Offset);

    /// Makes everything durable and refuses appends and reads from now on.
    ///
    /// # Errors
    ///
    /// The last sync failed.
    fn close(&self) -> Result<(), StorageError>;
}
