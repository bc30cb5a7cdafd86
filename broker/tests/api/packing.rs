//! Streams whose batches are compressed or encrypted on disk: clients see no difference, and the disk shows nothing.

use std::path::Path;

use bytes::Bytes;
use futures_util::future::join_all;
use strandline_broker::Settings;
use strandline_broker::settings::{MasterKey, MasterKeys, PackingDefaults};
use strandline_core::record::Codec;
use strandline_proto::admin::admin_client::AdminClient;
use strandline_proto::admin::setting_value::Kind;
use strandline_proto::admin::trim_stream_request::Before;
use strandline_proto::admin::{
    EraseKeyRequest, SettingChange, SettingSource, SettingValue, TrimStreamRequest, UpdateStreamRequest,
};
use strandline_proto::api::*;
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::harness::{Harness, text};

pub(crate) const FIRST: &str = "t7w!z%C*F-JaNcRf";
const SECOND: &str = "+KbPeShVmYq3t6w9";

fn keys(texts: &[&str]) -> MasterKeys {
    MasterKeys::new(texts.iter().map(|text| MasterKey::parse(text).unwrap()).collect())
}

pub(crate) fn with_keys(texts: &'static [&str]) -> impl Fn(&mut Settings) {
    move |settings| settings.master_keys = keys(texts)
}

pub(crate) fn packed_by(compression: Codec, encryption: bool) -> impl Fn(&mut Settings) {
    move |settings| {
        settings.master_keys = keys(&[FIRST]);
        settings.packing = PackingDefaults {
            compression,
            encryption,
        };
    }
}

fn encrypted(name: &str) -> CreateStreamRequest {
    CreateStreamRequest {
        name: name.into(),
        subject: name.into(),
        encryption: Some(NullableBool { value: true }),
        ..Default::default()
    }
}

fn compressed(request: CreateStreamRequest, codec: &'static str) -> Request<CreateStreamRequest> {
    let mut request = Request::new(request);
    request
        .metadata_mut()
        .insert("strandline-compression", codec.parse().unwrap());
    request
}

/// Publishes values that compress well and returns them.
pub(crate) async fn publish(harness: &mut Harness, stream: &str, from: usize, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    for number in from..from + count {
        let value = format!("{number} secret of {stream} ").repeat(20);
        harness.publish(stream, &value).await.unwrap();
        values.push(value);
    }
    values
}

async fn values_backwards(harness: &mut Harness, stream: &str) -> Vec<String> {
    let request = SubscribeRequest {
        stream: stream.into(),
        start_position: StartPosition::Latest.into(),
        reverse: true,
        ..Default::default()
    };
    let (messages, _) = harness.subscribe(request).await.unwrap().read_to_end().await;
    messages.iter().map(|message| text(&message.value)).collect()
}

pub(crate) async fn check(harness: &mut Harness, stream: &str, values: &[String]) {
    assert_eq!(harness.values(stream).await, values, "{stream}");
    let mut backwards = values_backwards(harness, stream).await;
    backwards.reverse();
    assert_eq!(backwards, values, "{stream}");
}

/// Whether any file below a directory holds this text.
pub(crate) fn holds(directory: &Path, wanted: &str) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, wanted);
        }
        let bytes = std::fs::read(&path).unwrap();
        bytes.windows(wanted.len()).any(|part| part == wanted.as_bytes())
    })
}

#[tokio::test]
async fn packed_streams_read_the_same_before_and_after_a_restart_and_show_nothing_on_disk() {
    let mut harness = Harness::start_with(with_keys(&[FIRST])).await;
    harness.create("plain", "plain").await;
    let requests = [
        compressed(encrypted("both"), "zstd"),
        compressed(encrypted("aes"), "none"),
        compressed(
            CreateStreamRequest {
                encryption: None,
                ..encrypted("lz4")
            },
            "lz4",
        ),
    ];
    for request in requests {
        harness.client.create_stream(request).await.unwrap();
    }
    let mut expected = Vec::new();
    for stream in ["plain", "both", "aes", "lz4"] {
        let values = publish(&mut harness, stream, 0, 30).await;
        check(&mut harness, stream, &values).await;
        expected.push((stream, values));
    }
    let mut harness = harness.restart_with(with_keys(&[FIRST])).await;
    for (stream, values) in &mut expected {
        check(&mut harness, stream, values).await;
        values.extend(publish(&mut harness, stream, 30, 5).await);
        check(&mut harness, stream, values).await;
    }
    let data = harness.directory.path().to_owned();
    harness.broker.shutdown().await;
    assert!(holds(&data, "secret of plain"), "the search finds what is there");
    for shown in ["secret of both", "secret of aes", FIRST] {
        assert!(!holds(&data, shown), "{shown}");
    }
}

#[tokio::test]
async fn a_log_may_hold_batches_of_every_kind_one_after_another() {
    let mut harness = Harness::start_with(packed_by(Codec::None, false)).await;
    harness.create("mixed", "mixed").await;
    let mut values = publish(&mut harness, "mixed", 0, 5).await;
    let ways = [
        (Codec::Lz4, false),
        (Codec::Zstd, true),
        (Codec::None, true),
        (Codec::None, false),
        (Codec::Lz4, true),
    ];
    for (codec, encryption) in ways {
        harness = harness.restart_with(packed_by(codec, encryption)).await;
        values.extend(publish(&mut harness, "mixed", values.len(), 5).await);
        check(&mut harness, "mixed", &values).await;
    }
    let mut harness = harness.restart_with(packed_by(Codec::None, false)).await;
    check(&mut harness, "mixed", &values).await;
    let request = SubscribeRequest {
        stream: "mixed".into(),
        start_position: StartPosition::Earliest.into(),
        stop_position: StopPosition::StopLatest.into(),
        ..Default::default()
    };
    let (messages, _) = harness.subscribe(request).await.unwrap().read_to_end().await;
    for message in &messages {
        let request = SubscribeRequest {
            stream: "mixed".into(),
            start_position: StartPosition::Timestamp.into(),
            start_timestamp: message.timestamp,
            ..Default::default()
        };
        let first = harness.subscribe(request).await.unwrap().next().await;
        assert_eq!(first, *message);
    }
}

/// A step of a reader is bounded by what it reads; highly compressed batches made it unpack a hundred times that at once.
#[tokio::test]
async fn batches_that_unpack_to_much_more_than_a_step_all_arrive() {
    let mut harness = Harness::start_with(packed_by(Codec::Zstd, true)).await;
    harness.create("foo", "foo").await;
    let value = |number: usize| format!("{number} tide ").repeat(8000);
    let mut values = Vec::new();
    for number in 0..40 {
        values.push(value(number));
        harness.publish("foo", &value(number)).await.unwrap();
    }
    let mut harness = harness.restart_with(packed_by(Codec::Zstd, true)).await;
    check(&mut harness, "foo", &values).await;
}

pub(crate) async fn out_of_service(harness: &mut Harness, stream: &str) -> String {
    let status = harness.publish(stream, "x").await.unwrap_err();
    assert_eq!(status.code(), Code::DataLoss);
    status.message().to_owned()
}

#[tokio::test]
async fn without_the_right_master_key_only_encrypted_streams_are_out_of_service() {
    let mut harness = Harness::start_with(with_keys(&[FIRST])).await;
    harness.client.create_stream(encrypted("closed")).await.unwrap();
    harness.create("open", "open").await;
    let values = publish(&mut harness, "closed", 0, 3).await;
    let id = keys(&[FIRST]).current().unwrap().id().to_string();
    for wrong in [&[][..], &[SECOND][..]] {
        harness = harness.restart_with(with_keys(wrong)).await;
        let reason = out_of_service(&mut harness, "closed").await;
        for part in ["partition 0 of stream closed", &id, "encryption.key.file"] {
            assert!(reason.contains(part), "{part} in {reason}");
        }
        publish(&mut harness, "open", 0, 1).await;
    }
    let mut harness = harness.restart_with(with_keys(&[])).await;
    let refused = harness.client.create_stream(encrypted("more")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(
        refused.message().contains("set encryption.key.file"),
        "{refused:?}"
    );
    let mut harness = harness.restart_with(with_keys(&[FIRST])).await;
    check(&mut harness, "closed", &values).await;
    let mut harness = harness.restart_with(with_keys(&[])).await;
    let delete = DeleteStreamRequest {
        name: "closed".into(),
    };
    harness.client.delete_stream(delete).await.unwrap();
    harness.create("closed", "closed").await;
    let values = publish(&mut harness, "closed", 0, 1).await;
    check(&mut harness, "closed", &values).await;
}

#[tokio::test]
async fn the_master_key_is_changed_without_writing_data_anew() {
    let mut harness = Harness::start_with(with_keys(&[FIRST])).await;
    harness.client.create_stream(encrypted("foo")).await.unwrap();
    let mut values = publish(&mut harness, "foo", 0, 5).await;
    let mut harness = harness.restart_with(with_keys(&[SECOND, FIRST])).await;
    check(&mut harness, "foo", &values).await;
    let mut harness = harness.restart_with(with_keys(&[SECOND])).await;
    check(&mut harness, "foo", &values).await;
    values.extend(publish(&mut harness, "foo", 5, 5).await);
    check(&mut harness, "foo", &values).await;
    let mut harness = harness.restart_with(with_keys(&[FIRST])).await;
    let new = keys(&[SECOND]).current().unwrap().id().to_string();
    assert!(out_of_service(&mut harness, "foo").await.contains(&new));
}

#[tokio::test]
async fn an_unknown_compression_is_refused_by_name() {
    let mut harness = Harness::start().await;
    let plain = CreateStreamRequest {
        encryption: None,
        ..encrypted("foo")
    };
    let refused = harness
        .client
        .create_stream(compressed(plain, "gzip"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(
        refused.message(),
        "strandline-compression must be none, lz4 or zstd"
    );
}

pub(crate) async fn admin(harness: &Harness) -> AdminClient<Channel> {
    let address = format!("http://{}", harness.broker.grpc_addr());
    AdminClient::connect(address).await.unwrap()
}

/// All records from the oldest on: offset, key, value.
async fn records(harness: &mut Harness) -> Vec<(i64, String, String)> {
    let request = SubscribeRequest {
        stream: "foo".into(),
        start_position: StartPosition::Earliest.into(),
        stop_position: StopPosition::StopLatest.into(),
        ..Default::default()
    };
    let (messages, _) = harness.subscribe(request).await.unwrap().read_to_end().await;
    let record = |message: &Message| (message.offset, text(&message.key), text(&message.value));
    messages.iter().map(record).collect()
}

#[tokio::test]
async fn records_are_erased_by_key_and_trimmed_out_of_packed_batches() {
    let mut harness = Harness::start_with(packed_by(Codec::Zstd, true)).await;
    harness.create("foo", "foo").await;
    // At once, so that batches hold many of them.
    let publish = |number: usize| {
        let mut client = harness.client.clone();
        let request = PublishRequest {
            stream: "foo".into(),
            key: Bytes::copy_from_slice(if number.is_multiple_of(3) {
                b"alice"
            } else {
                b"bobby"
            }),
            value: format!("secret {number} ").repeat(5).into(),
            expected_offset: -1,
            ..Default::default()
        };
        async move { client.publish(request).await.unwrap() }
    };
    join_all((0..150).map(publish)).await;
    let all = records(&mut harness).await;
    let request = EraseKeyRequest {
        name: "foo".into(),
        key: Bytes::from_static(b"alice"),
    };
    let erased = admin(&harness)
        .await
        .erase_key(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(erased.partitions[0].records, 50);
    let mut expected: Vec<_> = all.into_iter().filter(|(_, key, _)| key == "bobby").collect();
    assert_eq!(records(&mut harness).await, expected);
    let request = TrimStreamRequest {
        name: "foo".into(),
        before: Some(Before::Offset(70)),
        partitions: Vec::new(),
    };
    admin(&harness).await.trim_stream(request).await.unwrap();
    expected.retain(|(offset, _, _)| *offset >= 70);
    assert_eq!(records(&mut harness).await, expected);
    let mut harness = harness.restart_with(packed_by(Codec::Zstd, true)).await;
    assert_eq!(records(&mut harness).await, expected);
    let data = harness.directory.path().to_owned();
    harness.broker.shutdown().await;
    for shown in ["secret", "alice", "bobby"] {
        assert!(!holds(&data, shown), "{shown}");
    }
}

#[tokio::test]
async fn the_compression_of_a_stream_is_changed_while_it_is_served() {
    let mut harness = Harness::start_with(packed_by(Codec::None, false)).await;
    harness.create("foo", "foo").await;
    let streams = harness.directory.path().join("streams");
    let mut values = Vec::new();
    for (wanted, expected, source) in [
        (Some("zstd"), "zstd", SettingSource::Stream),
        (None, "none", SettingSource::Server),
        (Some("lz4"), "lz4", SettingSource::Stream),
    ] {
        let kind = |word: &str| SettingValue {
            kind: Some(Kind::Word(word.into())),
        };
        let request = UpdateStreamRequest {
            name: "foo".into(),
            changes: vec![SettingChange {
                name: "compression".into(),
                value: wanted.map(kind),
            }],
        };
        let updated = admin(&harness).await.update_stream(request).await.unwrap();
        let settings = updated.into_inner().settings;
        let shown = settings.iter().find(|setting| setting.name == "compression");
        let shown = shown.unwrap();
        assert_eq!(
            (shown.value.clone(), shown.source()),
            (Some(kind(expected)), source)
        );
        let value = format!("as {expected} ").repeat(100);
        harness.publish("foo", &value).await.unwrap();
        assert_eq!(holds(&streams, &value), expected == "none", "{expected}");
        values.push(value);
    }
    check(&mut harness, "foo", &values).await;
    let mut harness = harness.restart_with(packed_by(Codec::None, false)).await;
    check(&mut harness, "foo", &values).await;
    let value = "after the restart ".repeat(100);
    harness.publish("foo", &value).await.unwrap();
    assert!(!holds(&streams, &value));
}
