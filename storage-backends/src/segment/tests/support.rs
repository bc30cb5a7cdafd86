//! Batches that say what they are, and logs on a disk in memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BytesMut;

use strandline_core::record::{Batch, BatchBuilder, Fields, RecordIter, append_record};
use strandline_core::storage::{Factory, Log, LogSettings, ReadLimit, StorageError, Store, SyncBy};
use strandline_core::{LeaderEpoch, LogId, Offset, Timestamp};

use crate::SegmentFactory;
use crate::sim::{Image, SimDisk};

pub(super) const LOG: LogId = LogId::new(7);

pub(super) fn root() -> PathBuf {
    PathBuf::from("/data")
}

pub(super) fn store_directory() -> PathBuf {
    root().join("streams")
}

pub(super) fn log_file(name: &str) -> PathBuf {
    store_directory().join(LOG.to_string()).join(name)
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
    SegmentFactory::new().open(Arc::new(disk.clone()), Path::new(&store_directory()))
}

/// `count` records from `base` on; each value tells its offset.
pub(super) fn batch(base: u64, count: u64, epoch: u64) -> Batch {
    padded_batch(base, count, epoch, 0)
}

/// A batch whose records are so many bytes larger than they need be.
pub(super) fn padded_batch(base: u64, count: u64, epoch: u64, padding: usize) -> Batch {
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
        builder.push(&record, LeaderEpoch::new(epoch), Offset::new(offset), time);
    }
    builder.finish().unwrap()
}

/// Appends a batch of so many records and makes it durable.
pub(super) fn append(store: &Arc<dyn Store>, log: &Arc<dyn Log>, count: u64) {
    let commit = log.append(&[batch(log.end().get(), count, 1)]).unwrap();
    store.sync(SyncBy::Caller);
    commit.wait().unwrap();
}

/// All records of a log, read forwards, checked against what their values tell.
pub(super) fn offsets(log: &dyn Log) -> Vec<u64> {
    let mut found = Vec::new();
    let mut next = log.start();
    while next < log.end() {
        let run = log
            .read(
                next,
                ReadLimit {
                    end: log.end(),
                    max_bytes: 300,
                },
            )
            .unwrap();
        for batch in run.batches() {
            let batch = batch.unwrap();
            for record in batch.records() {
                let offset = batch.header().base.get() + u64::from(record.offset_delta());
                assert_eq!(
                    record.value().trim_ascii_end(),
                    format!("value of {offset}").as_bytes()
                );
                found.push(offset);
            }
        }
        if run.next == next {
            break;
        }
        next = run.next;
    }
    found.retain(|&offset| offset >= log.start().get());
    found
}
