//! Batches of records of 256 bytes.

use bytes::BytesMut;
use strandline_core::record::{Batch, BatchBuilder, Fields, RecordIter, append_record};
use strandline_core::{LeaderEpoch, Offset, Timestamp};

pub(crate) const VALUE_BYTES: usize = 256;

/// One record, encoded.
pub(crate) fn record() -> BytesMut {
    let mut bytes = BytesMut::new();
    let fields = Fields {
        key: None,
        value: &[0x5a; VALUE_BYTES],
        subject: "bench",
        reply: "",
    };
    append_record(&mut bytes, &fields, []).unwrap();
    bytes
}

/// So many equal records from this offset on, of which every `step`th is there.
pub(crate) fn batch(base: Offset, records: u64, step: u64, record: &[u8]) -> Batch {
    let mut builder = BatchBuilder::new();
    let record = RecordIter::new(record).next().unwrap();
    for number in 0..records {
        let offset = base.plus(number * step);
        let time = Timestamp::from_nanos(1000 * offset.get() as i64);
        builder.push(&record, LeaderEpoch::new(1), offset, time);
    }
    builder.finish().unwrap()
}
