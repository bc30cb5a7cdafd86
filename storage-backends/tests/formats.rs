//! Directories that earlier versions wrote, committed below `tests/data`, are read as their manifests say.
//!
//! `docs/file-formats.md` tells how to add the directory of a new format.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails says so by a panic"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BytesMut;

use strandline_core::record::{Batch, BatchBuilder, Fields, RecordIter, append_record};
use strandline_core::storage::{Factory, Log, LogSettings, ReadLimit, StorageError, Store, SyncBy};
use strandline_core::{LeaderEpoch, LogId, Offset, OffsetRange, Timestamp};
use strandline_storage_backends::{RedbFactory, SegmentFactory, SystemDisk};

const MANIFEST: &str = "MANIFEST";

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// Opens a store of the engine that the name of a format tells.
fn open(format: &str, directory: &Path) -> Arc<dyn Store> {
    try_open(format, directory).unwrap()
}

fn try_open(format: &str, directory: &Path) -> Result<Arc<dyn Store>, StorageError> {
    let disk = Arc::new(SystemDisk::new());
    if format.starts_with("redb-") {
        RedbFactory::new().open(disk, directory)
    } else {
        SegmentFactory::new().open(disk, directory)
    }
}

/// Everything that a store tells of its logs, as text: what a manifest holds.
fn manifest(store: &dyn Store) -> String {
    let mut text = String::new();
    for id in store.list().unwrap() {
        let log = store.open(id, &LogSettings::default()).unwrap();
        describe(log.as_ref(), &mut text);
        log.close().unwrap();
    }
    text
}

fn describe(log: &dyn Log, text: &mut String) {
    writeln!(text, "log {} {}..{}", log.id(), log.start(), log.end()).unwrap();
    for segment in log.segments() {
        let kind = if segment.sealed { "sealed" } else { "active" };
        let (range, records, bytes) = (segment.range, segment.records, segment.bytes);
        writeln!(text, "  {kind} segment {range}: {records} records, {bytes} bytes").unwrap();
    }
    for epoch in 0..=log.last_epoch().map_or(0, LeaderEpoch::get) {
        if let Some(end) = log
            .epoch_end(LeaderEpoch::new(epoch))
            .filter(|end| end.epoch.get() == epoch)
        {
            writeln!(text, "  epoch {epoch} ends at {}", end.end).unwrap();
        }
    }
    let limit = ReadLimit {
        end: Offset::MAX,
        max_bytes: usize::MAX,
    };
    let mut next = log.start();
    while next < log.end() {
        let run = log.read(next, limit).unwrap();
        for batch in run
            .batches()
            .map(|batch| Batch::parse(batch.unwrap().bytes()).unwrap())
        {
            for record in batch.records() {
                let offset = batch.header().base.plus(u64::from(record.offset_delta()));
                let key = record.key().map(|key| String::from_utf8_lossy(key).into_owned());
                let value = String::from_utf8_lossy(record.value());
                let (epoch, time) = (batch.header().epoch, batch.header().time(&record).nanos());
                writeln!(
                    text,
                    "  {offset} epoch {epoch} at {time} key {key:?} value {value:?}"
                )
                .unwrap();
            }
        }
        next = run.next;
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn directories_of_every_earlier_format_hold_what_their_manifests_say() {
    let mut formats = 0;
    for entry in fs::read_dir(data()).unwrap().map(Result::unwrap) {
        let directory = tempfile::tempdir().unwrap();
        copy(&entry.path().join("store"), directory.path());
        let expected = fs::read_to_string(entry.path().join(MANIFEST)).unwrap();
        let store = open(entry.file_name().to_str().unwrap(), directory.path());
        assert_eq!(manifest(store.as_ref()), expected, "{}", entry.path().display());
        goes_on(store.as_ref());
        formats += 1;
    }
    assert!(
        formats > 0,
        "no directory of an earlier format in {}",
        data().display()
    );
}

/// The logs take appends, which are there beside the old records after a restart.
fn goes_on(store: &dyn Store) {
    for id in store.list().unwrap() {
        let log = store.open(id, &LogSettings::default()).unwrap();
        let end = log.end().get();
        let commit = log.append(&[batch(&[end], 1_000)]).unwrap();
        store.sync(SyncBy::Caller);
        commit.wait().unwrap();
        log.close().unwrap();
        drop(log);
        let log = store.open(id, &LogSettings::default()).unwrap();
        assert_eq!(log.end(), Offset::new(end + 1));
        assert_eq!(log.read_before(log.end()).unwrap(), Some(batch(&[end], 1_000)));
    }
}

fn batch(offsets: &[u64], epoch: u64) -> Batch {
    let mut builder = BatchBuilder::new();
    for &offset in offsets {
        let value = format!("value of {offset}");
        let key = format!("key {}", offset % 3);
        let mut bytes = BytesMut::new();
        let fields = Fields {
            key: (offset % 4 > 0).then_some(key.as_bytes()),
            value: value.as_bytes(),
            subject: "orders.eu",
            reply: if offset % 5 == 0 { "reply" } else { "" },
        };
        append_record(&mut bytes, &fields, [("header", value.as_bytes())]).unwrap();
        let record = RecordIter::new(&bytes).next().unwrap();
        let time = Timestamp::from_nanos(1_700_000_000_000_000_000 + 1_000_000 * offset as i64);
        builder.push(&record, LeaderEpoch::new(epoch), Offset::new(offset), time);
    }
    builder.finish().unwrap()
}

/// Writes the directory of the present format: run it once when a format is new, and commit what it writes.
///
/// `FORMAT=format-2 cargo test -p strandline-storage-backends --test formats -- --ignored`, for redb `FORMAT=redb-format-3`
#[test]
#[ignore = "writes into the source tree"]
fn write_the_directory_of_the_present_format() {
    let format = std::env::var("FORMAT").unwrap();
    let target = data().join(&format);
    let directory = target.join("store");
    fs::create_dir_all(&directory).unwrap();
    let store = open(&format, &directory);
    fill(store.as_ref());
    fs::write(target.join(MANIFEST), manifest(store.as_ref())).unwrap();
    drop(store);
    fs::remove_file(directory.join("lock")).unwrap();
}

/// A log of every kind of segment that was closed, one that was not, and one that starts late.
fn fill(store: &dyn Store) {
    let settings = LogSettings {
        segment_max_bytes: 1_500,
        ..LogSettings::default()
    };
    let append = |log: &dyn Log, offsets: &[u64], epoch| {
        let commit = log.append(&[batch(offsets, epoch)]).unwrap();
        store.sync(SyncBy::Caller);
        commit.wait().unwrap();
    };
    let compacted = store.create(LogId::new(1), &settings).unwrap();
    for number in 0..10 {
        let base = 4 * number;
        append(
            compacted.as_ref(),
            &[base, base + 1, base + 2, base + 3],
            1 + number / 4,
        );
    }
    let segments = compacted.segments();
    let range = OffsetRange::new(segments[0].range.start, segments[1].range.end);
    compacted
        .replace_sealed(
            range,
            &mut [batch(&[1, 2], 1), batch(&[6], 1)].into_iter().map(Ok),
        )
        .unwrap();
    compacted.close().unwrap();
    let crashed = store.create(LogId::new(2), &settings).unwrap();
    append(crashed.as_ref(), &[0, 1, 2], 1);
    append(crashed.as_ref(), &[3], 2);
    append(crashed.as_ref(), &[4, 9], 2);
    let late = store.create(LogId::new(30), &settings).unwrap();
    late.reset(Offset::new(1_000)).unwrap();
    for number in 0..8 {
        append(late.as_ref(), &[1_000 + 2 * number, 1_001 + 2 * number], 7);
    }
    late.remove_before(Offset::new(1_008)).unwrap();
    late.close().unwrap();
}

#[test]
fn files_of_a_newer_format_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let formats = fs::read_dir(data()).unwrap().map(|entry| entry.unwrap().path());
    let newest = formats
        .filter(|path| path.join("store/1").is_dir())
        .max()
        .unwrap();
    copy(&newest.join("store"), directory.path());
    let state = directory.path().join("1/state");
    let mut bytes = fs::read(&state).unwrap();
    bytes[4..8].copy_from_slice(&99_u32.to_le_bytes());
    let crc = strandline_core::record::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    fs::write(&state, bytes).unwrap();
    let store = open("format", directory.path());
    match store.open(LogId::new(1), &LogSettings::default()) {
        Err(StorageError::Version { file, found, .. }) => assert_eq!((file, found.as_str()), (state, "99")),
        other => panic!("{other:?}"),
    }
    drop(store);
    fs::write(directory.path().join("format"), "strandline segment store 99\n").unwrap();
    match try_open("format", directory.path()) {
        Err(StorageError::Version { found, .. }) => assert_eq!(found, "99"),
        other => panic!("{other:?}"),
    }
}
