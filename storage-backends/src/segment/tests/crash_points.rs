//! Every moment of a power loss: what was acknowledged is there, nothing else is but what was appended, and the log works.

use std::collections::HashSet;
use std::sync::Arc;

use strandline_core::record::Batch;
use strandline_core::storage::{Log, Store, SyncBy};
use strandline_core::{Offset, OffsetRange};

use super::support::*;
use crate::sim::{Image, SimDisk};

/// What is known of a log at one moment of a workload.
#[derive(Clone, Debug)]
struct Promise {
    moment: usize,
    /// Everything below is durable, from the first allowed start on.
    durable_end: u64,
    /// Where the log may start.
    starts: (u64, u64),
    /// Ends that the log may not reach: records that were never appended, or were cut.
    longest: u64,
    /// Offsets that compaction may have left out.
    gaps: Vec<u64>,
    /// What a replaced range may hold: all of the one or all of the other.
    replaced: Option<Replaced>,
}

#[derive(Clone, Debug)]
struct Replaced {
    range: OffsetRange,
    old: Vec<u64>,
    new: Vec<u64>,
}

impl Replaced {
    fn check(&self, found: &[u64], moment: usize) {
        let inside = |offset: &&u64| self.range.contains(Offset::new(**offset));
        let there: Vec<u64> = found.iter().filter(inside).copied().collect();
        assert!(
            there == self.old || there == self.new,
            "moment {moment}: {there:?} is neither the old nor the new of {self:?}"
        );
    }
}

struct Workload {
    disk: SimDisk,
    start: Image,
    store: Arc<dyn Store>,
    log: Arc<dyn Log>,
    promises: Vec<Promise>,
    now: Promise,
}

impl Workload {
    fn new() -> Self {
        let (disk, start) = empty_disk();
        let store = open_store(&disk).unwrap();
        let log = store.create(LOG, &tiny()).unwrap();
        let moment = disk.moment();
        let now = Promise {
            moment,
            durable_end: 0,
            starts: (0, 0),
            longest: 0,
            gaps: Vec::new(),
            replaced: None,
        };
        Self {
            disk,
            start,
            store,
            log,
            promises: vec![now.clone()],
            now,
        }
    }

    /// Something is about to be true or not: both are allowed until the next note.
    fn note(&mut self, change: impl FnOnce(&mut Promise)) {
        change(&mut self.now);
        self.now.moment = self.disk.moment();
        self.promises.push(self.now.clone());
    }

    fn append(&mut self, count: u64) {
        self.append_padded(count, 0);
    }

    fn append_padded(&mut self, count: u64, padding: usize) {
        let base = self.log.end().get();
        self.note(|now| now.longest = base + count);
        let commit = self.log.append(&[padded_batch(base, count, 1, padding)]).unwrap();
        drop(commit);
    }

    fn sync(&mut self) {
        let end = self.log.end().get();
        self.store.sync(SyncBy::Caller);
        assert_eq!(self.log.durable_end().get(), end);
        self.note(|now| now.durable_end = end);
    }

    fn append_and_sync(&mut self, count: u64) {
        self.append(count);
        self.sync();
    }

    /// Looks at every image that a power loss at any moment may leave.
    fn check(self) {
        let Self {
            disk,
            start,
            store,
            log,
            promises,
            ..
        } = self;
        drop((store, log));
        let first = promises[0].moment;
        let mut seen = HashSet::new();
        for moment in first..=disk.moment() {
            let promise = promises
                .iter()
                .rev()
                .find(|promise| promise.moment <= moment)
                .unwrap();
            // What begins at this moment may be there already.
            let next = promises
                .iter()
                .find(|promise| promise.moment > moment)
                .unwrap_or(promise);
            for image in disk.crash_images(&start, moment) {
                // Under the same promise an image that was there a moment before has been looked at.
                if !seen.insert((promise.moment, next.moment, image.clone())) {
                    continue;
                }
                let recovered = SimDisk::of(image.clone());
                check_image(&recovered, promise, next, moment);
                check_second_loss(&recovered, &image, promise, next, moment);
            }
        }
        assert!(seen.len() > 20, "{} images", seen.len());
    }
}

fn check_image(disk: &SimDisk, promise: &Promise, next: &Promise, moment: usize) {
    let store = open_store(disk).unwrap_or_else(|error| panic!("moment {moment}: {error}"));
    let log = store
        .open(LOG, &tiny())
        .unwrap_or_else(|error| panic!("moment {moment}: {error}"));
    check_log(log.as_ref(), promise, next, moment);
    // The log goes on.
    let end = log.end().get();
    let commit = log.append(&[batch(end, 2, 9)]).unwrap();
    store.sync(SyncBy::Caller);
    commit.wait().unwrap();
    assert_eq!(offsets(log.as_ref()).last(), Some(&(end + 1)), "moment {moment}");
}

/// A loss right after recovery finds what recovery served.
fn check_second_loss(disk: &SimDisk, image: &Image, promise: &Promise, next: &Promise, moment: usize) {
    let again = SimDisk::of(image.clone());
    {
        let store = open_store(&again).unwrap();
        let served = offsets(store.open(LOG, &tiny()).unwrap().as_ref());
        let lost = again.crash_images(image, again.moment());
        for left in lost {
            let left = SimDisk::of(left);
            let store = open_store(&left).unwrap();
            let log = store.open(LOG, &tiny()).unwrap();
            assert_eq!(
                offsets(log.as_ref()),
                served,
                "moment {moment}: recovery served what was not durable"
            );
            check_log(log.as_ref(), promise, next, moment);
        }
    }
    drop(disk.now());
}

fn check_log(log: &dyn Log, promise: &Promise, next: &Promise, moment: usize) {
    let (start, end) = (log.start().get(), log.end().get());
    let starts = promise.starts.0..=next.starts.1.max(promise.starts.1);
    assert!(
        starts.contains(&start),
        "moment {moment}: starts at {start}, not in {starts:?}"
    );
    let durable = promise
        .durable_end
        .min(next.durable_end)
        .min(next.longest.max(next.durable_end));
    assert!(
        end >= durable,
        "moment {moment}: ends at {end}, {durable} was acknowledged"
    );
    assert!(
        end <= promise.longest.max(next.longest),
        "moment {moment}: ends at {end}, never appended"
    );
    if let Some(replaced) = &promise.replaced {
        replaced.check(&offsets(log), moment);
    }
    let gaps = |offset: &u64| promise.gaps.contains(offset) || next.gaps.contains(offset);
    let found = offsets(log);
    let missing: Vec<u64> = (start..end)
        .filter(|offset| !found.contains(offset) && !gaps(offset))
        .collect();
    assert!(
        missing.is_empty(),
        "moment {moment}: {missing:?} missing in {start}..{end}"
    );
    assert!(found.is_sorted(), "moment {moment}: {found:?}");
}

#[test]
fn appends_with_a_sync_each_survive() {
    let mut workload = Workload::new();
    for count in [1, 3, 2] {
        workload.append_and_sync(count);
    }
    workload.check();
}

#[test]
fn appends_that_share_a_sync_survive_together() {
    let mut workload = Workload::new();
    workload.append_and_sync(1);
    workload.append(2);
    workload.append(1);
    workload.sync();
    workload.append(2);
    workload.check();
}

#[test]
fn writes_of_many_sectors_may_lose_any_of_them() {
    let mut workload = Workload::new();
    workload.append_padded(1, 700);
    workload.sync();
    workload.append_padded(3, 600);
    workload.append_padded(1, 5000);
    workload.sync();
    workload.append_padded(2, 300);
    workload.check();
}

#[test]
fn rolling_to_the_next_segment_loses_nothing() {
    let mut workload = Workload::new();
    for _ in 0..4 {
        workload.append_and_sync(3);
    }
    workload.log.roll().unwrap();
    workload.append_and_sync(1);
    workload.check();
}

#[test]
fn removing_leading_segments_keeps_the_others() {
    let mut workload = Workload::new();
    for _ in 0..6 {
        workload.append_and_sync(4);
    }
    let sealed = workload.log.segments()[1].range.end.get();
    workload.note(|now| now.starts.1 = sealed);
    workload.log.remove_before(Offset::new(sealed)).unwrap();
    assert_eq!(workload.log.start().get(), sealed);
    workload.note(|now| now.starts = (sealed, sealed));
    workload.append_and_sync(1);
    workload.check();
}

#[test]
fn a_truncation_is_whole_or_has_not_begun() {
    let mut workload = Workload::new();
    for _ in 0..4 {
        workload.append_and_sync(3);
    }
    workload.note(|now| now.durable_end = 3);
    workload.log.truncate(Offset::new(3)).unwrap();
    assert_eq!(offsets(workload.log.as_ref()), [0, 1, 2]);
    workload.note(|now| now.longest = 3);
    workload.append_and_sync(2);
    workload.check();
}

#[test]
fn a_reset_is_whole_or_has_not_begun() {
    let mut workload = Workload::new();
    workload.append_and_sync(3);
    workload.append_and_sync(3);
    workload.note(|now| {
        now.starts = (0, 50);
        now.durable_end = 0;
        now.longest = 50;
        now.gaps = (0..50).collect();
    });
    workload.log.reset(Offset::new(50)).unwrap();
    workload.note(|now| now.starts = (50, 50));
    workload.note(|now| now.durable_end = 50);
    workload.append_and_sync(2);
    workload.check();
}

#[test]
fn sealed_segments_are_replaced_by_their_compacted_form_or_not_at_all() {
    let mut workload = Workload::new();
    for _ in 0..6 {
        workload.append_and_sync(4);
    }
    let segments = workload.log.segments();
    assert!(segments.len() >= 3, "{segments:?}");
    let range = OffsetRange::new(segments[0].range.start, segments[1].range.end);
    let kept = batch(2, 3, 1);
    let gaps = (range.start.get()..range.end.get())
        .filter(|offset| !(2..5).contains(offset))
        .collect();
    workload.note(|now| now.gaps = gaps);
    workload
        .log
        .replace_sealed(range, &mut std::iter::once(Ok(kept)))
        .unwrap();
    let left = offsets(workload.log.as_ref());
    assert_eq!(left[..3], [2, 3, 4]);
    assert_eq!(left[3], range.end.get());
    workload.append_and_sync(1);
    workload.check();
}

impl Workload {
    /// Replaces the first segments by one with these batches, while so many records are appended and synced.
    fn replace(&mut self, segments: usize, batches: Vec<Batch>, appended: u64) {
        let sealed = self.log.segments();
        let range = OffsetRange::new(sealed[0].range.start, sealed[segments - 1].range.end);
        let all: Vec<u64> = offsets(self.log.as_ref());
        let old: Vec<u64> = all
            .into_iter()
            .filter(|&offset| range.contains(Offset::new(offset)))
            .collect();
        let new: Vec<u64> = batches
            .iter()
            .flat_map(|batch| batch.header().base.get()..batch.header().end().get())
            .collect();
        let end = self.log.end().get();
        self.note(|now| {
            now.gaps = (0..range.end.get()).collect();
            now.longest = end + appended;
            now.replaced = Some(Replaced {
                range,
                old,
                new: new.clone(),
            });
        });
        let (log, store) = (Arc::clone(&self.log), Arc::clone(&self.store));
        let mut left = appended;
        let mut batches = batches.into_iter().map(|kept| {
            if left > 0 {
                let commit = log.append(&[batch(log.end().get(), left, 1)]).unwrap();
                store.sync(SyncBy::Caller);
                commit.wait().unwrap();
                left = 0;
            }
            Ok(kept)
        });
        log.replace_sealed(range, &mut batches).unwrap();
        self.note(|now| {
            now.durable_end = log.end().get();
            now.replaced = Some(Replaced {
                range,
                old: new.clone(),
                new,
            });
        });
    }
}

#[test]
fn appends_go_on_while_segments_are_replaced_and_nothing_of_either_is_lost() {
    let mut workload = Workload::new();
    for _ in 0..4 {
        workload.append_and_sync(4);
    }
    workload.replace(1, vec![batch(1, 1, 1)], 1);
    workload.check();
}

#[test]
fn what_was_compacted_is_compacted_again_or_stays_as_it_was() {
    let mut workload = Workload::new();
    for _ in 0..4 {
        workload.append_and_sync(4);
    }
    workload.log.roll().unwrap();
    workload.replace(1, vec![batch(2, 1, 1)], 0);
    workload.replace(2, vec![batch(2, 1, 1)], 0);
    workload.check();
}

#[test]
fn a_clean_close_loses_nothing() {
    let mut workload = Workload::new();
    workload.append_and_sync(3);
    workload.append(2);
    let end = workload.log.end().get();
    workload.log.close().unwrap();
    workload.note(|now| now.durable_end = end);
    workload.check();
}
