//! Subscribe: before the first message and at the end.

use std::fmt::Display;

use tonic::Status;

use crate::convert::UnknownPosition;

/// A group is named without the consumer's own id.
pub fn consumer_id_needed() -> Status {
    Status::invalid_argument("Consumer id cannot be empty when group id is provided")
}

/// There is no such stream, or it has no partition of this number.
pub fn no_such_partition() -> Status {
    Status::not_found("No such partition")
}

/// Another broker leads the partition. Clients look up the leader and try again.
pub fn not_leader() -> Status {
    Status::failed_precondition("Server not partition leader")
}

/// A group member wants to read from a replica that does not lead.
pub fn group_on_replica() -> Status {
    Status::invalid_argument("Consumer groups not compatible with ReadISRReplica")
}

/// A paused partition could not be resumed.
pub fn resume_failed(reason: &dyn Display) -> Status {
    Status::internal(format!("Failed to resume stream: {reason}"))
}

/// A member of a later group epoch holds the partition.
pub fn not_assigned() -> Status {
    Status::failed_precondition("Consumer is not currently assigned this partition")
}

/// The request's start or stop position is none that is known.
pub fn unknown_position(error: &UnknownPosition) -> Status {
    Status::invalid_argument(error.to_string())
}

/// The subscription is to end at the newest message and there is none.
pub fn empty() -> Status {
    Status::resource_exhausted("Stream is empty")
}

/// The subscription would end before it begins. Both are inclusive offsets.
pub fn stop_before_start(stop: i64, start: i64) -> Status {
    Status::invalid_argument(format!("Stop offset is before start offset: {stop} < {start}"))
}

/// There is no message at the wanted time.
pub fn no_offset_for_time(reason: &dyn Display) -> Status {
    Status::internal(format!("Failed to lookup offset for timestamp: {reason}"))
}

/// The partition could not be read.
pub fn reader_failed(reason: &dyn Display) -> Status {
    Status::internal(format!("Failed to create stream reader: {reason}"))
}

/// The subscription has delivered what it was to deliver.
pub fn stop_reached() -> Status {
    Status::resource_exhausted("Stop offset reached")
}

/// The partition is read-only and everything is delivered.
pub fn readonly_end() -> Status {
    Status::resource_exhausted("End of readonly partition")
}

/// A reverse subscription has delivered the oldest message.
pub fn start_reached() -> Status {
    Status::unknown("EOF")
}

/// The stream was deleted.
pub fn deleted() -> Status {
    Status::not_found("commit log was deleted")
}

/// The partition was paused.
pub fn paused() -> Status {
    Status::failed_precondition("commit log was closed")
}

/// The partition was closed for a reason that is not the clients' business.
pub fn closed() -> Status {
    Status::internal("commit log was closed")
}
