//! SetCursor and FetchCursor.

use strandline_core::record::crc32;
use strandline_proto::api::*;
use tonic::{Code, Status};

use crate::harness::Harness;

async fn start(partitions: u32) -> Harness {
    Harness::start_with(|settings| settings.cursors_partitions = partitions).await
}

async fn set(harness: &mut Harness, id: &str, stream: &str, offset: i64) -> Result<(), Status> {
    let request = SetCursorRequest {
        stream: stream.into(),
        partition: 2,
        cursor_id: id.into(),
        offset,
    };
    harness.client.set_cursor(request).await.map(|_| ())
}

async fn fetch(harness: &mut Harness, id: &str, stream: &str) -> Result<i64, Status> {
    let request = FetchCursorRequest {
        stream: stream.into(),
        partition: 2,
        cursor_id: id.into(),
    };
    let response = harness.client.fetch_cursor(request).await?;
    Ok(response.into_inner().offset)
}

#[tokio::test]
async fn a_cursor_is_what_was_stored_last_also_after_a_restart() {
    let mut harness = start(3).await;
    assert_eq!(fetch(&mut harness, "abc", "foo").await.unwrap(), -1);
    for offset in [5, 10] {
        set(&mut harness, "abc", "foo", offset).await.unwrap();
        assert_eq!(fetch(&mut harness, "abc", "foo").await.unwrap(), offset);
    }
    set(&mut harness, "other", "foo", i64::MAX).await.unwrap();
    // Names with commas do not meet.
    set(&mut harness, "a,b", "c", 1).await.unwrap();
    set(&mut harness, "a", "b,c", 2).await.unwrap();
    let mut harness = harness.restart().await;
    assert_eq!(fetch(&mut harness, "abc", "foo").await.unwrap(), 10);
    assert_eq!(fetch(&mut harness, "other", "foo").await.unwrap(), i64::MAX);
    assert_eq!(fetch(&mut harness, "abc", "bar").await.unwrap(), -1);
    assert_eq!(fetch(&mut harness, "a,b", "c").await.unwrap(), 1);
    assert_eq!(fetch(&mut harness, "a", "b,c").await.unwrap(), 2);
    set(&mut harness, "abc", "foo", 11).await.unwrap();
    assert_eq!(fetch(&mut harness, "abc", "foo").await.unwrap(), 11);
}

#[tokio::test]
async fn more_cursors_than_are_kept_in_memory_are_found_in_the_log() {
    // With so many partitions, each keeps some 130 in memory; these are all in one of them.
    let mut harness = start(1000).await;
    let in_one = |id: &String| crc32(format!("{id},foo,2").as_bytes()) % 1000 == 7;
    let mut ids = (0_u32..).map(|number| format!("c{number}")).filter(in_one);
    let known: Vec<String> = ids.by_ref().take(300).collect();
    let sets = (0_i64..).zip(&known).map(|(offset, id)| {
        let mut client = harness.client.clone();
        let request = SetCursorRequest {
            stream: "foo".into(),
            partition: 2,
            cursor_id: id.clone(),
            offset,
        };
        async move { client.set_cursor(request).await.map(|_| ()) }
    });
    for result in futures_util::future::join_all(sets).await {
        result.unwrap();
    }
    set(&mut harness, &known[0], "foo", 1000).await.unwrap();
    for (offset, id) in (0_i64..).zip(&known).skip(1) {
        assert_eq!(fetch(&mut harness, id, "foo").await.unwrap(), offset);
    }
    assert_eq!(fetch(&mut harness, &known[0], "foo").await.unwrap(), 1000);
    let unknown = ids.next().unwrap();
    assert_eq!(fetch(&mut harness, &unknown, "foo").await.unwrap(), -1);
}

#[tokio::test]
async fn what_is_missing_is_refused_in_the_words_that_clients_know() {
    let mut harness = start(1).await;
    let refused = set(&mut harness, "", "foo", 1).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::InvalidArgument, "No cursorId provided")
    );
    let refused = fetch(&mut harness, "abc", "").await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::InvalidArgument, "No stream provided")
    );
    let mut off = start(0).await;
    for refused in [
        set(&mut off, "abc", "foo", 1).await.unwrap_err(),
        fetch(&mut off, "abc", "foo").await.map(|_| ()).unwrap_err(),
    ] {
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::Internal, "Cursors stream does not exist")
        );
    }
}

#[tokio::test]
async fn the_stream_of_cursors_is_the_servers_own() {
    let mut harness = start(1).await;
    set(&mut harness, "abc", "foo", 7).await.unwrap();
    let metadata = harness
        .client
        .fetch_metadata(FetchMetadataRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(metadata.stream_metadata[0].name, "__cursors");
    let refused = harness.publish("__cursors", "x").await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::InvalidArgument, "Stream is reserved")
    );
    let request = DeleteStreamRequest {
        name: "__cursors".into(),
    };
    let refused = harness.client.delete_stream(request).await.unwrap_err();
    assert_eq!(refused.message(), "Stream is reserved");
    let subscription = SubscribeRequest {
        stream: "__cursors".into(),
        start_position: StartPosition::Earliest.into(),
        ..Default::default()
    };
    let record = harness.subscribe(subscription).await.unwrap().next().await;
    assert_eq!(&record.key[..], b"abc,foo,2");
}

/// Whoever publishes on the stream's subject over NATS reaches nothing.
#[tokio::test]
async fn nothing_that_arrives_on_its_subject_is_a_cursor() {
    let mut harness = start(1).await;
    let request = PublishToSubjectRequest {
        subject: "liftbridge-default.cursors".into(),
        key: "abc,foo,2".into(),
        value: "x".into(),
        ack_policy: AckPolicy::None.into(),
        ..Default::default()
    };
    harness.client.publish_to_subject(request).await.unwrap();
    set(&mut harness, "other", "foo", 1).await.unwrap();
    let request = FetchPartitionMetadataRequest {
        stream: "__cursors".into(),
        partition: 0,
    };
    let metadata = harness
        .client
        .fetch_partition_metadata(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(metadata.metadata.unwrap().newest_offset, 0);
    assert_eq!(fetch(&mut harness, "abc", "foo").await.unwrap(), -1);
}
