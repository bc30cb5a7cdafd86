//! Reads a partition from newest to oldest, once.

use std::sync::Arc;

use strandline_core::Offset;
use strandline_core::record::Batch;
use strandline_core::storage::{Log, ReadError};

use super::plan::Plan;
use super::{ReadEnd, fetched};
use crate::partition::{PartitionHandle, ReadState};

/// A position that moves towards the start of the log.
#[derive(Debug)]
pub(crate) struct BackwardReader {
    partition: Arc<PartitionHandle>,
    /// Everything from here on has been delivered.
    before: Offset,
    /// The last offset to deliver.
    stop: Offset,
}

impl BackwardReader {
    /// Starts at the plan's start or, above it, at the newest committed record.
    pub(crate) fn new(partition: Arc<PartitionHandle>, plan: Plan) -> Self {
        let before = plan.start.plus(1).min(partition.readable().end);
        Self {
            partition,
            before,
            stop: plan.stop.unwrap_or(Offset::ZERO),
        }
    }

    /// The next batch. Its records from the second value on, and before the first, are to be delivered, newest first.
    ///
    /// Cancel safety: a cancelled call delivers its records again next time.
    ///
    /// # Errors
    ///
    /// The subscription is over.
    pub(crate) async fn next(&mut self) -> Result<(Batch, Offset, Offset), ReadEnd> {
        loop {
            self.check()?;
            let (partition, before) = (Arc::clone(&self.partition), self.before);
            let read = tokio::task::spawn_blocking(move || read_before(&partition, before));
            match read.await.unwrap_or(Err(ReadError::Closed)) {
                Ok(Some(batch)) => {
                    self.before = batch.header().base;
                    return Ok((batch, before, self.stop));
                }
                Ok(None) | Err(ReadError::Trimmed { .. }) => return Err(ReadEnd::StartReached),
                Err(ReadError::Fetching(fetch)) => fetched(&self.partition, fetch).await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether there is more to read.
    fn check(&self) -> Result<(), ReadEnd> {
        match self.partition.readable().state {
            ReadState::Open => {}
            ReadState::Deleted => return Err(ReadEnd::Deleted),
            ReadState::Stopping => return Err(ReadEnd::Stopping),
        }
        if self.before > self.stop {
            return Ok(());
        }
        Err(if self.stop == Offset::ZERO {
            ReadEnd::StartReached
        } else {
            ReadEnd::StopReached
        })
    }
}

/// The batch of the last record before this offset, unpacked.
fn read_before(partition: &PartitionHandle, before: Offset) -> Result<Option<Batch>, ReadError> {
    let Some(batch) = partition.log().read_before(before)? else {
        return Ok(None);
    };
    Ok(Some(partition.info().packing.unpacker().unpack(&batch)?))
}
