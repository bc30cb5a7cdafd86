//! Messages on their way out.

use bytes::{BufMut, BytesMut};

use strandline_core::{Offset, PartitionId, Timestamp};

use super::varint::{number_field_bytes, put_bytes_field, put_frame_prefix, put_number_field};
use crate::convert;

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
        put_frame_prefix(out, bytes);
        put_number_field(out, OFFSET, offset);
        put_number_field(out, TIMESTAMP, time);
        out.put_slice(&self.fixed);
        out.put_slice(body);
    }
}
