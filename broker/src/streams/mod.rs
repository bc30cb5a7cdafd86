//! The streams that this broker serves: from the metadata's definition to open partitions.

mod follow;
mod keys;
mod open;
mod served;
mod stores;
mod stream;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use strandline_core::{PartitionId, StreamName};

use crate::partition::{LetterBox, PartitionHandle};

pub(crate) use keys::{KeyFailure, Keys};
pub(crate) use open::{Expect, OpenError, Opener, TAIL_CACHE_BYTES, TAIL_CACHES_BYTES, describe};
pub(crate) use served::{NotServed, check_served};
pub(crate) use stores::{Engine, REDB_DIRECTORY, SEGMENT_DIRECTORY, StoreParts, Stores};
pub(crate) use stream::{PartitionState, Stream};

/// Why there is no partition to publish to or read from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoTarget {
    /// There is no stream of this name.
    #[error("no such stream: {name}")]
    Stream {
        /// The name.
        name: String,
    },
    /// The stream has no such partition.
    #[error("no such partition: {partition}")]
    Partition {
        /// The number.
        partition: i32,
    },
    /// The server alone writes to it.
    #[error("Stream is reserved")]
    Reserved,
    /// The partition is out of service.
    #[error("partition {partition} of stream {stream} is out of service: {reason}")]
    OutOfService {
        /// The stream.
        stream: String,
        /// The partition.
        partition: i32,
        /// Why.
        reason: Arc<str>,
    },
}

impl LetterBox for Streams {
    fn find(&self, stream: &str, partition: PartitionId) -> Option<Arc<PartitionHandle>> {
        let stream = self.get(stream)?;
        // Dead letters of one partition keep their order.
        let number = partition.get() as usize % stream.partitions().len().max(1);
        stream.open_partition(number).cloned()
    }
}

/// A name as an error repeats it: statuses travel in headers, which are small.
fn shortened(name: &str) -> String {
    if name.len() <= StreamName::MAX_BYTES {
        return name.to_owned();
    }
    let end = name.floor_char_boundary(StreamName::MAX_BYTES);
    format!("{}...", name.get(..end).unwrap_or_default())
}

/// Streams by name.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    by_name: RwLock<HashMap<String, Arc<Stream>>>,
    changes: AtomicU64,
}

impl Streams {
    /// The stream of this name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Stream>> {
        self.by_name.read().get(name).cloned()
    }

    /// An open partition.
    ///
    /// # Errors
    ///
    /// Says what is missing.
    pub(crate) fn partition(&self, stream: &str, partition: i32) -> Result<Arc<PartitionHandle>, NoTarget> {
        let Some(stream) = self.get(stream) else {
            return Err(NoTarget::Stream {
                name: shortened(stream),
            });
        };
        let state = usize::try_from(partition)
            .ok()
            .and_then(|index| stream.partitions().get(index));
        match state {
            None => Err(NoTarget::Partition { partition }),
            Some(PartitionState::Open(open)) => Ok(Arc::clone(open.handle())),
            Some(PartitionState::OutOfService { reason }) => Err(NoTarget::OutOfService {
                stream: stream.name().to_string(),
                partition,
                reason: Arc::clone(reason),
            }),
        }
    }

    /// An open partition that clients may publish to.
    ///
    /// # Errors
    ///
    /// Says what is missing, or that the stream is the server's own.
    pub(crate) fn target(&self, stream: &str, partition: i32) -> Result<Arc<PartitionHandle>, NoTarget> {
        let target = self.partition(stream, partition)?;
        if target.info().stream.is_reserved() {
            return Err(NoTarget::Reserved);
        }
        Ok(target)
    }

    /// Adds a stream that is open.
    pub(crate) fn insert(&self, stream: Arc<Stream>) {
        self.by_name.write().insert(stream.name().to_string(), stream);
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Takes a stream out; whoever holds it still can go on with it.
    pub(crate) fn remove(&self, name: &str) -> Option<Arc<Stream>> {
        let stream = self.by_name.write().remove(name);
        self.changes.fetch_add(1, Ordering::Release);
        stream
    }

    /// Tells who follows the streams that settings have changed.
    pub(crate) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How often a stream was added, taken out or given other settings: who has seen the streams at this number need not
    /// look again.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// All streams, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Stream>> {
        self.by_name.read().values().cloned().collect()
    }
}
