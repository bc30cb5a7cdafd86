//! Data directories that earlier versions wrote, committed below `data`, are served as their manifests say.
//!
//! `docs/file-formats.md` tells how to add the directory of a new format.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails says so by a panic"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use futures_util::StreamExt;

use strandline_client::{AckPolicy, Client, Message, Start, Stop, StreamConfig};
use strandline_tests::{BrokerProcess, copy};

/// Streams with the texts of their records.
type Manifest = BTreeMap<String, Vec<String>>;

fn directories() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

async fn connect(broker: &BrokerProcess) -> Client {
    let client = Client::builder().server(broker.grpc.to_string());
    client.connect().await.unwrap()
}

async fn replay(client: &Client, stream: &str) -> Vec<String> {
    let subscription = client.subscribe(stream).start(Start::Earliest).stop(Stop::Latest);
    let records = subscription.open().await.unwrap().map(Result::unwrap);
    let text = |record: strandline_client::Record| {
        let (key, value) = (
            String::from_utf8_lossy(&record.key),
            String::from_utf8_lossy(&record.value),
        );
        format!("{} {key}={value}", record.offset)
    };
    records.map(text).collect().await
}

async fn publish(client: &Client, stream: &str, number: usize) {
    let message = Message::new(format!("value {number}"))
        .key(format!("key {}", number % 3))
        .ack_policy(AckPolicy::All);
    client.publish(stream, message).await.unwrap();
}

#[tokio::test]
async fn directories_of_every_earlier_format_are_served() {
    let mut formats = 0;
    for entry in fs::read_dir(directories()).unwrap().map(Result::unwrap) {
        let manifest = fs::read(entry.path().join("manifest.json")).unwrap();
        let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
        let mut broker = BrokerProcess::start_on_copy_of(&entry.path().join("data")).unwrap();
        let client = connect(&broker).await;
        for (stream, records) in &manifest {
            assert_eq!(
                replay(&client, stream).await,
                *records,
                "{}",
                entry.path().display()
            );
            publish(&client, stream, 1_000).await;
        }
        broker.stop_and_restart().unwrap();
        let client = connect(&broker).await;
        for (stream, records) in &manifest {
            let now = replay(&client, stream).await;
            assert_eq!(now[..records.len()], records[..]);
            assert_eq!(now.len(), records.len() + 1);
        }
        formats += 1;
    }
    assert!(formats > 0, "no directory of an earlier format");
}

/// Writes the directory of the present format: run it once when a format is new, and commit what it writes.
///
/// `FORMAT=format-2 cargo test -p strandline-tests --test data_directories -- --ignored`
#[tokio::test]
#[ignore = "writes into the source tree"]
async fn write_the_directory_of_the_present_format() {
    let target = directories().join(std::env::var("FORMAT").unwrap());
    let mut broker = BrokerProcess::start().unwrap();
    let client = connect(&broker).await;
    let mut manifest = Manifest::new();
    for (stream, subject, count) in [
        ("orders", "orders.*", 12),
        ("gone", "gone", 2),
        ("audit", "audit.>", 5),
    ] {
        client
            .create_stream(StreamConfig::new(stream, subject))
            .await
            .unwrap();
        for number in 0..count {
            publish(&client, stream, number).await;
        }
        manifest.insert(stream.to_owned(), replay(&client, stream).await);
    }
    client.delete_stream("gone").await.unwrap();
    manifest.remove("gone");
    assert!(broker.stop().unwrap().success());
    copy(&broker.data(), &target.join("data")).unwrap();
    without_room(&target.join("data/metadata/00000000000000000001.log"));
    fs::write(
        target.join("manifest.json"),
        serde_json::to_vec_pretty(&manifest).unwrap(),
    )
    .unwrap();
}

/// Leaves out the room that a file keeps for later, but for the rest of a block.
fn without_room(file: &Path) {
    let bytes = fs::read(file).unwrap();
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let kept = used.next_multiple_of(4096).min(bytes.len());
    fs::write(file, &bytes[..kept]).unwrap();
}
