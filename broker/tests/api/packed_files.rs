//! What lies on the disk of packed streams, and what is said when somebody else has changed it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::future::join_all;
use strandline_core::record::{Batch, Codec, Encryption, HEADER_BYTES, crc32c};
use strandline_proto::admin::EraseKeyRequest;
use strandline_proto::api::*;
use tonic::Code;

use crate::harness::{Harness, text};
use crate::packing::{FIRST, admin, check, holds, out_of_service, packed_by, publish, with_keys};

/// Length of a mark, which segment files have between batches.
const MARK_BYTES: usize = 24;

/// The one file of a log whose name ends like this.
fn file(directory: &Path, log: u64, extension: &str) -> PathBuf {
    let log = directory.join("streams").join(log.to_string());
    let paths = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    let mut found = paths.filter(|path| path.to_str().unwrap().ends_with(extension));
    let only = found.next().unwrap();
    assert_eq!(found.next(), None, "{extension}");
    only
}

/// The batches of a segment file and where they begin.
fn batches(segment: &Path) -> Vec<(usize, Batch)> {
    let bytes = Bytes::from(std::fs::read(segment).unwrap());
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        let length = bytes[at + 4..at + 8].try_into().unwrap();
        let length = u32::from_le_bytes(length) as usize;
        if length != MARK_BYTES {
            found.push((at, Batch::checked(&bytes.slice(at..)).unwrap()));
        }
        at += length;
    }
    found
}

/// Every nonce seen, and the batch that it was for.
#[derive(Default)]
struct Nonces(HashMap<(u32, [u8; 12]), Bytes>);

impl Nonces {
    /// Notes those of all segments of a log.
    fn note(&mut self, directory: &Path, log: u64) {
        let log = directory.join("streams").join(log.to_string());
        for entry in std::fs::read_dir(log).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "seg") {
                continue;
            }
            for (_, batch) in batches(&path) {
                let Encryption { key, nonce } = batch.header().encryption.unwrap();
                let known = self.0.entry((key.get(), nonce));
                let known = known.or_insert_with(|| Bytes::copy_from_slice(batch.bytes()));
                assert_eq!(known, batch.bytes(), "one nonce for two batches");
            }
        }
    }
}

async fn publish_key(harness: &Harness, key: &'static str) {
    let request = PublishRequest {
        stream: "foo".into(),
        key: Bytes::from_static(key.as_bytes()),
        value: Bytes::from_static(b"secret"),
        expected_offset: -1,
        ..Default::default()
    };
    harness.client.clone().publish(request).await.unwrap();
}

/// One batch each.
async fn publish_three(harness: &Harness) {
    for key in ["a", "b", "c"] {
        publish_key(harness, key).await;
    }
}

#[tokio::test]
async fn no_nonce_is_used_again_after_a_restart_a_torn_write_or_a_rewrite() {
    let encrypting = || packed_by(Codec::None, true);
    let mut harness = Harness::start_with(encrypting()).await;
    harness.create("foo", "foo").await;
    let mut nonces = Nonces::default();
    publish_three(&harness).await;
    for round in 1..=3 {
        harness.broker.shutdown().await;
        let path = harness.directory.path();
        nonces.note(path, 0);
        assert_eq!(nonces.0.len(), 3 * round);
        // As after a power failure: the state is gone, and the last batch is torn.
        std::fs::remove_file(file(path, 0, "state")).unwrap();
        let segment = file(path, 0, ".seg");
        let (at, last) = batches(&segment).pop().unwrap();
        let torn = std::fs::File::options().write(true).open(&segment).unwrap();
        torn.set_len((at + last.bytes().len() - 1) as u64).unwrap();
        harness = Harness::start_in(harness.directory, encrypting()).await;
        publish_three(&harness).await;
    }
    // At once, so that batches hold several, of which some have to go.
    join_all((0..60).map(|number| publish_key(&harness, if number % 2 == 0 { "b" } else { "d" }))).await;
    let path = harness.directory.path().to_owned();
    nonces.note(&path, 0);
    let before = nonces.0.len();
    let request = EraseKeyRequest {
        name: "foo".into(),
        key: Bytes::from_static(b"b"),
    };
    let erased = admin(&harness).await.erase_key(request).await.unwrap();
    assert_eq!(erased.into_inner().partitions[0].records, 34);
    publish_key(&harness, "a").await;
    nonces.note(&path, 0);
    assert!(nonces.0.len() > before);
}

#[tokio::test]
async fn a_changed_batch_is_damage_of_its_stream_only() {
    // Logs check what they read at a time before they hand out any of it.
    for (with_right_checksum, readable, part) in [
        (
            true,
            1,
            "the batch at offset 1 is not what was encrypted there with data key 1",
        ),
        (false, 0, ".seg is damaged at byte"),
    ] {
        let mut harness = Harness::start_with(packed_by(Codec::Lz4, true)).await;
        harness.create("foo", "foo").await;
        harness.create("bar", "bar").await;
        let values = publish(&mut harness, "foo", 0, 3).await;
        let others = publish(&mut harness, "bar", 0, 3).await;
        harness.broker.shutdown().await;
        let segment = file(harness.directory.path(), 0, ".seg");
        let (at, second) = batches(&segment).swap_remove(1);
        let mut changed = second.bytes().to_vec();
        changed[HEADER_BYTES + 5] ^= 1;
        if with_right_checksum {
            let checksum = crc32c(&changed[4..]);
            changed[..4].copy_from_slice(&checksum.to_le_bytes());
        }
        let mut bytes = std::fs::read(&segment).unwrap();
        bytes[at..at + changed.len()].copy_from_slice(&changed);
        std::fs::write(&segment, bytes).unwrap();
        let mut harness = Harness::start_in(harness.directory, packed_by(Codec::Lz4, true)).await;
        let request = SubscribeRequest {
            stream: "foo".into(),
            start_position: StartPosition::Earliest.into(),
            ..Default::default()
        };
        let (messages, end) = harness.subscribe(request).await.unwrap().read_to_end().await;
        let delivered: Vec<_> = messages.iter().map(|message| text(&message.value)).collect();
        assert_eq!(delivered, values[..readable], "{end:?}");
        assert_eq!(end.code(), Code::DataLoss);
        assert!(end.message().contains(part), "{end:?}");
        check(&mut harness, "bar", &others).await;
    }
}

#[tokio::test]
async fn only_streams_that_are_encrypted_get_a_data_key() {
    let mut harness = Harness::start_with(packed_by(Codec::None, true)).await;
    let open = CreateStreamRequest {
        name: "open".into(),
        subject: "open".into(),
        encryption: Some(NullableBool { value: false }),
        ..Default::default()
    };
    harness.client.create_stream(open).await.unwrap();
    harness.create("closed", "closed").await;
    let values = publish(&mut harness, "open", 0, 3).await;
    publish(&mut harness, "closed", 0, 3).await;
    let streams = harness.directory.path().join("streams");
    assert!(holds(&streams, "secret of open") && !holds(&streams, "secret of closed"));
    let mut harness = harness.restart_with(with_keys(&[])).await;
    check(&mut harness, "open", &values).await;
    let reason = out_of_service(&mut harness, "closed").await;
    assert!(
        reason.contains("encrypted") && !reason.contains(FIRST),
        "{reason}"
    );
}
