//! Looking a cursor up in the log.

use std::ops::ControlFlow;

use strandline_core::OffsetRange;
use strandline_core::storage::{Log, ReadError};

use super::PartitionCursors;
use super::cache::{Found, Stored};
use super::key::position_of;
use super::walk::walk;
use crate::partition::PartitionHandle;

/// The position that a key's newest committed record stores. Reads the segments from the newest on until one has the key,
/// and takes note of all cursors in them. Blocks on the disk.
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
    for segment in partition.log().segments().iter().rev() {
        let range = OffsetRange::new(segment.range.start, segment.range.end.min(end));
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
    walk(partition, range, |batch| {
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
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
