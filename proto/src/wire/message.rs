//! Messages on their way out.

use bytes::{BufMut, BytesMut};

use strandline_core::record::Batch;
use strandline_core::{Offset, OffsetRange, PartitionId, Timestamp};

use super::frame_reader::FRAME_PREFIX_BYTES;
use super::varint::{number_field_bytes, put_bytes_field, put_frame_prefix, put_number_field};
use crate::convert;

const OFFSET: u8 = 1;
const TIMESTAMP: u8 = 4;
const STREAM: u8 = 5;
const PARTITION: u8 = 6;

/// Most bytes of offset and timestamp with their keys.
const NUMBERS_MAX_BYTES: usize = 2 * 11;

/// Puts offset, timestamp, stream and partition before a stored record's body and frames it for gRPC.
#[derive(Clone, Debug)]
pub struct MessageFramer {
    /// Stream and partition, encoded.
    fixed: BytesMut,
}

impl MessageFramer {
    /// For the records of one partition.
    pub fn new(stream: &str, partition: PartitionId) -> Self {
        let mut fixed = BytesMut::with_capacity(stream.len() + 8);
        put_bytes_field(&mut fixed, STREAM, stream.as_bytes());
        put_number_field(&mut fixed, PARTITION, i64::from(partition.get()));
        Self { fixed }
    }

    /// Appends one whole frame.
    pub fn frame(&self, out: &mut BytesMut, offset: Offset, time: Timestamp, body: &[u8]) {
        let (offset, time) = (convert::wire_offset(offset), time.nanos());
        let bytes = number_field_bytes(offset) + number_field_bytes(time) + self.fixed.len() + body.len();
        out.reserve(FRAME_PREFIX_BYTES + bytes);
        put_frame_prefix(out, bytes);
        put_number_field(out, OFFSET, offset);
        put_number_field(out, TIMESTAMP, time);
        out.put_slice(&self.fixed);
        out.put_slice(body);
    }

    /// Appends the frames of those records of a batch whose offsets lie in `wanted`, in order.
    pub fn frames(&self, out: &mut BytesMut, batch: &Batch, wanted: OffsetRange) {
        let header = batch.header();
        let records = header.records as usize;
        // A frame's prefix is shorter than a stored record's, so this is enough: one growth of the buffer per batch.
        out.reserve(batch.bytes().len() + records * (self.fixed.len() + NUMBERS_MAX_BYTES));
        for record in batch.records() {
            let offset = header.base.plus(u64::from(record.offset_delta()));
            if wanted.contains(offset) {
                let nanos = header
                    .first_time
                    .nanos()
                    .saturating_add(i64::from(record.time_delta()));
                self.frame(out, offset, Timestamp::from_nanos(nanos), record.body());
            }
        }
    }
}
