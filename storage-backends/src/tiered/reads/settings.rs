//! What reading archives may cost.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use strandline_core::disk::Disk;

/// Limits of [`ArchiveReads`](super::ArchiveReads).
#[derive(Clone, Debug)]
pub struct ReadSettings {
    /// Bytes of blocks that are kept in memory, of all partitions together; at least 8 MiB are.
    pub memory_bytes: usize,
    /// Where blocks are kept on the disk, too; none = nowhere.
    pub disk: Option<DiskSettings>,
    /// How long a reader waits for one fetch before it is told that the archive does not answer.
    pub deadline: Duration,
    /// Bytes of blocks that are fetched at a time, in memory beside those that are kept; at least two requests are. A request is
    /// of up to 8 MiB, or a quarter of `memory_bytes` if that is less.
    pub fetching_bytes: usize,
}

/// A cache on the disk.
#[derive(Clone, Debug)]
pub struct DiskSettings {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// A directory that nothing else uses: files in it that are not the cache's are removed. It is made if it is not there; its
    /// parent is.
    pub directory: PathBuf,
    /// Bytes that its files may have together.
    pub max_bytes: u64,
}

impl ReadSettings {
    /// Size of the memory when nothing else is said.
    pub const DEFAULT_MEMORY_BYTES: usize = 32 << 20;
    /// The deadline when nothing else is said.
    pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
    /// Least size of the memory: a fetch has to find room in it.
    const MIN_MEMORY_BYTES: usize = 8 << 20;
    /// Bytes that are fetched at a time, at the most.
    const MAX_FETCHING_BYTES: usize = 32 << 20;
    /// Largest request.
    const MAX_REQUEST_BYTES: u64 = 8 << 20;

    /// Limits that keep to so many bytes of memory together: half of them, up to 32 MiB, for what is fetched at the moment.
    #[must_use]
    pub fn within(self, bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let fetching_bytes = (bytes / 2).min(Self::MAX_FETCHING_BYTES);
        Self {
            memory_bytes: bytes - fetching_bytes,
            fetching_bytes,
            ..self
        }
    }

    /// Size of the memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes.max(Self::MIN_MEMORY_BYTES)
    }

    /// Bytes that one request asks for at the most, unless a block is larger. Small memory is not to be turned over by a few
    /// requests.
    pub(super) fn request_bytes(&self) -> u64 {
        (self.memory_bytes() as u64 / 4).min(Self::MAX_REQUEST_BYTES)
    }

    /// Permits that there are for what is fetched at a time. Half of them are kept for readers that wait.
    pub(super) fn permits(&self) -> u32 {
        permits_for(self.fetching_bytes as u64).max(2 * permits_for(self.request_bytes()))
    }

    /// Permits that a request for so many bytes takes.
    pub(super) fn permits_of(&self, bytes: u64) -> u32 {
        permits_for(bytes).min(self.permits())
    }
}

impl Default for ReadSettings {
    fn default() -> Self {
        Self {
            memory_bytes: Self::DEFAULT_MEMORY_BYTES,
            disk: None,
            deadline: Self::DEFAULT_DEADLINE,
            fetching_bytes: Self::MAX_FETCHING_BYTES,
        }
    }
}

/// One for each MiB, part of one included.
fn permits_for(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 20))
        .unwrap_or(u32::MAX >> 4)
        .max(1)
}
