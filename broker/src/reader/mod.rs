//! Reading a partition: where a subscription starts and stops, and how it follows the log.

mod backward;
mod forward;
mod plan;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use backward::BackwardReader;
pub(crate) use forward::{ForwardReader, Records};
pub(crate) use plan::{Bounds, Plan, PlanError};

use strandline_core::Offset;
use strandline_core::storage::{Fetch, ReadError};

use crate::partition::{PartitionHandle, ReadState};
use crate::plugins::NotReady;

/// What happens to a subscription whose next record was removed, by retention or by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnTrimmed {
    /// It goes on at the oldest record that is kept.
    #[default]
    Skip,
    /// It ends with an error that says so.
    Error,
}

/// Why a subscription ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadEnd {
    /// The record at the stop offset, or the last one before it, was delivered.
    #[error("stop offset reached")]
    StopReached,
    /// A reverse read has delivered the oldest record.
    #[error("start of the partition reached")]
    StartReached,
    /// Records that were to be delivered were removed, and the subscriber asked to be told.
    #[error("offset {wanted} was removed, the partition starts at offset {start}")]
    Trimmed {
        /// The next offset that was wanted.
        wanted: Offset,
        /// The oldest that is left.
        start: Offset,
    },
    /// The stream was deleted.
    #[error("stream deleted")]
    Deleted,
    /// The broker is stopping.
    #[error("broker stopping")]
    Stopping,
    /// A filter failed on a record, and its attachment says that this ends subscriptions.
    #[error("the subscription ends at offset {offset}: {reason}")]
    FilterFailed {
        /// The record's offset; those before it were delivered.
        offset: Offset,
        /// Names the plugin.
        reason: String,
    },
    /// A filter of the stream does not work, so nothing is delivered.
    #[error(transparent)]
    FilterMissing(NotReady),
    /// The log cannot be read.
    #[error(transparent)]
    Failed(ReadError),
}

impl From<ReadError> for ReadEnd {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Deleted => Self::Deleted,
            ReadError::Closed => Self::Stopping,
            other => Self::Failed(other),
        }
    }
}

/// Waits until records that are being fetched are there; then the read is to be repeated.
///
/// Cancel safety: safe; the fetch goes on.
///
/// # Errors
///
/// They cannot be had now, or the partition has no readers any more.
pub(crate) async fn fetched(partition: &PartitionHandle, fetch: Fetch) -> Result<(), ReadError> {
    let mut watch = partition.watch();
    let closed = async move {
        // It errs when the partition is no more, as good as stopping.
        let _ = watch.wait_for(|readable| readable.state != ReadState::Open).await;
    };
    tokio::select! {
        biased;
        () = closed => Err(match partition.readable().state {
            ReadState::Deleted => ReadError::Deleted,
            ReadState::Open | ReadState::Stopping => ReadError::Closed,
        }),
        outcome = fetch => Ok(outcome?),
    }
}
