//! Points: what they lead to stays, whatever retention, garbage collection, crashes and a leader at work do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select;
use object_store::memory::InMemory;

use super::super::{Expected, MAX_POINTS, PartitionArchive, PointError, PointRef, Points, Situation};
use super::store::{Fault, Faulty};
use super::support::*;

const END: u64 = 40;
const KEPT: u64 = 12;

async fn object_names(archived: &Archived) -> BTreeSet<String> {
    names(&archived.inner).await.into_iter().collect()
}

fn points(faulty: &Faulty) -> Points {
    Points::of(&PartitionArchive::new(faulty.bucket(), place()))
}

fn plain(inner: &Arc<InMemory>) -> Points {
    points(&Faulty::new(inner))
}

async fn registered(inner: &Arc<InMemory>) -> Vec<PointRef> {
    plain(inner).head().await.unwrap().points
}

/// The segments that a point leads to, and that all of them are there.
async fn assert_is_whole(inner: &Arc<InMemory>, point: &PointRef) {
    let names: BTreeSet<_> = names(inner).await.into_iter().collect();
    let state = plain(inner).load(point).await.unwrap();
    assert!(names.contains(&point.object));
    assert!(!state.entries.is_empty());
    for entry in &state.entries {
        assert!(names.contains(&entry.name), "{} is missing", entry.name);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_point_leads_to_stays_until_the_point_is_removed() {
    let mut archived = Archived::new(END).await;
    let point = plain(&archived.inner)
        .register("before", seconds(100))
        .await
        .unwrap();
    assert_eq!((point.start.get(), point.end.get()), (0, END));
    let second = plain(&archived.inner)
        .register("again", seconds(100))
        .await
        .unwrap();
    archived.keep(KEPT, 200).await;
    archived.keep(KEPT, 1000).await;
    let head = plain(&archived.inner).head().await.unwrap();
    assert!(head.start.get() > 0 && head.gone.is_empty(), "{head:?}");
    assert_is_whole(&archived.inner, &point).await;
    archived.archiver.collect(seconds(1 << 33), GRACE).await.unwrap();
    assert_is_whole(&archived.inner, &point).await;

    // The other one still holds all of it.
    assert!(
        plain(&archived.inner)
            .remove("before", seconds(1100))
            .await
            .unwrap()
    );
    archived.keep(KEPT, 2000).await;
    assert_is_whole(&archived.inner, &second).await;
    assert!(!object_names(&archived).await.contains(&point.object));

    assert!(
        plain(&archived.inner)
            .remove("again", seconds(2100))
            .await
            .unwrap()
    );
    archived.keep(KEPT, 2130).await;
    assert!(
        object_names(&archived).await.contains(&second.object),
        "the grace time is not over"
    );
    archived.keep(KEPT, 3000).await;
    let found = contents(&archived.inner).await;
    found.assert_is(found.start, END);
    let expected: BTreeSet<_> = found.entries.iter().map(|entry| entry.name.clone()).collect();
    let mut left = object_names(&archived).await;
    assert!(left.remove("HEAD"));
    assert_eq!(left, expected, "nothing else is left");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_point_is_refused_and_removing_one_twice_is_none() {
    let archived = Archived::new(END).await;
    let points = plain(&archived.inner);
    for name in ["", "a/b", "lent-1"] {
        let error = points.register(name, seconds(1)).await.unwrap_err();
        assert!(matches!(error, PointError::InvalidName { .. }), "{error}");
    }
    points.register("one", seconds(1)).await.unwrap();
    let error = points.register("one", seconds(2)).await.unwrap_err();
    assert!(matches!(error, PointError::Taken { .. }), "{error}");
    for number in 1..MAX_POINTS {
        points.register(&format!("n{number}"), seconds(3)).await.unwrap();
    }
    let error = points.register("more", seconds(4)).await.unwrap_err();
    assert!(matches!(error, PointError::TooMany { .. }), "{error}");
    assert!(points.remove("one", seconds(5)).await.unwrap());
    assert!(!points.remove("one", seconds(6)).await.unwrap());
    points.register("more", seconds(7)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_point_that_cannot_be_read_keeps_everything_until_it_is_removed() {
    let mut archived = Archived::new(END).await;
    let point = plain(&archived.inner)
        .register("before", seconds(100))
        .await
        .unwrap();
    let bucket = Faulty::new(&archived.inner).bucket();
    bucket.delete(&place().key(&point.object)).await.unwrap();
    let before = object_names(&archived).await;
    let situation = keeping_records(&archived.log, KEPT, 1000);
    drive(&mut archived.archiver, &situation).await.unwrap();
    let later = keeping_records(&archived.log, KEPT, 2000);
    let error = drive(&mut archived.archiver, &later).await.unwrap_err();
    assert!(error.to_string().contains(&point.object), "{error}");
    let after = object_names(&archived).await;
    assert!(
        before.is_subset(&after),
        "nobody knows what it held, so nothing is deleted"
    );
    assert!(
        plain(&archived.inner)
            .remove("before", seconds(2000))
            .await
            .unwrap()
    );
    archived.keep(KEPT, 3000).await;
    let found = contents(&archived.inner).await;
    found.assert_is(found.start, END);
}

// Removing a point looked at what the others keep, and gave up when one of those could not be read. Of two that could not be read
// neither was ever removed, and nothing was deleted any more.
#[tokio::test(start_paused = true)]
async fn of_several_points_that_cannot_be_read_each_can_be_removed() {
    let mut archived = Archived::new(END).await;
    let points = plain(&archived.inner);
    let bucket = Faulty::new(&archived.inner).bucket();
    for name in ["one", "two"] {
        let point = points.register(name, seconds(100)).await.unwrap();
        bucket.delete(&place().key(&point.object)).await.unwrap();
    }
    points.register("whole", seconds(100)).await.unwrap();
    for name in ["one", "whole", "two"] {
        assert!(points.remove(name, seconds(200)).await.unwrap(), "{name}");
    }
    archived.keep(KEPT, 1000).await;
    archived.keep(KEPT, 2000).await;
    let found = contents(&archived.inner).await;
    found.assert_is(found.start, END);
    let left = object_names(&archived).await;
    assert_eq!(left.len(), found.entries.len() + 1, "{left:?}");
}

/// Registers, or removes, with the process ending at a call.
async fn act(faulty: &Faulty, removes: bool) {
    let points = points(faulty);
    let work = async {
        if removes {
            let _ = points.remove("kept", seconds(200)).await;
        } else {
            let _ = points.register("kept", seconds(200)).await;
        }
    };
    let (work, killed) = (std::pin::pin!(work), std::pin::pin!(faulty.killed()));
    let _ = select(work, killed).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_or_a_fault_at_any_request_leaves_a_point_that_is_whole_or_none() {
    let faults = Fault::ANSWERS
        .into_iter()
        .chain([Fault::KilledBefore, Fault::KilledAfter]);
    for fault in faults {
        for removes in [false, true] {
            for call in 0..8 {
                let mut archived = Archived::new(END).await;
                if removes {
                    plain(&archived.inner)
                        .register("kept", seconds(150))
                        .await
                        .unwrap();
                }
                let faulty = Faulty::new(&archived.inner).fail(call, fault);
                act(&faulty, removes).await;
                let what = format!("{fault:?} at {call} while removing: {removes}");
                archived.keep(KEPT, 300).await;
                archived.keep(KEPT, 1000).await;
                let found = registered(&archived.inner).await;
                assert!(found.len() <= 1, "{what}");
                for point in &found {
                    assert_is_whole(&archived.inner, point).await;
                }
                plain(&archived.inner)
                    .remove("kept", seconds(1000))
                    .await
                    .unwrap();
                archived.keep(KEPT, 2000).await;
                let orphans = archived.archiver.collect(seconds(1 << 33), GRACE).await.unwrap();
                assert!(orphans.deleted.len() <= 2, "{what}: {orphans:?}");
                let found = contents(&archived.inner).await;
                found.assert_is(found.start, END);
                assert_eq!(
                    object_names(&archived).await.len(),
                    found.entries.len() + 1,
                    "{what}: something is left"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_publishes_at_the_same_time_goes_on_and_loses_nothing() {
    for call in 0..40 {
        let inner = Arc::new(InMemory::new());
        let (store, log) = memory_log();
        fill(&store, &log, END, 1);
        let turns = Arc::new(tokio::sync::Semaphore::new(0));
        let faulty = Faulty::with_turns(&inner, &turns);
        let mut archiver = archiver(&faulty.bucket(), &log, 1, Expected::New);
        let trimming = keeping_records(&log, KEPT, 100);
        let work = async {
            drive(&mut archiver, &trimming).await.unwrap();
            let later = Situation {
                now: seconds(1000),
                ..trimming
            };
            drive(&mut archiver, &later).await.unwrap();
        };
        let point = async {
            // So many requests of the leader, then all of the other's, then the rest.
            for _ in 0..call {
                turns.add_permits(1);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let point = plain(&inner).register("kept", seconds(100)).await;
            turns.add_permits(10_000);
            point
        };
        let ((), point) = tokio::join!(work, point);
        let found = contents(&inner).await;
        found.assert_is(found.start, found.end);
        match point {
            // Before there was a HEAD.
            Err(error) => assert!(call < 4, "{call}: {error}"),
            Ok(point) => {
                assert_eq!(registered(&inner).await, std::slice::from_ref(&point));
                let state = plain(&inner).load(&point).await.unwrap();
                let names = names(&inner).await;
                for entry in &state.entries {
                    assert!(names.contains(&entry.name), "{call}: {} is gone", entry.name);
                }
            }
        }
    }
}
