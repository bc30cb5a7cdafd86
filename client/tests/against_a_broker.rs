//! The client against a whole broker in this process, over a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails says so by a panic"
)]

use std::time::Duration;

use futures_util::StreamExt;
use strandline_broker::settings::NatsMode;
use strandline_broker::{Broker, Settings};
use strandline_client::admin::TrimBefore;
use strandline_client::{
    AckPolicy, Client, ErrorKind, Message, OnTrimmed, Partitioning, Start, Stop, StreamConfig, key_partition,
};
use tempfile::TempDir;

async fn broker(directory: &TempDir, listen: &str) -> Broker {
    let mut settings = Settings::new(directory.path());
    settings.listen = listen.parse().unwrap();
    let nats = strandline_nats::Options {
        host: "127.0.0.1".into(),
        port: 0,
        ..strandline_nats::Options::default()
    };
    settings.nats = NatsMode::Embedded(Box::new(nats));
    Broker::start(settings).await.unwrap()
}

async fn start() -> (TempDir, Broker, Client) {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(&directory, "127.0.0.1:0").await;
    let client = Client::builder()
        .server(broker.grpc_addr().to_string())
        .connect()
        .await
        .unwrap();
    (directory, broker, client)
}

async fn values(client: &Client, stream: &str, partition: u32) -> Vec<String> {
    let records = client
        .subscribe(stream)
        .partition(partition)
        .start(Start::Earliest)
        .stop(Stop::Latest);
    let records = records.open().await.unwrap();
    records
        .map(|record| String::from_utf8(record.unwrap().value.to_vec()).unwrap())
        .collect()
        .await
}

#[tokio::test]
async fn streams_are_created_described_and_deleted() {
    let (_directory, _broker, client) = start().await;
    client
        .create_stream(StreamConfig::new("orders", "orders.new").partitions(2))
        .await
        .unwrap();
    let again = client
        .create_stream(StreamConfig::new("orders", "x"))
        .await
        .unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    assert!(!again.is_retryable() && !again.may_have_taken_effect());
    let metadata = client.metadata().await.unwrap();
    assert_eq!(metadata.streams["orders"].partitions.len(), 2);
    assert_eq!(client.partition("orders", 1).await.unwrap().end, 0);
    client.delete_stream("orders").await.unwrap();
    assert_eq!(
        client.delete_stream("orders").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn a_message_comes_back_as_it_was_published() {
    let (_directory, _broker, client) = start().await;
    client
        .create_stream(StreamConfig::new("orders", "orders"))
        .await
        .unwrap();
    let message = Message::new("value")
        .key("key")
        .header("h", "1")
        .ack_policy(AckPolicy::All);
    assert_eq!(client.publish("orders", message).await.unwrap().offset, Some(0));
    assert_eq!(
        client
            .publish_to_subject("orders", Message::new("second"))
            .await
            .unwrap()
            .and_then(|ack| ack.offset),
        Some(1)
    );
    let mut records = client
        .subscribe("orders")
        .start(Start::Earliest)
        .open()
        .await
        .unwrap();
    let record = records.next().await.unwrap().unwrap();
    assert_eq!(
        (&record.value[..], &record.key[..], record.subject.as_str()),
        (&b"value"[..], &b"key"[..], "orders")
    );
    assert_eq!(record.headers["h"], "1");
    assert_eq!(records.next().await.unwrap().unwrap().offset, 1);
    let missing = client.publish("nothing", Message::new("")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_window_of_messages_is_stored_in_order() {
    let (_directory, _broker, client) = start().await;
    client
        .create_stream(StreamConfig::new("orders", "orders"))
        .await
        .unwrap();
    let mut publisher = client.publisher("orders").window(64).open().await.unwrap();
    let mut acks = Vec::new();
    for number in 0..1000 {
        acks.push(publisher.send(Message::new(number.to_string())).await.unwrap());
    }
    publisher.flush().await.unwrap();
    for (number, ack) in acks.into_iter().enumerate() {
        assert_eq!(ack.await.unwrap().offset, Some(number as u64));
    }
    let expected: Vec<_> = (0..1000).map(|number| number.to_string()).collect();
    assert_eq!(values(&client, "orders", 0).await, expected);
}

#[tokio::test]
async fn messages_of_one_key_share_a_partition() {
    let (_directory, _broker, client) = start().await;
    client
        .create_stream(StreamConfig::new("orders", "orders").partitions(3))
        .await
        .unwrap();
    let mut publisher = client
        .publisher("orders")
        .partitioning(Partitioning::KeyOrRoundRobin)
        .open()
        .await
        .unwrap();
    for number in 0..30 {
        publisher
            .send(Message::new(number.to_string()).key("customer 7"))
            .await
            .unwrap();
    }
    publisher.flush().await.unwrap();
    assert_eq!(
        values(&client, "orders", key_partition(b"customer 7", 3))
            .await
            .len(),
        30
    );
}

#[tokio::test]
async fn an_unmet_expectation_is_told_as_such() {
    let (_directory, _broker, client) = start().await;
    client
        .create_stream(StreamConfig::new("orders", "orders").concurrency_control(true))
        .await
        .unwrap();
    let wrong = client
        .publish("orders", Message::new("x").expected_offset(5))
        .await
        .unwrap_err();
    assert_eq!(
        (wrong.kind(), wrong.may_have_taken_effect()),
        (ErrorKind::IncorrectOffset, false)
    );
    let mut publisher = client.publisher("orders").open().await.unwrap();
    let wrong = publisher
        .send(Message::new("x").expected_offset(5))
        .await
        .unwrap()
        .await
        .unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::IncorrectOffset);
    let right = publisher
        .send(Message::new("x").expected_offset(0))
        .await
        .unwrap()
        .await
        .unwrap();
    assert_eq!(right.offset, Some(0));
}

#[tokio::test]
async fn a_subscription_goes_on_behind_its_last_record_after_the_broker_was_away() {
    let (directory, first, client) = start().await;
    let address = first.grpc_addr().to_string();
    client
        .create_stream(StreamConfig::new("orders", "orders"))
        .await
        .unwrap();
    client.publish("orders", Message::new("before")).await.unwrap();
    let mut records = client
        .subscribe("orders")
        .start(Start::Earliest)
        .open()
        .await
        .unwrap();
    assert_eq!(records.next().await.unwrap().unwrap().offset, 0);
    first.shutdown().await;
    let _second = broker(&directory, &address).await;
    client.metadata().await.unwrap();
    client.publish("orders", Message::new("after")).await.unwrap();
    let record = tokio::time::timeout(Duration::from_secs(20), records.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!((record.offset, &record.value[..]), (1, &b"after"[..]));
}

#[tokio::test]
async fn what_is_in_flight_when_the_broker_goes_is_told_as_possibly_stored() {
    let (_directory, broker, client) = start().await;
    client
        .create_stream(StreamConfig::new("orders", "orders"))
        .await
        .unwrap();
    let mut publisher = client.publisher("orders").open().await.unwrap();
    publisher.send(Message::new("x")).await.unwrap().await.unwrap();
    broker.shutdown().await;
    let outcome = match publisher.send(Message::new("y")).await {
        Ok(pending) => pending.await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(outcome.kind(), ErrorKind::Unavailable, "{outcome}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_that_can_be_tried_again() {
    let client = Client::builder().server("127.0.0.1:1").connect().await;
    assert!(client.unwrap_err().is_retryable());
}

#[tokio::test]
async fn a_subscription_at_removed_records_goes_on_or_fails_as_it_was_told() {
    let (_directory, _broker, client) = start().await;
    client
        // Every record is a segment, and goes as a whole.
        .create_stream(StreamConfig::new("orders", "orders").segment_max_bytes(1))
        .await
        .unwrap();
    for number in 0..5 {
        let message = Message::new(format!("{number}"));
        client.publish("orders", message).await.unwrap();
    }
    client
        .admin()
        .trim_stream("orders", TrimBefore::Offset(3), &[])
        .await
        .unwrap();
    let subscribe = |on_trimmed| {
        let builder = client.subscribe("orders").start(Start::Offset(1));
        builder.on_trimmed(on_trimmed).open()
    };
    let mut records = subscribe(OnTrimmed::Skip).await.unwrap();
    assert_eq!(records.next().await.unwrap().unwrap().offset, 3);
    let refused = match subscribe(OnTrimmed::Fail).await {
        Ok(mut records) => records.next().await.unwrap().map(|_| ()),
        Err(error) => Err(error),
    };
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Trimmed);
}
