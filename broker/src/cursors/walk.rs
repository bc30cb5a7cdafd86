//! Reading a partition of the stream of cursors.

use std::io;
use std::ops::ControlFlow;

use strandline_core::OffsetRange;
use strandline_core::record::Batch;
use strandline_core::storage::{Log, ReadError, ReadLimit, read_waiting};

use crate::partition::PartitionHandle;

/// Bytes that one read takes at the most, unless a single batch is larger.
const READ_MAX_BYTES: usize = 1 << 20;

/// Shows the batches of a range in their plain form, one after another, until there are no more or the visitor has seen enough.
/// Goes on behind what is removed meanwhile. Blocks on the disk.
///
/// # Errors
///
/// The log cannot be read, or a batch not be unpacked.
pub(crate) fn walk(
    partition: &PartitionHandle,
    range: OffsetRange,
    mut visit: impl FnMut(&Batch) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let limit = ReadLimit {
        end: range.end,
        max_bytes: READ_MAX_BYTES,
    };
    let mut next = range.start;
    while next < range.end {
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
            if visit(&batch).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}
