//! Statuses and texts of the API. Clients compare some of them: those are Liftbridge's, to the letter.

use std::error::Error;

use tonic::{Code, Status};

use strandline_codec::KeyError;
use strandline_core::InvalidName;
use strandline_core::metadata::Rejection;
use strandline_core::storage::{ReadError, StorageError};
use strandline_core::subject::InvalidSubject;
use strandline_proto::convert::{NegativeSetting, UnknownPosition};
use strandline_proto::wire::{AsyncError, AsyncErrorCode, FrameError};

use crate::archiving::{ErrandError, NoArchive, PointFailure, RenewalError, RestoreError};
use crate::bus::BusError;
use crate::compaction::RewriteError;
use crate::cursors::{CursorError, InvalidKey};
use crate::metadata::{ChangeError, ProposeError};
use crate::partition::Reject;
use crate::plugins::PluginError;
use crate::reader::{PlanError, ReadEnd};
use crate::removal::RemovalError;
use crate::streams::{NoTarget, NotServed, OpenError, describe};

/// A call that is served by a layer above the service that got it.
pub(super) fn not_here() -> Status {
    Status::internal("the call did not reach its handler")
}

/// A call of the API that this version does not serve.
pub(super) fn unimplemented(call: &str) -> Status {
    Status::unimplemented(format!("{call} is not supported by this version"))
}

/// Clients connect again on this code only.
pub(super) fn stopping() -> Status {
    Status::unavailable("the broker is stopping")
}

pub(super) fn bus(error: &BusError) -> Status {
    Status::unavailable(error.to_string())
}

pub(super) fn frame(error: &FrameError) -> Status {
    match error {
        FrameError::TooLarge { .. } => Status::resource_exhausted(error.to_string()),
        FrameError::Compressed => Status::unimplemented(error.to_string()),
    }
}

pub(super) fn malformed(error: &dyn Error) -> Status {
    Status::invalid_argument(format!("request is malformed: {error}"))
}

pub(super) fn truncated_request() -> Status {
    Status::invalid_argument("request ends inside a message")
}

// CreateStream and DeleteStream.

pub(super) fn name_is_empty() -> Status {
    Status::invalid_argument("Name cannot be empty")
}

pub(super) fn invalid_name(error: &InvalidName) -> Status {
    Status::invalid_argument(format!("Name is invalid: {error}"))
}

/// Liftbridge's text comes first; what is wrong follows it.
pub(super) fn invalid_subject(error: &InvalidSubject) -> Status {
    Status::invalid_argument(format!("Subject is invalid: {error}"))
}

pub(super) fn stream_is_reserved() -> Status {
    Status::invalid_argument("Stream is reserved")
}

pub(super) fn invalid_partitions(count: i32) -> Status {
    let max = strandline_core::stream::MAX_PARTITIONS;
    Status::invalid_argument(format!("Invalid partitions {count}: a stream has 1 to {max}"))
}

pub(super) fn invalid_replication_factor(factor: i32) -> Status {
    Status::invalid_argument(format!("Invalid replicationFactor {factor}"))
}

pub(super) fn replication_factor_too_large(factor: u32, brokers: usize) -> Status {
    Status::invalid_argument(format!(
        "Invalid replicationFactor {factor}, cluster size {brokers}"
    ))
}

pub(super) fn invalid_group(group: &str) -> Status {
    let rule = "Group must be at most 255 bytes without blanks or control characters";
    Status::invalid_argument(format!("{rule}: {group:?}"))
}

pub(super) fn negative_setting(error: &NegativeSetting) -> Status {
    Status::invalid_argument(error.to_string())
}

pub(super) fn invalid_durability(key: &str) -> Status {
    Status::invalid_argument(format!("{key} must be fsync or os"))
}

pub(super) fn invalid_backend(key: &str) -> Status {
    Status::invalid_argument(format!("{key} must be segment or redb"))
}

pub(super) fn invalid_compression(key: &str) -> Status {
    Status::invalid_argument(format!("{key} must be none, lz4 or zstd"))
}

pub(super) fn invalid_number(key: &str, max: u64) -> Status {
    Status::invalid_argument(format!("{key} must be a whole number from 0 to {max}"))
}

pub(super) fn invalid_flag(key: &str) -> Status {
    Status::invalid_argument(format!("{key} must be true or false"))
}

/// Nothing of an archive was restored.
pub(super) fn restore(error: &RestoreError) -> Status {
    let reason = describe(error);
    match error {
        RestoreError::NoArchive(_) | RestoreError::Itself { .. } | RestoreError::SeveralClusters { .. } => {
            Status::failed_precondition(reason)
        }
        RestoreError::NoCluster { .. } | RestoreError::NoSuchStream { .. } => Status::not_found(reason),
        RestoreError::Manifest(error) if error.is_missing() => Status::not_found(reason),
        RestoreError::NotOne => Status::invalid_argument(reason),
        RestoreError::Point(error) => point(error),
        RestoreError::Manifest(_) => Status::unavailable(reason),
    }
}

pub(super) fn point(error: &PointFailure) -> Status {
    let reason = describe(error);
    match error {
        PointFailure::NoArchive(_)
        | PointFailure::Nothing
        | PointFailure::Removing { .. }
        | PointFailure::Late { .. } => Status::failed_precondition(reason),
        PointFailure::InvalidName { .. } => Status::invalid_argument(reason),
        PointFailure::Taken { .. } => Status::already_exists(reason),
        PointFailure::NoSuchPoint { .. } => Status::not_found(reason),
        PointFailure::Contended { .. } | PointFailure::Gone { .. } | PointFailure::Partition { .. } => {
            Status::aborted(reason)
        }
        PointFailure::Export(_) | PointFailure::Manifest(_) => Status::unavailable(reason),
    }
}

pub(super) fn errand(error: &ErrandError) -> Status {
    let reason = describe(error);
    match error {
        ErrandError::NoArchive(_) => Status::failed_precondition(reason),
        ErrandError::NotArchived { .. } => Status::not_found(reason),
        // Asking another broker, or at once again, does not help.
        ErrandError::Failed { .. } => Status::failed_precondition(reason),
        ErrandError::GivenUp => Status::unavailable(reason),
    }
}

pub(super) fn renewal(error: &RenewalError) -> Status {
    let reason = describe(error);
    match error {
        RenewalError::NoArchive(_)
        | RenewalError::NeverArchived { .. }
        | RenewalError::Fine { .. }
        | RenewalError::Unknown { .. } => Status::failed_precondition(reason),
        RenewalError::NoSuchStream { .. } => Status::not_found(reason),
        RenewalError::Change(_) | RenewalError::Stopping => Status::unavailable(reason),
    }
}

pub(super) fn no_archive(error: &NoArchive) -> Status {
    Status::failed_precondition(error.to_string())
}

/// Liftbridge's text comes first; what is missing follows it.
pub(super) fn no_master_key(error: &KeyError) -> Status {
    Status::failed_precondition(format!(
        "Failed on preconditions for stream's encryption handler: {error}"
    ))
}

pub(super) fn not_built(what: &NotServed) -> Status {
    Status::failed_precondition(what.to_string())
}

pub(super) fn create(error: &ChangeError) -> Status {
    match error {
        ChangeError::Rejected(Rejection::StreamExists { .. }) => {
            Status::already_exists("stream already exists")
        }
        ChangeError::Rejected(Rejection::ReservedName { .. }) => stream_is_reserved(),
        ChangeError::Rejected(Rejection::InvalidReplicationFactor { factor, brokers }) => {
            replication_factor_too_large(*factor, *brokers)
        }
        ChangeError::Rejected(Rejection::TooManyPartitions { .. }) => {
            Status::resource_exhausted(error.to_string())
        }
        ChangeError::Rejected(other) => Status::invalid_argument(other.to_string()),
        ChangeError::Failed(error) => propose("Failed to replicate partition", error),
    }
}

pub(super) fn stream_not_opened(reason: &str) -> Status {
    Status::internal(format!("Failed to replicate partition: {reason}"))
}

pub(super) fn stream_does_not_exist() -> Status {
    Status::not_found("stream does not exist")
}

pub(super) fn delete(error: &ChangeError) -> Status {
    match error {
        ChangeError::Rejected(Rejection::NoSuchStream { .. }) => stream_does_not_exist(),
        ChangeError::Rejected(Rejection::ReservedName { .. }) => stream_is_reserved(),
        ChangeError::Rejected(Rejection::Plugin(other)) => Status::failed_precondition(other.to_string()),
        ChangeError::Rejected(other) => Status::invalid_argument(other.to_string()),
        ChangeError::Failed(error) => propose("Failed to delete stream", error),
    }
}

pub(super) fn delete_failed(error: &OpenError) -> Status {
    Status::internal(format!("Failed to delete stream: {}", describe(error)))
}

pub(super) fn propose(action: &str, error: &ProposeError) -> Status {
    match error {
        // The whole text is compared by clients.
        ProposeError::NoLeader => Status::internal("no known metadata leader"),
        ProposeError::Stopping => stopping(),
        other => Status::internal(format!("{action}: {other}")),
    }
}

// Publish, PublishAsync, PublishToSubject.

pub(super) fn no_stream_provided() -> Status {
    Status::invalid_argument("no stream provided")
}

pub(super) fn unknown_ack_policy(number: i32) -> Status {
    Status::invalid_argument(format!("Unknown AckPolicy {number}"))
}

pub(super) fn policy_missing() -> Status {
    Status::invalid_argument(Reject::PolicyMissing.to_string())
}

/// A call without a better word for it.
pub(super) fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("the call was not done before its deadline")
}

pub(super) fn ack_timeout() -> Status {
    Status::deadline_exceeded("the ack did not come before the deadline")
}

/// What a refused message is answered with.
pub(super) fn publish(reject: Reject) -> Status {
    let code = match reject {
        // Clients match the text; the code is Liftbridge's.
        Reject::IncorrectOffset => Code::Unknown,
        Reject::TooLarge | Reject::Malformed | Reject::PolicyMissing => Code::InvalidArgument,
        // Clients try again on this code; they give a message up on ResourceExhausted.
        Reject::DiskFull | Reject::Overloaded | Reject::Closed | Reject::DeadLetterLost => Code::Unavailable,
        Reject::PluginFailed => Code::Aborted,
        Reject::PluginMissing => Code::FailedPrecondition,
        Reject::LogFailed => Code::Internal,
    };
    Status::new(code, reject.to_string())
}

pub(super) fn async_error(reject: Reject) -> AsyncError {
    let code = match reject {
        Reject::IncorrectOffset => AsyncErrorCode::IncorrectOffset,
        Reject::TooLarge | Reject::Malformed | Reject::PolicyMissing => AsyncErrorCode::BadRequest,
        Reject::Closed => AsyncErrorCode::NotFound,
        Reject::DiskFull
        | Reject::Overloaded
        | Reject::LogFailed
        | Reject::PluginFailed
        | Reject::PluginMissing
        | Reject::DeadLetterLost => AsyncErrorCode::Internal,
    };
    AsyncError {
        code,
        message: reject.to_string(),
    }
}

pub(super) fn publish_target(error: &NoTarget) -> Status {
    match error {
        NoTarget::Stream { .. } | NoTarget::Partition { .. } => Status::not_found(error.to_string()),
        NoTarget::Reserved => stream_is_reserved(),
        NoTarget::OutOfService { .. } => Status::data_loss(error.to_string()),
    }
}

pub(super) fn async_target(error: &NoTarget) -> AsyncError {
    let code = match error {
        NoTarget::Stream { .. } | NoTarget::Partition { .. } => AsyncErrorCode::NotFound,
        NoTarget::Reserved => AsyncErrorCode::BadRequest,
        NoTarget::OutOfService { .. } => AsyncErrorCode::Internal,
    };
    AsyncError {
        code,
        message: error.to_string(),
    }
}

// The administration.

pub(super) fn permission_denied(denied: &dyn Error) -> Status {
    Status::permission_denied(denied.to_string())
}

pub(super) fn refused_change(refused: &dyn Error) -> Status {
    Status::invalid_argument(refused.to_string())
}

pub(super) fn update(error: &ChangeError) -> Status {
    match error {
        ChangeError::Rejected(Rejection::NoSuchStream { .. }) => stream_does_not_exist(),
        ChangeError::Rejected(Rejection::ReservedName { .. }) => stream_is_reserved(),
        ChangeError::Rejected(other) => Status::invalid_argument(other.to_string()),
        ChangeError::Failed(error) => propose("Failed to change the stream", error),
    }
}

pub(super) fn update_failed(error: &OpenError) -> Status {
    Status::internal(format!(
        "the settings are changed and hold after the next start; a partition could not follow at once: {}",
        describe(error)
    ))
}

pub(super) fn no_trim_point() -> Status {
    Status::invalid_argument("before is missing: an offset or a time")
}

pub(super) fn no_key() -> Status {
    Status::invalid_argument("key is missing; records without a key cannot be erased by one")
}

pub(super) fn is_archived(action: &str) -> Status {
    Status::failed_precondition(format!(
        "this version cannot {action} of a stream that is or was archived: records in the archive would stay; \
         let retention remove them, or delete the stream"
    ))
}

pub(super) fn no_such_partition(number: u32) -> Status {
    Status::not_found(format!("no such partition: {number}"))
}

pub(super) fn removal(partition: u32, error: &RemovalError) -> Status {
    let text = format!(
        "partition {partition}: {}; what was removed until then is gone, the call can be repeated",
        describe(error)
    );
    match error {
        RemovalError::Rewrite(RewriteError::Stopped) => stopping(),
        RemovalError::Read(ReadError::Damaged(_))
        | RemovalError::Storage(StorageError::Damaged(_))
        | RemovalError::Rewrite(RewriteError::Storage(StorageError::Damaged(_))) => Status::data_loss(text),
        RemovalError::Read(ReadError::Unreachable { .. }) => Status::unavailable(text),
        RemovalError::Read(_) | RemovalError::Storage(_) | RemovalError::Rewrite(_) => Status::internal(text),
    }
}

// Cursors.

pub(super) fn invalid_cursor(error: &InvalidKey) -> Status {
    Status::invalid_argument(error.to_string())
}

pub(super) fn cursor(error: &CursorError) -> Status {
    match error {
        // The whole text is compared by clients.
        CursorError::Off => Status::internal("Cursors stream does not exist"),
        CursorError::Refused(reject) => Status::new(publish(*reject).code(), error.to_string()),
        CursorError::Timeout => Status::deadline_exceeded(error.to_string()),
        CursorError::Stopping => stopping(),
        CursorError::Read(unreachable @ ReadError::Unreachable { .. }) => archive_unreachable(unreachable),
        CursorError::NoTarget(_) | CursorError::Read(_) => Status::internal(describe(error)),
    }
}

// Subscribe and metadata.

pub(super) fn subscribe_target(error: &NoTarget) -> Status {
    match error {
        NoTarget::Stream { .. } | NoTarget::Partition { .. } | NoTarget::Reserved => {
            Status::not_found("No such partition")
        }
        NoTarget::OutOfService { .. } => Status::data_loss(error.to_string()),
    }
}

pub(super) fn partition_metadata_target(error: &NoTarget) -> Status {
    match error {
        NoTarget::Stream { .. } | NoTarget::Partition { .. } | NoTarget::Reserved => partition_not_found(),
        NoTarget::OutOfService { .. } => Status::data_loss(error.to_string()),
    }
}

pub(super) fn partition_not_found() -> Status {
    Status::not_found("partition not found")
}

pub(super) fn unknown_position(error: &UnknownPosition) -> Status {
    Status::invalid_argument(error.to_string())
}

pub(super) fn invalid_on_trimmed(key: &str) -> Status {
    Status::invalid_argument(format!("{key} must be skip or error"))
}

pub(super) fn invalid_metadata(key: &str, meant: &str) -> Status {
    Status::invalid_argument(format!("{key} must be {meant}"))
}

/// The filter that a subscriber asks for cannot be had.
pub(super) fn subscription_filter(error: &PluginError) -> Status {
    match error {
        PluginError::Stopping => stopping(),
        PluginError::Unfit { .. } => Status::invalid_argument(format!("the subscription's filter: {error}")),
        _ => Status::failed_precondition(format!("the subscription's filter: {}", describe(error))),
    }
}

pub(super) fn consumer_groups(consumer_id: &str) -> Status {
    if consumer_id.is_empty() {
        return Status::invalid_argument("Consumer id cannot be empty when group id is provided");
    }
    unimplemented("Subscribe by a consumer group")
}

pub(super) fn plan(error: &PlanError) -> Status {
    match error {
        PlanError::Empty => Status::resource_exhausted("Stream is empty"),
        PlanError::StopBeforeStart { stop, start } => {
            Status::invalid_argument(format!("Stop offset is before start offset: {stop} < {start}"))
        }
        PlanError::Trimmed(trimmed) => read_end(trimmed),
        PlanError::NothingBefore { .. } => {
            Status::internal(format!("Failed to lookup offset for timestamp: {error}"))
        }
        PlanError::Read(ReadError::Deleted) => read_end(&ReadEnd::Deleted),
        PlanError::Read(unreachable @ ReadError::Unreachable { .. }) => archive_unreachable(unreachable),
        PlanError::Read(error) => {
            Status::internal(format!("Failed to create stream reader: {}", describe(error)))
        }
    }
}

/// The code says that trying again can work, the text which archive it is and what it answered.
fn archive_unreachable(error: &ReadError) -> Status {
    let text = describe(error);
    tracing::warn!(error = %text, "a reader is told that the archive does not answer");
    Status::unavailable(text)
}

/// How a subscription ends.
pub(super) fn read_end(end: &ReadEnd) -> Status {
    match end {
        ReadEnd::StopReached => Status::resource_exhausted("Stop offset reached"),
        // As Liftbridge ends a reverse read.
        ReadEnd::StartReached => Status::unknown("EOF"),
        ReadEnd::Trimmed { .. } => Status::out_of_range(end.to_string()),
        ReadEnd::Deleted => Status::not_found("commit log was deleted"),
        ReadEnd::FilterFailed { .. } => Status::aborted(end.to_string()),
        ReadEnd::FilterMissing(_) => Status::failed_precondition(end.to_string()),
        ReadEnd::Stopping => stopping(),
        ReadEnd::Failed(unreachable @ ReadError::Unreachable { .. }) => archive_unreachable(unreachable),
        ReadEnd::Failed(error) => {
            let text = describe(error);
            tracing::error!(error = %text, "a subscription cannot be read on");
            match error {
                ReadError::Damaged(_) | ReadError::NotUnpacked { .. } => Status::data_loss(text),
                _ => Status::internal(text),
            }
        }
    }
}

#[cfg(test)]
mod tests;
