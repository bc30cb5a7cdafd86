//! FetchPartitionMetadata.

use tonic::Status;

/// There is no such stream, or it has no partition of this number.
pub fn partition_not_found() -> Status {
    Status::not_found("partition not found")
}

/// Another broker leads the partition.
pub fn not_leader() -> Status {
    Status::failed_precondition("The request should be sent to partition leader")
}
