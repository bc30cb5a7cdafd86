//! Publish and PublishToSubject. For PublishAsync see [`AsyncError`](crate::wire::AsyncError).

use std::fmt::Display;

use tonic::Status;

use crate::text;
use crate::wire::AckError;

/// The request names no stream.
pub fn no_stream() -> Status {
    Status::invalid_argument("no stream provided")
}

/// There is no stream of this name.
pub fn no_such_stream(name: &str) -> Status {
    Status::not_found(text::no_such_stream(name))
}

/// The stream has no partition of this number.
pub fn no_such_partition(partition: i32) -> Status {
    Status::not_found(text::no_such_partition(partition))
}

/// The partition takes no messages at present.
pub fn readonly_partition(partition: i32) -> Status {
    Status::failed_precondition(text::readonly_partition(partition))
}

/// The stream has concurrency control, so that the publisher has to listen for the outcome.
pub fn policy_missing() -> Status {
    Status::invalid_argument(text::POLICY_MISSING)
}

/// The number is no ack policy.
pub fn unknown_ack_policy(number: i32) -> Status {
    Status::invalid_argument(format!("Unknown AckPolicy {number}"))
}

/// The subject of a PublishToSubject is none, or has wildcards.
pub fn subject_invalid(reason: &dyn Display) -> Status {
    Status::invalid_argument(format!("Subject is invalid: {reason}"))
}

/// The ack did not come in time.
pub fn ack_timeout() -> Status {
    Status::deadline_exceeded("the ack did not come before the deadline")
}

/// The message was not stored. An unexpected offset has the code of Liftbridge, which is Unknown: clients look at the
/// text.
pub fn refused(error: AckError) -> Status {
    match error {
        AckError::IncorrectOffset => Status::unknown(text::INCORRECT_OFFSET),
        AckError::TooLarge => Status::invalid_argument(text::TOO_LARGE),
        AckError::Encryption => Status::internal(text::ENCRYPTION_FAILED),
        AckError::Unknown => Status::unknown(text::UNKNOWN_ERROR),
    }
}
