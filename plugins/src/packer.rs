//! Lays records out for a plugin.

use std::ops::Range;

use strandline_core::record::{REPLY_HEADER, RecordView, SUBJECT_HEADER};

use crate::layout::{HEAD_BYTES, NO_KEY, RECORD_BYTES, head, record_head};
use crate::needs::Needs;

/// Most records of a packed batch.
pub const MAX_BATCH_RECORDS: usize = 65_536;
/// Most bytes of a packed batch, unless one record alone is larger.
pub const MAX_PACKED_BYTES: usize = 4 << 20;

/// What a record is made of, for callers that have no stored one.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The key; empty is not the same as none.
    pub key: Option<&'a [u8]>,
    /// The subject.
    pub subject: &'a [u8],
    /// Names and values of headers, without the reserved ones.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// The value.
    pub value: &'a [u8],
}

/// Makes batches, one after another, in the same buffers.
#[derive(Debug, Default)]
pub struct Packer {
    needs: Needs,
    limit: usize,
    bytes: Vec<u8>,
    /// Where each record starts, and where the last one ends.
    starts: Vec<u32>,
}

impl Packer {
    /// A packer that takes nothing before [`Packer::begin`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets what was packed. From now on it packs what is needed, `limit` records at the most.
    pub fn begin(&mut self, needs: Needs, limit: usize) {
        self.needs = needs;
        self.limit = limit.clamp(1, MAX_BATCH_RECORDS);
        self.bytes.clear();
        self.bytes.extend_from_slice(&head(0));
        self.starts.clear();
        self.starts.push(HEAD_BYTES as u32);
    }

    /// Takes a record. False: the batch is full and the record is not in it. The first record always fits.
    pub fn push(&mut self, record: &RecordView<'_>) -> bool {
        if self.is_full() {
            return false;
        }
        let needs = self.needs;
        let (key, value) = (record.key(), record.value());
        if needs == Needs::default() {
            return self.put_lengths(key, value.len() as u32);
        }
        let value_bytes = needs.value.of(value.len());
        self.open();
        let key_bytes = self.put_key(key);
        let subject_bytes = if needs.subject {
            self.put(record.subject())
        } else {
            0
        };
        let headers = needs.headers.then(|| record.headers()).into_iter().flatten();
        let headers_bytes = self.put_headers(headers.filter(|(name, _)| !is_reserved(name)));
        let put = self.put(&value[..value_bytes]);
        self.close([key_bytes, subject_bytes, headers_bytes, put, value.len() as u32])
    }

    /// Takes a record by its parts, as [`Packer::push`] does.
    pub fn push_parts(&mut self, parts: &Parts<'_>) -> bool {
        if self.is_full() {
            return false;
        }
        let needs = self.needs;
        let value_bytes = needs.value.of(parts.value.len());
        self.open();
        let key_bytes = self.put_key(parts.key);
        let subject_bytes = if needs.subject { self.put(parts.subject) } else { 0 };
        let headers: &[_] = if needs.headers { parts.headers } else { &[] };
        let headers_bytes = self.put_headers(headers.iter().copied());
        let put = self.put(&parts.value[..value_bytes]);
        let whole = parts.value.len() as u32;
        self.close([key_bytes, subject_bytes, headers_bytes, put, whole])
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was packed.
    pub fn batch(&mut self) -> PackedBatch<'_> {
        if self.starts.is_empty() {
            self.begin(self.needs, self.limit);
        }
        self.bytes[..HEAD_BYTES].copy_from_slice(&head(self.starts.len() as u32 - 1));
        PackedBatch {
            bytes: &self.bytes,
            starts: &self.starts,
        }
    }

    fn is_full(&self) -> bool {
        self.starts.is_empty() || self.len() >= self.limit || self.bytes.len() >= MAX_PACKED_BYTES
    }

    /// Takes a record of which nothing is needed but whether it has a key and how long its value is.
    fn put_lengths(&mut self, key: Option<&[u8]>, value_bytes: u32) -> bool {
        let key_bytes = if key.is_some() { 0 } else { NO_KEY };
        let head = record_head([RECORD_BYTES as u32, key_bytes, 0, 0, 0, value_bytes]);
        self.bytes.extend_from_slice(&head);
        self.starts.push(self.bytes.len() as u32);
        true
    }

    /// Makes room for the fixed part of a record, which [`Packer::close`] writes.
    fn open(&mut self) {
        self.bytes.extend_from_slice(&[0; RECORD_BYTES]);
    }

    fn put(&mut self, bytes: &[u8]) -> u32 {
        self.bytes.extend_from_slice(bytes);
        bytes.len() as u32
    }

    fn put_key(&mut self, key: Option<&[u8]>) -> u32 {
        match key {
            None => NO_KEY,
            Some(key) if self.needs.key => self.put(key),
            Some(_) => 0,
        }
    }

    fn put_headers<'h>(&mut self, headers: impl Iterator<Item = (&'h [u8], &'h [u8])>) -> u32 {
        let start = self.bytes.len();
        for (name, value) in headers {
            self.put(&(name.len() as u32).to_le_bytes());
            self.put(&(value.len() as u32).to_le_bytes());
            self.put(name);
            self.put(value);
        }
        (self.bytes.len() - start) as u32
    }

    /// Writes the fixed part of the record that was put last, or takes it out again where it makes the batch too large.
    fn close(&mut self, [key, subject, headers, value, whole_value]: [u32; 5]) -> bool {
        let start = self.starts.last().map_or(HEAD_BYTES, |start| *start as usize);
        let is_over = self.bytes.len() > MAX_PACKED_BYTES && !self.is_empty();
        if is_over {
            self.bytes.truncate(start);
            return false;
        }
        let whole = (self.bytes.len() - start) as u32;
        let head = record_head([whole, key, subject, headers, value, whole_value]);
        self.bytes[start..start + RECORD_BYTES].copy_from_slice(&head);
        self.starts.push(self.bytes.len() as u32);
        true
    }
}

fn is_reserved(name: &[u8]) -> bool {
    name == SUBJECT_HEADER.as_bytes() || name == REPLY_HEADER.as_bytes()
}

/// Records as a plugin gets them.
#[derive(Clone, Copy, Debug)]
pub struct PackedBatch<'a> {
    bytes: &'a [u8],
    starts: &'a [u32],
}

impl<'a> PackedBatch<'a> {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole batch.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where in the batch these records start.
    pub(crate) fn start(&self, records: &Range<usize>) -> usize {
        self.starts.get(records.start).map_or(0, |start| *start as usize)
    }

    /// A batch of these records alone, in `scratch` unless it is all of them.
    pub(crate) fn part<'b>(&self, records: &Range<usize>, scratch: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        if records.len() == self.len() {
            return self.bytes;
        }
        let end = self.start(&(records.end..records.end));
        scratch.clear();
        scratch.extend_from_slice(&head(records.len() as u32));
        scratch.extend_from_slice(self.bytes.get(self.start(records)..end).unwrap_or_default());
        scratch
    }
}
