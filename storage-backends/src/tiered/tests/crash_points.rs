//! The process ends before or after any request. The next one goes on: nothing that was committed is missing in both tiers,
//! and the archive becomes what it would have become.

use std::sync::Arc;

use futures_util::future::{Either, select};
use object_store::memory::InMemory;
use strandline_core::storage::{Factory, Log, Store};

use super::super::{Expected, Situation};
use super::store::{Fault, Faulty};
use super::support::*;
use crate::SegmentFactory;
use crate::sim::{Image, SimDisk};

const END: u64 = 40;
const KEPT_LOCALLY: u64 = 12;
const KEPT: u64 = 24;

fn open(disk: &SimDisk) -> Arc<dyn Store> {
    let directory = std::path::Path::new("/data/streams");
    SegmentFactory::new()
        .open(Arc::new(disk.clone()), directory)
        .unwrap()
}

/// Everything an archiver does, in phases: upload, trim both tiers, delete.
fn phases(log: &Arc<dyn Log>) -> [Situation; 3] {
    let trimming = Situation {
        total: records(KEPT),
        local: records(KEPT_LOCALLY),
        ..keeping(log, 100)
    };
    [
        keeping(log, 100),
        trimming,
        Situation {
            now: seconds(1000),
            ..trimming
        },
    ]
}

/// Runs all phases, or until the process ends. Returns whether HEAD was claimed.
async fn run(store: &Faulty, log: &Arc<dyn Log>, epoch: u64, expected: Expected) -> bool {
    let mut archiver = archiver(&store.bucket(), log, epoch, expected);
    let is_claimed = std::cell::Cell::new(false);
    let work = async {
        for situation in phases(log) {
            archiver.step(&situation).await.unwrap();
            is_claimed.set(true);
            drive(&mut archiver, &situation).await.unwrap();
        }
    };
    let work = std::pin::pin!(work);
    let killed = std::pin::pin!(store.killed());
    if let Either::Right(_) = select(work, killed).await {
        return is_claimed.get();
    }
    true
}

async fn assert_nothing_is_lost(inner: &Arc<InMemory>, log: &Arc<dyn Log>, moment: &str) {
    let archived = match names(inner).await.iter().any(|name| name == "HEAD") {
        true => Some(contents(inner).await),
        false => None,
    };
    let local = local_offsets(log.as_ref());
    let start = archived.as_ref().map_or(0, |archived| archived.start);
    assert!(start <= END - KEPT + SEGMENT, "{moment}: retention took too much");
    for offset in start..END {
        let is_archived = archived
            .as_ref()
            .is_some_and(|archived| archived.records.contains_key(&offset));
        assert!(
            is_archived || local.contains(&offset),
            "{moment}: offset {offset} is in neither tier"
        );
    }
}

#[tokio::test]
async fn a_crash_at_any_moment_loses_nothing_and_leaves_at_worst_an_orphan() {
    let image = Image::with_dir(std::path::Path::new("/data"));
    let disk = SimDisk::of(image);
    let store = open(&disk);
    let log = store.create(LOG, &tiny()).unwrap();
    fill(&store, &log, END, 1);
    let disk = disk.after_kill();
    drop((store, log));

    let (clean, _) = crash(&disk, None).await;
    assert!(clean.calls > 20, "{clean:?}");
    for call in 0..clean.calls {
        for fault in [Fault::KilledBefore, Fault::KilledAfter] {
            let (after, moment) = crash(&disk, Some((call, fault))).await;
            assert_eq!((after.start, after.end), (clean.start, clean.end), "{moment}");
        }
    }
}

#[derive(Debug)]
struct After {
    calls: usize,
    start: u64,
    end: u64,
}

/// Ends the process at a call, and lets another one go on to the end.
async fn crash(disk: &SimDisk, at: Option<(usize, Fault)>) -> (After, String) {
    let moment = format!("{at:?}");
    let disk = disk.after_kill();
    let inner = Arc::new(InMemory::new());
    let mut faulty = Faulty::new(&inner);
    if let Some((call, fault)) = at {
        faulty = faulty.fail(call, fault);
    }
    let store = open(&disk);
    let log = store.open(LOG, &tiny()).unwrap();
    let is_claimed = run(&faulty, &log, 1, Expected::New).await;
    assert_nothing_is_lost(&inner, &log, &moment).await;
    drop((store, log));

    let disk = disk.after_kill();
    let store = open(&disk);
    let log = store.open(LOG, &tiny()).unwrap();
    let expected = if is_claimed {
        Expected::Existing
    } else {
        Expected::New
    };
    // A restart may come with the same epoch or a new one.
    let epoch = 1 + at.map_or(0, |(call, _)| call as u64 % 2);
    run(&Faulty::new(&inner), &log, epoch, expected).await;
    assert_nothing_is_lost(&inner, &log, &moment).await;
    let found = contents(&inner).await;
    found.assert_is(found.start, found.end);
    let mut archiver = archiver(&Faulty::new(&inner).bucket(), &log, 3, Expected::Existing);
    let orphans = archiver.collect(seconds(1 << 33), GRACE).await.unwrap();
    assert!(
        orphans.deleted.len() <= 1 && orphans.foreign.is_empty(),
        "{moment}: {orphans:?}"
    );
    let after = After {
        calls: faulty.calls().len(),
        start: found.start,
        end: found.end,
    };
    (after, moment)
}
