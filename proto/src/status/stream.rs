//! CreateStream, DeleteStream, PauseStream and SetStreamReadonly.

use std::fmt::Display;

use tonic::Status;

use crate::convert::NegativeSetting;

/// The stream has no name.
pub fn name_empty() -> Status {
    Status::invalid_argument("Name cannot be empty")
}

/// The name breaks a rule.
pub fn name_invalid(reason: &dyn Display) -> Status {
    Status::invalid_argument(format!("Name is invalid: {reason}"))
}

/// The subject breaks a rule.
pub fn subject_invalid(reason: &dyn Display) -> Status {
    Status::invalid_argument(format!("Subject is invalid: {reason}"))
}

/// The load-balance group breaks a rule.
pub fn group_invalid(reason: &dyn Display) -> Status {
    Status::invalid_argument(format!("Group is invalid: {reason}"))
}

/// The server keeps the stream for itself.
pub fn reserved() -> Status {
    Status::invalid_argument("Stream is reserved")
}

/// A setting is out of its range.
pub fn negative_setting(error: &NegativeSetting) -> Status {
    Status::invalid_argument(error.to_string())
}

/// The stream is to have no partitions, or too many.
pub fn partitions_invalid(partitions: i32, max: u32) -> Status {
    Status::invalid_argument(format!(
        "Invalid partitions {partitions}, a stream has 1 to {max}"
    ))
}

/// The stream is to have less than one copy.
pub fn replication_factor_invalid(factor: i32) -> Status {
    Status::invalid_argument(format!("Invalid replicationFactor {factor}"))
}

/// The stream is to have more copies than there are brokers.
pub fn replication_factor_too_large(factor: u32, brokers: usize) -> Status {
    Status::invalid_argument(format!(
        "Invalid replicationFactor {factor}, cluster size {brokers}"
    ))
}

/// Values are to be encrypted and the server cannot.
pub fn encryption_unavailable(reason: &dyn Display) -> Status {
    Status::failed_precondition(format!(
        "Failed on preconditions for stream's encryption handler: {reason}"
    ))
}

/// The request asks for something that this server does not do.
pub fn not_served(what: &dyn Display) -> Status {
    Status::failed_precondition(what.to_string())
}

/// There is a stream of this name.
pub fn exists() -> Status {
    Status::already_exists("stream already exists")
}

/// The stream could not be created.
pub fn create_failed(reason: &dyn Display) -> Status {
    Status::internal(format!("Failed to replicate partition: {reason}"))
}

/// There is no stream of this name.
pub fn does_not_exist() -> Status {
    Status::not_found("stream does not exist")
}

/// The stream could not be deleted.
pub fn delete_failed(reason: &dyn Display) -> Status {
    Status::internal(format!("Failed to delete stream: {reason}"))
}

/// There is no stream of this name; the answer to a pause or read-only request for all partitions.
pub fn not_found() -> Status {
    Status::not_found("stream not found")
}

/// The stream has no partition of this number.
pub fn partition_does_not_exist() -> Status {
    Status::not_found("partition does not exist")
}
