//! The HTTP port of a broker, over a real socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use strandline_proto::api::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::harness::{Harness, TIMEOUT};

/// Samples by name and labels, as they stand in the text.
type Samples = BTreeMap<String, f64>;

async fn start() -> Harness {
    Harness::start_with(|settings| {
        settings.http_listen = Some(":0".parse().unwrap());
        settings.metrics_per_partition = true;
    })
    .await
}

/// Sends bytes, reads to the end and returns what was answered.
async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has heard enough may have closed already.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut answer));
    let _ = read.await.expect("the connection is closed in time");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let answer = raw(address, request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

async fn scrape(harness: &Harness) -> Samples {
    let (status, text) = get(harness.broker.http_addr().unwrap(), "/metrics").await;
    assert_eq!(status, 200);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    samples.map(sample).collect()
}

/// As soon as no message waits for its answer. An answer counts as given a moment after its reader has it: on a busy machine a scrape
/// in between still found four.
async fn scrape_when_answered(harness: &Harness) -> Samples {
    let settled = async {
        loop {
            let samples = scrape(harness).await;
            if samples["strandline_grpc_unanswered_messages"] == 0.0 {
                return samples;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, settled)
        .await
        .expect("every message is answered")
}

async fn publish_async(harness: &mut Harness, streams: &[&str]) {
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    let responses = harness.client.publish_async(ReceiverStream::new(receiver)).await;
    let mut responses = responses.unwrap().into_inner();
    for stream in streams {
        let request = PublishRequest {
            stream: (*stream).into(),
            value: Bytes::from_static(b"0123456789"),
            expected_offset: -1,
            ..Default::default()
        };
        sender.send(request).await.unwrap();
    }
    for _ in streams {
        let response = tokio::time::timeout(TIMEOUT, responses.next()).await.unwrap();
        response.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_is_published_and_read_is_counted_at_every_stage() {
    let mut harness = start().await;
    harness.create("orders", "orders").await;
    for _ in 0..3 {
        harness.publish("orders", "0123456789").await.unwrap();
    }
    publish_async(&mut harness, &["orders", "orders", "nowhere", "orders", "orders"]).await;
    let request = SubscribeRequest {
        stream: "orders".into(),
        start_position: StartPosition::Earliest as i32,
        ..Default::default()
    };
    let mut messages = harness.client.subscribe(request).await.unwrap().into_inner();
    for _ in 0..8 {
        tokio::time::timeout(TIMEOUT, messages.next()).await.unwrap();
    }
    let samples = scrape_when_answered(&harness).await;
    let expected = [
        ("strandline_door_messages_total{door=\"grpc_call\"}", 3.0),
        ("strandline_door_messages_total{door=\"grpc_session\"}", 4.0),
        ("strandline_door_messages_total{door=\"nats\"}", 0.0),
        ("strandline_appended_records_total", 7.0),
        ("strandline_acks_total", 7.0),
        ("strandline_refused_messages_total{reason=\"no_target\"}", 1.0),
        ("strandline_batch_records_sum", 7.0),
        ("strandline_sync_records_sum", 7.0),
        ("strandline_read_records_total", 7.0),
        ("strandline_subscriptions", 1.0),
        ("strandline_grpc_requests_total{method=\"PublishAsync\"}", 1.0),
        ("strandline_grpc_requests_total{method=\"Publish\"}", 3.0),
        ("strandline_grpc_unanswered_messages", 0.0),
        ("strandline_inbox_bytes", 0.0),
        ("strandline_partitions_led", 1.0),
        ("strandline_partitions_failed", 0.0),
        ("strandline_stored_records", 7.0),
        ("strandline_ready", 1.0),
        (
            "strandline_partition_end_offset{stream=\"orders\",partition=\"0\"}",
            7.0,
        ),
    ];
    for (name, value) in expected {
        assert_eq!(samples.get(name), Some(&value), "{name} in {samples:#?}");
    }
    let some = [
        "strandline_file_sync_seconds_count{files=\"streams\"}",
        "strandline_file_sync_seconds_count{files=\"metadata\"}",
        "strandline_commit_seconds_count",
        "strandline_publish_seconds_count",
        "strandline_appended_bytes_total",
        "strandline_tail_cache_hits_total",
        "strandline_metadata_revision",
        "strandline_nats_subscriptions",
        "process_resident_memory_bytes",
    ];
    for name in some {
        assert!(
            samples.get(name).is_some_and(|value| *value > 0.0),
            "{name} in {samples:#?}"
        );
    }
}

#[tokio::test]
async fn failed_calls_and_refused_messages_are_counted_by_their_reason() {
    let mut harness = start().await;
    harness.publish("nowhere", "x").await.unwrap_err();
    let samples = scrape(&harness).await;
    assert_eq!(samples["strandline_grpc_failures_total{code=\"NOT_FOUND\"}"], 1.0);
}

#[tokio::test]
async fn a_broker_tells_whether_it_is_alive_and_ready() {
    let harness = start().await;
    let address = harness.broker.http_addr().unwrap();
    assert!(address.ip().is_loopback());
    assert_eq!(
        get(address, "/healthz").await,
        (200, "{\"status\":\"ok\",\"reasons\":[]}\n".into())
    );
    assert_eq!(get(address, "/readyz").await.0, 200);
    assert_eq!(get(address, "/other").await.0, 404);
    harness.broker.shutdown().await;
    assert!(
        TcpStream::connect(address).await.is_err(),
        "the port is closed after the stop"
    );
}

#[tokio::test]
async fn nonsense_and_excess_are_refused_and_harm_nobody() {
    let harness = start().await;
    let address = harness.broker.http_addr().unwrap();
    let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1000));
    let refused = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), "400"),
        (
            b"PUT /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
            "405",
        ),
        (
            b"GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
            "413",
        ),
        (long.as_bytes(), "431"),
        (many.as_bytes(), "431"),
    ];
    for (request, status) in refused {
        let answer = raw(address, request).await;
        // A reset may overtake the answer to a client that goes on sending.
        let start = answer.split(' ').nth(1).unwrap_or(status);
        assert_eq!(start, status, "{answer}");
    }
    // More than there are places for: the rest is closed at once.
    let mut held = Vec::new();
    for _ in 0..80 {
        held.push(TcpStream::connect(address).await.unwrap());
    }
    drop(held);
    let served = async {
        loop {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(b"HEAD /readyz HTTP/1.0\r\n\r\n").await;
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer).await;
            if answer.starts_with("HTTP/1.0 200") {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(TIMEOUT, served)
        .await
        .expect("places are free again");
    assert!(answer.ends_with("\r\n\r\n"), "no body: {answer}");
    assert!(scrape(&harness).await["strandline_http_turned_away_total"] > 0.0);
}
