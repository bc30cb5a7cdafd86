//! Reading a segment, and telling a torn write from damage.

use std::path::Path;

use super::frame::{self, PREFIX_BYTES, Place};
use super::segment::{HEADER_BYTES, Header};
use super::{Record, WalError};

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) records: Vec<(u64, Record)>,
    /// Where the valid records end.
    pub(super) end: u64,
    /// Whether something that is neither a record nor unwritten space follows.
    pub(super) torn: bool,
    /// Whether the segment says that another one follows.
    pub(super) sealed: bool,
}

/// Reads the records of a segment. `sealed_end` is where its successor says that they end; the last segment has none.
pub(super) fn scan(
    path: &Path,
    bytes: &[u8],
    header: &Header,
    sealed_end: Option<u64>,
) -> Result<Scan, WalError> {
    let mut scan = Scan {
        records: Vec::new(),
        end: HEADER_BYTES as u64,
        torn: false,
        sealed: false,
    };
    while let Some(frame) = frame_at(bytes, header.segment, scan.end) {
        let Some(record) = Record::decode(frame.kind, frame.payload) else {
            return Err(WalError::damaged(
                path,
                scan.end,
                format!("unknown kind of record: {}", frame.kind),
            ));
        };
        if record == Record::Sealed {
            scan.sealed = true;
            break;
        }
        scan.records.push((scan.end, record));
        scan.end += frame.bytes() as u64;
    }
    let rest = usize::try_from(scan.end)
        .ok()
        .and_then(|end| bytes.get(end..))
        .unwrap_or_default();
    scan.torn = rest.iter().any(|&byte| byte != 0);
    let must_reach = sealed_end.unwrap_or(header.checkpoint_end);
    let lost = scan.end < must_reach || sealed_end.is_some_and(|end| end < scan.end);
    if lost || (scan.torn && was_durable(bytes, header.segment, scan.end)) {
        return Err(WalError::damaged(
            path,
            scan.end,
            "record that was written and synced cannot be read",
        ));
    }
    Ok(scan)
}

fn frame_at(bytes: &[u8], segment: u64, position: u64) -> Option<frame::Frame<'_>> {
    let tail = bytes.get(usize::try_from(position).ok()?..)?;
    frame::decode(tail, Place { segment, position })
}

/// Whether a later frame proves that what stood at `position` had been synced. Frames of the same write prove nothing:
/// their pages may reach the disk in any order.
fn was_durable(bytes: &[u8], segment: u64, position: u64) -> bool {
    let last_start = (bytes.len() as u64).saturating_sub(PREFIX_BYTES as u64);
    (position + 1..=last_start)
        .filter_map(|candidate| frame_at(bytes, segment, candidate))
        .any(|frame| frame.write_start > position)
}
