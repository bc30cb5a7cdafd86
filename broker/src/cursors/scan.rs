//! Looking a cursor up in the log.

use std::io;

use strandline_core::OffsetRange;
use strandline_core::storage::{Log, ReadError, ReadLimit, read_waiting};

use super::PartitionCursors;
use super::cache::{Found, Stored};
use super::key::position_of;
use crate::partition::PartitionHandle;

/// Bytes that one read takes at the most, unless a single batch is larger.
const READ_MAX_BYTES: usize = 1 << 20;

/// The position that a key's newest committed record stores. Reads the segments from the newest on until one has the key,
/// and takes note of all cursors in them. Blocks on the disk, and on an archive if it comes to that.
pub(super) fn look_up(
    partition: &PartitionHandle,
    known: &PartitionCursors,
    key: &[u8],
) -> Result<Option<i64>, ReadError> {
    let _scanning = known.scanning.lock();
    let losses = {
        let mut cache = known.cache.lock();
        if let Found::Known(position) = cache.find(key) {
            // Whoever read before has found it.
            return Ok(position);
        }
        cache.losses()
    };
    let end = partition.readable().end;
    let mut ranges: Vec<_> = partition
        .log()
        .segments()
        .iter()
        .map(|segment| segment.range)
        .collect();
    if let Some(oldest) = ranges.first().map(|range| range.start) {
        // What went to an archive, all of it at once.
        ranges.insert(0, OffsetRange::new(partition.log().start(), oldest));
    }
    for range in ranges.iter().rev() {
        let range = OffsetRange::new(range.start, range.end.min(end));
        if let Some(stored) = scan(partition, known, range, key)? {
            return Ok(Some(stored.position));
        }
    }
    let mut cache = known.cache.lock();
    cache.note_complete(losses);
    // It may have been stored meanwhile.
    match cache.find(key) {
        Found::Known(position) => Ok(position),
        Found::Unknown => Ok(None),
    }
}

/// Takes note of all cursors of a range, and returns what the key's newest record in it stores.
fn scan(
    partition: &PartitionHandle,
    known: &PartitionCursors,
    range: OffsetRange,
    key: &[u8],
) -> Result<Option<Stored>, ReadError> {
    let mut found = None;
    let mut next = range.start;
    while next < range.end {
        let limit = ReadLimit {
            end: range.end,
            max_bytes: READ_MAX_BYTES,
        };
        let run = match read_waiting(|| partition.log().read(next, limit)) {
            Err(ReadError::Trimmed { start }) if start > next => {
                next = start;
                continue;
            }
            other => other?,
        };
        if run.next <= next {
            break;
        }
        next = run.next;
        for batch in run.batches() {
            let batch = batch.map_err(io::Error::other)?;
            let batch = partition.info().packing.unpacker().unpack(&batch)?;
            let mut cache = known.cache.lock();
            for record in batch.records() {
                let offset = batch.header().base.plus(u64::from(record.offset_delta()));
                let Some((record_key, position)) = record.key().zip(position_of(record.value())) else {
                    continue;
                };
                let stored = Stored {
                    record: offset,
                    position,
                };
                cache.note(record_key, stored);
                if record_key == key && offset < range.end {
                    found = Some(stored);
                }
            }
        }
    }
    Ok(found)
}
