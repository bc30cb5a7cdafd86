//! Looking at a bucket from outside.

use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};

use super::super::survey::{Depth, Survey, Witness};
use super::super::{Bucket, Expected, Place};
use super::store::Faulty;
use super::support::*;
use crate::check::{Finding, Severity};

/// What was heard.
#[derive(Default)]
struct Heard {
    bytes: u64,
    findings: Vec<Finding>,
}

impl Witness for Heard {
    fn looked_at(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

impl Heard {
    fn damage(&self) -> Vec<&Finding> {
        let is_damage = |finding: &&Finding| finding.severity == Severity::Damage;
        self.findings.iter().filter(is_damage).collect()
    }
}

/// A bucket with an archive of 24 records, and the names of its segments.
async fn archived() -> (Arc<InMemory>, Arc<Bucket>, Vec<String>) {
    let inner = Arc::new(InMemory::new());
    let bucket = Faulty::new(&inner).bucket();
    let (store, log) = memory_log();
    fill(&store, &log, 24, 1);
    let mut archiver = archiver(&bucket, &log, 1, Expected::New);
    drive(&mut archiver, &keeping(&log, 100)).await.unwrap();
    let listed = bucket.list(&place().to_string(), 1000).await.unwrap();
    let names = listed
        .iter()
        .filter_map(|object| place().name_of(&object.key).map(str::to_owned));
    let segments = names.filter(|name| name.starts_with("segments/")).collect();
    (inner, bucket, segments)
}

async fn look(bucket: &Arc<Bucket>, depth: Depth) -> Heard {
    let mut heard = Heard::default();
    let survey = Survey::new(Arc::clone(bucket));
    survey.verify(&place(), depth, &mut heard).await.unwrap();
    heard
}

fn path(name: &str) -> Path {
    Path::parse(place().key(name)).unwrap()
}

async fn bytes(inner: &InMemory, name: &str) -> Bytes {
    inner.get(&path(name)).await.unwrap().bytes().await.unwrap()
}

async fn put(inner: &InMemory, name: &str, bytes: impl Into<PutPayload>) {
    inner.put(&path(name), bytes.into()).await.unwrap();
}

#[tokio::test]
async fn a_whole_archive_is_found_and_nothing_is_wrong_with_it() {
    let (inner, bucket, segments) = archived().await;
    inner
        .put(&Path::from("cluster/CLUSTER"), PutPayload::from_static(b"x"))
        .await
        .unwrap();
    inner
        .put(&Path::from("cluster/modules/ab"), PutPayload::from_static(b"x"))
        .await
        .unwrap();
    let survey = Survey::new(Arc::clone(&bucket));
    assert_eq!(survey.places().await.unwrap(), [place()]);
    let summary = survey.summary(&place()).await.unwrap();
    assert_eq!(
        (summary.range.start.get(), summary.totals.segments),
        (0, segments.len() as u64)
    );
    assert_eq!(summary.totals.records, summary.range.end.get());
    for depth in [Depth::Objects, Depth::Bytes] {
        let heard = look(&bucket, depth).await;
        assert_eq!(heard.findings, [], "{depth:?}");
        let mut expected = 0;
        for name in &segments {
            expected += bytes(&inner, name).await.len() as u64;
        }
        assert_eq!(heard.bytes, expected, "{depth:?}");
    }
}

#[tokio::test]
async fn every_changed_byte_of_an_object_is_found_by_who_reads_it() {
    let (inner, bucket, segments) = archived().await;
    let name = &segments[1];
    let whole = bytes(&inner, name).await;
    for at in 0..whole.len() {
        let mut changed = whole.to_vec();
        changed[at] ^= 0x20;
        put(&inner, name, changed).await;
        let heard = look(&bucket, Depth::Bytes).await;
        let damage = heard.damage();
        assert_eq!(damage.len(), 1, "byte {at}: {damage:?}");
        assert!(
            damage[0].file.to_str().unwrap().ends_with(name.as_str()),
            "byte {at}"
        );
        assert_eq!(
            look(&bucket, Depth::Objects).await.findings,
            [],
            "it is as long as before"
        );
    }
}

#[tokio::test]
async fn what_is_missing_cut_or_left_over_is_told_apart() {
    let (inner, bucket, segments) = archived().await;
    let cut = bytes(&inner, &segments[0]).await;
    put(&inner, &segments[0], cut.slice(..cut.len() - 1)).await;
    inner.delete(&path(&segments[1])).await.unwrap();
    let orphan = "segments/00000000000000000090-00000000000000000099-1-0123456789abcdef";
    put(&inner, orphan, Bytes::from_static(b"left")).await;
    put(&inner, "notes.txt", Bytes::from_static(b"mine")).await;
    for depth in [Depth::Objects, Depth::Bytes] {
        let heard = look(&bucket, depth).await;
        let problems: Vec<_> = heard
            .damage()
            .iter()
            .map(|finding| finding.problem.clone())
            .collect();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("bytes instead of"), "{problems:?}");
        assert!(
            problems[1].starts_with("it is missing, with the offsets from"),
            "{problems:?}"
        );
        let harmless = heard
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Harmless);
        let harmless: Vec<_> = harmless
            .map(|finding| finding.file.display().to_string())
            .collect();
        assert_eq!(harmless, [place().key("notes.txt"), place().key(orphan)]);
    }
}

#[tokio::test]
async fn a_head_that_is_missing_or_damaged_is_a_finding() {
    let (inner, bucket, _) = archived().await;
    put(&inner, Place::HEAD, Bytes::from_static(b"{}")).await;
    let heard = look(&bucket, Depth::Objects).await;
    assert!(
        heard.damage()[0].problem.contains("damaged"),
        "{:?}",
        heard.findings
    );
    inner.delete(&path(Place::HEAD)).await.unwrap();
    let heard = look(&bucket, Depth::Objects).await;
    assert_eq!(heard.damage().len(), 1, "{:?}", heard.findings);
}
