//! The calls of consumer groups.

use tonic::Status;

/// The request names no group.
pub fn no_id() -> Status {
    Status::invalid_argument("No groupId provided")
}

/// The request names no consumer.
pub fn no_consumer() -> Status {
    Status::invalid_argument("No consumerId provided")
}

/// A consumer joins without streams.
pub fn no_streams() -> Status {
    Status::invalid_argument("No streams provided")
}

/// A report names no coordinator.
pub fn no_coordinator() -> Status {
    Status::invalid_argument("No coordinator provided")
}

/// A consumer wants a stream that does not exist.
pub fn stream_does_not_exist() -> Status {
    Status::failed_precondition("stream does not exist")
}

/// The consumer has joined before.
pub fn already_member() -> Status {
    Status::failed_precondition("consumer is already a member of the consumer group")
}

/// Another consumer created the group at the same moment.
pub fn exists() -> Status {
    Status::failed_precondition("consumer group already exists")
}

/// There is no such group.
pub fn does_not_exist() -> Status {
    Status::not_found("consumer group does not exist")
}

/// The consumer is not in the group.
pub fn not_member() -> Status {
    Status::failed_precondition("consumer is not a member of the consumer group")
}

/// Another broker coordinates the group.
pub fn not_coordinator() -> Status {
    Status::failed_precondition("broker is not the consumer group coordinator")
}

/// The consumer knows another generation of the group.
pub fn other_epoch() -> Status {
    Status::failed_precondition("client-provided group epoch differs from broker group epoch")
}

/// There is no other broker that could coordinate the group.
pub fn no_candidates() -> Status {
    Status::failed_precondition("No group coordinator candidates")
}
