//! Cursors: positions that consumers store.
//!
//! A cursor is a record of the internal stream `__cursors`, which nobody but this module writes to; its newest record
//! counts, and compaction removes the others. What was stored or looked up last is kept in a bounded cache, so that the
//! log is read only for cursors that are not in it.

mod cache;
mod key;
mod scan;
mod stream;
mod walk;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use strandline_core::LogId;
use strandline_core::record::Fields;
use strandline_core::storage::ReadError;
use strandline_core::stream::{AckPolicy, ExpectedOffset};

use crate::context::Context;
use crate::metrics::Door as Arrival;
use crate::partition::{Answer, CallAck, ChunkRoom, Delivery, Origin, PartitionHandle, Reject};
use crate::streams::NoTarget;

use cache::{CursorCache, Found, Stored};
pub(crate) use key::{CursorKey, InvalidKey, stored_cursor};
pub(crate) use stream::{STREAM, prepare_stream};
pub(crate) use walk::walk;

/// Cursors that are kept in memory, of all partitions together; somewhat more than twice as many at times.
const CACHE_MAX_CURSORS: usize = 65_536;
/// Least share of one partition.
const CACHE_MIN_CURSORS: usize = 64;
/// How long storing a cursor may take; Liftbridge's.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// The cursors of this broker.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    partitions: Mutex<HashMap<LogId, Arc<PartitionCursors>>>,
    /// What another cluster has stored, where its cursors are served.
    mounted: Mutex<Option<MountedCursors>>,
}

/// Positions by stream, partition and id.
pub(crate) type MountedCursors = HashMap<(String, i32, String), i64>;

/// What is known of one partition of `__cursors`.
#[derive(Debug)]
pub(super) struct PartitionCursors {
    cache: Mutex<CursorCache>,
    /// Held by whoever reads the log: what he finds serves the others, too.
    scanning: Mutex<()>,
}

/// Why a cursor could not be stored or looked up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CursorError {
    /// The server keeps no cursors.
    #[error("cursors stream does not exist")]
    Off,
    /// The cursor's partition is out of service.
    #[error(transparent)]
    NoTarget(NoTarget),
    /// The partition refused the record.
    #[error("cursor was not stored: {0}")]
    Refused(Reject),
    /// The partition did not answer in time; the cursor may be stored.
    #[error("cursor was not stored in time")]
    Timeout,
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The broker is stopping.
    #[error("the broker is stopping")]
    Stopping,
}

/// Stores a cursor; durable and committed when this returns.
///
/// Cancel safety: the cursor may be stored.
///
/// # Errors
///
/// After [`CursorError::Timeout`] it may be stored, else it is not.
pub(crate) async fn set(context: &Context, key: &CursorKey, position: i64) -> Result<(), CursorError> {
    let partition = partition(context, key)?;
    let (ack, answered) = CallAck::new();
    let now = context.clock.now();
    let mut chunk = partition
        .new_chunk(Origin::Call(ack), now, ChunkRoom::default())
        .through(Arrival::GrpcCall);
    let (record_key, value) = (key.record_key(), key.record_value(position));
    let subject = partition.info().subject();
    let fields = Fields {
        key: Some(&record_key),
        value: &value,
        subject: &subject,
        reply: "",
    };
    let delivery = Delivery {
        policy: AckPolicy::All,
        expected: ExpectedOffset::Any,
        answer: Answer::Origin,
        ..Delivery::default()
    };
    chunk.push(&fields, std::iter::empty(), &delivery);
    let known = context.cursors.of(context, &partition);
    // Whoever called may be gone before the record is stored; the cache must hear of it all the same.
    let storing = context.tasks.spawn(async move {
        partition.push(chunk).await;
        let ack = answered.await.map_err(|_| CursorError::Stopping)?;
        let stored = ack.outcome.map_err(CursorError::Refused)?;
        // No filter is attached to the server's own streams.
        let record = stored.ok_or(CursorError::Refused(Reject::PluginFailed))?;
        known.cache.lock().note(&record_key, Stored { record, position });
        Ok(())
    });
    match tokio::time::timeout(STORE_TIMEOUT, storing).await {
        Ok(stored) => stored.unwrap_or(Err(CursorError::Stopping)),
        Err(_) => Err(CursorError::Timeout),
    }
}

/// The position that was stored last; none if none was.
///
/// Cancel safety: safe.
///
/// # Errors
///
/// The server keeps no cursors, or the log cannot be read.
pub(crate) async fn fetch(context: &Context, key: &CursorKey) -> Result<Option<i64>, CursorError> {
    if let Some(mounted) = &*context.cursors.mounted.lock() {
        let key = (key.stream().to_owned(), key.partition(), key.id().to_owned());
        return Ok(mounted.get(&key).copied());
    }
    let partition = partition(context, key)?;
    let known = context.cursors.of(context, &partition);
    let record_key = key.record_key();
    if let Found::Known(position) = known.cache.lock().find(&record_key) {
        return Ok(position);
    }
    let look = move || scan::look_up(&partition, &known, &record_key);
    let found = tokio::task::spawn_blocking(look).await;
    Ok(found.map_err(|_| CursorError::Stopping)??)
}

fn partition(context: &Context, key: &CursorKey) -> Result<Arc<PartitionHandle>, CursorError> {
    let stream = context.streams.get(STREAM).ok_or(CursorError::Off)?;
    let number = key.partition_of(stream.partitions().len());
    context
        .streams
        .partition(STREAM, number)
        .map_err(CursorError::NoTarget)
}

impl Cursors {
    /// Answers with these from now on, whatever is stored here.
    pub(crate) fn mount(&self, cursors: MountedCursors) {
        *self.mounted.lock() = Some(cursors);
    }

    fn of(&self, context: &Context, partition: &PartitionHandle) -> Arc<PartitionCursors> {
        let new = || {
            let partitions = context.streams.get(STREAM);
            let partitions = partitions.map_or(1, |stream| stream.partitions().len()).max(1);
            let capacity = (CACHE_MAX_CURSORS / partitions).max(CACHE_MIN_CURSORS);
            Arc::new(PartitionCursors::with_capacity(capacity))
        };
        let mut known = self.partitions.lock();
        Arc::clone(known.entry(partition.info().log).or_insert_with(new))
    }
}

impl PartitionCursors {
    fn with_capacity(cursors: usize) -> Self {
        Self {
            cache: Mutex::new(CursorCache::new(cursors)),
            scanning: Mutex::default(),
        }
    }
}
