//! Cutting batches into blocks, and what the manifest has to know of them: arithmetic without input and output.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use strandline_core::record::Batch;
use strandline_core::{LeaderEpoch, Offset, Timestamp};

use super::footer::{Block, Footer};
use super::{BLOCK_BYTES, HEADER_BYTES, TRAILER_BYTES, header};

/// An object that grows batch by batch.
pub(in super::super) struct Blocks {
    start: Offset,
    /// Batches of the block that grows.
    open: Vec<Bytes>,
    open_bytes: usize,
    open_records: u32,
    open_first: Option<(Offset, Timestamp)>,
    position: u64,
    blocks: Vec<Block>,
    epochs: Vec<(LeaderEpoch, Offset)>,
    times: Option<(Timestamp, Timestamp)>,
    records: u64,
    whole: Digest,
}

/// What the manifest has to know of a finished object.
pub(in super::super) struct ObjectTotals {
    pub(in super::super) records: u64,
    pub(in super::super) bytes: u64,
    pub(in super::super) footer_bytes: u64,
    pub(in super::super) object_bytes: u64,
    pub(in super::super) crc32c: u32,
    pub(in super::super) first_time: Timestamp,
    pub(in super::super) last_time: Timestamp,
    pub(in super::super) epochs: Vec<(LeaderEpoch, Offset)>,
}

impl Blocks {
    /// An object that answers for offsets from `start` on, and its first bytes.
    pub(in super::super) fn begin(start: Offset) -> (Self, Bytes) {
        let first = Bytes::copy_from_slice(&header());
        let mut whole = Digest::new(CrcAlgorithm::Crc32Iscsi);
        whole.update(&first);
        let blocks = Self {
            start,
            open: Vec::new(),
            open_bytes: 0,
            open_records: 0,
            open_first: None,
            position: HEADER_BYTES as u64,
            blocks: Vec::new(),
            epochs: Vec::new(),
            times: None,
            records: 0,
            whole,
        };
        (blocks, first)
    }

    /// Adds a batch. Returns the bytes of the block that ended before it, if one did.
    pub(in super::super) fn push(&mut self, batch: &Batch) -> Vec<Bytes> {
        let (header, bytes) = (batch.header(), batch.bytes());
        let is_full = self.open_bytes + bytes.len() > BLOCK_BYTES && self.open_bytes > 0;
        let done = if is_full { self.close() } else { Vec::new() };
        self.open_first.get_or_insert((header.base, header.first_time));
        self.open_bytes += bytes.len();
        self.open_records = self.open_records.saturating_add(header.records);
        self.open.push(bytes.clone());
        self.records += u64::from(header.records);
        let (first, last) = self.times.unwrap_or((header.first_time, header.last_time));
        self.times = Some((first, last.max(header.last_time)));
        if self.epochs.last().is_none_or(|(epoch, _)| *epoch < header.epoch) {
            let from = if self.epochs.is_empty() {
                self.start
            } else {
                header.base
            };
            self.epochs.push((header.epoch, from));
        }
        done
    }

    /// Ends the block that grows.
    fn close(&mut self) -> Vec<Bytes> {
        let Some((base, first_time)) = self.open_first.take() else {
            return Vec::new();
        };
        let mut sum = Digest::new(CrcAlgorithm::Crc32Iscsi);
        for bytes in &self.open {
            sum.update(bytes);
            self.whole.update(bytes);
        }
        self.blocks.push(Block {
            position: self.position,
            // A block is a batch, or not longer than its limit; both fit.
            length: self.open_bytes as u32,
            crc32c: sum.finalize() as u32,
            base,
            records: self.open_records,
            first_time,
        });
        self.position += self.open_bytes as u64;
        (self.open_bytes, self.open_records) = (0, 0);
        std::mem::take(&mut self.open)
    }

    /// As [`finish`](Self::finish), of an object that takes the place of others: their epochs stay, also those whose records are
    /// gone. They have to hold those of the batches.
    pub(in super::super) fn finish_for(
        mut self,
        epochs: Vec<(LeaderEpoch, Offset)>,
    ) -> Option<(Vec<Bytes>, ObjectTotals)> {
        self.epochs = epochs;
        self.finish()
    }

    /// The last bytes, and what the manifest has to know; none when there was no batch.
    pub(in super::super) fn finish(mut self) -> Option<(Vec<Bytes>, ObjectTotals)> {
        let mut rest = self.close();
        let (first_time, last_time) = self.times?;
        let footer = Footer::new(self.blocks, self.epochs.clone());
        let tail = footer.encode();
        self.whole.update(&tail);
        let totals = ObjectTotals {
            records: self.records,
            bytes: self.position - HEADER_BYTES as u64,
            footer_bytes: (tail.len() - TRAILER_BYTES) as u64,
            object_bytes: self.position + tail.len() as u64,
            crc32c: self.whole.finalize() as u32,
            first_time,
            last_time,
            epochs: self.epochs,
        };
        rest.push(tail);
        Some((rest, totals))
    }
}
