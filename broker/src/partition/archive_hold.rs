//! What an archive keeps others from doing to the segments of a partition.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use strandline_core::Offset;

/// What an archive keeps others from doing to a partition's segments. Without an archive it keeps them from nothing.
#[derive(Debug, Default)]
pub(crate) struct ArchiveHold {
    turn: Mutex<()>,
    removes: AtomicBool,
    floor: AtomicU64,
}

impl ArchiveHold {
    /// Held by whoever archives or compacts segments: what is archived must have the ends that the manifest says. Held for
    /// long at times, by threads that may block only.
    pub(crate) fn turn(&self) -> &Mutex<()> {
        &self.turn
    }

    /// Whether local segments are removed by who archives them, and by nobody else: it alone knows what is archived.
    pub(crate) fn removes_segments(&self) -> bool {
        self.removes.load(Ordering::Acquire)
    }

    /// The first offset that compaction may touch: what lies below is archived, or may be.
    pub(crate) fn floor(&self) -> Offset {
        Offset::new(self.floor.load(Ordering::Acquire))
    }

    /// Whether the partition has an archive, which goes on holding what compaction takes out of the log.
    pub(crate) fn is_archived(&self) -> bool {
        self.floor() > Offset::ZERO || self.removes_segments()
    }

    pub(crate) fn set_removes_segments(&self, removes: bool) {
        self.removes.store(removes, Ordering::Release);
    }

    pub(crate) fn set_floor(&self, floor: Offset) {
        self.floor.store(floor.get(), Ordering::Release);
    }
}
