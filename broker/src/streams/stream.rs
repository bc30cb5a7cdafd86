//! One stream with its partitions.

use std::sync::Arc;

use strandline_core::StreamName;

use crate::bus::Subscription;
use crate::partition::PartitionHandle;

/// A stream that this broker serves.
#[derive(Debug)]
pub(crate) struct Stream {
    name: StreamName,
    partitions: Vec<PartitionState>,
}

/// One partition of a stream.
#[derive(Debug)]
pub(crate) enum PartitionState {
    /// It takes messages and serves readers.
    Open(OpenPartition),
    /// It does neither. Its data is left as it is.
    OutOfService {
        /// Why, with file and position where data is damaged.
        reason: Arc<str>,
    },
}

/// A partition and what keeps it on the bus.
#[derive(Debug)]
pub(crate) struct OpenPartition {
    handle: Arc<PartitionHandle>,
    // Held for its drop; none = nothing comes over the bus.
    _subscription: Option<Box<dyn Subscription>>,
}

impl OpenPartition {
    pub(super) fn new(handle: Arc<PartitionHandle>, subscription: Option<Box<dyn Subscription>>) -> Self {
        Self {
            handle,
            _subscription: subscription,
        }
    }

    pub(crate) fn handle(&self) -> &Arc<PartitionHandle> {
        &self.handle
    }
}

impl Stream {
    pub(super) fn new(name: StreamName, partitions: Vec<PartitionState>) -> Self {
        Self { name, partitions }
    }

    /// A stream with so many partitions, none of which is served.
    pub(crate) fn out_of_service(name: StreamName, partitions: usize, reason: &str) -> Self {
        let reason: Arc<str> = reason.into();
        let state = || PartitionState::OutOfService {
            reason: Arc::clone(&reason),
        };
        Self::new(name, std::iter::repeat_with(state).take(partitions).collect())
    }

    pub(crate) fn name(&self) -> &StreamName {
        &self.name
    }

    /// Partitions by number.
    pub(crate) fn partitions(&self) -> &[PartitionState] {
        &self.partitions
    }

    /// The handle of the partition with this number, if it is open.
    pub(crate) fn open_partition(&self, number: usize) -> Option<&Arc<PartitionHandle>> {
        match self.partitions.get(number)? {
            PartitionState::Open(open) => Some(open.handle()),
            PartitionState::OutOfService { .. } => None,
        }
    }

    /// The handles of the partitions that are open.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Arc<PartitionHandle>> {
        self.partitions.iter().filter_map(|state| match state {
            PartitionState::Open(open) => Some(open.handle()),
            PartitionState::OutOfService { .. } => None,
        })
    }

    /// Why a partition is out of service, if one is.
    pub(crate) fn first_failure(&self) -> Option<&str> {
        self.partitions.iter().find_map(|state| match state {
            PartitionState::Open(_) => None,
            PartitionState::OutOfService { reason } => Some(reason.as_ref()),
        })
    }
}
