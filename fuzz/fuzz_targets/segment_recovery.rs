//! A log whose files were changed behind its back: it opens or says why not, and never gives back what was not appended.

#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

use strandline_core::record::{Batch, BatchBuilder, Fields, RecordIter, append_record};
use strandline_core::storage::{Factory, Log, LogSettings, ReadLimit, StorageError, Store, SyncBy};
use strandline_core::{LeaderEpoch, LogId, Offset, Timestamp};
use strandline_storage_backends::{SegmentFactory, SystemDisk};

const LOG: LogId = LogId::new(1);
const RECORDS: u64 = 12;

fuzz_target!(|data: &[u8]| {
    let directory = tempfile::tempdir_in(memory()).expect("a temporary directory");
    fill(directory.path());
    for change in data.chunks_exact(6) {
        damage(directory.path(), change);
    }
    if let Ok((_store, log)) = open(directory.path()) {
        check(log.as_ref());
    }
});

/// A file system in memory, if there is one: a target that waits for disks finds little.
fn memory() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() {
        shared.to_owned()
    } else {
        std::env::temp_dir()
    }
}

fn settings() -> LogSettings {
    LogSettings {
        segment_max_bytes: 400,
        ..LogSettings::default()
    }
}

fn store(directory: &Path) -> Result<Arc<dyn Store>, StorageError> {
    SegmentFactory::new().open(Arc::new(SystemDisk::new()), directory)
}

fn open(directory: &Path) -> Result<(Arc<dyn Store>, Arc<dyn Log>), StorageError> {
    let store = store(directory)?;
    let log = store.open(LOG, &settings())?;
    Ok((store, log))
}

fn fill(directory: &Path) {
    let store = store(directory).expect("a new store opens");
    let log = store.create(LOG, &settings()).expect("a new log is created");
    for offset in 0..RECORDS {
        let commit = log.append(&[batch(offset)]).expect("an append is taken");
        store.sync(SyncBy::Caller);
        commit.wait().expect("an append is durable");
    }
    // Half of the runs of a real broker end like this, the others with a crash: the changes play that part.
    log.close().expect("the log closes");
}

fn batch(offset: u64) -> Batch {
    let mut bytes = BytesMut::new();
    let value = value(offset);
    let fields = Fields {
        key: None,
        value: value.as_bytes(),
        subject: "s",
        reply: "",
    };
    append_record(&mut bytes, &fields, []).expect("the record is small");
    let record = RecordIter::new(&bytes).next().expect("a record was appended");
    let mut builder = BatchBuilder::new();
    builder.push(
        &record,
        LeaderEpoch::new(1 + offset / 5),
        Offset::new(offset),
        Timestamp::from_nanos(offset as i64),
    );
    builder.finish().expect("the batch has a record")
}

fn value(offset: u64) -> String {
    format!("value of {offset}")
}

/// One change: the file, what to do, where, and with which byte.
fn damage(directory: &Path, change: &[u8]) {
    let mut files: Vec<PathBuf> = fs::read_dir(directory.join(LOG.to_string()))
        .expect("the log has a directory")
        .map(|entry| entry.expect("the directory is listed").path())
        .collect();
    files.sort();
    let Some(path) = files.get(usize::from(change[0]) % files.len().max(1)) else {
        return;
    };
    let mut bytes = fs::read(path).expect("the file is read");
    let position = usize::from(u16::from_le_bytes([change[2], change[3]]));
    match change[1] % 5 {
        0 => bytes.truncate(position % (bytes.len() + 1)),
        1 => bytes.extend(std::iter::repeat_n(change[4], position % 300)),
        2 => return fs::remove_file(path).expect("the file is removed"),
        _ if bytes.is_empty() => {}
        3 => {
            let at = position % bytes.len();
            bytes[at] ^= change[4];
        }
        _ => {
            let at = position % bytes.len();
            let end = (at + usize::from(change[5])).min(bytes.len());
            bytes[at..end].fill(change[4]);
        }
    }
    fs::write(path, bytes).expect("the file is written");
}

fn check(log: &dyn Log) {
    assert!(log.end() <= Offset::new(RECORDS), "the log has grown by itself");
    let mut next = log.start();
    while next < log.end() {
        let Ok(run) = log.read(
            next,
            ReadLimit {
                end: log.end(),
                max_bytes: 300,
            },
        ) else {
            return;
        };
        assert!(run.next > next, "a read gave nothing");
        let mut following = next.get();
        for batch in run.batches() {
            let batch = batch.expect("a run holds whole batches, checked");
            for record in batch.records() {
                let offset = batch.header().base.get() + u64::from(record.offset_delta());
                assert_eq!(offset, following, "a record was passed over without an error");
                following += 1;
                assert_eq!(
                    record.value(),
                    value(offset).as_bytes(),
                    "another record than was appended"
                );
            }
        }
        next = run.next;
    }
    // A log that opened takes appends where it ends.
    let end = log.end().get();
    if log.append(&[batch(end)]).is_ok() {
        assert_eq!(log.end(), Offset::new(end + 1));
    }
}
