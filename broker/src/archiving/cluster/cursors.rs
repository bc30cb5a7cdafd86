//! All cursors that the cluster has stored.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use strandline_core::storage::{Log, ReadError};
use strandline_core::{Offset, OffsetRange};

use super::manifest::StoredCursor;
use crate::context::Context;
use crate::cursors::{STREAM, stored_cursor, walk};
use crate::partition::PartitionHandle;

/// Most cursors that are told of: a document has to hold them.
const MAX_CURSORS: usize = 200_000;

/// Where the partitions of the stream of cursors end; equal ends mean equal cursors.
pub(super) fn ends(context: &Context) -> Vec<Offset> {
    let stream = context.streams.get(STREAM);
    let open = stream.iter().flat_map(|stream| stream.open());
    open.map(|partition| partition.readable().end).collect()
}

/// The newest position of each cursor, in order. None when there are too many. Blocks.
pub(super) fn collect(context: &Context) -> Result<Option<Vec<StoredCursor>>, ReadError> {
    let mut newest = BTreeMap::new();
    let stream = context.streams.get(STREAM);
    for partition in stream.iter().flat_map(|stream| stream.open()) {
        if !take(partition, &mut newest)? {
            return Ok(None);
        }
    }
    let mut cursors: Vec<_> = newest.into_values().collect();
    cursors.sort_unstable();
    Ok(Some(cursors))
}

/// Takes note of a partition's cursors; false when there are too many.
fn take(
    partition: &PartitionHandle,
    newest: &mut BTreeMap<Vec<u8>, StoredCursor>,
) -> Result<bool, ReadError> {
    let range = OffsetRange::new(partition.log().start(), partition.readable().end);
    let mut fits = true;
    walk(partition, range, |batch| {
        for record in batch.records() {
            let stored = stored_cursor(record.value());
            if let Some((record_key, (key, position))) = record.key().zip(stored) {
                let cursor = StoredCursor {
                    stream: key.stream().to_owned(),
                    partition: key.partition(),
                    id: key.id().to_owned(),
                    position,
                };
                newest.insert(record_key.to_vec(), cursor);
            }
        }
        fits = newest.len() <= MAX_CURSORS;
        if fits {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok(fits)
}
