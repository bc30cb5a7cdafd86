//! Looks at what is in the database.

use std::io;
use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};
use redb::{AccessGuard, Range, ReadOnlyTable, ReadTransaction, ReadableTable};

use strandline_core::record::{Batch, BatchHeader, HEADER_BYTES};
use strandline_core::storage::{ReadError, ReadLimit, Run, StorageError};
use strandline_core::{LogId, Offset, Timestamp};

use super::database::{Database, contained, damage};
use super::shape::{Content, Segment, SegmentId, Shape};
use super::tables::{
    BATCHES, BatchKey, EPOCHS, EpochKey, LEFTOVERS, LOGS, SEGMENTS, SegmentKey, batch_key, batch_keys,
    batch_of_key, decode_content, decode_epoch, decode_log, epoch_keys, log_key, log_of_key, segment_keys,
    segment_of_key,
};

/// Bytes that one read takes at the most, unless a single batch is larger.
const READ_MAX_BYTES: usize = 8 << 20;

type Entries<'a> = Range<'a, &'static BatchKey, &'static [u8]>;
/// In the page where they are stored.
type PartBytes<'a> = AccessGuard<'a, &'static [u8]>;

/// The batches of a log as they were committed at one moment.
pub(super) struct Stored<'a> {
    database: &'a Database,
    log: LogId,
    batches: ReadOnlyTable<&'static BatchKey, &'static [u8]>,
}

impl<'a> Stored<'a> {
    pub(super) fn new(
        database: &'a Database,
        log: LogId,
        transaction: &ReadTransaction,
    ) -> Result<Self, ReadError> {
        let batches = transaction
            .open_table(BATCHES)
            .map_err(|error| database.read_error(error.into()))?;
        Ok(Self {
            database,
            log,
            batches,
        })
    }

    /// Whole batches of one segment, from the one that holds `from` on; none if there is none below the limit.
    pub(super) fn run(
        &self,
        segment: SegmentId,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Option<Run>, ReadError> {
        let start = self.last_base(segment, from)?.unwrap_or(from);
        let mut entries = self.entries(self.keys_from(segment, start))?;
        let max_bytes = limit.max_bytes.min(READ_MAX_BYTES);
        let mut bytes = BytesMut::new();
        let mut headers: Vec<BatchHeader> = Vec::new();
        // To look for more behind the last one might mean a damaged page of another log.
        while headers.last().is_none_or(|last| last.end() < limit.end) {
            let length = bytes.len();
            let room = (!headers.is_empty()).then(|| max_bytes.saturating_sub(length));
            if headers.len() == 1 {
                // More seem to come: room for all of them.
                bytes.reserve(room.unwrap_or_default());
            }
            match self.take_batch(&mut entries, limit.end, room, &mut bytes) {
                Ok(Some(header)) if header.end() > from => headers.push(header),
                Ok(Some(_)) => bytes.truncate(length),
                Ok(None) => break,
                // What comes before it can be read; the next read begins here, and fails.
                Err(_) if !headers.is_empty() => {
                    bytes.truncate(length);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let bytes = bytes.freeze();
        self.check_batches(&headers, &bytes)?;
        Ok(headers.last().map(|last| Run {
            bytes,
            next: last.end(),
        }))
    }

    /// Adds the next batch, unless there is none before `end` or it does not go into `room`, if that matters.
    fn take_batch(
        &self,
        entries: &mut Entries<'_>,
        end: Offset,
        room: Option<usize>,
        out: &mut BytesMut,
    ) -> Result<Option<BatchHeader>, ReadError> {
        let Some((header, first)) = self.next_batch(entries)? else {
            return Ok(None);
        };
        if header.base >= end || room.is_some_and(|room| header.bytes as usize > room) {
            return Ok(None);
        }
        self.collect(&header, first.value(), entries, out)?;
        Ok(Some(header))
    }

    /// The last batch of a segment that begins before this offset.
    pub(super) fn last_before(&self, segment: SegmentId, before: Offset) -> Result<Option<Batch>, ReadError> {
        let base = match before.before() {
            Some(last) => self.last_base(segment, last)?,
            None => None,
        };
        let Some(base) = base else {
            return Ok(None);
        };
        let mut entries = self.entries(self.keys_from(segment, base))?;
        let Some((header, first)) = self.next_batch(&mut entries)? else {
            return Ok(None);
        };
        let mut bytes = BytesMut::new();
        self.collect(&header, first.value(), &mut entries, &mut bytes)?;
        self.checked(header.base, &bytes.freeze()).map(Some)
    }

    /// The offset of the first record of a segment that is not older than this time. Halves the segment, as times do not fall.
    pub(super) fn first_at(&self, segment: &Segment, time: Timestamp) -> Result<Option<Offset>, ReadError> {
        let range = segment.content.range;
        let (mut low, mut high) = (range.start, range.end);
        let mut found = None;
        while low < high {
            let middle = low.plus(high.since(low) / 2);
            match self.last_base(segment.id, middle)? {
                Some(base) if base >= low => {
                    let header = self.header(segment.id, base)?;
                    if header.last_time >= time {
                        (found, high) = (Some(header), base);
                    } else {
                        low = middle.plus(1);
                    }
                }
                _ => low = middle.plus(1),
            }
        }
        let Some(header) = found.filter(|header| header.first_time < time) else {
            return Ok(found.map(|header| header.base));
        };
        let batch = self.last_before(segment.id, header.end())?;
        Ok(batch.map(|batch| first_within(&batch, time)))
    }

    /// What of a segment lies before an offset, or the range of the batch that the offset lies in.
    pub(super) fn content_before(
        &self,
        segment: SegmentId,
        end: Offset,
    ) -> Result<Result<Content, BatchHeader>, ReadError> {
        let mut content = Content::empty(segment.base);
        let mut entries = self.entries(self.keys_from(segment, Offset::ZERO))?;
        while let Some((header, first)) = self.next_batch(&mut entries)? {
            if header.base >= end {
                break;
            }
            if header.end() > end {
                return Ok(Err(header));
            }
            content.note(&header);
            let mut left = (header.bytes as usize).saturating_sub(first.value().len());
            while left > 0 {
                let part = self.next_part(header.base, &mut entries)?;
                left = left.saturating_sub(part.value().len().max(1));
            }
        }
        Ok(Ok(content))
    }

    /// Where the last batch begins that begins at or before this offset.
    fn last_base(&self, segment: SegmentId, at: Offset) -> Result<Option<Offset>, ReadError> {
        // Mostly one begins right there. To look for the last one before means to look at the page behind, which may be damaged.
        let exact = contained(|| Ok(self.batches.get(&batch_key(self.log, segment, at, 0))?.is_some()));
        if exact.map_err(|error| self.database.read_error(error))? {
            return Ok(Some(at));
        }
        let (first, _) = batch_keys(self.log, segment);
        let mut entries = self.entries(first..=batch_key(self.log, segment, at, u32::MAX))?;
        match entries.next_back() {
            None => Ok(None),
            Some(Ok((key, _))) => Ok(Some(batch_of_key(key.value()).0)),
            Some(Err(error)) => Err(self.database.read_error(error.into())),
        }
    }

    fn header(&self, segment: SegmentId, base: Offset) -> Result<BatchHeader, ReadError> {
        let mut entries = self.entries(self.keys_from(segment, base))?;
        match self.next_batch(&mut entries)? {
            Some((header, _)) => Ok(header),
            None => Err(self.damaged(base, "the first part is missing")),
        }
    }

    fn keys_from(&self, segment: SegmentId, from: Offset) -> RangeInclusive<BatchKey> {
        let (_, last) = batch_keys(self.log, segment);
        batch_key(self.log, segment, from, 0)..=last
    }

    fn entries(&self, keys: RangeInclusive<BatchKey>) -> Result<Entries<'_>, ReadError> {
        let (first, last) = (keys.start(), keys.end());
        ReadableTable::range::<&BatchKey>(&self.batches, first..=last)
            .map_err(|error| self.database.read_error(error.into()))
    }

    /// The header and the first part of the next batch.
    fn next_batch<'e>(
        &self,
        entries: &mut Entries<'e>,
    ) -> Result<Option<(BatchHeader, PartBytes<'e>)>, ReadError> {
        let Some((offset, part, first)) = self.advance(entries)? else {
            return Ok(None);
        };
        let header = first
            .value()
            .first_chunk::<HEADER_BYTES>()
            .map(BatchHeader::decode);
        match header {
            Some(Ok(header)) if part == 0 && header.base == offset => Ok(Some((header, first))),
            Some(Err(reason)) => Err(self.damaged(offset, reason)),
            _ => Err(self.damaged(offset, "this is no first part of it")),
        }
    }

    /// Adds all parts of a batch to what was read.
    fn collect(
        &self,
        header: &BatchHeader,
        first: &[u8],
        entries: &mut Entries<'_>,
        out: &mut BytesMut,
    ) -> Result<(), ReadError> {
        let end = out.len() + header.bytes as usize;
        out.reserve(header.bytes as usize);
        out.extend_from_slice(first);
        while out.len() < end {
            out.extend_from_slice(self.next_part(header.base, entries)?.value());
        }
        if out.len() > end {
            return Err(self.damaged(header.base, "its parts are longer than it is"));
        }
        Ok(())
    }

    fn next_part<'e>(&self, base: Offset, entries: &mut Entries<'e>) -> Result<PartBytes<'e>, ReadError> {
        match self.advance(entries)? {
            Some((offset, _, bytes)) if offset == base => Ok(bytes),
            _ => Err(self.damaged(base, "a part of it is missing")),
        }
    }

    /// The next part: where its batch begins, which part of it this is, and its bytes. redb panics where a page is damaged.
    fn advance<'e>(
        &self,
        entries: &mut Entries<'e>,
    ) -> Result<Option<(Offset, u32, PartBytes<'e>)>, ReadError> {
        let entry = contained(|| Ok(entries.next().transpose()?));
        let entry = entry.map_err(|error| self.database.read_error(error))?;
        Ok(entry.map(|(key, bytes)| {
            let (offset, part) = batch_of_key(key.value());
            (offset, part, bytes)
        }))
    }

    fn check_batches(&self, headers: &[BatchHeader], bytes: &Bytes) -> Result<(), ReadError> {
        let mut at = 0;
        for header in headers {
            let end = at + header.bytes as usize;
            self.checked(header.base, &bytes.slice(at..end))?;
            at = end;
        }
        Ok(())
    }

    fn checked(&self, base: Offset, bytes: &Bytes) -> Result<Batch, ReadError> {
        Batch::checked(bytes).map_err(|error| self.damaged(base, &error.to_string()))
    }

    fn damaged(&self, base: Offset, reason: &str) -> ReadError {
        let reason = format!("the batch at offset {base} of log {}: {reason}", self.log);
        damage(self.database.path(), &reason).into()
    }
}

/// The first record of a batch that is not older than a time. Records that are packed count as one.
pub(super) fn first_within(batch: &Batch, time: Timestamp) -> Offset {
    let header = batch.header();
    if header.first_time >= time || header.codec != strandline_core::record::Codec::None {
        return header.base;
    }
    batch.first_at_or_after(time).unwrap_or(header.base)
}

/// The ids of all logs.
pub(super) fn list(database: &Database) -> Result<Vec<LogId>, ReadError> {
    database.read(|transaction| {
        let look = || {
            let logs = transaction.open_table(LOGS)?;
            let mut ids = Vec::new();
            for entry in logs.iter()? {
                ids.push(log_of_key(entry?.0.value()));
            }
            Ok(ids)
        };
        look().map_err(|error: redb::Error| database.read_error(error))
    })
}

/// Whether there are segments that belong to no log.
pub(super) fn has_leftovers(database: &Database) -> Result<bool, ReadError> {
    database.read(|transaction| {
        let look = || Ok(transaction.open_table(LEFTOVERS)?.first()?.is_some());
        look().map_err(|error: redb::Error| database.read_error(error))
    })
}

/// What a log consists of; none if there is no such log.
pub(super) fn load(database: &Database, log: LogId) -> Result<Option<Shape>, ReadError> {
    let loaded = database.read(|transaction| {
        let look = || {
            let logs = transaction.open_table(LOGS)?;
            let Some((start, generation)) = logs.get(&log_key(log))?.map(|value| decode_log(value.value()))
            else {
                return Ok(None);
            };
            let (first, last) = segment_keys(log);
            let mut segments = Vec::new();
            for entry in
                ReadableTable::range::<&SegmentKey>(&transaction.open_table(SEGMENTS)?, &first..=&last)?
            {
                let (key, value) = entry?;
                segments.push(Segment {
                    id: segment_of_key(key.value()).1,
                    content: decode_content(value.value()),
                });
            }
            let (first, last) = epoch_keys(log);
            let mut epochs = Vec::new();
            for entry in ReadableTable::range::<&EpochKey>(&transaction.open_table(EPOCHS)?, &first..=&last)?
            {
                let (key, value) = entry?;
                epochs.push(decode_epoch(key.value(), value.value()));
            }
            Ok(Some((start, generation, segments, epochs.into_iter().collect())))
        };
        look().map_err(|error: redb::Error| database.read_error(error))
    })?;
    let Some((start, generation, mut segments, epochs)) = loaded else {
        return Ok(None);
    };
    let Some(active) = segments.pop() else {
        return Err(damage(database.path(), &format!("log {log} has no segment")).into());
    };
    Ok(Some(Shape {
        start,
        generation,
        sealed: segments.into(),
        active,
        epochs,
    }))
}

/// An error of a look as one of the store.
pub(super) fn as_storage_error(database: &Database, error: ReadError) -> StorageError {
    match error {
        ReadError::Damaged(damage) => damage.into(),
        ReadError::Io(source) => crate::files::failed("reading", database.path())(source),
        ReadError::Closed => StorageError::Closed,
        other => crate::files::failed("reading", database.path())(io::Error::other(other.to_string())),
    }
}
