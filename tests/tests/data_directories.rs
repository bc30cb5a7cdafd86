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

use strandline_client::admin::{NewAttachment, Side};
use strandline_client::{AckPolicy, Backend, Client, Compression, Message, Start, Stop, StreamConfig};
use strandline_tests::{BrokerProcess, copy};

/// Streams with the texts of their records.
type Manifest = BTreeMap<String, Vec<String>>;

/// The stream whose records get their keys from a plugin.
const EXTRACTED: &str = "extracted";

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

/// Publishes a record, and tells its text without the offset.
async fn publish(client: &Client, stream: &str, number: usize) -> String {
    let message = Message::new(format!("value {number}")).ack_policy(AckPolicy::All);
    let (message, key) = match stream {
        EXTRACTED => (message, "value".to_owned()),
        _ => {
            let key = format!("key {}", number % 3);
            (message.key(key.clone()), key)
        }
    };
    client.publish(stream, message).await.unwrap();
    format!("{key}=value {number}")
}

#[tokio::test]
async fn directories_of_every_earlier_format_are_served() {
    let mut formats = 0;
    for entry in fs::read_dir(directories()).unwrap().map(Result::unwrap) {
        let manifest = fs::read(entry.path().join("manifest.json")).unwrap();
        let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
        let mut broker = BrokerProcess::start_on_copy_of(&entry.path().join("data")).unwrap();
        let client = connect(&broker).await;
        let mut longer = Manifest::new();
        for (stream, records) in manifest {
            let name = entry.path();
            assert_eq!(replay(&client, &stream).await, records, "{}", name.display());
            let added = format!("{} {}", records.len(), publish(&client, &stream, 1_000).await);
            longer.insert(stream, [records, vec![added]].concat());
        }
        broker.stop_and_restart().unwrap();
        let client = connect(&broker).await;
        for (stream, records) in longer {
            assert_eq!(replay(&client, &stream).await, records);
        }
        formats += 1;
    }
    assert!(formats > 0, "no directory of an earlier format");
}

/// Writes the directory of the present format: run it once when a format is new, and commit what it writes.
///
/// `FORMAT=format-4 cargo test -p strandline-tests --test data_directories -- --ignored`, with the directory of the examples
/// of plugins in STRANDLINE_TEST_PLUGINS, as `sdk/examples/build` makes it.
#[tokio::test]
#[ignore = "writes into the source tree"]
async fn write_the_directory_of_the_present_format() {
    let target = directories().join(std::env::var("FORMAT").unwrap());
    let mut broker = BrokerProcess::start().unwrap();
    let client = connect(&broker).await;
    let mut manifest = Manifest::new();
    let stream = |name: &str| StreamConfig::new(name, name);
    for (name, config, count) in [
        ("orders", StreamConfig::new("orders", "orders.*"), 12),
        ("gone", stream("gone"), 2),
        ("audit", StreamConfig::new("audit", "audit.>"), 5),
        ("packed", stream("packed").compression(Compression::Zstd), 6),
        ("tables", stream("tables").backend(Backend::Redb), 4),
        (EXTRACTED, stream(EXTRACTED), 3),
    ] {
        client.create_stream(config).await.unwrap();
        if name == EXTRACTED {
            attach_the_extractor(&client).await;
        }
        for number in 0..count {
            publish(&client, name, number).await;
        }
        manifest.insert(name.to_owned(), replay(&client, name).await);
    }
    client.delete_stream("gone").await.unwrap();
    manifest.remove("gone");
    assert!(broker.stop().unwrap().success());
    write(&target, &broker.data(), &manifest);
}

async fn attach_the_extractor(client: &Client) {
    let modules = PathBuf::from(std::env::var_os("STRANDLINE_TEST_PLUGINS").unwrap());
    let admin = client.admin();
    let module = fs::read(modules.join("column.wasm")).unwrap();
    admin.push_plugin("column", module).await.unwrap();
    let mut attachment = NewAttachment::new(EXTRACTED, Side::Key, "column");
    attachment.variant.settings = r#"{"column": 0, "divider": " "}"#.to_owned();
    admin.attach_plugin(attachment).await.unwrap();
}

fn write(target: &Path, data: &Path, manifest: &Manifest) {
    copy(data, &target.join("data")).unwrap();
    without_room(&target.join("data/metadata/00000000000000000001.log"));
    // A cache, for this processor and engine.
    fs::remove_dir_all(target.join("data/plugins/compiled")).unwrap();
    let manifest = serde_json::to_vec_pretty(manifest).unwrap();
    fs::write(target.join("manifest.json"), manifest).unwrap();
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
