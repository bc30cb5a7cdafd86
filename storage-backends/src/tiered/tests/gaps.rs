//! What the local log lost before it was archived, and logs that are cut elsewhere.

use std::sync::Arc;

use object_store::memory::InMemory;
use strandline_core::Offset;

use super::super::{ArchiveError, Expected, Found, PartitionArchive, Step};
use super::store::Faulty;
use super::support::*;

#[tokio::test]
async fn what_is_gone_before_it_was_archived_is_a_gap_that_readers_see() {
    let inner = Arc::new(InMemory::new());
    let bucket = Faulty::new(&inner).bucket();
    let (store, log) = memory_log();
    fill(&store, &log, 12, 1);
    let mut archiver = archiver(&bucket, &log, 1, Expected::New);
    drive(&mut archiver, &keeping(&log, 100)).await.unwrap();
    let end = contents(&inner).await.end;
    fill(&store, &log, 40, 1);
    let sealed: Vec<_> = log
        .segments()
        .into_iter()
        .filter(|segment| segment.sealed)
        .collect();
    let lost_to = sealed[sealed.len() - 2].range.end;
    log.remove_before(lost_to).unwrap();
    let steps = drive(&mut archiver, &keeping(&log, 100)).await.unwrap();
    let gap = strandline_core::OffsetRange::new(Offset::new(end), lost_to);
    assert_eq!(steps.first(), Some(&Step::Skipped(gap)));
    let found = contents(&inner).await;
    assert_eq!(found.gaps, [(end, lost_to.get())]);
    assert!(
        found
            .records
            .keys()
            .all(|&offset| !gap.contains(Offset::new(offset)))
    );
    let archive = PartitionArchive::new(bucket, place());
    let view = archive.load().await.unwrap();
    assert_eq!(view.find(Offset::new(end)), Some(Found::Gap(gap)));
    assert!(matches!(view.find(lost_to), Some(Found::Entry(_))));
    assert!(matches!(view.before(lost_to), Some(Found::Entry(entry)) if entry.range.end == gap.start));
}

#[tokio::test]
async fn an_archive_of_a_log_with_history_starts_where_the_log_does() {
    let inner = Arc::new(InMemory::new());
    let (store, log) = memory_log();
    fill(&store, &log, 40, 1);
    let first = log.segments()[0];
    log.remove_before(first.range.end).unwrap();
    let mut archiver = archiver(&Faulty::new(&inner).bucket(), &log, 1, Expected::New);
    drive(&mut archiver, &keeping(&log, 100)).await.unwrap();
    let found = contents(&inner).await;
    found.assert_is(first.range.end.get(), found.end);
    assert!(found.gaps.is_empty());
}

#[tokio::test]
async fn a_leader_whose_log_is_cut_elsewhere_goes_on_where_the_archive_ends() {
    let inner = Arc::new(InMemory::new());
    let bucket = Faulty::new(&inner).bucket();
    let (store, log) = memory_log();
    fill(&store, &log, 12, 1);
    drive(
        &mut archiver(&bucket, &log, 1, Expected::New),
        &keeping(&log, 100),
    )
    .await
    .unwrap();
    let (other_store, other) = memory_log();
    fill(&other_store, &other, 2, 1);
    other.roll().unwrap();
    fill(&other_store, &other, 16, 1);
    fill(&other_store, &other, 40, 2);
    drive(
        &mut archiver(&bucket, &other, 2, Expected::Existing),
        &keeping(&other, 100),
    )
    .await
    .unwrap();
    let found = contents(&inner).await;
    found.assert_is(0, found.end);
    let epochs: Vec<_> = found
        .entries
        .iter()
        .flat_map(|entry| &entry.epochs)
        .map(|(epoch, _)| epoch.get())
        .collect();
    assert!(epochs.is_sorted() && epochs.first() == Some(&1) && epochs.last() == Some(&2));
}

#[tokio::test]
async fn an_archive_that_ends_inside_a_batch_is_refused_by_name() {
    let inner = Arc::new(InMemory::new());
    let bucket = Faulty::new(&inner).bucket();
    let (store, log) = memory_log();
    fill(&store, &log, 1, 1);
    log.roll().unwrap();
    fill(&store, &log, 3, 1);
    drive(
        &mut archiver(&bucket, &log, 1, Expected::New),
        &keeping(&log, 100),
    )
    .await
    .unwrap();
    // The same records in batches that another leader cut elsewhere: 0 and 1 are one.
    let (other_store, other) = memory_log();
    fill(&other_store, &other, 4, 1);
    other.roll().unwrap();
    let error = drive(
        &mut archiver(&bucket, &other, 2, Expected::Existing),
        &keeping(&other, 100),
    )
    .await
    .unwrap_err();
    assert!(matches!(error, ArchiveError::CrossesEnd { .. }), "{error}");
}

#[tokio::test]
async fn what_is_not_committed_is_not_archived() {
    let inner = Arc::new(InMemory::new());
    let (store, log) = memory_log();
    fill(&store, &log, 40, 1);
    let second = log.segments()[1].range.end;
    let situation = super::super::Situation {
        committed: Offset::new(second.get() - 1),
        ..keeping(&log, 100)
    };
    let mut archiver = archiver(&Faulty::new(&inner).bucket(), &log, 1, Expected::New);
    assert_eq!(archiver.lag().records, 40);
    drive(&mut archiver, &situation).await.unwrap();
    let first = log.segments()[0].range.end.get();
    assert_eq!(contents(&inner).await.end, first);
    assert_eq!(archiver.lag().records, 40 - first);
}
