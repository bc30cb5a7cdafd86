//! Streams in several storage engines beside each other.

use strandline_broker::maintenance::{self, MaintenanceError};
use strandline_core::storage::{Backend, Durability};
use strandline_proto::api::*;
use tonic::{Code, Request, Status};

use crate::harness::Harness;

async fn create(
    harness: &mut Harness,
    name: &str,
    metadata: &[(&'static str, &'static str)],
) -> Result<(), Status> {
    let mut request = Request::new(CreateStreamRequest {
        name: name.into(),
        subject: name.into(),
        partitions: 2,
        ..Default::default()
    });
    for (key, value) in metadata {
        request.metadata_mut().insert(*key, value.parse().unwrap());
    }
    harness.client.create_stream(request).await.map(drop)
}

/// The engine that keeps a stream, as the API says.
async fn backend(harness: &mut Harness, stream: &str) -> String {
    let request = FetchPartitionMetadataRequest {
        stream: stream.into(),
        partition: 0,
    };
    let answer = harness.client.fetch_partition_metadata(request).await.unwrap();
    let backend = answer.metadata().get("strandline-backend").unwrap();
    backend.to_str().unwrap().to_owned()
}

const REDB: (&str, &str) = ("strandline-backend", "redb");

#[tokio::test]
async fn streams_of_both_engines_live_side_by_side_and_survive_a_restart() {
    let mut harness = Harness::start().await;
    assert!(!harness.directory.path().join("streams-redb").exists());
    create(&mut harness, "files", &[]).await.unwrap();
    create(&mut harness, "database", &[REDB]).await.unwrap();
    let names = ["files", "database"];
    for number in 0..20 {
        for name in names {
            let ack = harness.publish(name, &format!("{name} {number}")).await.unwrap();
            assert_eq!(ack.offset, number);
        }
    }
    let mut harness = harness.restart().await;
    for (name, engine) in names.into_iter().zip(["segment", "redb"]) {
        assert_eq!(backend(&mut harness, name).await, engine);
        let expected: Vec<_> = (0..20).map(|number| format!("{name} {number}")).collect();
        assert_eq!(harness.values(name).await, expected);
        assert_eq!(harness.publish(name, "more").await.unwrap().offset, 20);
    }
    // Deleted on both, and free to be used again on the other.
    for name in names {
        let name = name.to_owned();
        harness
            .client
            .delete_stream(DeleteStreamRequest { name })
            .await
            .unwrap();
    }
    create(&mut harness, "files", &[REDB]).await.unwrap();
    assert_eq!(harness.publish("files", "new").await.unwrap().offset, 0);
    let mut harness = harness.restart().await;
    assert_eq!(harness.values("files").await, ["new"]);
    harness.broker.shutdown().await;
}

#[tokio::test]
async fn a_stream_stays_where_it_is_when_the_default_changes() {
    let mut harness = Harness::start_with(|settings| settings.backend = Backend::Redb).await;
    create(&mut harness, "orders", &[]).await.unwrap();
    harness.publish("orders", "first").await.unwrap();
    // Durability os is for the streams that can have it.
    let mut harness = harness
        .restart_with(|settings| {
            settings.backend = Backend::Segment;
            settings.stream_defaults.durability = Durability::Os;
        })
        .await;
    assert_eq!(backend(&mut harness, "orders").await, "redb");
    assert_eq!(harness.publish("orders", "second").await.unwrap().offset, 1);
    create(&mut harness, "others", &[]).await.unwrap();
    assert_eq!(backend(&mut harness, "others").await, "segment");
    assert_eq!(harness.values("orders").await, ["first", "second"]);
}

#[tokio::test]
async fn what_an_engine_cannot_do_is_refused_by_name() {
    let mut harness = Harness::start().await;
    let os = ("strandline-durability", "os");
    let refused = create(&mut harness, "orders", &[REDB, os]).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(
        refused.message().contains("durability os") && refused.message().contains("redb"),
        "{refused}"
    );
    create(&mut harness, "orders", &[("strandline-backend", "segment"), os])
        .await
        .unwrap();
    let unknown = create(&mut harness, "more", &[("strandline-backend", "rocks")])
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Code::InvalidArgument);
    assert!(unknown.message().contains("segment or redb"), "{unknown}");
}

#[tokio::test]
async fn a_database_that_is_damaged_takes_its_streams_out_of_service_and_no_others() {
    let mut harness = Harness::start().await;
    create(&mut harness, "files", &[]).await.unwrap();
    create(&mut harness, "database", &[REDB]).await.unwrap();
    harness.publish("files", "kept").await.unwrap();
    harness.broker.shutdown().await;
    let directory = harness.directory;
    std::fs::write(directory.path().join("streams-redb/store.redb"), b"no database").unwrap();
    let mut harness = Harness::start_in(directory, |_| {}).await;
    assert_eq!(harness.values("files").await, ["kept"]);
    let refused = harness.publish("database", "x").await.unwrap_err();
    assert!(refused.message().contains("store.redb"), "{refused}");
    assert!(create(&mut harness, "another", &[REDB]).await.is_err());
}

#[tokio::test]
async fn space_is_given_back_when_no_broker_uses_the_directory() {
    let mut harness = Harness::start().await;
    let (busy, free) = (harness.directory.path().to_owned(), tempfile::tempdir().unwrap());
    let refused = tokio::task::spawn_blocking(move || maintenance::compact(&busy, |_| {}))
        .await
        .unwrap();
    assert!(
        matches!(refused, Err(MaintenanceError::InUse { .. })),
        "{refused:?}"
    );
    assert_eq!(maintenance::compact(free.path(), |_| {}).unwrap(), None);
    create(&mut harness, "database", &[REDB]).await.unwrap();
    let value = "x".repeat(200_000);
    for _ in 0..20 {
        harness.publish("database", &value).await.unwrap();
    }
    let name = "database".to_owned();
    harness
        .client
        .delete_stream(DeleteStreamRequest { name })
        .await
        .unwrap();
    harness.broker.shutdown().await;
    let path = harness.directory.path().to_owned();
    let compact = move || maintenance::compact(&path, |_| {});
    let compacted = tokio::task::spawn_blocking(compact)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(compacted.after < 200_000, "{compacted:?}");
}
