//! Every request fails once in every way. The archiver goes on, and the archive becomes what it would have become.

use std::sync::Arc;

use object_store::memory::InMemory;

use super::super::{ArchiveError, Expected, Situation, Step};
use super::store::{Fault, Faulty};
use super::support::*;

const END: u64 = 24;

/// Uploads, trims and deletes in spite of the fault. Returns the calls.
async fn run(faulty: &Faulty, inner: &Arc<InMemory>) -> usize {
    let (store, log) = memory_log();
    fill(&store, &log, END, 1);
    let mut archiver = archiver(&faulty.bucket(), &log, 1, Expected::New);
    let keeping = keeping(&log, 100);
    drive_on(&mut archiver, &keeping).await;
    let whole = contents(inner).await;
    whole.assert_is(0, whole.end);
    let trimming = Situation {
        total: records(16),
        local: records(8),
        ..keeping
    };
    drive_on(&mut archiver, &trimming).await;
    let later = Situation {
        now: seconds(1000),
        ..trimming
    };
    drive_on(&mut archiver, &later).await;
    let found = contents(inner).await;
    found.assert_is(found.start, whole.end);
    assert!(found.start > 0 && END - found.start + SEGMENT >= 16);
    assert!(log.start().get() > found.start, "the local log keeps less");
    faulty.calls().len()
}

#[tokio::test(start_paused = true)]
async fn a_request_that_fails_in_any_way_changes_nothing_in_the_end() {
    let clean = Arc::new(InMemory::new());
    let calls = run(&Faulty::new(&clean), &clean).await;
    let expected = contents(&clean).await;
    for call in 0..calls {
        for fault in Fault::ANSWERS {
            let inner = Arc::new(InMemory::new());
            let faulty = Faulty::new(&inner).fail(call, fault);
            run(&faulty, &inner).await;
            let found = contents(&inner).await;
            let what = || format!("{fault:?} at call {call}: {}", faulty.calls()[call]);
            assert_eq!(
                (found.start, found.end),
                (expected.start, expected.end),
                "{}",
                what()
            );
            let live: Vec<_> = found.entries.iter().map(|entry| &entry.name).collect();
            let left: Vec<_> = names(&inner).await;
            let orphans = left
                .iter()
                .filter(|name| name.starts_with("segments/") && !live.contains(name));
            assert!(orphans.count() <= 1, "{}", what());
        }
    }
}

/// A write of HEAD timed out and so did the look at what became of it. The archiver saw the old HEAD, began anew with another
/// state of the same sequence number, and then the first write arrived. By the number alone the second one would have passed for
/// done, and its segment have been forgotten.
#[tokio::test(start_paused = true)]
async fn a_write_that_arrives_late_is_not_taken_for_the_one_that_was_meant() {
    let (store, log) = memory_log();
    fill(&store, &log, END, 1);
    let situation = keeping(&log, 100);
    let calls = {
        let inner = Arc::new(InMemory::new());
        let faulty = Faulty::new(&inner);
        let mut archiver = archiver(&faulty.bucket(), &log, 1, Expected::New);
        archiver.step(&situation).await.unwrap();
        archiver.step(&situation).await.unwrap();
        faulty.calls()
    };
    let publish = calls
        .iter()
        .rposition(|call| call.starts_with("put") && call.ends_with("HEAD"))
        .unwrap();
    let upload = publish - calls.iter().position(|call| call.contains("segments/")).unwrap();
    // Then two looks at HEAD that fail, one that does not, the upload again, and the second write.
    let second = publish + 1 + 2 + 1 + upload;
    let inner = Arc::new(InMemory::new());
    let faulty = Faulty::new(&inner)
        .fail(publish, Fault::LandsAt(second))
        .fail(publish + 1, Fault::Busy)
        .fail(publish + 2, Fault::Busy);
    let mut archiver = archiver(&faulty.bucket(), &log, 1, Expected::New);
    archiver.step(&situation).await.unwrap();
    let error = archiver.step(&situation).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(archiver.step(&situation).await, Ok(Step::Resumed));
    assert_eq!(contents(&inner).await.end, 0, "the write is still on its way");
    assert_eq!(
        archiver.step(&situation).await,
        Ok(Step::Resumed),
        "{:#?}",
        faulty.calls()
    );
    assert!(contents(&inner).await.end > 0, "the first write arrived");
    drive(&mut archiver, &situation).await.unwrap();
    let found = contents(&inner).await;
    found.assert_is(0, found.end);
    assert!(found.end > 16);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_down_is_waited_for() {
    let (store, log) = memory_log();
    fill(&store, &log, END, 1);
    let inner = Arc::new(InMemory::new());
    let mut faulty = Faulty::new(&inner);
    for call in 1..40 {
        faulty = faulty.fail(call, Fault::Silence);
    }
    let mut archiver = archiver(&faulty.bucket(), &log, 1, Expected::New);
    let error = drive(&mut archiver, &keeping(&log, 100)).await.unwrap_err();
    assert!(
        matches!(error, ArchiveError::Bucket(_)) && error.is_transient(),
        "{error}"
    );
    drive_on(&mut archiver, &keeping(&log, 100)).await;
    let found = contents(&inner).await;
    found.assert_is(0, found.end);
}

#[tokio::test]
async fn steps_can_run_on_any_thread() {
    fn is_send<T: Send>(thing: T) -> T {
        thing
    }
    let inner = Arc::new(InMemory::new());
    let (store, log) = memory_log();
    fill(&store, &log, END, 1);
    let mut archiver = archiver(&Faulty::new(&inner).bucket(), &log, 1, Expected::New);
    let situation = keeping(&log, 100);
    assert_eq!(is_send(archiver.step(&situation)).await, Ok(Step::Claimed));
    is_send(archiver.collect(seconds(100), GRACE)).await.unwrap();
}
