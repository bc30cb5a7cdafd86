//! What every service of the broker shares.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use strandline_core::Clock;
use strandline_core::stream::CompactionDefaults;

use crate::archiving::Archives;
use crate::bus::{AckInboxes, Bus};
use crate::cursors::Cursors;
use crate::metadata::MetadataHandle;
use crate::metrics::Metrics;
use crate::partition::Stage;
use crate::plugins::Plugins;
use crate::settings::RetentionDefaults;
use crate::streams::{Opener, Streams};

/// Room in a request beyond its message: names, ids, headers of the wire.
const REQUEST_OVERHEAD_BYTES: usize = 64 << 10;

/// The parts of a running broker.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) metadata: MetadataHandle,
    pub(crate) streams: Arc<Streams>,
    pub(crate) opener: Opener,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) inboxes: Arc<AckInboxes>,
    /// Cancelled when the broker begins to stop.
    pub(crate) stopping: CancellationToken,
    /// Every task that serves a client.
    pub(crate) tasks: TaskTracker,
    pub(crate) max_message_bytes: usize,
    /// Whether it is a mount of an archive: nobody changes anything.
    pub(crate) reads_only: bool,
    /// Segment files that are kept open.
    pub(crate) max_open_files: usize,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) cursors: Cursors,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) archives: Arc<Archives>,
    /// Where plugins look at records on their way in.
    pub(crate) stage: Stage,
    /// Retention of streams that do not override it.
    pub(crate) retention: RetentionDefaults,
    /// Compaction of streams that do not override it.
    pub(crate) compaction: CompactionDefaults,
}

impl Context {
    /// Largest request that is read at all. A message that is too large for its stream is still read and refused by name.
    pub(crate) fn max_request_bytes(&self) -> usize {
        self.max_message_bytes.saturating_mul(4).max(4 << 20) + REQUEST_OVERHEAD_BYTES
    }
}
