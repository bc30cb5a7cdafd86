//! Compaction by key of an archive: what stays is the newest record of each key, at every moment, whatever ends the process.

use std::collections::{BTreeMap, VecDeque};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::future::{Either, select};
use object_store::memory::InMemory;
use tokio::runtime::Handle;

use strandline_core::compaction::{
    Compaction, CompactionSettings, KeyTable, Left, NewestPerKey, Progress, Rewriter, Work,
};
use strandline_core::record::{Batch, BatchBuilder, Fields, RecordIter, append_record};
use strandline_core::storage::{Log, ReadLimit, StorageError, Store, SyncBy};
use strandline_core::{LeaderEpoch, Offset, OffsetRange, Timestamp};

use super::super::compaction::{ArchiveSegments, Host, begins_to_wait, due};
use super::super::{ArchiveError, Archiver, Expected};
use super::store::{Fault, Faulty};
use super::support::*;

const END: u64 = 60;
const KEYS: u64 = 11;
/// Segments that become one.
const GROUP: usize = 3;

/// Every offset of a key but its first few, so that segments lose some records and not all.
fn key(offset: u64) -> u64 {
    offset * offset % KEYS
}

/// Each fifth record removes its key.
fn is_tombstone(offset: u64) -> bool {
    offset % 5 == 2
}

fn keyed_value(offset: u64) -> String {
    if is_tombstone(offset) {
        return String::new();
    }
    value(offset)
}

fn keyed(base: u64, count: u64) -> Batch {
    let mut builder = BatchBuilder::new();
    for offset in base..base + count {
        let (key, value) = (key(offset).to_le_bytes(), keyed_value(offset));
        let fields = Fields {
            key: Some(&key),
            value: value.as_bytes(),
            subject: "s",
            reply: "",
        };
        let mut bytes = BytesMut::new();
        append_record(&mut bytes, &fields, []).unwrap();
        let record = RecordIter::new(&bytes).next().unwrap();
        let epoch = LeaderEpoch::new(1 + offset / 25);
        builder.push(&record, epoch, Offset::new(offset), time_of(offset));
    }
    builder.finish().unwrap()
}

fn fill_keyed(store: &Arc<dyn Store>, log: &Arc<dyn Log>, end: u64) {
    while log.end().get() < end {
        let base = log.end().get();
        // Batches are of one epoch.
        let count = 2.min(end - base).min(25 - base % 25);
        let commit = log.append(&[keyed(base, count)]).unwrap();
        store.sync(SyncBy::Caller);
        commit.wait().unwrap();
    }
    log.roll().unwrap();
}

/// Newest offset by key of what lies below an end.
fn newest(end: u64) -> BTreeMap<u64, u64> {
    (0..end).map(|offset| (key(offset), offset)).collect()
}

#[derive(Debug)]
struct Runner {
    runtime: Handle,
    store: Faulty,
}

impl Host for Runner {
    fn wait(&self, work: Pin<&mut (dyn Future<Output = ()> + Send)>) -> bool {
        self.runtime.block_on(async {
            let killed = pin!(self.store.killed());
            matches!(select(work, killed).await, Either::Left(_))
        })
    }

    fn tend(&self, _: &mut Archiver) -> Result<(), ArchiveError> {
        Ok(())
    }
}

fn always() -> CompactionSettings {
    CompactionSettings {
        tombstone_grace: Duration::from_secs(100),
        min_lag: Duration::ZERO,
        min_dirty_percent: 0,
    }
}

/// Reads all batches of a range.
fn batches(log: &dyn Log, range: OffsetRange) -> Vec<Batch> {
    let (mut found, mut next) = (Vec::new(), range.start);
    while next < range.end {
        let limit = ReadLimit {
            end: range.end,
            max_bytes: 300,
        };
        let Ok(run) = log.read(next, limit) else { break };
        if run.bytes.is_empty() {
            break;
        }
        found.extend(run.batches().map(Result::unwrap));
        next = run.next;
    }
    found
}

/// One pass as the broker's compactor makes it, but that groups are of a number of segments.
fn pass(
    segments: &ArchiveSegments<'_>,
    work: &Work,
    mut progress: Progress,
    now: Timestamp,
) -> Result<(), StorageError> {
    let table = KeyTable::new(1 << 20, work.dirty_records, [7; 16]);
    let mut newest = NewestPerKey::new(table, work.tombstones_before.unwrap_or(Offset::ZERO));
    for batch in batches(segments, work.dirty) {
        for record in batch.records() {
            let offset = batch.header().base.plus(u64::from(record.offset_delta()));
            newest.observe(&record, offset);
        }
    }
    for group in segments.segments().chunks(GROUP) {
        let (first, last) = (group.first().unwrap(), group.last().unwrap());
        let range = OffsetRange::new(first.range.start, last.range.end);
        let mut rewriter = Rewriter::default();
        let mut out = VecDeque::new();
        for batch in batches(segments, range) {
            rewriter.push(batch.clone(), &batch, &mut |record, offset, time| {
                newest.verdict(record, offset, time)
            });
        }
        rewriter.flush();
        while let Some(Left::Stored(batch) | Left::Built(batch)) = rewriter.pop() {
            out.push_back(Ok(batch));
        }
        segments.replace_sealed(range, &mut out.into_iter())?;
    }
    let had_tombstones = work.tombstones_before.is_some();
    progress.pass_ended(work.dirty.end, newest.saw_tombstone(), had_tombstones, now);
    segments.remember(work, &progress, true);
    Ok(())
}

/// Compacts if it is due, until it is done or the process ends. Says whether it was due.
async fn compact(store: &Faulty, log: &Arc<dyn Log>, epoch: u64, now: Timestamp) -> bool {
    let mut archiver = archiver(&store.bucket(), log, epoch, Expected::Existing);
    let situation = keeping(log, 0);
    {
        let work = pin!(drive(&mut archiver, &situation));
        let killed = pin!(store.killed());
        if let Either::Right(_) = select(work, killed).await {
            return true;
        }
    }
    compact_held(archiver, store, now).await.1
}

async fn compact_held(mut archiver: Archiver, store: &Faulty, now: Timestamp) -> (Archiver, bool) {
    let host = Runner {
        runtime: Handle::current(),
        store: store.clone(),
    };
    let compacting = tokio::task::spawn_blocking(move || {
        let view = archiver.archive().view().unwrap();
        let start = archiver.log().start();
        let clock = || now;
        let segments = ArchiveSegments::new(&mut archiver, &host, &clock);
        let was_due = match due(&view, &always(), now) {
            Some((progress, work)) => {
                let _ = pass(&segments, &work, progress, now);
                true
            }
            None if begins_to_wait(&view, start, now) => {
                segments.begin_to_wait();
                true
            }
            None => false,
        };
        (archiver, was_due)
    });
    compacting.await.unwrap()
}

async fn archived(end: u64) -> (Arc<InMemory>, Arc<dyn Store>, Arc<dyn Log>) {
    let inner = Arc::new(InMemory::new());
    let (store, log) = memory_log();
    fill_keyed(&store, &log, end);
    let mut archiver = archiver(&Faulty::new(&inner).bucket(), &log, 3, Expected::New);
    drive(&mut archiver, &keeping(&log, 0)).await.unwrap();
    (inner, store, log)
}

/// Whatever else is there: the newest record of each key, and no record that never was.
async fn assert_newest_are_there(inner: &Arc<InMemory>, end: u64, moment: &str) -> Contents {
    let found = contents(inner).await;
    assert_eq!((found.start, found.end), (0, end), "{moment}");
    for (offset, value) in &found.records {
        assert_eq!(*value, keyed_value(*offset), "{moment}");
    }
    for (key, offset) in newest(end) {
        assert!(
            found.records.contains_key(&offset),
            "{moment}: key {key} is not there"
        );
    }
    found
}

#[tokio::test]
async fn a_crash_at_any_request_leaves_the_newest_of_each_key_and_the_next_run_ends_it() {
    let (before, _store, log) = archived(END).await;
    let full = contents(&before).await;
    assert!(full.entries.len() > 6, "{}", full.entries.len());
    let clean = Arc::new(before.fork());
    let way = Faulty::new(&clean);
    assert!(compact(&way, &log, 4, seconds(1)).await);
    let compacted = assert_newest_are_there(&clean, END, "no crash").await;
    let kept: Vec<_> = compacted.records.keys().copied().collect();
    let mut expected: Vec<_> = newest(END).into_values().collect();
    expected.sort_unstable();
    assert_eq!(kept, expected);
    assert!(compacted.entries.len() <= full.entries.len() / GROUP + 1);
    let calls = way.calls().len();
    for call in 0..calls {
        for fault in [Fault::KilledBefore, Fault::KilledAfter] {
            let moment = format!("{call} {fault:?}");
            let inner = Arc::new(before.fork());
            let faulty = Faulty::new(&inner).fail(call, fault);
            compact(&faulty, &log, 4, seconds(1)).await;
            assert_newest_are_there(&inner, END, &moment).await;
            compact(&Faulty::new(&inner), &log, 5, seconds(2)).await;
            let after = assert_newest_are_there(&inner, END, &moment).await;
            assert_eq!(after.records, compacted.records, "{moment}");
            assert_nothing_is_left_over(&inner, &log, &moment).await;
        }
    }
}

/// After the grace time and a collection there is what the manifest says and nothing else.
async fn assert_nothing_is_left_over(inner: &Arc<InMemory>, log: &Arc<dyn Log>, moment: &str) {
    let mut archiver = archiver(&Faulty::new(inner).bucket(), log, 6, Expected::Existing);
    drive(&mut archiver, &keeping(log, 1000)).await.unwrap();
    let orphans = archiver.collect(seconds(1 << 33), GRACE).await.unwrap();
    assert!(
        orphans.deleted.len() <= 2 && orphans.foreign.is_empty() && orphans.spared.is_empty(),
        "{moment}: {orphans:?}"
    );
    let count = contents(inner).await.entries.len();
    assert_eq!(names(inner).await.len(), count + 1, "{moment}: and HEAD");
}

#[tokio::test]
async fn what_readers_are_in_stays_for_the_grace_time() {
    let (inner, _store, log) = archived(END).await;
    let before = names(&inner).await;
    let way = Faulty::new(&inner);
    compact(&way, &log, 4, seconds(1)).await;
    let after = names(&inner).await;
    assert!(
        before.iter().all(|name| after.contains(name)),
        "nothing is deleted yet"
    );
    let mut archiver = archiver(&way.bucket(), &log, 5, Expected::Existing);
    drive(&mut archiver, &keeping(&log, 50)).await.unwrap();
    assert_eq!(names(&inner).await, after, "the grace time runs");
    drive(&mut archiver, &keeping(&log, 100)).await.unwrap();
    let left = names(&inner).await;
    assert_eq!(left.len(), contents(&inner).await.entries.len() + 1);
}

#[tokio::test]
async fn tombstones_leave_a_grace_time_after_what_they_removed_has_left_bucket_and_disk() {
    let (inner, store, log) = archived(END).await;
    let way = Faulty::new(&inner);
    let tombstones = |found: &Contents| {
        let offsets = found.records.keys().copied();
        offsets.filter(|offset| is_tombstone(*offset)).count()
    };
    let expected = newest(END)
        .into_values()
        .filter(|offset| is_tombstone(*offset))
        .count();
    assert!(expected > 0, "a key ends with one");
    assert!(compact(&way, &log, 4, seconds(1)).await);
    assert!(
        !compact(&way, &log, 5, seconds(500)).await,
        "older records are on the disk"
    );
    // A new active segment, and all that is archived leaves the disk.
    fill_keyed(&store, &log, END + 1);
    log.remove_before(Offset::new(END)).unwrap();
    assert!(compact(&way, &log, 6, seconds(600)).await);
    assert_eq!(tombstones(&contents(&inner).await), expected);
    assert!(!compact(&way, &log, 7, seconds(699)).await, "the grace time runs");
    assert!(compact(&way, &log, 8, seconds(700)).await);
    assert_eq!(tombstones(&contents(&inner).await), 0);
    assert!(!compact(&way, &log, 9, seconds(5000)).await, "there are no more");
}

#[tokio::test]
async fn entries_in_pages_are_compacted_too_and_old_pages_go() {
    const MANY: u64 = 1200;
    let inner = Arc::new(InMemory::new());
    let (store, log) = memory_log();
    while log.end().get() < MANY {
        fill_keyed(&store, &log, log.end().get() + 2);
    }
    let way = Faulty::new(&inner);
    let mut archiver = archiver(&way.bucket(), &log, 100, Expected::New);
    drive(&mut archiver, &keeping(&log, 0)).await.unwrap();
    let pages = |names: Vec<String>| names.iter().filter(|name| name.starts_with("manifest/")).count();
    assert!(pages(names(&inner).await) >= 2);
    let (mut archiver, was_due) = compact_held(archiver, &way, seconds(1)).await;
    assert!(was_due);
    let found = assert_newest_are_there(&inner, MANY, "pages").await;
    assert_eq!(found.records.len() as u64, newest(MANY).len() as u64);
    drive(&mut archiver, &keeping(&log, 1000)).await.unwrap();
    assert_eq!(
        names(&inner).await.len(),
        found.entries.len() + 1,
        "no page is left"
    );
}

#[tokio::test]
async fn a_record_that_is_replaced_on_the_disk_alone_stays_in_the_archive() {
    // Else a cluster that is restored from the bucket would have neither of them.
    let (inner, store, log) = archived(END).await;
    fill_keyed(&store, &log, END + 20);
    let way = Faulty::new(&inner);
    let situation = super::super::Situation {
        committed: Offset::new(END),
        ..keeping(&log, 0)
    };
    let mut archiver = archiver(&way.bucket(), &log, 4, Expected::Existing);
    drive(&mut archiver, &situation).await.unwrap();
    compact_held(archiver, &way, seconds(1)).await;
    let found = assert_newest_are_there(&inner, END, "the archive").await;
    // Over both tiers the newest of each key is what it should be.
    let mut over_both: BTreeMap<u64, u64> = BTreeMap::new();
    for offset in found.records.keys().copied().chain(END..END + 20) {
        over_both.insert(key(offset), offset);
    }
    assert_eq!(over_both, newest(END + 20));
}

#[tokio::test]
async fn whatever_is_appended_archived_compacted_and_cut_in_between_the_newest_of_each_key_is_read() {
    for seed in 1..6_u64 {
        let mut chance = seed;
        let mut next = move |of: u64| {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed);
            (chance >> 33) % of
        };
        let inner = Arc::new(InMemory::new());
        let (store, log) = memory_log();
        let way = Faulty::new(&inner);
        let mut held = archiver(&way.bucket(), &log, 1000, Expected::New);
        let mut now = 1;
        for _ in 0..40 {
            now += 40;
            match next(4) {
                0 | 1 => fill_keyed(&store, &log, log.end().get() + 1 + next(30)),
                2 => {
                    drive(&mut held, &keeping(&log, now)).await.unwrap();
                    (held, _) = compact_held(held, &way, seconds(now)).await;
                }
                _ => {
                    drive(&mut held, &keeping(&log, now)).await.unwrap();
                    log.remove_before(Offset::new(next(log.end().get() + 1))).unwrap();
                }
            }
            let end = log.end().get();
            if end == 0 || held.archive().view().is_none() {
                continue;
            }
            let mut read: BTreeMap<u64, u64> = BTreeMap::new();
            let local = local_offsets(log.as_ref());
            let archive = contents(&inner).await.records;
            let below = log.start().get();
            let cold = archive.into_keys().filter(|offset| *offset < below);
            for offset in cold.chain(local) {
                read.insert(key(offset), offset);
            }
            let mut expected = newest(end);
            // A removal that was seen by all may have left, and is as good as none.
            expected.retain(|key, offset| !is_tombstone(*offset) || read.contains_key(key));
            assert_eq!(read, expected, "seed {seed} at {now}");
        }
    }
}
