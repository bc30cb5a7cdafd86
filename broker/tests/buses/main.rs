//! One suite for both buses: the embedded NATS server, and a real nats-server as the external one.
//!
//! The path of a nats-server comes from `STRANDLINE_TEST_NATS_SERVER`; `tests/run` installs one and sets it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails says so by a panic"
)]

mod outage;
mod setup;

use bytes::Bytes;
use futures_util::StreamExt;
use prost::Message as _;
use strandline_core::envelope::{self, Kind};
use strandline_proto::api::{self, PublishRequest, StartPosition, StopPosition, SubscribeRequest};
use tonic::Request;

use setup::{Bench, TIMEOUT, within};

/// Runs a scenario on both buses.
macro_rules! on_both_buses {
    ($($name:ident),* $(,)?) => {
        mod embedded { $( #[tokio::test] async fn $name() { super::$name(super::Bench::embedded().await).await; } )* }
        mod external { $( #[tokio::test] async fn $name() { super::$name(super::Bench::external().await).await; } )* }
    };
}

on_both_buses![
    a_plain_message_becomes_a_record_with_reserved_headers,
    an_envelope_becomes_its_message_and_is_acked_on_its_inbox,
    a_request_with_the_ack_header_is_answered_with_its_offset,
    a_grpc_publish_reaches_subscribers_and_the_stream_once,
    many_grpc_publishes_are_acked_in_order,
    streams_of_a_group_share_what_plain_clients_publish,
    a_message_over_the_limit_is_refused_and_nothing_else_is_lost,
];

async fn a_plain_message_becomes_a_record_with_reserved_headers(mut bench: Bench) {
    bench.create("orders", "orders.*").await;
    bench
        .nats
        .publish_with_reply("orders.new", "answers.here", "plain \u{0} bytes".into())
        .await
        .unwrap();
    let records = bench.wait_for("orders", 1).await;
    let record = &records[0];
    assert_eq!(&record.value[..], "plain \u{0} bytes".as_bytes());
    assert_eq!(
        (record.subject.as_str(), record.reply_subject.as_str()),
        ("orders.new", "answers.here")
    );
    assert_eq!(
        (&record.headers["subject"][..], &record.headers["reply"][..]),
        (&b"orders.new"[..], &b"answers.here"[..])
    );
    assert_eq!((record.headers.len(), record.key.len()), (2, 0));
}

async fn an_envelope_becomes_its_message_and_is_acked_on_its_inbox(mut bench: Bench) {
    bench.create("orders", "orders").await;
    let mut acks = bench.subscribe_nats("my.acks").await;
    let message = api::Message {
        offset: -1,
        key: "k".into(),
        value: "v".into(),
        ack_inbox: "my.acks".into(),
        correlation_id: "c1".into(),
        headers: [("h".to_owned(), Bytes::from_static(b"1"))].into(),
        ..Default::default()
    };
    let enveloped = [&envelope::header(Kind::Publish)[..], &message.encode_to_vec()].concat();
    bench.nats.publish("orders", enveloped.into()).await.unwrap();
    let answer = within(acks.next()).await.unwrap();
    let ack = api::Ack::decode(envelope::open(Kind::Ack, &answer.payload).unwrap()).unwrap();
    assert_eq!(
        (ack.stream.as_str(), ack.offset, ack.correlation_id.as_str()),
        ("orders", 0, "c1")
    );
    let records = bench.wait_for("orders", 1).await;
    assert_eq!(
        (&records[0].key[..], &records[0].value[..]),
        (&b"k"[..], &b"v"[..])
    );
    assert_eq!(&records[0].headers["h"][..], b"1");
}

async fn a_request_with_the_ack_header_is_answered_with_its_offset(mut bench: Bench) {
    bench.create("orders", "orders").await;
    for offset in 0..3 {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Strandline-Ack", "leader");
        let answer = within(bench.nats.request_with_headers("orders", headers, "x".into()))
            .await
            .unwrap();
        let expected = format!(r#"{{"stream":"orders","partition":0,"offset":{offset}}}"#);
        assert_eq!(&answer.payload[..], expected.as_bytes());
    }
}

async fn a_grpc_publish_reaches_subscribers_and_the_stream_once(mut bench: Bench) {
    bench.create("orders", "orders").await;
    bench.create("all", ">").await;
    let mut plain = bench.subscribe_nats("orders").await;
    let ack = bench.publish("orders", "hello").await;
    assert_eq!((ack.stream.as_str(), ack.offset), ("orders", 0));
    let seen = within(plain.next()).await.unwrap();
    let message = api::Message::decode(envelope::open(Kind::Publish, &seen.payload).unwrap()).unwrap();
    assert_eq!(&message.value[..], b"hello");
    assert_eq!(bench.wait_for("orders", 1).await.len(), 1);
    let everything = bench.wait_for("all", 1).await;
    assert_eq!(
        everything.iter().filter(|record| record.value == "hello").count(),
        1
    );
    bench.publish("orders", "again").await;
    assert_eq!(bench.wait_for("orders", 2).await.len(), 2);
}

async fn many_grpc_publishes_are_acked_in_order(mut bench: Bench) {
    bench.create("orders", "orders").await;
    let requests = (0..500).map(|number| PublishRequest {
        stream: "orders".into(),
        value: number.to_string().into(),
        correlation_id: number.to_string(),
        expected_offset: -1,
        ..Default::default()
    });
    let requests = tokio_stream::iter(requests.collect::<Vec<_>>()).chain(tokio_stream::pending());
    let mut responses = bench.grpc.publish_async(requests).await.unwrap().into_inner();
    for number in 0..500_i64 {
        let response = within(responses.next()).await.unwrap().unwrap();
        assert_eq!(response.async_error, None);
        assert_eq!(
            (response.correlation_id, response.ack.unwrap().offset),
            (number.to_string(), number)
        );
    }
    let records = bench.wait_for("orders", 500).await;
    assert!(
        records
            .iter()
            .enumerate()
            .all(|(number, record)| record.value == number.to_string())
    );
}

async fn streams_of_a_group_share_what_plain_clients_publish(mut bench: Bench) {
    for name in ["one", "two"] {
        bench.create_in_group(name, "shared", "g").await;
    }
    for number in 0..100 {
        bench
            .nats
            .publish("shared", number.to_string().into())
            .await
            .unwrap();
    }
    bench.nats.flush().await.unwrap();
    let started = std::time::Instant::now();
    loop {
        let (one, two) = (bench.records("one").await.len(), bench.records("two").await.len());
        if one + two == 100 {
            assert!(one >= 20 && two >= 20, "{one} and {two}");
            return;
        }
        assert!(started.elapsed() < TIMEOUT, "{one} and {two}");
    }
}

async fn a_message_over_the_limit_is_refused_and_nothing_else_is_lost(mut bench: Bench) {
    bench.create("orders", "orders").await;
    bench.publish("orders", "before").await;
    let mut request = Request::new(PublishRequest {
        stream: "orders".into(),
        value: vec![0; setup::MAX_MESSAGE_BYTES + 1].into(),
        ..Default::default()
    });
    request.set_timeout(TIMEOUT);
    let refused = bench.grpc.publish(request).await.unwrap_err();
    assert_eq!(refused.message(), "message exceeds max replication size");
    bench.publish("orders", "after").await;
    let values: Vec<_> = bench
        .wait_for("orders", 2)
        .await
        .into_iter()
        .map(|record| record.value)
        .collect();
    assert_eq!(values, ["before", "after"]);
}

fn everything(stream: &str) -> SubscribeRequest {
    SubscribeRequest {
        stream: stream.into(),
        start_position: StartPosition::Earliest.into(),
        stop_position: StopPosition::StopLatest.into(),
        ..Default::default()
    }
}
