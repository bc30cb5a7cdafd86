//! A bucket that was emptied, changed or filled by others.

use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use strandline_core::PartitionId;
use strandline_core::storage::{Log, Store};

use super::super::{ArchiveError, Expected, PartitionArchive, Place, Step};
use super::store::Faulty;
use super::support::*;

/// A bucket with an archive.
async fn archived() -> (Arc<InMemory>, Arc<dyn Store>, Arc<dyn Log>) {
    let inner = Arc::new(InMemory::new());
    let (store, log) = memory_log();
    fill(&store, &log, 24, 1);
    let mut archiver = archiver(&Faulty::new(&inner).bucket(), &log, 1, Expected::New);
    drive(&mut archiver, &keeping(&log, 100)).await.unwrap();
    (inner, store, log)
}

fn head() -> Path {
    Path::parse(place().key("HEAD")).unwrap()
}

async fn bytes(inner: &InMemory, path: &Path) -> Bytes {
    inner.get(path).await.unwrap().bytes().await.unwrap()
}

#[tokio::test]
async fn an_emptied_bucket_is_not_taken_for_nothing_archived() {
    let (inner, _store, log) = archived().await;
    let bucket = Faulty::new(&inner).bucket();
    let mut running = archiver(&bucket, &log, 1, Expected::Existing);
    running.step(&keeping(&log, 100)).await.unwrap();
    let kept = bytes(&inner, &head()).await;
    inner.delete(&head()).await.unwrap();

    let mut fresh = archiver(&bucket, &log, 2, Expected::Existing);
    let error = fresh.step(&keeping(&log, 100)).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Emptied { .. }), "{error}");
    let trimming = super::super::Situation {
        total: records(1),
        ..keeping(&log, 100)
    };
    let error = running.step(&trimming).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Emptied { .. }), "{error}");
    assert!(
        !names(&inner).await.contains(&"HEAD".to_owned()),
        "nothing is put in its place"
    );

    inner.put(&head(), PutPayload::from(kept)).await.unwrap();
    assert_eq!(running.step(&trimming).await, Ok(Step::Resumed));
    assert!(matches!(
        running.step(&trimming).await,
        Ok(Step::TrimmedArchive(_))
    ));
}

#[tokio::test]
async fn every_changed_byte_of_the_manifest_is_refused() {
    let (inner, _store, log) = archived().await;
    let bucket = Faulty::new(&inner).bucket();
    let whole = bytes(&inner, &head()).await;
    for at in (0..whole.len()).step_by(3).chain([whole.len() - 1]) {
        let mut changed = whole.to_vec();
        changed[at] ^= 0x10;
        inner.put(&head(), changed.into()).await.unwrap();
        let error = PartitionArchive::new(Arc::clone(&bucket), place())
            .load()
            .await
            .unwrap_err();
        assert!(
            matches!(error, ArchiveError::Damaged { .. }),
            "byte {at}: {error}"
        );
    }
    let mut fresh = archiver(&bucket, &log, 2, Expected::New);
    let error = fresh.step(&keeping(&log, 100)).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn an_older_manifest_than_was_seen_is_refused() {
    let (inner, store, log) = archived().await;
    let bucket = Faulty::new(&inner).bucket();
    let archive = PartitionArchive::new(bucket, place());
    let old = bytes(&inner, &head()).await;
    fill(&store, &log, 40, 1);
    let mut archiver = super::super::Archiver::new(
        Arc::clone(&archive),
        Arc::clone(&log),
        settings(2, Expected::Existing),
    );
    drive(&mut archiver, &keeping(&log, 100)).await.unwrap();
    inner.put(&head(), PutPayload::from(old)).await.unwrap();
    let error = archive.load().await.unwrap_err();
    assert!(matches!(error, ArchiveError::WentBack { .. }), "{error}");
}

#[tokio::test]
async fn a_manifest_of_another_place_is_refused() {
    let (inner, _store, _log) = archived().await;
    let other = Place {
        partition: PartitionId::new(1),
        ..place()
    };
    let copy = PutPayload::from(bytes(&inner, &head()).await);
    inner
        .put(&Path::parse(other.key("HEAD")).unwrap(), copy)
        .await
        .unwrap();
    let archive = PartitionArchive::new(Faulty::new(&inner).bucket(), other);
    let error = archive.load().await.unwrap_err();
    assert!(matches!(error, ArchiveError::Foreign { .. }), "{error}");
}

#[tokio::test]
async fn files_of_others_are_left_alone() {
    let (inner, _store, log) = archived().await;
    for name in ["notes.txt", "segments/x", "manifest/y.z", "other/HEAD"] {
        let path = Path::parse(place().key(name)).unwrap();
        inner.put(&path, "foreign".into()).await.unwrap();
    }
    let mut archiver = archiver(&Faulty::new(&inner).bucket(), &log, 2, Expected::Existing);
    drive(&mut archiver, &keeping(&log, 100)).await.unwrap();
    let orphans = archiver.collect(seconds(1 << 33), GRACE).await.unwrap();
    assert!(orphans.deleted.is_empty());
    assert_eq!(
        orphans.foreign,
        ["manifest/y.z", "notes.txt", "other/HEAD", "segments/x"]
    );
    let found = contents(&inner).await;
    found.assert_is(0, found.end);
}

#[tokio::test]
async fn a_broker_that_lost_committed_records_does_not_go_on() {
    let (inner, _store, _log) = archived().await;
    let (short_store, short) = memory_log();
    fill(&short_store, &short, 4, 2);
    let mut archiver = archiver(&Faulty::new(&inner).bucket(), &short, 2, Expected::Existing);
    let error = archiver.step(&keeping(&short, 100)).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Behind { .. }), "{error}");
}
