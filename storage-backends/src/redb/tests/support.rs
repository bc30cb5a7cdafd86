//! Batches that say what they are, and stores on a disk in memory.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::BytesMut;

use strandline_core::disk::{Disk, OpenMode};
use strandline_core::record::{Batch, BatchBuilder, Fields, RecordIter, append_record};
use strandline_core::storage::{Factory, Log, LogSettings, ReadLimit, StorageError, Store, SyncBy};
use strandline_core::{LeaderEpoch, LogId, Offset, Timestamp};

use crate::RedbFactory;
use crate::sim::{Image, SimDisk};

pub(super) const LOG: LogId = LogId::new(7);
pub(super) const OTHER: LogId = LogId::new(9);
pub(super) const ALL: ReadLimit = ReadLimit {
    end: Offset::MAX,
    max_bytes: usize::MAX,
};

pub(super) fn root() -> PathBuf {
    PathBuf::from("/data")
}

pub(super) fn store_directory() -> PathBuf {
    root().join("streams-redb")
}

pub(super) fn database_file() -> PathBuf {
    store_directory().join("store.redb")
}

pub(super) fn empty_disk() -> (SimDisk, Image) {
    let image = Image::with_dir(&root());
    (SimDisk::of(image.clone()), image)
}

/// Small segments, so that a few batches fill one.
pub(super) fn tiny() -> LogSettings {
    LogSettings {
        segment_max_bytes: 600,
        ..LogSettings::default()
    }
}

pub(super) fn open_store(disk: &SimDisk) -> Result<Arc<dyn Store>, StorageError> {
    let factory = RedbFactory::new().cache_bytes(1 << 20).queue_bytes(1 << 20);
    factory.open(Arc::new(disk.clone()), &store_directory())
}

/// `count` records from `base` on; each value tells its offset.
pub(super) fn batch(base: u64, count: u64) -> Batch {
    padded_batch(base, count, 0)
}

/// A batch whose records are so many bytes larger than they need be.
pub(super) fn padded_batch(base: u64, count: u64, padding: usize) -> Batch {
    let mut builder = BatchBuilder::new();
    for offset in base..base + count {
        let mut bytes = BytesMut::new();
        let value = format!("value of {offset}{}", " ".repeat(padding));
        let fields = Fields {
            key: None,
            value: value.as_bytes(),
            subject: "s",
            reply: "",
        };
        append_record(&mut bytes, &fields, []).unwrap();
        let record = RecordIter::new(&bytes).next().unwrap();
        let time = Timestamp::from_nanos(1000 * offset as i64);
        builder.push(&record, LeaderEpoch::new(1), Offset::new(offset), time);
    }
    builder.finish().unwrap()
}

/// A batch of many blocks, by which can be told which log it is of.
pub(super) fn large_batch(log: LogId, offset: u64) -> Batch {
    padded_batch(offset, 1, 9_000 + 1_000 * log.get() as usize)
}

/// A closed store with two logs, whose batches take many blocks each.
pub(super) fn closed_store() -> SimDisk {
    let (disk, _) = empty_disk();
    let store = open_store(&disk).unwrap();
    for id in [LOG, OTHER] {
        let log = store.create(id, &LogSettings::default()).unwrap();
        for number in 0..10 {
            drop(log.append(&[large_batch(id, number)]).unwrap());
            store.sync(SyncBy::Caller);
        }
    }
    disk
}

/// Where in the file these bytes are.
pub(super) fn find(disk: &SimDisk, bytes: &[u8]) -> usize {
    let file = disk.open(&database_file(), OpenMode::Read).unwrap();
    let mut content = Vec::new();
    file.read_at(0, usize::MAX, &mut content).unwrap();
    let found = content.windows(bytes.len()).position(|window| window == bytes);
    found.unwrap()
}

/// All records of a log, read forwards, checked against what their values tell.
pub(super) fn offsets(log: &dyn Log) -> Vec<u64> {
    let mut found = Vec::new();
    let mut next = log.start();
    while next < log.end() {
        let max_bytes = 300;
        let end = log.end();
        let run = log.read(next, ReadLimit { end, max_bytes }).unwrap();
        for batch in run.batches() {
            let batch = batch.unwrap();
            for record in batch.records() {
                let offset = batch.header().base.get() + u64::from(record.offset_delta());
                let expected = format!("value of {offset}");
                assert_eq!(record.value().trim_ascii_end(), expected.as_bytes());
                found.push(offset);
            }
        }
        if run.next == next {
            break;
        }
        next = run.next;
    }
    found
}
