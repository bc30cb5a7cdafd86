//! The table of statuses that clients know, written out once more: a change to a text has to be made twice.

use tonic::Code::*;

use super::*;
use crate::convert::UnknownPosition;
use crate::wire::AckError;

#[test]
fn codes_and_texts_are_those_that_clients_know() {
    let table = [
        (no_metadata_leader(), Internal, "no known metadata leader"),
        (
            not_authorized("Subscribe", "foo"),
            PermissionDenied,
            "The client is not authorized to call Subscribe on resource foo",
        ),
        (stream::name_empty(), InvalidArgument, "Name cannot be empty"),
        (stream::reserved(), InvalidArgument, "Stream is reserved"),
        (
            stream::replication_factor_invalid(-2),
            InvalidArgument,
            "Invalid replicationFactor -2",
        ),
        (
            stream::replication_factor_too_large(3, 1),
            InvalidArgument,
            "Invalid replicationFactor 3, cluster size 1",
        ),
        (stream::exists(), AlreadyExists, "stream already exists"),
        (
            stream::create_failed(&"x"),
            Internal,
            "Failed to replicate partition: x",
        ),
        (stream::does_not_exist(), NotFound, "stream does not exist"),
        (
            stream::delete_failed(&"x"),
            Internal,
            "Failed to delete stream: x",
        ),
        (stream::not_found(), NotFound, "stream not found"),
        (
            stream::partition_does_not_exist(),
            NotFound,
            "partition does not exist",
        ),
        (metadata::partition_not_found(), NotFound, "partition not found"),
        (
            metadata::not_leader(),
            FailedPrecondition,
            "The request should be sent to partition leader",
        ),
        (cursor::no_stream(), InvalidArgument, "No stream provided"),
        (cursor::no_id(), InvalidArgument, "No cursorId provided"),
        (cursor::disabled(), Internal, "Cursors stream does not exist"),
        (
            cursor::not_leader(2),
            FailedPrecondition,
            "Server not leader for cursors partition 2",
        ),
    ];
    check(table);
}

#[test]
fn a_subscription_ends_with_what_clients_act_on() {
    let table = [
        (
            subscribe::consumer_id_needed(),
            InvalidArgument,
            "Consumer id cannot be empty when group id is provided",
        ),
        (subscribe::no_such_partition(), NotFound, "No such partition"),
        (
            subscribe::not_leader(),
            FailedPrecondition,
            "Server not partition leader",
        ),
        (
            subscribe::group_on_replica(),
            InvalidArgument,
            "Consumer groups not compatible with ReadISRReplica",
        ),
        (
            subscribe::resume_failed(&"x"),
            Internal,
            "Failed to resume stream: x",
        ),
        (
            subscribe::not_assigned(),
            FailedPrecondition,
            "Consumer is not currently assigned this partition",
        ),
        (
            subscribe::unknown_position(&UnknownPosition::Start(9)),
            InvalidArgument,
            "Unknown StartPosition 9",
        ),
        (
            subscribe::unknown_position(&UnknownPosition::Stop(9)),
            InvalidArgument,
            "Unknown StopPosition 9",
        ),
        (subscribe::empty(), ResourceExhausted, "Stream is empty"),
        (
            subscribe::stop_before_start(3, 5),
            InvalidArgument,
            "Stop offset is before start offset: 3 < 5",
        ),
        (
            subscribe::no_offset_for_time(&"x"),
            Internal,
            "Failed to lookup offset for timestamp: x",
        ),
        (
            subscribe::reader_failed(&"x"),
            Internal,
            "Failed to create stream reader: x",
        ),
        (
            subscribe::stop_reached(),
            ResourceExhausted,
            "Stop offset reached",
        ),
        (
            subscribe::readonly_end(),
            ResourceExhausted,
            "End of readonly partition",
        ),
        (subscribe::start_reached(), Unknown, "EOF"),
        (subscribe::deleted(), NotFound, "commit log was deleted"),
        (subscribe::paused(), FailedPrecondition, "commit log was closed"),
        (subscribe::closed(), Internal, "commit log was closed"),
    ];
    check(table);
    assert_eq!(stopping().code(), Unavailable);
}

#[test]
fn a_publish_fails_with_what_clients_compare() {
    let table = [
        (publish::no_stream(), InvalidArgument, "no stream provided"),
        (publish::no_such_stream("foo"), NotFound, "no such stream: foo"),
        (publish::no_such_partition(7), NotFound, "no such partition: 7"),
        (
            publish::readonly_partition(7),
            FailedPrecondition,
            "readonly partition: 7",
        ),
        (
            publish::policy_missing(),
            InvalidArgument,
            "stream with concurrency control must have AckPolicy set",
        ),
        (
            publish::refused(AckError::IncorrectOffset),
            Unknown,
            "incorrect expected offset",
        ),
        (
            publish::refused(AckError::TooLarge),
            InvalidArgument,
            "message exceeds max replication size",
        ),
        (
            publish::refused(AckError::Encryption),
            Internal,
            "encryption failed on partition",
        ),
        (publish::refused(AckError::Unknown), Unknown, "unknown error"),
    ];
    check(table);
    assert_eq!(publish::ack_timeout().code(), DeadlineExceeded);
}

#[test]
fn a_group_call_fails_with_what_clients_act_on() {
    let table = [
        (group::no_id(), InvalidArgument, "No groupId provided"),
        (group::no_consumer(), InvalidArgument, "No consumerId provided"),
        (group::no_streams(), InvalidArgument, "No streams provided"),
        (
            group::no_coordinator(),
            InvalidArgument,
            "No coordinator provided",
        ),
        (
            group::stream_does_not_exist(),
            FailedPrecondition,
            "stream does not exist",
        ),
        (
            group::already_member(),
            FailedPrecondition,
            "consumer is already a member of the consumer group",
        ),
        (
            group::exists(),
            FailedPrecondition,
            "consumer group already exists",
        ),
        (group::does_not_exist(), NotFound, "consumer group does not exist"),
        (
            group::not_member(),
            FailedPrecondition,
            "consumer is not a member of the consumer group",
        ),
        (
            group::not_coordinator(),
            FailedPrecondition,
            "broker is not the consumer group coordinator",
        ),
        (
            group::other_epoch(),
            FailedPrecondition,
            "client-provided group epoch differs from broker group epoch",
        ),
        (
            group::no_candidates(),
            FailedPrecondition,
            "No group coordinator candidates",
        ),
    ];
    check(table);
}

#[test]
fn a_detail_follows_liftbridges_words() {
    let status = stream::subject_invalid(&"a token is empty");
    assert!(status.message().starts_with("Subject is invalid"));
    assert!(status.message().ends_with("a token is empty"));
}

#[test]
fn data_that_is_refused_has_the_codes_of_grpc_libraries() {
    assert_eq!(frame(&FrameError::Compressed).code(), Unimplemented);
    assert_eq!(
        frame(&FrameError::TooLarge {
            bytes: 2,
            max_bytes: 1
        })
        .code(),
        ResourceExhausted
    );
    assert_eq!(truncated_request().code(), InvalidArgument);
}

fn check<const N: usize>(table: [(Status, tonic::Code, &str); N]) {
    for (status, code, text) in table {
        assert_eq!((status.code(), status.message()), (code, text));
    }
}
