//! Builds batches.

use bytes::{BufMut, BytesMut};

use super::batch::Batch;
use super::body::RecordView;
use super::header::{BatchHeader, HEADER_BYTES, MAX_BUILT_BYTES};
use crate::{LeaderEpoch, Offset, Timestamp};

/// Collects records into one batch: each is copied once and its deltas are stamped on the way.
///
/// One builder serves many batches; its buffer is reused where the finished batch has been dropped.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    buffer: BytesMut,
    header: BatchHeader,
}

impl BatchBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of records so far.
    pub fn records(&self) -> u32 {
        self.header.records
    }

    /// Length of the batch so far in bytes, header included; 0 before the first record.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Makes room for a batch whose records have so many bytes, so that its buffer does not grow by being copied.
    pub fn reserve(&mut self, record_bytes: usize) {
        self.buffer.reserve(HEADER_BYTES + record_bytes);
    }

    /// Whether a record of so many bytes at this place would break a limit of the format, so that the batch must be
    /// finished first. Never true for an empty builder.
    pub fn must_finish_before(&self, record_bytes: usize, offset: Offset, time: Timestamp) -> bool {
        self.header.records > 0
            && (self.buffer.len() + record_bytes > MAX_BUILT_BYTES
                || offset.since(self.header.base) > u64::from(u32::MAX)
                || time.nanos() - self.header.first_time.nanos() > i64::from(u32::MAX))
    }

    /// Appends a record that is already encoded, at this offset and time.
    ///
    /// Offsets must grow and times must not fall within a batch, [`BatchBuilder::must_finish_before`] must be false and the
    /// record within [`MAX_BUILT_BYTES`] with a header: all are asserted, because a batch that breaks them cannot be read back.
    pub fn push(&mut self, record: &RecordView<'_>, epoch: LeaderEpoch, offset: Offset, time: Timestamp) {
        if self.header.records == 0 {
            self.begin(epoch, offset, time);
        } else {
            assert!(offset > self.header.last, "offsets of a batch must grow");
            assert!(time >= self.header.last_time, "times of a batch must not fall");
        }
        let fits = self.buffer.len() + record.bytes() <= MAX_BUILT_BYTES;
        assert!(
            fits && !self.must_finish_before(record.bytes(), offset, time),
            "the batch is over a limit of its format"
        );
        let mut prefix = *record.prefix();
        prefix[4..8].copy_from_slice(&(offset.since(self.header.base) as u32).to_le_bytes());
        prefix[8..12]
            .copy_from_slice(&((time.nanos() - self.header.first_time.nanos()) as u32).to_le_bytes());
        self.buffer.reserve(record.bytes());
        self.buffer.put_slice(&prefix);
        self.buffer.put_slice(record.body());
        self.header.records += 1;
        self.header.last = offset;
        self.header.last_time = time;
    }

    /// Finishes the batch, if there is a record, and leaves the builder empty.
    pub fn finish(&mut self) -> Option<Batch> {
        if self.header.records == 0 {
            return None;
        }
        let header = std::mem::take(&mut self.header);
        // `push` keeps the limits.
        Batch::seal(header, self.buffer.split()).ok()
    }

    fn begin(&mut self, epoch: LeaderEpoch, offset: Offset, time: Timestamp) {
        self.buffer.clear();
        self.buffer.put_bytes(0, HEADER_BYTES);
        self.header = BatchHeader {
            epoch,
            base: offset,
            last: offset,
            first_time: time,
            last_time: time,
            ..BatchHeader::default()
        };
    }
}
