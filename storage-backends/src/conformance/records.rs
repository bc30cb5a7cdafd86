//! Batches whose records tell what they are.

use bytes::BytesMut;

use strandline_core::record::{Batch, BatchBuilder, Fields, RecordIter, append_record};
use strandline_core::storage::{Log, ReadLimit};
use strandline_core::{LeaderEpoch, Offset, Timestamp};

pub(super) const ALL: ReadLimit = ReadLimit {
    end: Offset::MAX,
    max_bytes: usize::MAX,
};

/// A batch with records at these offsets; a record's time is its offset in microseconds.
pub(super) fn batch_of(offsets: &[u64], epoch: u64) -> Batch {
    batch_with(offsets, epoch, |offset| {
        format!("record {offset} of epoch {epoch}").into_bytes()
    })
}

/// A batch with records at these offsets and these values.
pub(super) fn batch_with(offsets: &[u64], epoch: u64, value: impl Fn(u64) -> Vec<u8>) -> Batch {
    let mut builder = BatchBuilder::new();
    for &offset in offsets {
        let mut bytes = BytesMut::new();
        let value = value(offset);
        let fields = Fields {
            key: Some(b"k"),
            value: &value,
            subject: "s",
            reply: "",
        };
        append_record(&mut bytes, &fields, []).unwrap();
        let record = RecordIter::new(&bytes).next().unwrap();
        builder.push(
            &record,
            LeaderEpoch::new(epoch),
            Offset::new(offset),
            time_of(offset),
        );
    }
    builder.finish().unwrap()
}

/// A batch of `count` records from `base` on.
pub(super) fn batch(base: u64, count: u64, epoch: u64) -> Batch {
    batch_of(&(base..base + count).collect::<Vec<_>>(), epoch)
}

/// What compaction leaves of a batch when only these of its records stay; none if none does.
pub(super) fn thinned(batch: &Batch, keep: impl Fn(u64) -> bool) -> Option<Batch> {
    let mut builder = BatchBuilder::new();
    for record in batch.records() {
        let offset = batch.header().base.plus(u64::from(record.offset_delta()));
        if keep(offset.get()) {
            builder.push(
                &record,
                batch.header().epoch,
                offset,
                batch.header().time(&record),
            );
        }
    }
    builder.finish()
}

pub(super) fn time_of(offset: u64) -> Timestamp {
    Timestamp::from_nanos((offset as i64).saturating_mul(1000))
}

/// All batches of a log from its start on, read in runs of a few.
pub(super) fn all_batches(log: &dyn Log) -> Vec<Batch> {
    let (mut found, mut next) = (Vec::new(), log.start());
    while next < log.end() {
        let run = log
            .read(
                next,
                ReadLimit {
                    end: log.end(),
                    max_bytes: 500,
                },
            )
            .unwrap();
        found.extend(run.batches().map(Result::unwrap));
        assert!(run.next > next || run.bytes.is_empty(), "a read makes progress");
        if run.bytes.is_empty() {
            break;
        }
        next = run.next;
    }
    found
}

/// The offsets of the records of a batch.
pub(super) fn offsets_of(batch: &Batch) -> Vec<u64> {
    let base = batch.header().base.get();
    batch
        .records()
        .map(|record| base + u64::from(record.offset_delta()))
        .collect()
}

/// The offsets of all records of a log.
pub(super) fn offsets(log: &dyn Log) -> Vec<u64> {
    all_batches(log).iter().flat_map(offsets_of).collect()
}
