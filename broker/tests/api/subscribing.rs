//! Subscribe with every position.

use strandline_proto::api::*;
use tonic::Code;

use crate::harness::{Harness, text};

async fn five() -> (Harness, Vec<i64>) {
    let mut harness = Harness::start().await;
    harness.create("foo", "foo").await;
    let mut times = Vec::new();
    for value in ["0", "1", "2", "3", "4"] {
        harness.publish("foo", value).await.unwrap();
    }
    let request = SubscribeRequest {
        start_position: StartPosition::Earliest.into(),
        stop_position: StopPosition::StopLatest.into(),
        ..foo()
    };
    let (messages, _) = harness.subscribe(request).await.unwrap().read_to_end().await;
    times.extend(messages.iter().map(|message| message.timestamp));
    (harness, times)
}

fn foo() -> SubscribeRequest {
    SubscribeRequest {
        stream: "foo".into(),
        ..Default::default()
    }
}

fn from(start: StartPosition) -> SubscribeRequest {
    SubscribeRequest {
        start_position: start.into(),
        ..foo()
    }
}

#[tokio::test]
async fn each_start_position_begins_where_it_should() {
    let (mut harness, times) = five().await;
    let at = |offset| SubscribeRequest {
        start_offset: offset,
        ..from(StartPosition::Offset)
    };
    let time = |nanos| SubscribeRequest {
        start_timestamp: nanos,
        ..from(StartPosition::Timestamp)
    };
    let cases = [
        (from(StartPosition::Earliest), "0"),
        (from(StartPosition::Latest), "4"),
        (from(StartPosition::NewOnly), "next"),
        (at(2), "2"),
        (at(-5), "0"),
        (at(100), "next"),
        (time(0), "0"),
        (time(times[3]), "3"),
        (time(times[2] + 1), "3"),
        (time(i64::MAX), "next"),
    ];
    let mut subscriptions = Vec::new();
    for (request, expected) in cases {
        subscriptions.push((
            harness.subscribe(request.clone()).await.unwrap(),
            request,
            expected,
        ));
    }
    harness.publish("foo", "next").await.unwrap();
    for (mut subscription, request, expected) in subscriptions {
        assert_eq!(text(&subscription.next().await.value), expected, "{request:?}");
    }
}

#[tokio::test]
async fn each_stop_position_ends_where_it_should() {
    let (mut harness, times) = five().await;
    let earliest = from(StartPosition::Earliest);
    let stop = |stop: StopPosition, offset, time| SubscribeRequest {
        stop_position: stop.into(),
        stop_offset: offset,
        stop_timestamp: time,
        ..earliest.clone()
    };
    let cases = [
        (stop(StopPosition::StopOffset, 2, 0), 3),
        (stop(StopPosition::StopLatest, 0, 0), 5),
        (stop(StopPosition::StopTimestamp, 0, times[1]), 2),
        (stop(StopPosition::StopTimestamp, 0, i64::MAX), 5),
    ];
    for (request, count) in cases {
        let (messages, end) = harness.subscribe(request).await.unwrap().read_to_end().await;
        assert_eq!(messages.len(), count);
        assert_eq!(
            (end.code(), end.message()),
            (Code::ResourceExhausted, "Stop offset reached")
        );
    }
}

#[tokio::test]
async fn positions_that_name_nothing_are_refused() {
    let (mut harness, _) = five().await;
    harness.create("empty", "empty").await;
    let latest = SubscribeRequest {
        stop_position: StopPosition::StopLatest.into(),
        ..Default::default()
    };
    let before = SubscribeRequest {
        stop_position: StopPosition::StopOffset.into(),
        stop_offset: 1,
        start_offset: 3,
        ..from(StartPosition::Offset)
    };
    let too_early = SubscribeRequest {
        stop_position: StopPosition::StopTimestamp.into(),
        stop_timestamp: 5,
        ..from(StartPosition::Earliest)
    };
    let group = Consumer {
        group_id: "g".into(),
        ..Default::default()
    };
    let cases = [
        (
            SubscribeRequest {
                stream: "empty".into(),
                ..latest
            },
            Code::ResourceExhausted,
            "Stream is empty",
        ),
        (
            before,
            Code::InvalidArgument,
            "Stop offset is before start offset: 1 < 3",
        ),
        (too_early, Code::Internal, "Failed to lookup offset for timestamp"),
        (
            SubscribeRequest {
                partition: 1,
                ..foo()
            },
            Code::NotFound,
            "No such partition",
        ),
        (
            SubscribeRequest {
                stream: "bar".into(),
                ..foo()
            },
            Code::NotFound,
            "No such partition",
        ),
        (
            SubscribeRequest {
                start_position: 9,
                ..foo()
            },
            Code::InvalidArgument,
            "Unknown StartPosition 9",
        ),
        (
            SubscribeRequest {
                stop_position: 9,
                ..foo()
            },
            Code::InvalidArgument,
            "Unknown StopPosition 9",
        ),
        (
            SubscribeRequest {
                consumer: Some(group),
                ..foo()
            },
            Code::InvalidArgument,
            "Consumer id cannot be empty",
        ),
    ];
    for (request, code, text) in cases {
        let Err(status) = harness.subscribe(request.clone()).await else {
            panic!("{request:?} was taken")
        };
        assert_eq!(status.code(), code, "{request:?}");
        assert!(status.message().contains(text), "{status:?}");
    }
}

#[tokio::test]
async fn a_reverse_read_goes_from_newest_to_oldest_and_ends() {
    let (mut harness, _) = five().await;
    let request = SubscribeRequest {
        reverse: true,
        ..from(StartPosition::Latest)
    };
    let (messages, end) = harness.subscribe(request).await.unwrap().read_to_end().await;
    let values: Vec<_> = messages.iter().map(|message| text(&message.value)).collect();
    assert_eq!(values, ["4", "3", "2", "1", "0"]);
    assert_eq!((end.code(), end.message()), (Code::Unknown, "EOF"));
    let part = SubscribeRequest {
        reverse: true,
        start_offset: 3,
        stop_position: StopPosition::StopOffset.into(),
        stop_offset: 2,
        ..from(StartPosition::Offset)
    };
    let (messages, end) = harness.subscribe(part).await.unwrap().read_to_end().await;
    assert_eq!(
        messages.iter().map(|message| message.offset).collect::<Vec<_>>(),
        [3, 2]
    );
    assert_eq!(end.code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn a_subscription_ends_with_its_stream_and_with_the_broker() {
    let (mut harness, _) = five().await;
    harness.create("bar", "bar").await;
    let deleted = harness.subscribe(from(StartPosition::NewOnly)).await.unwrap();
    let stopped = harness
        .subscribe(SubscribeRequest {
            stream: "bar".into(),
            ..foo()
        })
        .await
        .unwrap();
    harness
        .client
        .delete_stream(DeleteStreamRequest { name: "foo".into() })
        .await
        .unwrap();
    let (_, end) = deleted.read_to_end().await;
    assert_eq!(
        (end.code(), end.message()),
        (Code::NotFound, "commit log was deleted")
    );
    harness.broker.shutdown().await;
    let (_, end) = stopped.read_to_end().await;
    assert_eq!(end.code(), Code::Unavailable);
}

#[tokio::test]
async fn many_records_come_whole_and_in_order_to_several_readers() {
    let mut harness = Harness::start().await;
    harness.create("foo", "foo").await;
    let mut tailing = harness.subscribe(from(StartPosition::NewOnly)).await.unwrap();
    for number in 0..300 {
        let request = PublishRequest {
            stream: "foo".into(),
            value: vec![b'x'; 10 * number].into(),
            expected_offset: -1,
            ack_policy: AckPolicy::None.into(),
            ..Default::default()
        };
        harness.send(request).await.unwrap();
    }
    for number in 0..300 {
        let message = tailing.next().await;
        assert_eq!(
            (message.offset, message.value.len()),
            (number, 10 * number as usize)
        );
    }
    assert_eq!(harness.values("foo").await.len(), 300);
    let mut harness = harness.restart().await;
    assert_eq!(harness.values("foo").await.len(), 300);
}
