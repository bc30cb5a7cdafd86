//! The Rust client, beside a plain NATS client, against a real process that is stopped and killed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails says so by a panic"
)]

use std::time::Duration;

use futures_util::StreamExt;

use strandline_client::admin::TrimBefore;
use strandline_client::{
    AckPolicy, Client, ErrorKind, Message, Partitioning, Record, Start, Stop, StreamConfig,
};
use strandline_tests::BrokerProcess;

async fn connect(broker: &BrokerProcess) -> Client {
    Client::builder()
        .server(broker.grpc.to_string())
        .connect()
        .await
        .unwrap()
}

async fn replay(client: &Client, stream: &str) -> Vec<Record> {
    let subscription = client
        .subscribe(stream)
        .start(Start::Earliest)
        .stop(Stop::Latest)
        .open()
        .await
        .unwrap();
    subscription.map(Result::unwrap).collect().await
}

fn values(records: &[Record]) -> Vec<String> {
    records
        .iter()
        .map(|record| String::from_utf8(record.value.to_vec()).unwrap())
        .collect()
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("v{number}")).collect()
}

#[tokio::test]
async fn what_is_published_can_be_replayed() {
    let broker = BrokerProcess::start().unwrap();
    let client = connect(&broker).await;
    client
        .create_stream(StreamConfig::new("orders", "orders.*"))
        .await
        .unwrap();
    let message = Message::new("first")
        .key("k")
        .header("h", "v")
        .ack_policy(AckPolicy::All);
    let ack = client.publish("orders", message).await.unwrap();
    assert_eq!((ack.stream.as_str(), ack.offset), ("orders", Some(0)));

    let records = replay(&client, "orders").await;
    assert_eq!(values(&records), ["first"]);
    assert_eq!(
        (&records[0].key[..], &records[0].headers["h"][..]),
        (&b"k"[..], &b"v"[..])
    );
}

#[tokio::test]
async fn a_window_of_messages_survives_a_kill() {
    let mut broker = BrokerProcess::start().unwrap();
    let client = connect(&broker).await;
    client
        .create_stream(StreamConfig::new("orders", "orders"))
        .await
        .unwrap();
    let mut publisher = client
        .publisher("orders")
        .window(200)
        .partitioning(Partitioning::Fixed(0))
        .open()
        .await
        .unwrap();
    let mut acks = Vec::new();
    for value in numbered(3000) {
        acks.push(publisher.send(Message::new(value)).await.unwrap());
    }
    publisher.flush().await.unwrap();
    for (number, ack) in acks.into_iter().enumerate() {
        assert_eq!(ack.await.unwrap().offset, Some(number as u64));
    }
    drop(publisher);

    broker.kill_and_restart().unwrap();
    let records = replay(&connect(&broker).await, "orders").await;
    assert_eq!(values(&records), numbered(3000));
}

/// On threads of its own: a client that does not answer holds up a stopping broker until its patience is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_and_a_client_carry_on_over_stops_and_kills() {
    let mut broker = BrokerProcess::start().unwrap();
    let client = connect(&broker).await;
    client
        .create_stream(StreamConfig::new("orders", "orders"))
        .await
        .unwrap();
    let mut records = client
        .subscribe("orders")
        .start(Start::Earliest)
        .open()
        .await
        .unwrap();
    for round in 0..4_u64 {
        let value = format!("round {round}");
        let ack = loop {
            match client
                .publish("orders", Message::new(value.clone()).expected_offset(round))
                .await
            {
                Ok(ack) => break ack,
                Err(error) if error.is_retryable() => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}"),
            }
        };
        let record = records.next().await.unwrap().unwrap();
        assert_eq!(
            (Some(record.offset), &record.value[..]),
            (ack.offset, value.as_bytes())
        );
        if round % 2 == 0 {
            broker.kill_and_restart().unwrap();
        } else {
            broker.stop_and_restart().unwrap();
        }
    }
}

#[tokio::test]
async fn plain_nats_messages_are_records_for_the_client() {
    let broker = BrokerProcess::start().unwrap();
    let client = connect(&broker).await;
    client
        .create_stream(StreamConfig::new("orders", "orders.>"))
        .await
        .unwrap();
    let nats = async_nats::connect(broker.nats.to_string()).await.unwrap();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Strandline-Ack", "leader");
    for (offset, value) in numbered(5).into_iter().enumerate() {
        let reply = nats
            .request_with_headers(format!("orders.{value}"), headers.clone(), value.into())
            .await
            .unwrap();
        let ack: serde_json::Value = serde_json::from_slice(&reply.payload).unwrap();
        assert_eq!(ack["offset"], offset as u64);
    }
    let records = replay(&client, "orders").await;
    assert_eq!(values(&records), numbered(5));
    assert_eq!(records[3].subject, "orders.v3");
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let broker = BrokerProcess::start().unwrap();
    let client = connect(&broker).await;
    client
        .create_stream(StreamConfig::new("orders", "orders").concurrency_control(true))
        .await
        .unwrap();
    let kind = |result: Result<(), strandline_client::Error>| result.unwrap_err().kind();

    assert_eq!(
        kind(client.create_stream(StreamConfig::new("orders", "x")).await),
        ErrorKind::AlreadyExists
    );
    assert_eq!(
        kind(client.create_stream(StreamConfig::new("b", "a..b")).await),
        ErrorKind::InvalidRequest
    );
    let replicated = StreamConfig::new("c", "c").replication_factor(2);
    assert_eq!(
        kind(client.create_stream(replicated).await),
        ErrorKind::FailedPrecondition
    );
    assert_eq!(kind(client.delete_stream("unknown").await), ErrorKind::NotFound);
    let wrong = Message::new("x").expected_offset(7);
    assert_eq!(
        kind(client.publish("orders", wrong).await.map(|_| ())),
        ErrorKind::IncorrectOffset
    );
    let large = Message::new(vec![0; 2 << 20]);
    assert_eq!(
        kind(client.publish("orders", large).await.map(|_| ())),
        ErrorKind::TooLarge
    );
}

#[tokio::test]
async fn what_was_trimmed_or_erased_stays_away_after_a_kill() {
    let mut broker = BrokerProcess::start().unwrap();
    let client = connect(&broker).await;
    let config = StreamConfig::new("orders", "orders").segment_max_bytes(2_000);
    client.create_stream(config).await.unwrap();
    for number in 0..100_u64 {
        let key = if number % 5 == 0 { "alice" } else { "bob" };
        let message = Message::new(format!("v{number}")).key(key);
        client.publish("orders", message).await.unwrap();
    }
    let expected = |from: u64| -> Vec<String> {
        let left = (from..100).filter(|number| number % 5 != 0);
        left.map(|number| format!("v{number}")).collect()
    };
    let admin = client.admin();
    let erased = admin.erase_key("orders", "alice").await.unwrap();
    assert_eq!(erased.iter().map(|erased| erased.records).sum::<u64>(), 20);
    broker.kill_and_restart().unwrap();
    assert_eq!(values(&replay(&client, "orders").await), expected(0));
    for before in [7, 8, 43, 44] {
        let trimmed = admin
            .trim_stream("orders", TrimBefore::Offset(before), &[])
            .await
            .unwrap();
        assert_eq!(trimmed[0].start, before);
        broker.kill_and_restart().unwrap();
        assert_eq!(values(&replay(&client, "orders").await), expected(before));
    }
}

/// The process is killed at any moment of a removal: what was not asked for is there, what was asked for can be asked for
/// again.
#[tokio::test]
async fn a_removal_that_a_kill_interrupts_can_be_repeated() {
    let mut broker = BrokerProcess::start().unwrap();
    let client = connect(&broker).await;
    let config = StreamConfig::new("orders", "orders").segment_max_bytes(20_000);
    client.create_stream(config).await.unwrap();
    let mut publisher = client.publisher("orders").window(100).open().await.unwrap();
    for number in 0..5_000_u64 {
        let key = if number % 2 == 0 {
            format!("key-{}", number % 40)
        } else {
            "kept".to_owned()
        };
        publisher
            .send(Message::new(format!("v{number}")).key(key))
            .await
            .unwrap();
    }
    publisher.flush().await.unwrap();
    let kept: Vec<String> = (0..5_000)
        .filter(|number| number % 2 == 1)
        .map(|number| format!("v{number}"))
        .collect();
    for round in 0..20_u64 {
        let key = format!("key-{}", round * 2);
        let erasing = {
            let (admin, key) = (client.admin(), key.clone());
            tokio::spawn(async move { admin.erase_key("orders", key).await })
        };
        tokio::time::sleep(Duration::from_millis(round)).await;
        broker.kill_and_restart().unwrap();
        let _ = erasing.await;
        client.admin().erase_key("orders", key.clone()).await.unwrap();
        let records = replay(&client, "orders").await;
        assert!(records.iter().all(|record| record.key != key.as_bytes()));
        let left = records.iter().filter(|record| &record.key[..] == b"kept").count();
        assert_eq!(left, kept.len());
    }
    assert_eq!(values(&replay(&client, "orders").await), kept);
}

#[tokio::test]
async fn cursors_survive_a_kill() {
    let mut broker = BrokerProcess::start_with(&["cursors.stream.partitions=3"]).unwrap();
    let client = connect(&broker).await;
    assert_eq!(client.fetch_cursor("orders", 0, "c").await.unwrap(), None);
    for offset in [5, 10] {
        client.set_cursor("orders", 0, "c", offset).await.unwrap();
        broker.kill_and_restart().unwrap();
        assert_eq!(client.fetch_cursor("orders", 0, "c").await.unwrap(), Some(offset));
    }
    assert_eq!(client.fetch_cursor("orders", 1, "c").await.unwrap(), None);
}
