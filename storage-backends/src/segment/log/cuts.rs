//! Truncations and resets, as appends that wait for a sync and readers see them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use strandline_core::Offset;
use strandline_core::storage::ReadError;

use super::SegmentLog;

/// Appends that wait for a sync: a cut fails the handles of those that it cuts off, and none of them may move the durable
/// end any more.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    /// Of the appends since the last cut.
    pub(super) current: Arc<LowestCut>,
    /// Of those before it that still wait.
    earlier: Vec<Weak<LowestCut>>,
}

/// The lowest offset to which the log was cut after some appends.
#[derive(Debug)]
pub(in super::super) struct LowestCut(AtomicU64);

/// Stands for "not cut" in [`LowestCut`].
const NEVER: u64 = u64::MAX;

impl Default for LowestCut {
    fn default() -> Self {
        Self(AtomicU64::new(NEVER))
    }
}

impl LowestCut {
    /// The offset, none if the log was not cut.
    pub(super) fn get(&self) -> Option<Offset> {
        let lowest = self.0.load(Ordering::Acquire);
        (lowest != NEVER).then_some(Offset::new(lowest))
    }
}

impl Cuts {
    /// Takes note that everything from `kept` on is cut off.
    pub(super) fn cut(&mut self, kept: Offset) {
        let before = std::mem::take(&mut self.current);
        self.earlier.push(Arc::downgrade(&before));
        drop(before);
        self.earlier.retain(|earlier| {
            let Some(earlier) = earlier.upgrade() else {
                return false;
            };
            earlier.0.fetch_min(kept.get(), Ordering::AcqRel);
            true
        });
    }
}

/// Held while the log is being cut.
#[derive(Debug)]
pub(super) struct Cutting<'a>(&'a AtomicU64);

impl Drop for Cutting<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl SegmentLog {
    /// Tells readers that the files that they read are cut from now on. The writer is the caller's.
    pub(super) fn begin_cutting(&self) -> Cutting<'_> {
        self.cutting.fetch_add(1, Ordering::AcqRel);
        Cutting(&self.cutting)
    }

    /// Looks something up, and once more with nothing going on if the log was cut meanwhile: a file that is being cut looks
    /// like damage.
    pub(super) fn undisturbed<T>(&self, look: impl Fn() -> Result<T, ReadError>) -> Result<T, ReadError> {
        let cuts = self.cutting.load(Ordering::Acquire);
        let result = look();
        let was_cut = cuts % 2 == 1 || self.cutting.load(Ordering::Acquire) != cuts;
        if was_cut {
            let _writer = self.writer.lock();
            return look();
        }
        result
    }
}
