//! What targets share: a log of a few records, changes to its files, and what may be read of it afterwards.

use std::sync::Arc;

use bytes::BytesMut;

use strandline_core::record::{Batch, BatchBuilder, Fields, RecordIter, append_record};
use strandline_core::storage::{Log, LogSettings, ReadLimit, StorageError, Store, SyncBy};
use strandline_core::{LeaderEpoch, LogId, Offset, Timestamp};

/// The log.
pub const LOG: LogId = LogId::new(1);
const RECORDS: u64 = 12;

/// Of segments with a few records each.
pub fn settings() -> LogSettings {
    LogSettings {
        segment_max_bytes: 400,
        ..LogSettings::default()
    }
}

/// Makes the log in an empty store, durably, and closes it.
///
/// Half of the runs of a real broker end like this, the others with a crash: the changes play that part.
///
/// # Errors
///
/// The store takes no log.
pub fn fill(store: &Arc<dyn Store>) -> Result<(), StorageError> {
    let log = store.create(LOG, &settings())?;
    for offset in 0..RECORDS {
        let commit = log.append(&[batch(offset)]).expect("an append is taken");
        store.sync(SyncBy::Caller);
        commit.wait().expect("an append is durable");
    }
    log.close()
}

/// A change of bytes within a file: what is done, where, and with which byte.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// What is done.
    pub kind: u8,
    /// Where; taken modulo the length.
    pub position: u32,
    /// With which byte.
    pub with: u8,
    /// To how many bytes.
    pub length: u8,
}

impl Change {
    /// Ways that there are: cut, longer, one byte, several bytes.
    pub const KINDS: u8 = 4;

    /// Changes the content of a file.
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        let at = self.position as usize % (bytes.len() + 1);
        match self.kind % Self::KINDS {
            0 => bytes.truncate(at),
            1 => bytes.extend(std::iter::repeat_n(self.with, self.position as usize % 300)),
            2 => bytes[at..].iter_mut().take(1).for_each(|byte| *byte ^= self.with),
            _ => bytes[at..]
                .iter_mut()
                .take(self.length.into())
                .for_each(|byte| *byte = self.with),
        }
    }
}

/// Reads the log to its end: only what was appended comes, nothing is passed over without an error.
///
/// # Panics
///
/// The log gives something else.
pub fn check(log: &dyn Log) {
    assert!(log.end() <= Offset::new(RECORDS), "the log has grown by itself");
    let mut next = log.start();
    while next < log.end() {
        let limit = ReadLimit {
            end: log.end(),
            max_bytes: 300,
        };
        let Ok(run) = log.read(next, limit) else {
            return;
        };
        assert!(run.next > next, "a read gave nothing");
        let mut following = next.get();
        for batch in run.batches() {
            check_batch(
                &batch.expect("a run holds whole batches, checked"),
                &mut following,
            );
        }
        next = run.next;
    }
    // A log that opened takes appends where it ends.
    let end = log.end().get();
    if log.append(&[batch(end)]).is_ok() {
        assert_eq!(log.end(), Offset::new(end + 1));
    }
}

fn check_batch(batch: &Batch, following: &mut u64) {
    for record in batch.records() {
        let offset = batch.header().base.get() + u64::from(record.offset_delta());
        assert_eq!(offset, *following, "a record was passed over without an error");
        *following += 1;
        assert_eq!(
            record.value(),
            value(offset).as_bytes(),
            "another record than was appended"
        );
    }
}

/// A batch with one record.
pub fn batch(offset: u64) -> Batch {
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
    format!("value of {offset:60}")
}
