//! Limits over both tiers.

use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use strandline_core::retention::RetentionLimits;

use super::super::{Expected, Situation, Step};
use super::store::Faulty;
use super::support::*;

#[tokio::test]
async fn local_data_goes_only_after_the_manifest_holds_it() {
    let inner = Arc::new(InMemory::new());
    let (store, log) = memory_log();
    fill(&store, &log, 40, 1);
    let greedy = Situation {
        local: records(0),
        committed: log.segments()[1].range.end,
        ..keeping(&log, 100)
    };
    let mut archiver = archiver(&Faulty::new(&inner).bucket(), &log, 1, Expected::New);
    archiver.step(&greedy).await.unwrap();
    loop {
        let step = archiver.step(&greedy).await.unwrap();
        let archived = contents(&inner).await;
        assert!(log.start().get() <= archived.end, "{step:?}");
        if step == Step::Idle {
            break;
        }
    }
    assert_eq!(log.start(), greedy.committed, "all that is archived is gone here");
    let archived = contents(&inner).await;
    archived.assert_is(0, greedy.committed.get());
}

#[tokio::test]
async fn total_limits_count_what_is_in_both_tiers_once() {
    let inner = Arc::new(InMemory::new());
    let (store, log) = memory_log();
    fill(&store, &log, 40, 1);
    let mut archiver = archiver(&Faulty::new(&inner).bucket(), &log, 1, Expected::New);
    // Everything is in both tiers: counted twice the limit would be passed by far.
    let enough = Situation {
        total: records(40),
        ..keeping(&log, 100)
    };
    drive(&mut archiver, &enough).await.unwrap();
    assert_eq!((contents(&inner).await.start, log.start().get()), (0, 0));
    let less = Situation {
        total: records(20),
        ..enough
    };
    drive(&mut archiver, &less).await.unwrap();
    let found = contents(&inner).await;
    found.assert_is(found.start, found.end);
    assert!(
        found.start > 0 && 40 - found.start + SEGMENT >= 20,
        "{}",
        found.start
    );
    assert_eq!(log.start().get(), found.start, "what is gone there is gone here");
}

#[tokio::test]
async fn objects_stay_for_their_grace_time_and_then_nothing_is_left() {
    let inner = Arc::new(InMemory::new());
    let (store, log) = memory_log();
    fill(&store, &log, 40, 1);
    let mut archiver = archiver(&Faulty::new(&inner).bucket(), &log, 1, Expected::New);
    drive(&mut archiver, &keeping(&log, 100)).await.unwrap();
    let before = names(&inner).await.len();
    let old = RetentionLimits {
        max_age: Some(Duration::from_secs(10)),
        ..RetentionLimits::default()
    };
    let trimming = |now| Situation {
        total: old,
        ..keeping(&log, now)
    };
    drive(&mut archiver, &trimming(100)).await.unwrap();
    let found = contents(&inner).await;
    assert_eq!(
        (found.start, found.entries.len()),
        (found.end, 0),
        "all are too old"
    );
    assert_eq!(names(&inner).await.len(), before);
    drive(&mut archiver, &trimming(100 + GRACE.as_secs()))
        .await
        .unwrap();
    assert_eq!(names(&inner).await.len(), before);
    drive(&mut archiver, &trimming(101 + GRACE.as_secs()))
        .await
        .unwrap();
    assert_eq!(names(&inner).await, ["HEAD"]);
    // The archive goes on where it was.
    fill(&store, &log, 60, 1);
    drive(&mut archiver, &keeping(&log, 200)).await.unwrap();
    let after = contents(&inner).await;
    after.assert_is(found.end, after.end);
    assert!(after.end > found.end);
}
