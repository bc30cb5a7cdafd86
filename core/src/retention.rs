//! Which leading segments of a log may go.

use std::time::Duration;

use crate::storage::SegmentSummary;
use crate::{Offset, Timestamp};

/// Limits of one partition's log; none = no limit of that kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionLimits {
    /// Bytes of batches to keep.
    pub max_bytes: Option<u64>,
    /// Records to keep.
    pub max_records: Option<u64>,
    /// Age of the newest record of a segment at which the segment may go.
    pub max_age: Option<Duration>,
}

/// Decides what retention removes.
///
/// The decision is a pure function of what it is shown, and only ever names a leading run of sealed segments: data is
/// removed because a limit says so, never because something is missing.
pub trait Retention: Send + Sync {
    /// The offset up to which leading segments may be removed; none when all stay. `segments` are in order with the
    /// active one last, as [`Log::segments`](crate::storage::Log::segments) gives them.
    fn removable_before(&self, segments: &[SegmentSummary], now: Timestamp) -> Option<Offset>;
}
