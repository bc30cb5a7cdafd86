//! The administration of streams: `strandline.v1.Admin`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use strandline_broker::settings::Secret;
use strandline_proto::admin::admin_client::AdminClient;
use strandline_proto::admin::setting_value::Kind;
use strandline_proto::admin::trim_stream_request::Before;
use strandline_proto::admin::*;
use strandline_proto::api::{self, CreateStreamRequest, PublishRequest, StartPosition, SubscribeRequest};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::harness::{Harness, TIMEOUT, text};

async fn channel(harness: &Harness) -> Channel {
    let address = format!("http://{}", harness.broker.grpc_addr());
    Channel::from_shared(address).unwrap().connect().await.unwrap()
}

async fn connect(harness: &Harness) -> AdminClient<Channel> {
    AdminClient::new(channel(harness).await)
}

fn change(name: &str, kind: Kind) -> SettingChange {
    SettingChange {
        name: name.into(),
        value: Some(SettingValue { kind: Some(kind) }),
    }
}

fn reset(name: &str) -> SettingChange {
    SettingChange {
        name: name.into(),
        value: None,
    }
}

async fn update(harness: &Harness, changes: Vec<SettingChange>) -> Result<Vec<Setting>, Status> {
    let request = UpdateStreamRequest {
        name: "foo".into(),
        changes,
    };
    let response = connect(harness).await.update_stream(request).await?;
    Ok(response.into_inner().settings)
}

async fn describe(harness: &Harness, name: &str) -> Result<DescribeStreamResponse, Status> {
    let request = DescribeStreamRequest {
        name: name.into(),
        segments: true,
    };
    let described = connect(harness).await.describe_stream(request).await?;
    Ok(described.into_inner())
}

async fn trim(harness: &Harness, before: Before) -> Result<Vec<TrimmedPartition>, Status> {
    let request = TrimStreamRequest {
        name: "foo".into(),
        before: Some(before),
        partitions: Vec::new(),
    };
    let response = connect(harness).await.trim_stream(request).await?;
    Ok(response.into_inner().partitions)
}

async fn erase(harness: &Harness, key: &str) -> Result<u64, Status> {
    let request = EraseKeyRequest {
        name: "foo".into(),
        key: Bytes::copy_from_slice(key.as_bytes()),
    };
    let response = connect(harness).await.erase_key(request).await?;
    Ok(response
        .into_inner()
        .partitions
        .iter()
        .map(|erased| erased.records)
        .sum())
}

fn setting<'a>(settings: &'a [Setting], name: &str) -> (&'a Kind, SettingSource) {
    let setting = settings.iter().find(|setting| setting.name == name).unwrap();
    let kind = setting.value.as_ref().and_then(|value| value.kind.as_ref());
    (kind.unwrap(), setting.source())
}

async fn publish(harness: &mut Harness, key: &str, value: &str) -> i64 {
    let request = PublishRequest {
        stream: "foo".into(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        expected_offset: -1,
        ..Default::default()
    };
    harness.send(request).await.unwrap().unwrap().offset
}

/// What a directory holds, to see that bytes are gone.
fn any_file_holds(directory: &std::path::Path, needle: &str) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return any_file_holds(&path, needle);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes
            .windows(needle.len())
            .any(|window| window == needle.as_bytes())
    })
}

#[tokio::test]
async fn a_stream_is_described_with_its_settings_and_segments() {
    let mut harness = Harness::start().await;
    let request = CreateStreamRequest {
        name: "foo".into(),
        subject: "foo.*".into(),
        partitions: 2,
        retention_max_messages: Some(100.into()),
        segment_max_bytes: Some(1.into()),
        ..Default::default()
    };
    harness.client.create_stream(request).await.unwrap();
    for value in ["a", "b", "c"] {
        harness.publish("foo", value).await.unwrap();
    }
    let described = describe(&harness, "foo").await.unwrap();
    assert_eq!(
        (described.name.as_str(), described.subject.as_str()),
        ("foo", "foo.*")
    );
    assert!(described.created > 0);
    assert_eq!(
        setting(&described.settings, "retention.max.messages"),
        (&Kind::Number(100), SettingSource::Stream)
    );
    let week = 7 * 24 * 3600 * 1000;
    assert_eq!(
        setting(&described.settings, "retention.max.age"),
        (&Kind::Milliseconds(week), SettingSource::Server)
    );
    let [first, second] = &described.partitions[..] else {
        panic!("{described:?}")
    };
    assert_eq!(
        (first.state(), first.start, first.end, first.committed_end),
        (PartitionState::Serving, 0, 3, 3)
    );
    assert_eq!((first.records, second.records, second.end), (3, 0, 0));
    assert_eq!(
        first.segments.iter().map(|segment| segment.records).sum::<u64>(),
        3
    );
    assert_eq!(
        first.segments.iter().map(|segment| segment.bytes).sum::<u64>(),
        first.bytes
    );
    assert_eq!(first.segments.len(), first.segment_count as usize);
    assert!(
        first.segments[0].sealed && !first.segments.last().unwrap().sealed,
        "{first:?}"
    );
    assert!(first.segments[0].first_time > 0);
    let unknown = describe(&harness, "nope").await.unwrap_err();
    assert_eq!(
        (unknown.code(), unknown.message()),
        (Code::NotFound, "stream does not exist")
    );
}

#[tokio::test]
async fn settings_change_while_the_stream_is_served_and_stay_changed() {
    let mut harness = Harness::start().await;
    harness.create("foo", "foo").await;
    harness.publish("foo", "0").await.unwrap();
    let settings = update(
        &harness,
        vec![
            change("segment.max.bytes", Kind::Number(1)),
            change("retention.max.messages", Kind::Number(2)),
            change("cleaner.interval", Kind::Milliseconds(100)),
            change("durability", Kind::Word("os".into())),
        ],
    )
    .await
    .unwrap();
    assert_eq!(
        setting(&settings, "durability"),
        (&Kind::Word("os".into()), SettingSource::Stream)
    );
    for value in ["1", "2", "3", "4"] {
        harness.publish("foo", value).await.unwrap();
    }
    // Each record has a segment of its own now, and the cleaner works by the new limit at the new interval.
    let deadline = Instant::now() + TIMEOUT;
    while describe(&harness, "foo").await.unwrap().partitions[0].records > 2 {
        assert!(Instant::now() < deadline, "{:?}", describe(&harness, "foo").await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(harness.values("foo").await, ["3", "4"]);

    let mut harness = harness.restart().await;
    let settings = describe(&harness, "foo").await.unwrap().settings;
    assert_eq!(
        setting(&settings, "retention.max.messages"),
        (&Kind::Number(2), SettingSource::Stream)
    );
    let settings = update(
        &harness,
        vec![reset("retention.max.messages"), reset("durability")],
    )
    .await
    .unwrap();
    assert_eq!(
        setting(&settings, "retention.max.messages"),
        (&Kind::Number(0), SettingSource::Server)
    );
    assert_eq!(
        setting(&settings, "segment.max.bytes"),
        (&Kind::Number(1), SettingSource::Stream)
    );
    assert_eq!(harness.publish("foo", "5").await.unwrap().offset, 5);
}

#[tokio::test]
async fn changes_that_cannot_be_made_are_refused_by_name_and_change_nothing() {
    let mut harness = Harness::start().await;
    harness.create("foo", "foo").await;
    let before = describe(&harness, "foo").await.unwrap().settings;
    let good = change("retention.max.bytes", Kind::Number(1));
    let cases = [
        (
            change("retention.max.size", Kind::Number(1)),
            Code::InvalidArgument,
            "unknown setting",
        ),
        (
            change("subject", Kind::Word("x".into())),
            Code::InvalidArgument,
            "subject is fixed",
        ),
        (
            change("segment.max.bytes", Kind::Number(0)),
            Code::InvalidArgument,
            "segment.max.bytes must",
        ),
        (
            change("retention.max.age", Kind::Flag(true)),
            Code::InvalidArgument,
            "takes milliseconds",
        ),
    ];
    for (bad, code, text) in cases {
        let refused = update(&harness, vec![good.clone(), bad]).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused:?}");
        assert!(refused.message().contains(text), "{refused:?}");
    }
    assert_eq!(describe(&harness, "foo").await.unwrap().settings, before);
    for (name, code) in [("bar", Code::NotFound), ("__cursors", Code::InvalidArgument)] {
        let request = UpdateStreamRequest {
            name: name.into(),
            changes: vec![good.clone()],
        };
        let refused = connect(&harness).await.update_stream(request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused:?}");
    }
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_the_right_one_lets_in() {
    const TOKEN: &str = "0123456789abcdef";
    let mut harness = Harness::start_with(|settings| {
        settings.admin_token = Some(Secret::bearer(TOKEN).unwrap());
    })
    .await;
    harness.create("foo", "foo").await;
    let mut admin = connect(&harness).await;
    let mut call = async |authorization: Option<&str>| {
        let mut request = Request::new(DescribeStreamRequest {
            name: "foo".into(),
            segments: false,
        });
        if let Some(value) = authorization {
            request
                .metadata_mut()
                .insert("authorization", value.parse().unwrap());
        }
        admin.describe_stream(request).await.map(|_| ())
    };
    // The test comes from this machine.
    call(None).await.unwrap();
    call(Some("Bearer 0123456789abcdef")).await.unwrap();
    let refused = call(Some("Bearer 0123456789abcdeX")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("admin.token"), "{refused:?}");
    // Liftbridge's API does not know of tokens.
    harness.publish("foo", "x").await.unwrap();
}

#[tokio::test]
async fn the_service_is_healthy_and_described_by_reflection() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;

    let harness = Harness::start().await;
    let mut health = HealthClient::new(channel(&harness).await);
    for service in ["proto.API", "strandline.v1.Admin"] {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let names = reflected(&harness).await;
    assert!(names.contains(&"strandline.v1.Admin".to_owned()), "{names:?}");
}

async fn reflected(harness: &Harness) -> Vec<String> {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let mut client = ServerReflectionClient::new(channel(harness).await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = client
        .server_reflection_info(futures_util::stream::iter([request]))
        .await;
    let answer = answers.unwrap().into_inner().message().await.unwrap().unwrap();
    match answer.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            list.service.into_iter().map(|service| service.name).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_trim_removes_all_before_an_offset_also_inside_a_segment() {
    let mut harness = Harness::start().await;
    harness.create("foo", "foo").await;
    for number in 0..10 {
        harness.publish("foo", &format!("value-{number}")).await.unwrap();
    }
    let trimmed = trim(&harness, Before::Offset(7)).await.unwrap();
    assert_eq!((trimmed[0].start, trimmed[0].records), (7, 7));
    assert!(trimmed[0].bytes > 0);
    assert_eq!(harness.values("foo").await, ["value-7", "value-8", "value-9"]);
    let streams = harness.directory.path().join("streams");
    assert!(!any_file_holds(&streams, "value-6") && any_file_holds(&streams, "value-7"));
    let again = trim(&harness, Before::Offset(7)).await.unwrap();
    assert_eq!((again[0].start, again[0].records, again[0].bytes), (7, 0, 0));

    let mut harness = harness.restart().await;
    assert_eq!(harness.values("foo").await, ["value-7", "value-8", "value-9"]);
    // A reader from below goes on at the oldest record that is left.
    let request = SubscribeRequest {
        stream: "foo".into(),
        start_position: StartPosition::Offset.into(),
        start_offset: 2,
        ..Default::default()
    };
    assert_eq!(harness.subscribe(request).await.unwrap().next().await.offset, 7);
    let all = trim(&harness, Before::Offset(1_000_000)).await.unwrap();
    assert_eq!((all[0].start, all[0].records), (10, 3));
    assert_eq!(harness.publish("foo", "next").await.unwrap().offset, 10);
    assert_eq!(harness.values("foo").await, ["next"]);
}

#[tokio::test]
async fn a_trim_goes_by_time_and_by_partition_too() {
    let mut harness = Harness::start().await;
    let request = CreateStreamRequest {
        name: "foo".into(),
        subject: "foo".into(),
        partitions: 2,
        ..Default::default()
    };
    harness.client.create_stream(request).await.unwrap();
    harness.publish("foo", "old").await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let new = harness.publish("foo", "new").await.unwrap();
    let trimmed = trim(&harness, Before::Time(new.reception_timestamp - 1_000_000))
        .await
        .unwrap();
    assert_eq!(trimmed.iter().map(|one| one.records).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(harness.values("foo").await, ["new"]);
    let only = |partitions: Vec<u32>| {
        let request = TrimStreamRequest {
            name: "foo".into(),
            before: Some(Before::Offset(100)),
            partitions,
        };
        let address = format!("http://{}", harness.broker.grpc_addr());
        async move {
            AdminClient::connect(address)
                .await
                .unwrap()
                .trim_stream(request)
                .await
        }
    };
    assert_eq!(only(vec![1]).await.unwrap().into_inner().partitions.len(), 1);
    assert_eq!(only(vec![2]).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(harness.values("foo").await, ["new"]);
}

#[tokio::test]
async fn a_trim_without_a_point_or_of_no_stream_is_refused() {
    let mut harness = Harness::start().await;
    harness.create("foo", "foo").await;
    let request = |name: &str, before| TrimStreamRequest {
        name: name.into(),
        before,
        partitions: Vec::new(),
    };
    let mut admin = connect(&harness).await;
    let refused = admin.trim_stream(request("foo", None)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let refused = admin
        .trim_stream(request("bar", Some(Before::Offset(1))))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let refused = erase(&harness, "").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn an_erased_key_is_gone_from_every_segment_and_from_the_disk() {
    let mut harness = Harness::start().await;
    let request = CreateStreamRequest {
        name: "foo".into(),
        subject: "foo".into(),
        segment_max_bytes: Some(400.into()),
        ..Default::default()
    };
    harness.client.create_stream(request).await.unwrap();
    for number in 0..20 {
        let key = if number % 3 == 0 { "alice" } else { "bob" };
        publish(&mut harness, key, &format!("{key}-secret-{number}")).await;
    }
    let segments = describe(&harness, "foo").await.unwrap().partitions[0].segment_count;
    assert!(segments > 2, "{segments}");
    assert_eq!(erase(&harness, "alice").await.unwrap(), 7);
    let left: Vec<_> = (0..20)
        .filter(|number| number % 3 != 0)
        .map(|number| format!("bob-secret-{number}"))
        .collect();
    assert_eq!(harness.values("foo").await, left);
    let streams = harness.directory.path().join("streams");
    assert!(!any_file_holds(&streams, "alice") && any_file_holds(&streams, "bob-secret"));
    assert_eq!(erase(&harness, "alice").await.unwrap(), 0);
    assert_eq!(publish(&mut harness, "alice", "again").await, 20);

    let mut harness = harness.restart().await;
    let values = harness.values("foo").await;
    assert_eq!(
        (values.len(), values.last().map(String::as_str)),
        (14, Some("again"))
    );
}

/// The tail cache serves who follows the end; what is erased must not come back from there.
#[tokio::test]
async fn records_are_erased_under_readers_and_publishers() {
    let mut harness = Harness::start().await;
    let request = CreateStreamRequest {
        name: "foo".into(),
        subject: "foo".into(),
        segment_max_bytes: Some(4000.into()),
        ..Default::default()
    };
    harness.client.create_stream(request).await.unwrap();
    let mut publisher = harness.client.clone();
    let publishing = tokio::spawn(async move {
        let mut acked = Vec::new();
        for number in 0..400_u32 {
            let key = if number % 4 == 0 { "alice" } else { "bob" };
            let mut request = Request::new(PublishRequest {
                stream: "foo".into(),
                key: Bytes::copy_from_slice(key.as_bytes()),
                value: Bytes::from(number.to_string()),
                expected_offset: -1,
                ..Default::default()
            });
            request.set_timeout(TIMEOUT);
            let ack = publisher
                .publish(request)
                .await
                .unwrap()
                .into_inner()
                .ack
                .unwrap();
            acked.push((ack.offset, key, number));
        }
        acked
    });
    let follow = SubscribeRequest {
        stream: "foo".into(),
        start_position: StartPosition::Earliest.into(),
        ..Default::default()
    };
    let mut follower = harness.subscribe(follow).await.unwrap();
    let mut erased = 0;
    while !publishing.is_finished() {
        erased += erase(&harness, "alice").await.unwrap();
    }
    erased += erase(&harness, "alice").await.unwrap();
    let acked = publishing.await.unwrap();
    assert_eq!(erased, 100);
    let bobs: Vec<_> = acked
        .iter()
        .filter(|(_, key, _)| *key == "bob")
        .map(|(_, _, number)| number.to_string())
        .collect();
    assert_eq!(harness.values("foo").await, bobs);
    // Whoever read along saw every record of the other key, in order.
    let mut seen = Vec::new();
    while seen.len() < bobs.len() {
        let message = follower.next().await;
        if text(&message.key) == "bob" {
            seen.push(text(&message.value));
        }
    }
    assert_eq!(seen, bobs);
    let metadata = api::FetchPartitionMetadataRequest {
        stream: "foo".into(),
        partition: 0,
    };
    let metadata = harness
        .client
        .fetch_partition_metadata(metadata)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(metadata.metadata.unwrap().newest_offset, 399);
}

#[tokio::test]
async fn without_an_archive_no_stream_is_archived_and_what_is_missing_is_named() {
    let mut harness = Harness::start().await;
    harness.create("foo", "foo").await;
    let asked = |value: &'static str| {
        let mut request = Request::new(CreateStreamRequest {
            name: "bar".into(),
            subject: "bar".into(),
            ..Default::default()
        });
        request
            .metadata_mut()
            .insert("strandline-archive", value.parse().unwrap());
        request
    };
    let refused = harness.client.create_stream(asked("true")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("archive.url"), "{refused:?}");
    let refused = harness.client.create_stream(asked("maybe")).await.unwrap_err();
    assert_eq!(refused.message(), "strandline-archive must be true or false");
    harness.client.create_stream(asked("false")).await.unwrap();
    let changed = update(&harness, vec![change("archive", Kind::Flag(true))]).await;
    assert_eq!(changed.unwrap_err().code(), Code::FailedPrecondition);
    let settings = update(&harness, vec![change("archive", Kind::Flag(false))])
        .await
        .unwrap();
    assert_eq!(
        setting(&settings, "archive"),
        (&Kind::Flag(false), SettingSource::Stream)
    );
    let mut admin = connect(&harness).await;
    let status = admin.archive_status(ArchiveStatusRequest::default()).await;
    assert_eq!(status.unwrap().into_inner(), ArchiveStatusResponse::default());
}
