//! Moments of a power loss: what was acknowledged is there, nothing else is but what was appended, and the log works.
//!
//! redb writes a dozen pages between two syncs, so that what may be left of them has to be sampled.

use std::sync::Arc;

use strandline_core::storage::{Log, Store, SyncBy};
use strandline_core::{Offset, OffsetRange};

use super::support::*;
use crate::sim::{Image, SimDisk};

/// Images of each moment that are looked at.
const IMAGES: usize = 12;
/// Every how many images a loss right after recovery is looked at, too.
const SECOND_LOSS: usize = 16;

/// What is known of a log at one moment of a workload.
#[derive(Clone, Debug)]
struct Promise {
    moment: usize,
    /// Everything below is durable, from the first allowed start on.
    durable_end: u64,
    /// Where the log may start.
    starts: (u64, u64),
    /// Where it may end at the most.
    longest: u64,
    /// Offsets that may be missing.
    gaps: Vec<u64>,
}

struct Workload {
    disk: SimDisk,
    start: Image,
    store: Arc<dyn Store>,
    log: Arc<dyn Log>,
    other: Arc<dyn Log>,
    promises: Vec<Promise>,
    now: Promise,
}

impl Workload {
    fn new() -> Self {
        let (disk, start) = empty_disk();
        let store = open_store(&disk).unwrap();
        let log = store.create(LOG, &tiny()).unwrap();
        let other = store.create(OTHER, &tiny()).unwrap();
        let now = Promise {
            moment: disk.moment(),
            durable_end: 0,
            starts: (0, 0),
            longest: 0,
            gaps: Vec::new(),
        };
        Self {
            disk,
            start,
            store,
            log,
            other,
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

    /// Appends to both logs of the store.
    fn append(&mut self, count: u64, padding: usize) {
        let base = self.log.end().get();
        self.note(|now| now.longest = base + count);
        drop(self.log.append(&[padded_batch(base, count, padding)]).unwrap());
        let base = self.other.end().get();
        drop(self.other.append(&[batch(base, 1)]).unwrap());
    }

    fn sync(&mut self) {
        let end = self.log.end().get();
        self.store.sync(SyncBy::Caller);
        assert_eq!(self.log.durable_end().get(), end);
        self.note(|now| now.durable_end = end);
    }

    fn append_and_sync(&mut self, count: u64) {
        self.append(count, 0);
        self.sync();
    }

    /// Looks at images that a power loss at any moment may leave.
    fn check(self) {
        let Self {
            disk,
            start,
            store,
            log,
            other,
            promises,
            ..
        } = self;
        drop((store, log, other));
        let mut seen = 0;
        for moment in promises[0].moment..=disk.moment() {
            let is_past = |promise: &&Promise| promise.moment <= moment;
            let promise = promises.iter().rev().find(is_past).unwrap();
            // What begins at this moment may be there already.
            let next = promises.iter().find(|promise| promise.moment > moment);
            let next = next.unwrap_or(promise);
            for image in disk.some_crash_images(&start, moment, IMAGES) {
                seen += 1;
                let recovered = SimDisk::of(image.clone());
                check_image(&recovered, promise, next, moment);
                if seen % SECOND_LOSS == 0 {
                    check_second_loss(&image, promise, next, moment);
                }
            }
        }
        assert!(seen > 100, "{seen} images");
    }
}

fn check_image(disk: &SimDisk, promise: &Promise, next: &Promise, moment: usize) {
    let store = open_store(disk).unwrap_or_else(|error| panic!("moment {moment}: {error}"));
    let log = store
        .open(LOG, &tiny())
        .unwrap_or_else(|error| panic!("moment {moment}: {error}"));
    check_log(log.as_ref(), promise, next, moment);
    let other = store.open(OTHER, &tiny()).unwrap();
    assert_eq!(
        offsets(other.as_ref()),
        (0..other.end().get()).collect::<Vec<_>>()
    );
    // The log goes on.
    let end = log.end().get();
    let commit = log.append(&[batch(end, 2)]).unwrap();
    store.sync(SyncBy::Caller);
    commit.wait().unwrap();
    assert_eq!(offsets(log.as_ref()).last(), Some(&(end + 1)), "moment {moment}");
}

/// A loss right after recovery finds what recovery served.
fn check_second_loss(image: &Image, promise: &Promise, next: &Promise, moment: usize) {
    let again = SimDisk::of(image.clone());
    let store = open_store(&again).unwrap();
    let served = offsets(store.open(LOG, &tiny()).unwrap().as_ref());
    for left in again.some_crash_images(image, again.moment(), IMAGES) {
        let store = open_store(&SimDisk::of(left)).unwrap();
        let log = store.open(LOG, &tiny()).unwrap();
        assert_eq!(
            offsets(log.as_ref()),
            served,
            "moment {moment}: served what was not durable"
        );
        check_log(log.as_ref(), promise, next, moment);
    }
}

fn check_log(log: &dyn Log, promise: &Promise, next: &Promise, moment: usize) {
    let (start, end) = (log.start().get(), log.end().get());
    let starts = promise.starts.0..=next.starts.1.max(promise.starts.1);
    assert!(
        starts.contains(&start),
        "moment {moment}: starts at {start}, not in {starts:?}"
    );
    let durable = promise.durable_end.min(next.durable_end);
    assert!(
        end >= durable,
        "moment {moment}: ends at {end}, {durable} was acknowledged"
    );
    let longest = promise.longest.max(next.longest);
    assert!(end <= longest, "moment {moment}: ends at {end}, never appended");
    let found = offsets(log);
    let may_miss = |offset: &u64| promise.gaps.contains(offset) || next.gaps.contains(offset);
    let missing = (start..end).filter(|offset| !found.contains(offset) && !may_miss(offset));
    let missing: Vec<u64> = missing.collect();
    assert!(
        missing.is_empty(),
        "moment {moment}: {missing:?} missing in {start}..{end}"
    );
    assert!(found.is_sorted(), "moment {moment}: {found:?}");
}

#[test]
fn appends_of_two_logs_survive_with_their_sync() {
    let mut workload = Workload::new();
    workload.append_and_sync(1);
    workload.append(2, 0);
    workload.append(1, 5000);
    workload.sync();
    workload.append(2, 0);
    workload.check();
}

#[test]
fn segments_that_are_removed_are_gone_as_a_whole() {
    let mut workload = Workload::new();
    for _ in 0..5 {
        workload.append_and_sync(4);
    }
    let sealed = workload.log.segments()[1].range.end.get();
    workload.note(|now| now.starts.1 = sealed);
    workload.log.remove_before(Offset::new(sealed)).unwrap();
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
fn sealed_segments_are_replaced_by_their_compacted_form_or_not_at_all() {
    let mut workload = Workload::new();
    for _ in 0..5 {
        workload.append_and_sync(4);
    }
    let segments = workload.log.segments();
    let range = OffsetRange::new(segments[0].range.start, segments[1].range.end);
    let gaps = range.start.get()..range.end.get();
    let gaps = gaps.filter(|offset| !(2..5).contains(offset)).collect();
    workload.note(|now| now.gaps = gaps);
    let kept = &mut std::iter::once(Ok(batch(2, 3)));
    workload.log.replace_sealed(range, kept).unwrap();
    assert_eq!(offsets(workload.log.as_ref())[..3], [2, 3, 4]);
    workload.append_and_sync(1);
    workload.check();
}

#[test]
fn a_store_that_is_being_created_is_there_or_can_be_created_again() {
    let (disk, start) = empty_disk();
    drop(open_store(&disk).unwrap());
    for moment in 0..=disk.moment() {
        for image in disk.some_crash_images(&start, moment, IMAGES) {
            let store =
                open_store(&SimDisk::of(image)).unwrap_or_else(|error| panic!("moment {moment}: {error}"));
            assert!(store.create(LOG, &tiny()).is_ok());
        }
    }
}
