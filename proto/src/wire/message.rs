//! Messages on their way out.

use bytes::{BufMut, BytesMut};

use strandline_core::record::{Batch, BatchHeader, RecordIter};
use strandline_core::{Offset, OffsetRange, PartitionId, Timestamp};

use super::frame_reader::FRAME_PREFIX_BYTES;
use super::varint::{Short, number_field_bytes, put_bytes_field, put_number_field};
use crate::convert;

/// Header of a message that is no record: it tells a subscriber who asked for it that all records up to its offset were looked
/// at.
pub const PROGRESS_HEADER: &str = "strandline-progress";
/// The body of such a message: this header, with an empty value.
const PROGRESS_BODY: &[u8] = b"\x4a\x17\x0a\x13strandline-progress\x12\x00";

const OFFSET: u8 = 1;
const TIMESTAMP: u8 = 4;
const STREAM: u8 = 5;
const PARTITION: u8 = 6;

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
        Short::new()
            .frame_prefix(bytes)
            .number_field(OFFSET, offset)
            .number_field(TIMESTAMP, time)
            .put_into(out);
        out.put_slice(&self.fixed);
        out.put_slice(body);
    }

    /// Appends the frame of a message that tells how far its subscription is.
    pub fn progress(&self, out: &mut BytesMut, offset: Offset, time: Timestamp) {
        self.frame(out, offset, time, PROGRESS_BODY);
    }

    /// The frames of those records of a batch whose offsets lie in `wanted`, in order.
    pub fn batch<'a>(&'a self, batch: &'a Batch, wanted: OffsetRange) -> BatchFrames<'a> {
        BatchFrames {
            framer: self,
            header: batch.header(),
            records: batch.records(),
            wanted,
        }
    }
}

/// Frames of one batch, made a piece at a time.
#[derive(Debug)]
pub struct BatchFrames<'a> {
    framer: &'a MessageFramer,
    header: &'a BatchHeader,
    records: RecordIter<'a>,
    wanted: OffsetRange,
}

impl BatchFrames<'_> {
    /// Appends frames until the buffer holds so many bytes, or a little more; true when that were the last.
    pub fn put(&mut self, out: &mut BytesMut, max_bytes: usize) -> bool {
        while out.len() < max_bytes {
            let Some(record) = self.records.next() else {
                return true;
            };
            let offset = self.header.base.plus(u64::from(record.offset_delta()));
            if self.wanted.contains(offset) {
                self.framer
                    .frame(out, offset, self.header.time(&record), record.body());
            }
        }
        false
    }
}
