//! Streaming a part of the local log into an object.

use std::sync::Arc;

use strandline_core::record::Batch;
use strandline_core::storage::{Log, ReadLimit, Run};
use strandline_core::{Offset, OffsetRange};

use super::super::bucket::{Throttle, Upload};
use super::super::{ArchiveError, BucketError};
use super::Blocks;
use super::blocks::ObjectTotals;

/// Bytes that are read at a time. A system that does not interrupt itself (`PREEMPT_NONE`) lets nobody else on a processor until a
/// read is done: one of a megabyte into new memory was seen to take 4.7 ms, which publishers felt.
const READ_BYTES: usize = 128 << 10;

/// What becomes an object: whole batches of the local log.
pub(in super::super) struct Source<'a> {
    pub(in super::super) log: &'a Arc<dyn Log>,
    /// From the archive's end to the end of a sealed segment.
    pub(in super::super) range: OffsetRange,
    pub(in super::super) throttle: &'a Throttle,
}

/// Writes the object, all but the last step that makes it visible; none when compaction has left no batch. Reading the log goes on
/// while parts are sent.
///
/// # Errors
///
/// The log cannot be read, or has a batch across the end of the archive; or a part could not be sent. Abort the upload then.
pub(in super::super) async fn write_segment(
    upload: &mut Upload,
    source: &Source<'_>,
) -> Result<Option<ObjectTotals>, ArchiveError> {
    let (mut blocks, header) = Blocks::begin(source.range.start);
    upload.write(header).await?;
    let mut next = source.range.start;
    while next < source.range.end {
        let run = upload
            .meanwhile(read(source.log, next, source.range.end))
            .await??;
        if run.bytes.is_empty() {
            break;
        }
        for batch in run.batches() {
            let batch = batch.map_err(|error| ArchiveError::local(&error))?;
            check_place(&batch, source.range)?;
            send(upload, source.throttle, blocks.push(&batch)).await?;
            // Whoever became ready while the batch was checked has waited long enough.
            std::thread::yield_now();
        }
        next = run.next;
    }
    let Some((rest, totals)) = blocks.finish() else {
        return Ok(None);
    };
    send(upload, source.throttle, rest).await?;
    Ok(Some(totals))
}

async fn send(
    upload: &mut Upload,
    throttle: &Throttle,
    pieces: Vec<bytes::Bytes>,
) -> Result<(), BucketError> {
    for piece in pieces {
        upload.meanwhile(throttle.take(piece.len() as u64)).await?;
        upload.write(piece).await?;
    }
    Ok(())
}

/// Reads on a thread that may block.
async fn read(log: &Arc<dyn Log>, from: Offset, end: Offset) -> Result<Run, ArchiveError> {
    let log = Arc::clone(log);
    let limit = ReadLimit {
        end,
        max_bytes: READ_BYTES,
    };
    let read = tokio::task::spawn_blocking(move || log.read(from, limit)).await;
    let run = read.map_err(|error| ArchiveError::local(&error))?;
    run.map_err(|error| ArchiveError::local(&error))
}

/// Batches cannot be cut: one that begins before the archive's end holds records that are there already.
fn check_place(batch: &Batch, range: OffsetRange) -> Result<(), ArchiveError> {
    let found = batch.header().range();
    if found.start < range.start {
        return Err(ArchiveError::CrossesEnd {
            end: range.start,
            batch: found,
        });
    }
    if found.end > range.end {
        let reason = format!(
            "the batch {found} reaches beyond its segment, which ends at {}",
            range.end
        );
        return Err(ArchiveError::Local { reason });
    }
    Ok(())
}
