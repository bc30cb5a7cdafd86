//! Segments as readers and the writer share them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

use super::files::SegmentId;
use super::index::Index;
use super::state::Content;

/// The segment that is appended to.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) id: SegmentId,
    pub(super) index: RwLock<Index>,
    written: AtomicU64,
    durable: AtomicU64,
}

impl Active {
    /// A segment that is durable and complete up to `bytes`.
    pub(super) fn new(id: SegmentId, index: Index, bytes: u64) -> Arc<Self> {
        let index = RwLock::new(index);
        Arc::new(Self {
            id,
            index,
            written: AtomicU64::new(bytes),
            durable: AtomicU64::new(bytes),
        })
    }

    /// Bytes that can be read.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(super) fn set_written(&self, bytes: u64) {
        self.written.store(bytes, Ordering::Release);
    }

    /// Bytes that are durable.
    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(super) fn advance_durable(&self, bytes: u64) {
        self.durable.fetch_max(bytes, Ordering::AcqRel);
    }

    pub(super) fn path(&self, directory: &Path) -> PathBuf {
        directory.join(self.id.data_file())
    }
}

/// A segment that never changes. Its index is read when it is first needed.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) id: SegmentId,
    pub(super) content: Content,
    pub(super) index: OnceLock<Index>,
}

impl Sealed {
    pub(super) fn new(id: SegmentId, content: Content) -> Arc<Self> {
        Arc::new(Self {
            id,
            content,
            index: OnceLock::new(),
        })
    }
}

/// All segments of a log at one moment; sealed ones in order.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) sealed: Arc<[Arc<Sealed>]>,
    pub(super) active: Arc<Active>,
}
