use tonic::Code::*;

use strandline_core::StreamName;

use super::*;

/// Written out once more: a change to a text that clients compare has to be made twice.
#[test]
fn codes_and_texts_are_those_that_clients_know() {
    let table = [
        (
            unimplemented("SetCursor"),
            Unimplemented,
            "SetCursor is not supported by this version",
        ),
        (name_is_empty(), InvalidArgument, "Name cannot be empty"),
        (stream_is_reserved(), InvalidArgument, "Stream is reserved"),
        (
            invalid_replication_factor(-3),
            InvalidArgument,
            "Invalid replicationFactor -3",
        ),
        (
            replication_factor_too_large(3, 1),
            InvalidArgument,
            "Invalid replicationFactor 3, cluster size 1",
        ),
        (create(&exists()), AlreadyExists, "stream already exists"),
        (create(&no_leader()), Internal, "no known metadata leader"),
        (delete(&missing()), NotFound, "stream does not exist"),
        (no_stream_provided(), InvalidArgument, "no stream provided"),
        (unknown_ack_policy(7), InvalidArgument, "Unknown AckPolicy 7"),
        (
            policy_missing(),
            InvalidArgument,
            "stream with concurrency control must have AckPolicy set",
        ),
        (
            publish(Reject::IncorrectOffset),
            Unknown,
            "incorrect expected offset",
        ),
        (
            publish(Reject::TooLarge),
            InvalidArgument,
            "message exceeds max replication size",
        ),
        (publish_target(&no_stream()), NotFound, "no such stream: foo"),
        (publish_target(&no_partition()), NotFound, "no such partition: -3"),
        (subscribe_target(&no_stream()), NotFound, "No such partition"),
        (subscribe_target(&no_partition()), NotFound, "No such partition"),
        (
            partition_metadata_target(&no_stream()),
            NotFound,
            "partition not found",
        ),
        (
            unknown_position(&UnknownPosition::Start(5)),
            InvalidArgument,
            "Unknown StartPosition 5",
        ),
        (
            consumer_groups(""),
            InvalidArgument,
            "Consumer id cannot be empty when group id is provided",
        ),
        (plan(&PlanError::Empty), ResourceExhausted, "Stream is empty"),
        (
            read_end(&ReadEnd::StopReached),
            ResourceExhausted,
            "Stop offset reached",
        ),
        (read_end(&ReadEnd::StartReached), Unknown, "EOF"),
        (read_end(&ReadEnd::Deleted), NotFound, "commit log was deleted"),
        (
            read_end(&ReadEnd::Stopping),
            Unavailable,
            "the broker is stopping",
        ),
        (
            read_end(&ReadEnd::Failed(unreachable())),
            Unavailable,
            UNREACHABLE,
        ),
        (plan(&PlanError::Read(unreachable())), Unavailable, UNREACHABLE),
        (
            cursor(&CursorError::Read(unreachable())),
            Unavailable,
            UNREACHABLE,
        ),
    ];
    for (status, code, text) in table {
        assert_eq!((status.code(), status.message()), (code, text));
    }
}

#[test]
fn refused_messages_of_a_stream_of_publishes_are_answered_as_clients_know_them() {
    let table = [
        (
            async_error(Reject::PolicyMissing),
            1,
            "stream with concurrency control must have AckPolicy set",
        ),
        (
            async_error(Reject::TooLarge),
            1,
            "message exceeds max replication size",
        ),
        (async_target(&no_stream()), 2, "no such stream: foo"),
        (async_target(&no_partition()), 2, "no such partition: -3"),
        (
            async_error(Reject::IncorrectOffset),
            5,
            "incorrect expected offset",
        ),
    ];
    for (error, code, text) in table {
        assert_eq!((error.code as i32, error.message.as_str()), (code, text));
    }
}

const UNREACHABLE: &str = "what is archived cannot be read now: s3://cold/orders did not answer within 30s; \
    reading again later can work";

fn unreachable() -> ReadError {
    ReadError::Unreachable {
        reason: "s3://cold/orders did not answer within 30s".to_owned(),
    }
}

fn exists() -> ChangeError {
    ChangeError::Rejected(Rejection::StreamExists {
        name: StreamName::new("foo").unwrap(),
    })
}

fn missing() -> ChangeError {
    ChangeError::Rejected(Rejection::NoSuchStream {
        name: StreamName::new("foo").unwrap(),
    })
}

fn no_leader() -> ChangeError {
    ChangeError::Failed(ProposeError::NoLeader)
}

fn no_stream() -> NoTarget {
    NoTarget::Stream {
        name: "foo".to_owned(),
    }
}

fn no_partition() -> NoTarget {
    NoTarget::Partition { partition: -3 }
}
