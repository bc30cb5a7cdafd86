//! Two archivers in one place: one goes on, the other one stops, and nothing is lost or forked, however their requests interleave.

use std::sync::Arc;

use object_store::memory::InMemory;
use strandline_core::storage::Log;
use tokio::sync::Semaphore;

use super::super::{ArchiveError, Archiver, Expected, Situation};
use super::store::Faulty;
use super::support::*;

const END: u64 = 24;

struct Actor {
    archiver: Archiver,
    store: Faulty,
    turns: Arc<Semaphore>,
}

impl Actor {
    fn new(inner: &Arc<InMemory>, log: &Arc<dyn Log>, epoch: u64) -> Self {
        let turns = Arc::new(Semaphore::new(0));
        let store = Faulty::with_turns(inner, &turns);
        Self {
            archiver: archiver(&store.bucket(), log, epoch, Expected::New),
            store,
            turns,
        }
    }
}

fn trimming(log: &Arc<dyn Log>) -> Situation {
    Situation {
        total: records(16),
        ..keeping(log, 100)
    }
}

/// Lets `first` make `a` requests, then `second` `b`, and then both all others, one after the other.
async fn race(
    (first, second): (&mut Actor, &mut Actor),
    (a, b): (usize, usize),
    logs: [&Arc<dyn Log>; 2],
) -> [Result<(), ArchiveError>; 2] {
    let (one, other) = (first.store.clone(), second.store.clone());
    let (turns, other_turns) = (Arc::clone(&first.turns), Arc::clone(&second.turns));
    let ended = [Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0))];
    let (first_ended, second_ended) = (Arc::clone(&ended[0]), Arc::clone(&ended[1]));
    let run_first = async {
        let result = drive(&mut first.archiver, &trimming(logs[0])).await;
        first_ended.add_permits(1);
        result.map(|_| ())
    };
    let run_second = async {
        let result = drive(&mut second.archiver, &trimming(logs[1])).await;
        second_ended.add_permits(1);
        result.map(|_| ())
    };
    let schedule = async {
        give(&one, &turns, &ended[0], a).await;
        give(&other, &other_turns, &ended[1], b).await;
        give(&one, &turns, &ended[0], usize::MAX).await;
        give(&other, &other_turns, &ended[1], usize::MAX).await;
    };
    let (first, second, ()) = tokio::join!(run_first, run_second, schedule);
    [first, second]
}

/// Lets so many requests happen, one by one, unless the actor ends before.
async fn give(store: &Faulty, turns: &Semaphore, ended: &Semaphore, count: usize) {
    for _ in 0..count {
        if ended.available_permits() > 0 {
            return;
        }
        let before = store.done();
        turns.add_permits(1);
        while store.done() == before && ended.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
    }
}

async fn requests(epoch: u64) -> usize {
    let inner = Arc::new(InMemory::new());
    let (store, log) = memory_log();
    fill(&store, &log, END, 1);
    let faulty = Faulty::new(&inner);
    let mut alone = archiver(&faulty.bucket(), &log, epoch, Expected::New);
    drive(&mut alone, &trimming(&log)).await.unwrap();
    faulty.calls().len()
}

/// A log with the same records, cut into segments elsewhere.
fn other_log() -> (Arc<dyn strandline_core::storage::Store>, Arc<dyn Log>) {
    let (store, log) = memory_log();
    fill(&store, &log, 4, 1);
    log.roll().unwrap();
    fill(&store, &log, END, 1);
    (store, log)
}

async fn interleave(epochs: (u64, u64)) {
    let most = requests(1).await;
    let (store, log) = memory_log();
    fill(&store, &log, END, 1);
    let (_other_store, other) = other_log();
    for a in 0..=most {
        for b in (0..=most).step_by(2) {
            let inner = Arc::new(InMemory::new());
            let mut first = Actor::new(&inner, &log, epochs.0);
            let mut second = Actor::new(&inner, &other, epochs.1);
            let results = race((&mut first, &mut second), (a, b), [&log, &other]).await;
            let what = format!("{a} and {b} requests: {results:?}");
            let fenced =
                |result: &Result<(), ArchiveError>| matches!(result, Err(ArchiveError::Fenced { .. }));
            let stopped = results.iter().filter(|result| fenced(result)).count();
            let failed = results.iter().filter(|result| result.is_err()).count();
            assert!(stopped == failed && stopped <= 1, "{what}");
            if epochs.0 < epochs.1 {
                assert!(results[1].is_ok(), "the newer leader goes on: {what}");
            }
            let found = contents(&inner).await;
            found.assert_is(found.start, found.end);
            assert!(
                found.end >= 16 && END - found.start + SEGMENT >= 16,
                "{what}: {found:?}"
            );
        }
    }
}

#[tokio::test]
async fn of_two_leaders_the_one_of_the_newer_epoch_goes_on() {
    interleave((1, 2)).await;
}

#[tokio::test]
async fn of_two_writers_of_one_epoch_one_goes_on() {
    interleave((1, 1)).await;
}

#[tokio::test]
async fn a_writer_that_was_overtaken_publishes_nothing_and_says_so_for_ever() {
    let inner = Arc::new(InMemory::new());
    let bucket = Faulty::new(&inner).bucket();
    let (store, log) = memory_log();
    fill(&store, &log, END, 1);
    let mut old = archiver(&bucket, &log, 1, Expected::New);
    old.step(&keeping(&log, 100)).await.unwrap();
    old.step(&keeping(&log, 100)).await.unwrap();
    let mut new = archiver(&bucket, &log, 2, Expected::Existing);
    new.step(&keeping(&log, 100)).await.unwrap();
    let before = contents(&inner).await;
    for _ in 0..2 {
        let error = old.step(&keeping(&log, 100)).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Fenced { .. }), "{error}");
    }
    assert_eq!(contents(&inner).await, before);
    let mut older = archiver(&bucket, &log, 1, Expected::Existing);
    let error = older.step(&keeping(&log, 100)).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Fenced { .. }), "{error}");
    drive(&mut new, &keeping(&log, 100)).await.unwrap();
}
