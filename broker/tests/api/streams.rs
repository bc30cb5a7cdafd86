//! CreateStream, DeleteStream and the metadata.

use strandline_proto::api::*;
use tonic::Code;

use crate::harness::Harness;

fn create(name: &str, subject: &str) -> CreateStreamRequest {
    CreateStreamRequest {
        name: name.into(),
        subject: subject.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_stream_is_created_once_and_shown_with_its_partitions() {
    let mut harness = Harness::start().await;
    let request = CreateStreamRequest {
        partitions: 3,
        ..create("foo", "foo.bar")
    };
    harness.client.create_stream(request.clone()).await.unwrap();
    let again = harness.client.create_stream(request).await.unwrap_err();
    assert_eq!(
        (again.code(), again.message()),
        (Code::AlreadyExists, "stream already exists")
    );
    let metadata = harness
        .client
        .fetch_metadata(FetchMetadataRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(metadata.brokers.len(), 1);
    assert_eq!(
        i32::from(harness.broker.grpc_addr().port()),
        metadata.brokers[0].port
    );
    assert_eq!(
        (
            metadata.brokers[0].partition_count,
            metadata.brokers[0].leader_count
        ),
        (3, 3)
    );
    let [stream] = &metadata.stream_metadata[..] else {
        panic!("{metadata:?}")
    };
    assert_eq!(
        (stream.name.as_str(), stream.subject.as_str()),
        ("foo", "foo.bar")
    );
    assert!(stream.creation_timestamp > 0);
    for id in 0..3 {
        let partition = &stream.partitions[&id];
        assert_eq!(partition.leader, metadata.brokers[0].id);
        assert_eq!(partition.isr, std::slice::from_ref(&partition.leader));
        assert_eq!((partition.high_watermark, partition.newest_offset), (-1, -1));
    }
}

#[tokio::test]
async fn what_cannot_be_created_is_refused_with_the_status_that_clients_know() {
    let mut harness = Harness::start().await;
    let long = "a.".repeat(5000) + "a";
    let cases = [
        (create("", "foo"), Code::InvalidArgument, "Name cannot be empty"),
        (create("foo", ""), Code::InvalidArgument, "Subject is invalid"),
        (create("foo", "a b"), Code::InvalidArgument, "Subject is invalid"),
        (create("foo", "a..b"), Code::InvalidArgument, "Subject is invalid"),
        (
            create("foo", "a.>.b"),
            Code::InvalidArgument,
            "Subject is invalid",
        ),
        (create("foo", &long), Code::InvalidArgument, "Subject is invalid"),
        (
            create("__cursors", "foo"),
            Code::InvalidArgument,
            "Stream is reserved",
        ),
        (create("../etc", "foo"), Code::InvalidArgument, "must not"),
        (
            CreateStreamRequest {
                partitions: -1,
                ..create("foo", "foo")
            },
            Code::InvalidArgument,
            "partitions",
        ),
        (
            CreateStreamRequest {
                replication_factor: -2,
                ..create("foo", "foo")
            },
            Code::InvalidArgument,
            "Invalid replicationFactor -2",
        ),
        (
            CreateStreamRequest {
                replication_factor: 2,
                ..create("foo", "foo")
            },
            Code::FailedPrecondition,
            "replicationFactor",
        ),
        (
            CreateStreamRequest {
                encryption: Some(NullableBool { value: true }),
                ..create("foo", "foo")
            },
            Code::FailedPrecondition,
            "encryption",
        ),
        (
            CreateStreamRequest {
                segment_max_bytes: Some(NullableInt64 { value: -1 }),
                ..create("foo", "foo")
            },
            Code::InvalidArgument,
            "segmentMaxBytes",
        ),
    ];
    for (request, code, text) in cases {
        let status = harness.client.create_stream(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), code, "{request:?}: {status:?}");
        assert!(status.message().contains(text), "{request:?}: {status:?}");
    }
    let metadata = harness
        .client
        .fetch_metadata(FetchMetadataRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(metadata.stream_metadata.is_empty());
}

#[tokio::test]
async fn a_deleted_stream_is_gone_with_its_data_and_its_name_is_free() {
    let mut harness = Harness::start().await;
    harness.create("foo", "foo").await;
    harness.publish("foo", "old").await.unwrap();
    harness
        .client
        .delete_stream(DeleteStreamRequest { name: "foo".into() })
        .await
        .unwrap();
    let again = harness
        .client
        .delete_stream(DeleteStreamRequest { name: "foo".into() })
        .await
        .unwrap_err();
    assert_eq!(
        (again.code(), again.message()),
        (Code::NotFound, "stream does not exist")
    );
    let reserved = harness
        .client
        .delete_stream(DeleteStreamRequest {
            name: "__activity".into(),
        })
        .await
        .unwrap_err();
    assert_eq!(reserved.message(), "Stream is reserved");
    harness.create("foo", "foo").await;
    assert_eq!(harness.publish("foo", "new").await.unwrap().offset, 0);
    let mut harness = harness.restart().await;
    assert_eq!(harness.values("foo").await, ["new"]);
}

#[tokio::test]
async fn streams_and_records_survive_a_restart() {
    let mut harness = Harness::start().await;
    harness.create("foo", "foo").await;
    harness.create("gone", "gone").await;
    for value in ["a", "b", "c"] {
        harness.publish("foo", value).await.unwrap();
    }
    harness
        .client
        .delete_stream(DeleteStreamRequest { name: "gone".into() })
        .await
        .unwrap();
    let mut harness = harness.restart().await;
    assert_eq!(harness.values("foo").await, ["a", "b", "c"]);
    assert_eq!(harness.publish("foo", "d").await.unwrap().offset, 3);
    let request = FetchMetadataRequest {
        streams: vec!["gone".into(), "foo".into()],
        groups: vec!["g".into()],
    };
    let metadata = harness.client.fetch_metadata(request).await.unwrap().into_inner();
    assert_eq!(
        metadata.stream_metadata[0].error,
        i32::from(stream_metadata::Error::UnknownStream)
    );
    assert_eq!(metadata.stream_metadata[1].partitions[&0].high_watermark, 3);
    assert_eq!(
        metadata.group_metadata[0].error,
        i32::from(consumer_group_metadata::Error::UnknownGroup)
    );
}

#[tokio::test]
async fn the_leader_tells_a_partitions_progress_and_times() {
    let mut harness = Harness::start().await;
    harness.create("foo", "foo").await;
    let fetch = |partition| FetchPartitionMetadataRequest {
        stream: "foo".into(),
        partition,
    };
    let before = harness
        .client
        .fetch_partition_metadata(fetch(0))
        .await
        .unwrap()
        .into_inner()
        .metadata
        .unwrap();
    assert_eq!(before.messages_received_timestamps.unwrap().latest_timestamp, 0);
    harness.publish("foo", "a").await.unwrap();
    let after = harness
        .client
        .fetch_partition_metadata(fetch(0))
        .await
        .unwrap()
        .into_inner()
        .metadata
        .unwrap();
    assert_eq!((after.high_watermark, after.newest_offset), (0, 0));
    assert!(after.messages_received_timestamps.unwrap().first_timestamp > 0);
    let unknown = harness
        .client
        .fetch_partition_metadata(fetch(1))
        .await
        .unwrap_err();
    assert_eq!(
        (unknown.code(), unknown.message()),
        (Code::NotFound, "partition not found")
    );
}

#[tokio::test]
async fn calls_of_later_versions_are_refused_by_name() {
    let mut harness = Harness::start().await;
    let status = harness
        .client
        .pause_stream(PauseStreamRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("PauseStream"));
    let status = harness
        .client
        .join_consumer_group(JoinConsumerGroupRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}
