//! What a stream keeps: retention and compaction, as clients see them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use strandline_proto::api::*;
use tonic::{Code, Request};

use crate::harness::{Harness, TIMEOUT, text};

/// A stream whose every record is a segment and whose cleaner comes at every tick.
fn eager(name: &str) -> CreateStreamRequest {
    CreateStreamRequest {
        name: name.into(),
        subject: name.into(),
        segment_max_bytes: Some(1.into()),
        cleaner_interval: Some(1.into()),
        ..Default::default()
    }
}

async fn publish(harness: &mut Harness, stream: &str, key: &str, value: &str) {
    let request = PublishRequest {
        stream: stream.into(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        expected_offset: -1,
        ..Default::default()
    };
    harness.send(request).await.unwrap();
}

/// The values once they are these; what they were last if they never are.
async fn values_become(harness: &mut Harness, stream: &str, expected: &[&str]) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let values = harness.values(stream).await;
        if values == expected || begun.elapsed() > TIMEOUT {
            return values;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_compacted_stream_keeps_the_newest_record_of_each_key_also_after_a_restart() {
    let mut harness = Harness::start().await;
    let mut request = Request::new(CreateStreamRequest {
        compact_enabled: Some(NullableBool { value: true }),
        compact_max_goroutines: Some(NullableInt32 { value: 2 }),
        ..eager("foo")
    });
    request
        .metadata_mut()
        .insert("strandline-compact-min-dirty-percent", "0".parse().unwrap());
    request
        .metadata_mut()
        .insert("strandline-compact-tombstone-grace-ms", "0".parse().unwrap());
    request
        .metadata_mut()
        .insert("strandline-compact-min-lag-ms", "1".parse().unwrap());
    harness.client.create_stream(request).await.unwrap();
    for (key, value) in [
        ("a", "1"),
        ("b", "2"),
        ("", "3"),
        ("a", "4"),
        ("b", ""),
        ("", "5"),
        ("c", "6"),
        ("z", "end"),
    ] {
        publish(&mut harness, "foo", key, value).await;
    }
    // The last record is in the active segment.
    let expected = ["3", "4", "5", "6", "end"];
    assert_eq!(values_become(&mut harness, "foo", &expected).await, expected);
    let request = SubscribeRequest {
        stream: "foo".into(),
        start_position: StartPosition::Offset.into(),
        start_offset: 1,
        stop_position: StopPosition::StopLatest.into(),
        ..Default::default()
    };
    let (messages, _) = harness.subscribe(request).await.unwrap().read_to_end().await;
    let offsets: Vec<i64> = messages.iter().map(|message| message.offset).collect();
    assert_eq!(offsets, [2, 3, 5, 6, 7]);
    let request = SubscribeRequest {
        stream: "foo".into(),
        start_position: StartPosition::Latest.into(),
        reverse: true,
        ..Default::default()
    };
    let (messages, _) = harness.subscribe(request).await.unwrap().read_to_end().await;
    let offsets: Vec<i64> = messages.iter().map(|message| message.offset).collect();
    assert_eq!(offsets, [7, 6, 5, 3, 2]);
    let mut harness = harness.restart().await;
    publish(&mut harness, "foo", "c", "7").await;
    publish(&mut harness, "foo", "z", "new end").await;
    let expected = ["3", "4", "5", "end", "7", "new end"];
    assert_eq!(values_become(&mut harness, "foo", &expected).await, expected);
    harness.broker.shutdown().await;
}

#[tokio::test]
async fn a_setting_of_compaction_that_is_no_number_is_refused_by_name() {
    let mut harness = Harness::start().await;
    for (key, value) in [
        ("strandline-compact-min-dirty-percent", "101"),
        ("strandline-compact-min-lag-ms", "-1"),
        ("strandline-compact-tombstone-grace-ms", "1h"),
    ] {
        let mut request = Request::new(eager("foo"));
        request.metadata_mut().insert(key, value.parse().unwrap());
        let refused = harness.client.create_stream(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(key), "{}", refused.message());
    }
}

#[tokio::test]
async fn a_reader_of_what_is_gone_goes_on_at_the_oldest_record_or_is_told_if_it_asks() {
    let mut harness = Harness::start().await;
    let request = CreateStreamRequest {
        retention_max_messages: Some(3.into()),
        ..eager("foo")
    };
    harness.client.create_stream(request).await.unwrap();
    for number in 0..10 {
        publish(&mut harness, "foo", "", &number.to_string()).await;
    }
    assert_eq!(
        values_become(&mut harness, "foo", &["7", "8", "9"]).await,
        ["7", "8", "9"]
    );
    let request = |start_offset, on_trimmed: &str| {
        let mut request = Request::new(SubscribeRequest {
            stream: "foo".into(),
            start_position: StartPosition::Offset.into(),
            start_offset,
            ..Default::default()
        });
        request
            .metadata_mut()
            .insert("strandline-on-trimmed", on_trimmed.parse().unwrap());
        request
    };
    let told = harness.client.subscribe(request(6, "error")).await.unwrap_err();
    assert_eq!(
        (told.code(), told.message()),
        (
            Code::OutOfRange,
            "offset 6 was removed, the partition starts at offset 7"
        )
    );
    let wrong = harness.client.subscribe(request(6, "maybe")).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    for (offset, on_trimmed) in [(0, "skip"), (7, "error")] {
        let mut messages = harness
            .client
            .subscribe(request(offset, on_trimmed))
            .await
            .unwrap()
            .into_inner();
        messages.message().await.unwrap();
        let first = messages.message().await.unwrap().unwrap();
        assert_eq!((first.offset, text(&first.value)), (7, "7".to_owned()));
    }
}
