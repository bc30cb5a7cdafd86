//! Runs over real segment files, against what the definition leaves.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use strandline_codec::PackBuffers;
use strandline_core::compaction::{CompactionSettings, KeyTable, Verdict};
use strandline_core::disk::Disk;
use strandline_core::record::{Batch, BatchBuilder, Codec, Fields, RecordIter, RecordView, append_record};
use strandline_core::retention::{Retention, RetentionLimits};
use strandline_core::storage::{Factory, LogSettings, ReadError, ReadLimit, Store, SyncBy};
use strandline_core::{LeaderEpoch, Offset, OffsetRange};
use strandline_storage_backends::sim::{Image, SimDisk};
use strandline_storage_backends::{MemoryFactory, RedbFactory, SegmentFactory, SystemDisk};

use super::rewrite::RewriteError;
use super::*;
use crate::partition::Packing;

const LOG: LogId = LogId::new(3);
const SEGMENT_BYTES: u64 = 2_000;

struct Fixture {
    directory: TempDir,
    _store: Arc<dyn Store>,
    log: Arc<dyn Log>,
    packing: Packing,
    progress: Progress,
    now: Timestamp,
    floor: Offset,
}

/// Key and value of a record; its time is its offset in milliseconds.
type Entry = (Option<Vec<u8>>, Vec<u8>);

impl Memory for Fixture {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn remember(&mut self, progress: Progress) {
        self.progress = progress;
    }
}

fn time_of(offset: u64) -> Timestamp {
    Timestamp::ZERO.plus(Duration::from_millis(offset))
}

fn append(log: &dyn Log, base: u64, entries: &[Entry]) {
    let _commit = log.append(&[batch(base, entries)]).unwrap();
}

fn batch(base: u64, entries: &[Entry]) -> Batch {
    let mut builder = BatchBuilder::new();
    for (offset, (key, value)) in (base..).zip(entries) {
        let mut bytes = BytesMut::new();
        let fields = Fields {
            key: key.as_deref(),
            value,
            subject: "s",
            reply: "",
        };
        append_record(&mut bytes, &fields, []).unwrap();
        let record = RecordIter::new(&bytes).next().unwrap();
        builder.push(&record, LeaderEpoch::new(1), Offset::new(offset), time_of(offset));
    }
    builder.finish().unwrap()
}

impl Fixture {
    fn on(factory: &dyn Factory) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = Arc::new(SystemDisk::new());
        let root = directory.path().to_owned();
        Self::on_disk(factory, disk, &root, directory)
    }

    fn on_disk(factory: &dyn Factory, disk: Arc<dyn Disk>, root: &Path, directory: TempDir) -> Self {
        let store = factory.open(disk, root).unwrap();
        let settings = LogSettings {
            segment_max_bytes: SEGMENT_BYTES,
            ..LogSettings::default()
        };
        Self {
            log: store.create(LOG, &settings).unwrap(),
            directory,
            _store: store,
            packing: Packing::default(),
            progress: Progress::default(),
            now: Timestamp::ZERO,
            floor: Offset::ZERO,
        }
    }

    fn new() -> Self {
        Self::on(&SegmentFactory::new())
    }

    fn append(&self, entries: &[Entry]) {
        let plain = batch(self.log.end().get(), entries);
        let packed = self.packing.packer().pack(&plain, &mut PackBuffers::default());
        let _commit = self.log.append(&[packed.unwrap()]).unwrap();
    }

    /// Compacts if it is due, with room for so many keys.
    fn compact(&mut self, settings: &CompactionSettings, keys: u64) -> Option<Report> {
        self.try_compact(settings, keys).unwrap()
    }

    fn try_compact(
        &mut self,
        settings: &CompactionSettings,
        keys: u64,
    ) -> Result<Option<Report>, RewriteError> {
        let (log, progress) = (Arc::clone(&self.log), self.progress);
        let dirt = Dirt::of(&log.segments(), &progress, log.end(), settings, self.now);
        let Some(work) = Work::due(&dirt, &progress, settings, self.now) else {
            return Ok(None);
        };
        let pace = Pace::new(CancellationToken::new(), 0);
        let means = Means {
            memory_bytes: keys * KeyTable::KEY_BYTES,
            secret: [1; 16],
            pace: &pace,
        };
        let packing = self.packing.clone();
        let log = PackedLog {
            floor: self.floor,
            ..packed(&log, &packing)
        };
        run(log, &work, progress, &means, self).map(Some)
    }
}

fn packed<'a>(log: &'a Arc<dyn Log>, packing: &'a Packing) -> PackedLog<'a> {
    PackedLog {
        log: log.as_ref(),
        packing,
        floor: Offset::ZERO,
    }
}

fn eager() -> CompactionSettings {
    CompactionSettings {
        min_dirty_percent: 0,
        ..CompactionSettings::default()
    }
}

/// All records, read forwards.
fn forwards(log: &dyn Log) -> BTreeMap<u64, Entry> {
    let mut found = BTreeMap::new();
    let mut next = log.start();
    while next < log.end() {
        let limit = ReadLimit {
            end: log.end(),
            max_bytes: 500,
        };
        let run = match log.read(next, limit) {
            Err(ReadError::Trimmed { start }) => {
                next = start;
                continue;
            }
            other => other.unwrap(),
        };
        for batch in run.batches() {
            let batch = batch.unwrap();
            for record in batch.records() {
                let offset = batch.header().base.get() + u64::from(record.offset_delta());
                assert_eq!(batch.header().time(&record), time_of(offset));
                if offset >= next.get() {
                    let entry = (record.key().map(<[u8]>::to_vec), record.value().to_vec());
                    assert!(found.insert(offset, entry).is_none(), "{offset} came twice");
                }
            }
        }
        assert!(run.next > next || run.bytes.is_empty());
        next = if run.bytes.is_empty() { log.end() } else { run.next };
    }
    found
}

/// The offsets of all records, read backwards and put in order.
fn backwards(log: &dyn Log) -> Vec<u64> {
    let mut found = Vec::new();
    let mut before = log.end();
    while let Some(batch) = log.read_before(before).unwrap() {
        let mut offsets: Vec<u64> = batch
            .records()
            .map(|record| batch.header().base.get() + u64::from(record.offset_delta()))
            .filter(|&offset| offset < before.get())
            .collect();
        offsets.reverse();
        found.extend(offsets);
        before = batch.header().base;
    }
    found.reverse();
    found
}

/// What stays of these entries when everything below `end` is compacted.
fn definition(entries: &[Entry], end: u64) -> BTreeMap<u64, Entry> {
    let all = || (0..).zip(entries);
    let mut newest: HashMap<&[u8], u64> = HashMap::new();
    for (offset, (key, _)) in all().filter(|(offset, _)| *offset < end) {
        if let Some(key) = key {
            newest.insert(key, offset);
        }
    }
    let stays = |(offset, (key, _)): &(u64, &Entry)| {
        let newest = key.as_ref().and_then(|key| newest.get(key.as_slice()));
        *offset >= end || newest.is_none_or(|newest| newest == offset)
    };
    all()
        .filter(stays)
        .map(|(offset, entry)| (offset, entry.clone()))
        .collect()
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let key = prop_oneof![1 => Just(None), 5 => prop::collection::vec(0_u8..3, 0..3).prop_map(Some)];
    let value = prop_oneof![1 => Just(Vec::new()), 5 => prop::collection::vec(any::<u8>(), 1..60)];
    prop::collection::vec((key, value), 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_left_can_be_read_in_both_directions_and_by_time(
        entries in entries(),
        lengths in prop::collection::vec(1_usize..15, 1..5),
        keys in 1_u64..15,
        in_memory in any::<bool>(),
    ) {
        let factory: &dyn Factory = if in_memory { &MemoryFactory } else { &SegmentFactory::new() };
        let mut fixture = Fixture::on(factory);
        let mut lengths = lengths.into_iter().cycle();
        let mut rest = entries.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(lengths.next().unwrap().min(rest.len()));
            fixture.append(now);
            rest = later;
        }
        fixture.log.roll().unwrap();
        fixture.append(&[(Some(b"active".to_vec()), b"v".to_vec())]);
        fixture.compact(&eager(), keys);
        let end = entries.len() as u64;
        let mut expected = definition(&entries, end);
        expected.insert(end, (Some(b"active".to_vec()), b"v".to_vec()));
        let log = fixture.log.as_ref();
        prop_assert_eq!(&forwards(log), &expected);
        let offsets: Vec<u64> = expected.keys().copied().collect();
        prop_assert_eq!(&backwards(log), &offsets);
        for offset in 0..=end {
            let next = *offsets.iter().find(|&&kept| kept >= offset).unwrap();
            prop_assert_eq!(log.offset_at(time_of(offset)).unwrap().get(), next, "at time {}", offset);
            // A position in a removed range goes on at the next kept record.
            let run = log.read(Offset::new(offset), ReadLimit { end: log.end(), max_bytes: 1 }).unwrap();
            let batch = run.batches().next().unwrap().unwrap();
            prop_assert!(batch.header().end().get() > offset);
        }
        prop_assert_eq!(fixture.progress.clean_end.get(), end);
        prop_assert!(fixture.compact(&eager(), keys).is_none(), "nothing is dirty");
    }
}

fn keyed(key: &str, value: &str) -> Entry {
    (Some(key.as_bytes().to_vec()), value.as_bytes().to_vec())
}

#[test]
fn a_tombstone_outlives_the_records_that_it_removes_by_the_grace_time() {
    let mut fixture = Fixture::new();
    fixture.append(&[keyed("a", "1"), keyed("b", "2"), keyed("a", "")]);
    fixture.log.roll().unwrap();
    fixture.compact(&eager(), 10);
    assert_eq!(
        forwards(fixture.log.as_ref()).into_keys().collect::<Vec<_>>(),
        [1, 2]
    );
    fixture.now = fixture
        .now
        .plus(eager().tombstone_grace - Duration::from_nanos(1));
    assert_eq!(fixture.compact(&eager(), 10), None);
    fixture.now = fixture.now.plus(Duration::from_nanos(1));
    fixture.compact(&eager(), 10).unwrap();
    assert_eq!(
        forwards(fixture.log.as_ref()).into_keys().collect::<Vec<_>>(),
        [1]
    );
    assert_eq!(fixture.log.start(), Offset::ZERO);
}

#[test]
fn what_is_archived_is_left_as_it_is_and_what_is_not_is_compacted() {
    let mut fixture = Fixture::new();
    for number in 0..6 {
        fixture.append(&[keyed("k", &number.to_string()), keyed("k", "again")]);
        fixture.log.roll().unwrap();
    }
    let before = fixture.log.segments();
    fixture.floor = Offset::new(6);
    fixture.compact(&eager(), 100).unwrap();
    let after = fixture.log.segments();
    assert_eq!(after[..3], before[..3], "the archive has them with these ends");
    let left: Vec<_> = forwards(fixture.log.as_ref()).into_keys().collect();
    assert_eq!(left, [0, 1, 2, 3, 4, 5, 11]);
}

#[test]
fn of_a_log_with_an_archive_tombstones_stay_and_nothing_is_due_before_its_end_is_known() {
    let dirt = Dirt {
        end: Offset::new(20),
        dirty_records: 10,
        ..Dirt::default()
    };
    let work = Work {
        dirty: OffsetRange::new(Offset::new(10), Offset::new(20)),
        dirty_records: 10,
        tombstones_before: Some(Offset::new(5)),
    };
    let due = |floor: Option<u64>| {
        let hold = ArchiveHold::default();
        if let Some(floor) = floor {
            hold.set_floor(Offset::new(floor));
        }
        of_archived(Some(work), &hold, &dirt).map(|work| work.tombstones_before)
    };
    assert_eq!(due(None), Some(Some(Offset::new(5))));
    assert_eq!(due(Some(15)), Some(None));
    assert_eq!(due(Some(20)), None);
    assert_eq!(due(Some(u64::MAX)), None);
}

#[test]
fn a_key_of_a_mebibyte_and_an_empty_one_are_keys() {
    let mut fixture = Fixture::new();
    let long = "k".repeat(1 << 20);
    fixture.append(&[keyed(&long, "1"), keyed("", "2"), (None, b"3".to_vec())]);
    fixture.append(&[keyed(&long, "4"), keyed("", "5"), (None, b"6".to_vec())]);
    fixture.log.roll().unwrap();
    fixture.compact(&eager(), 10);
    assert_eq!(
        forwards(fixture.log.as_ref()).into_keys().collect::<Vec<_>>(),
        [2, 3, 4, 5]
    );
}

#[test]
fn small_segments_become_one_and_one_that_keeps_everything_is_left_alone() {
    let mut fixture = Fixture::new();
    let unique = |number: u64| {
        keyed(
            &number.to_string(),
            "a value that makes it a bit longer than it was",
        )
    };
    for number in 0..6 {
        fixture.append(&[unique(2 * number), unique(2 * number + 1)]);
        fixture.log.roll().unwrap();
    }
    let report = fixture.compact(&eager(), 100).unwrap();
    assert_eq!(report.rewritten, Rewritten::default());
    assert_eq!((report.merged.segments, report.merged.counts.dropped), (6, 0));
    assert_eq!(fixture.log.segments().len(), 2);
    assert_eq!(forwards(fixture.log.as_ref()).len(), 12);
}

#[test]
fn a_damaged_segment_ends_the_run_and_nothing_counts_as_clean() {
    let directory = tempfile::tempdir().unwrap();
    let store = SegmentFactory::new()
        .open(Arc::new(SystemDisk::new()), directory.path())
        .unwrap();
    let log = store.create(LOG, &LogSettings::default()).unwrap();
    append(log.as_ref(), 0, &[keyed("a", "1"), keyed("a", "2")]);
    log.roll().unwrap();
    let file = directory.path().join("3/00000000000000000000-00000000.seg");
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let pace = Pace::new(CancellationToken::new(), 0);
    let mut done = Rewritten::default();
    let drop_all = |_: &RecordView<'_>, _: Offset, _: Timestamp| Verdict::Drop;
    let result = rewrite_sealed(
        packed(&log, &Packing::default()),
        log.end(),
        &drop_all,
        &pace,
        &mut done,
    );
    assert!(
        matches!(
            result,
            Err(RewriteError::Storage(
                strandline_core::storage::StorageError::Damaged(_)
            ))
        ),
        "{result:?}"
    );
    assert_eq!((done, log.segments()[0].records), (Rewritten::default(), 2));
}

#[test]
fn a_disk_that_gets_full_in_the_middle_costs_the_run_and_nothing_else() {
    let segment = SegmentFactory::new();
    let redb = RedbFactory::new();
    let engines: [(&dyn Factory, u64); 2] = [(&segment, 300), (&redb, 3 << 20)];
    for (factory, step) in engines {
        let failures = (0_u64..)
            .map(|step_number| compact_with_room(factory, step_number * step))
            .take_while(Result::is_err)
            .count();
        assert!(failures > 1, "{}: {failures}", factory.name());
    }
}

/// Compacts on a disk with so much room, and again when there is more.
fn compact_with_room(factory: &dyn Factory, room: u64) -> Result<(), RewriteError> {
    let root = Path::new("/data");
    let disk = SimDisk::of(Image::with_dir(root));
    let unused = tempfile::tempdir().unwrap();
    let store = root.join("store");
    let mut fixture = Fixture::on_disk(factory, Arc::new(disk.clone()), &store, unused);
    let entries: Vec<Entry> = (0..200)
        .map(|number| keyed(&format!("key {}", number % 90), &format!("value {number:50}")))
        .collect();
    entries.chunks(7).for_each(|entries| fixture.append(entries));
    fixture.log.roll().unwrap();
    fixture._store.sync(SyncBy::Caller);
    disk.limit_room(Some(room));
    let outcome = fixture.try_compact(&eager(), 40);
    let left = definition(&entries, entries.len() as u64);
    let all: BTreeMap<u64, Entry> = (0..).zip(entries).collect();
    let found = forwards(fixture.log.as_ref());
    assert!(found.iter().all(|(offset, entry)| all[offset] == *entry));
    assert!(
        left.keys().all(|offset| found.contains_key(offset)),
        "room for {room} bytes"
    );
    disk.limit_room(None);
    fixture.compact(&eager(), 40);
    assert_eq!(forwards(fixture.log.as_ref()), left, "room for {room} bytes");
    outcome.map(drop)
}

#[test]
fn a_run_ends_when_the_broker_stops() {
    let fixture = Fixture::new();
    fixture.append(&[keyed("a", "1"), keyed("a", "2")]);
    fixture.log.roll().unwrap();
    let token = CancellationToken::new();
    token.cancel();
    let pace = Pace::new(token, 0);
    let result = rewrite_sealed(
        packed(&fixture.log, &fixture.packing),
        fixture.log.end(),
        &|_, _, _| Verdict::Drop,
        &pace,
        &mut Rewritten::default(),
    );
    assert!(matches!(result, Err(RewriteError::Stopped)));
    assert_eq!(forwards(fixture.log.as_ref()).len(), 2);
}

#[test]
fn every_log_has_one_turn_and_every_stream_its_share() {
    let (a, b) = (StreamName::new("a").unwrap(), StreamName::new("b").unwrap());
    let mut turns = Turns::default();
    assert!(turns.add(LogId::new(1), a.clone(), 1, ()));
    assert!(!turns.add(LogId::new(1), a.clone(), 1, ()));
    assert!(turns.add(LogId::new(2), a.clone(), 1, ()));
    assert!(turns.add(LogId::new(3), b, 1, ()));
    let mut next = |max| turns.next(max).map(|turn| turn.log.get());
    assert_eq!((next(2), next(2), next(2)), (Some(1), Some(3), None));
    assert_eq!(next(3), None, "stream a has its share");
    assert!(!turns.add(LogId::new(1), a.clone(), 1, ()), "it runs still");
    turns.ended(LogId::new(1), &a);
    assert_eq!(turns.next(2).map(|turn| turn.log.get()), Some(2));
    assert!(turns.add(LogId::new(1), a, 1, ()));
}

/// How long the soak takes: short in an ordinary run.
fn soak_time() -> Duration {
    let seconds = std::env::var("STRANDLINE_SOAK_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

/// The value of an offset's key, so that a reader can tell what is right: the offset itself.
fn soak_entry(offset: u64, keys: u64) -> Entry {
    let mixed = offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    if mixed.is_multiple_of(17) {
        return (None, offset.to_string().into_bytes());
    }
    keyed(&(mixed % keys).to_string(), &offset.to_string())
}

#[test]
fn compaction_and_retention_under_load_leave_what_they_should() {
    const KEYS: u64 = 300;
    let mut fixture = Fixture::new();
    let log = Arc::clone(&fixture.log);
    let store = Arc::clone(&fixture._store);
    let (stop, slowest) = (AtomicBool::new(false), AtomicU64::new(0));
    let until = Instant::now() + soak_time();
    let (mut runs, mut removed) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let base = log.end().get();
                let entries: Vec<Entry> = (base..base + 1 + base % 9)
                    .map(|offset| soak_entry(offset, KEYS))
                    .collect();
                let begun = Instant::now();
                append(log.as_ref(), base, &entries);
                slowest.fetch_max(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
                store.sync(SyncBy::Caller);
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for (offset, entry) in forwards(log.as_ref()) {
                    assert_eq!(entry, soak_entry(offset, KEYS));
                }
                let mut before = log.end();
                while let Some(batch) = log.read_before(before).unwrap() {
                    before = batch.header().base;
                }
            }
        });
        let limits = RetentionLimits {
            max_records: Some(20_000),
            ..RetentionLimits::default()
        };
        while Instant::now() < until {
            if let Some(before) = limits.removable_before(&log.segments(), fixture.now) {
                log.remove_before(before).unwrap();
                removed += 1;
            }
            runs += u64::from(fixture.compact(&eager(), 100).is_some());
        }
        stop.store(true, Ordering::Relaxed);
    });
    log.roll().unwrap();
    fixture.compact(&eager(), 100);
    let entries: Vec<Entry> = (0..log.end().get())
        .map(|offset| soak_entry(offset, KEYS))
        .collect();
    let mut expected = definition(&entries, log.end().get());
    expected.retain(|&offset, _| offset >= log.start().get());
    assert_eq!(forwards(log.as_ref()), expected);
    assert_eq!(backwards(log.as_ref()), expected.into_keys().collect::<Vec<_>>());
    println!(
        "{} records, {runs} compactions, {removed} removals, slowest append {} us",
        entries.len(),
        slowest.load(Ordering::Relaxed)
    );
}

#[test]
fn a_removal_that_comes_in_between_is_no_failure() {
    // Retention removed a segment that was just being written anew, and the run ended with an error.
    let fixture = Fixture::new();
    for _ in 0..20 {
        let entries: Vec<Entry> = (0..10).map(|key| keyed(&key.to_string(), "some value")).collect();
        fixture.append(&entries);
        fixture.log.roll().unwrap();
    }
    let log = Arc::clone(&fixture.log);
    let pace = Pace::new(CancellationToken::new(), 0);
    let first = log.segments()[0].range;
    let removed = AtomicBool::new(false);
    let judge = |_: &RecordView<'_>, offset: Offset, _: Timestamp| {
        // The moment at which the first segment is half read.
        if offset >= Offset::new(15) && !removed.swap(true, Ordering::Relaxed) {
            log.remove_before(first.end).unwrap();
        }
        if offset.get().is_multiple_of(2) {
            Verdict::Drop
        } else {
            Verdict::Keep
        }
    };
    let mut done = Rewritten::default();
    rewrite_sealed(
        packed(&log, &Packing::default()),
        log.end(),
        &judge,
        &pace,
        &mut done,
    )
    .unwrap();
    assert_eq!(log.start(), OffsetRange::new(first.end, first.end).start);
    assert!(forwards(log.as_ref()).keys().all(|offset| offset % 2 == 1));
}

/// All batches as they are stored.
fn stored(log: &dyn Log) -> Vec<Batch> {
    let (mut found, mut next) = (Vec::new(), log.start());
    let limit = ReadLimit {
        end: log.end(),
        max_bytes: usize::MAX,
    };
    while next < log.end() {
        let run = log.read(next, limit).unwrap();
        found.extend(run.batches().map(Result::unwrap));
        next = run.next;
    }
    found
}

fn any_file_holds(directory: &Path, wanted: &[u8]) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return any_file_holds(&path, wanted);
        }
        let bytes = std::fs::read(&path).unwrap();
        bytes.windows(wanted.len()).any(|part| part == wanted)
    })
}

/// What compaction builds anew must be as secret as what it was built of; what it leaves as it is keeps its bytes.
#[test]
fn what_is_left_of_encrypted_batches_is_encrypted_under_a_fresh_nonce() {
    let entry = |key: &str, value: &str| {
        let value = format!("secret {value} ").repeat(6).into_bytes();
        (Some(key.as_bytes().to_vec()), value)
    };
    for (packing, shows) in [
        (Packing::default(), true),
        (Packing::encrypting(Codec::Lz4), false),
        (Packing::encrypting(Codec::None), false),
    ] {
        let mut fixture = Fixture::new();
        fixture.packing = packing.clone();
        let old = [entry("a", "old a"), entry("b", "b"), entry("c", "c")];
        fixture.append(&old);
        fixture.append(&[entry("d", "d"), entry("e", "e")]);
        fixture.log.roll().unwrap();
        fixture.append(&[entry("a", "a"), entry("f", "f")]);
        fixture.log.roll().unwrap();
        fixture.append(&[entry("g", "g")]);
        let before = stored(fixture.log.as_ref());
        let report = fixture.compact(&eager(), 100).unwrap();
        assert_eq!(
            (report.rewritten.counts.dropped, report.rewritten.segments),
            (1, 1)
        );
        let after = stored(fixture.log.as_ref());
        assert_eq!(after[1..], before[1..]);
        assert_ne!(after[0], before[0]);
        let written: usize = after[..2].iter().map(|batch| batch.bytes().len()).sum();
        assert_eq!(report.rewritten.bytes_out, written as u64);
        let mut nonces = HashSet::new();
        for batch in before.iter().chain(&after[..1]) {
            let encryption = batch.header().encryption;
            assert!(encryption.is_some() != shows && (shows || nonces.insert(encryption.unwrap().nonce)));
        }
        let mut left = Vec::new();
        for batch in &after {
            let plain = packing.unpacker().unpack(batch).unwrap();
            left.extend(plain.records().map(|record| record.value().to_vec()));
        }
        let expected = ["b", "c", "d", "e", "a", "f", "g"].map(|value| entry("", value).1);
        assert_eq!(left, expected);
        assert_eq!(any_file_holds(fixture.directory.path(), b"secret"), shows);
    }
}

#[test]
fn a_batch_that_cannot_be_decrypted_ends_the_run_and_stays() {
    let mut fixture = Fixture::new();
    fixture.packing = Packing::encrypting(Codec::Lz4);
    let entry = (Some(b"key".to_vec()), b"value".to_vec());
    fixture.append(&[entry.clone(), entry]);
    fixture.log.roll().unwrap();
    let before = stored(fixture.log.as_ref());
    let (pace, mut done) = (Pace::new(CancellationToken::new(), 0), Rewritten::default());
    let no_key = Packing::default();
    let log = packed(&fixture.log, &no_key);
    let result = rewrite_sealed(log, fixture.log.end(), &|_, _, _| Verdict::Drop, &pace, &mut done);
    assert!(matches!(result, Err(RewriteError::Unpack(_))), "{result:?}");
    assert_eq!(
        (stored(fixture.log.as_ref()), done),
        (before, Rewritten::default())
    );
}
