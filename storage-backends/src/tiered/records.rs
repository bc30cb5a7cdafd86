//! Batches for tests, whose records tell what they are.

use bytes::BytesMut;

use strandline_core::record::{Batch, BatchBuilder, Fields, RecordIter, append_record};
use strandline_core::{LeaderEpoch, Offset, Timestamp};

/// A batch with records at these offsets.
pub(crate) fn batch_of(offsets: &[u64]) -> Batch {
    batch_with(offsets, 1, 10)
}

/// A batch of an epoch with values of so many bytes.
pub(crate) fn batch_with(offsets: &[u64], epoch: u64, value_bytes: usize) -> Batch {
    let mut builder = BatchBuilder::new();
    for &offset in offsets {
        // Values that no two records share, so that a mistaken place is seen.
        let value: Vec<u8> = offset
            .to_le_bytes()
            .into_iter()
            .cycle()
            .take(value_bytes)
            .collect();
        let fields = Fields {
            key: None,
            value: &value,
            subject: "s",
            reply: "",
        };
        let mut bytes = BytesMut::new();
        append_record(&mut bytes, &fields, []).unwrap();
        let record = RecordIter::new(&bytes).next().unwrap();
        let (epoch, at) = (LeaderEpoch::new(epoch), Offset::new(offset));
        builder.push(&record, epoch, at, time_of(offset));
    }
    builder.finish().unwrap()
}

/// When a record was accepted.
pub(crate) fn time_of(offset: u64) -> Timestamp {
    Timestamp::from_nanos(offset as i64 * 1000)
}
