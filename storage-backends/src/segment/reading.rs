//! Reads frames from a segment file.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use strandline_core::disk::DiskFile;
use strandline_core::record::{Batch, BatchError, BatchHeader, HEADER_BYTES};
use strandline_core::storage::{Damage, ReadError, ReadLimit};
use strandline_core::{Offset, Timestamp};

use super::frames::{Frame, frame, peek};

/// Bytes that a look for one batch reads at a time.
const LOOK_BYTES: usize = 64 << 10;
/// Bytes that one read takes at the most, unless a single batch is larger.
const READ_MAX_BYTES: usize = 8 << 20;
/// Bytes read beyond what was asked for, to get past the batches between an index entry and the first wanted one.
const SLACK_BYTES: usize = 8 << 10;

/// A segment file, readable up to a position.
#[derive(Clone, Debug)]
pub(super) struct SegmentFile {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) path: PathBuf,
    /// Bytes that may be read.
    pub(super) end: u64,
}

/// What a read of one segment gave.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) bytes: Bytes,
    pub(super) next: Option<Offset>,
}

impl SegmentFile {
    /// Collects whole batches from the one that holds `from` on. `position` lies at or before it, at the start of a frame.
    pub(super) fn read(&self, position: u64, from: Offset, limit: ReadLimit) -> Result<Found, ReadError> {
        let mut position = position;
        let mut wanted = limit.max_bytes.clamp(HEADER_BYTES, READ_MAX_BYTES) + SLACK_BYTES;
        loop {
            if position >= self.end {
                return Ok(Found::default());
            }
            let window = self.window(position, wanted)?;
            let mut scan = WindowScan {
                file: self,
                window: &window,
                start: position,
                at: 0,
            };
            match scan.skip_to(from, limit.end)? {
                Skipped::Found => return scan.collect(limit),
                Skipped::Nothing => return Ok(Found::default()),
                Skipped::EndOfWindow { needed } => {
                    position += scan.at as u64;
                    wanted = wanted.max(needed);
                }
            }
        }
    }

    /// The last batch that begins before this offset, looking from `position` on.
    pub(super) fn last_before(&self, position: u64, before: Offset) -> Result<Option<Batch>, ReadError> {
        let mut found = None;
        self.walk(position, |at, header| {
            let earlier = header.base < before;
            if earlier {
                found = Some((at, header.bytes as usize));
            }
            earlier
        })?;
        found.map(|(at, length)| self.batch(at, length)).transpose()
    }

    /// The first offset whose record is not older than this time, looking from `position` on.
    pub(super) fn first_at(&self, position: u64, time: Timestamp) -> Result<Option<Offset>, ReadError> {
        let mut found = None;
        self.walk(position, |at, header| {
            let older = header.last_time < time;
            if !older {
                found = Some((at, header.bytes as usize));
            }
            older
        })?;
        let batch = found.map(|(at, length)| self.batch(at, length)).transpose()?;
        Ok(batch.and_then(|batch| batch.first_at_or_after(time)))
    }

    /// Shows the headers of batches from `position` on, as long as `more` says so.
    fn walk(&self, position: u64, mut more: impl FnMut(u64, &BatchHeader) -> bool) -> Result<(), ReadError> {
        let mut position = position;
        while position < self.end {
            let window = self.window(position, LOOK_BYTES)?;
            let mut at = 0;
            while let Some(rest) = window.get(at..).filter(|rest| !rest.is_empty()) {
                let here = position + at as u64;
                let is_at_end = here + rest.len() as u64 >= self.end;
                let (length, header) = match peek(rest, here) {
                    // The header reaches over the window.
                    Err(BatchError::Incomplete { .. }) if !is_at_end && at > 0 => break,
                    other => other.map_err(|error| self.damage(here, &error))?,
                };
                if header.is_some_and(|header| !more(here, &header)) {
                    return Ok(());
                }
                at += length;
            }
            if at == 0 {
                return Ok(());
            }
            position += at as u64;
        }
        Ok(())
    }

    fn batch(&self, position: u64, length: usize) -> Result<Batch, ReadError> {
        let bytes = self.window(position, length)?;
        Batch::checked(&bytes).map_err(|error| self.damage(position, &error))
    }

    /// Up to so many bytes from a position, fewer at the end.
    fn window(&self, position: u64, bytes: usize) -> Result<Bytes, ReadError> {
        let available = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
        let mut window = Vec::new();
        self.file.read_at(position, bytes.min(available), &mut window)?;
        Ok(window.into())
    }

    fn damage(&self, position: u64, error: &BatchError) -> ReadError {
        Damage {
            file: self.path.clone(),
            position,
            reason: error.to_string(),
        }
        .into()
    }
}

enum Skipped {
    Found,
    /// The next batch lies beyond the end of the read.
    Nothing,
    EndOfWindow {
        needed: usize,
    },
}

/// Frames of a part of a file that is in memory.
struct WindowScan<'a> {
    file: &'a SegmentFile,
    window: &'a Bytes,
    start: u64,
    at: usize,
}

impl WindowScan<'_> {
    /// Goes to the first batch that ends after `from` and lies whole in the window.
    fn skip_to(&mut self, from: Offset, end: Offset) -> Result<Skipped, ReadError> {
        loop {
            let here = self.start + self.at as u64;
            let rest = self.window.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(Skipped::EndOfWindow { needed: 0 });
            }
            let is_at_end = here + rest.len() as u64 >= self.file.end;
            let (length, header) = match peek(rest, here) {
                Err(BatchError::Incomplete { .. }) if !is_at_end && self.at > 0 => {
                    return Ok(Skipped::EndOfWindow { needed: 0 });
                }
                other => other.map_err(|error| self.file.damage(here, &error))?,
            };
            if header.is_some_and(|header| header.base >= end) {
                return Ok(Skipped::Nothing);
            }
            let wanted = header.is_some_and(|header| header.end() > from);
            if wanted && rest.len() < length {
                if is_at_end {
                    let error = BatchError::Incomplete {
                        needed: length,
                        available: rest.len(),
                    };
                    return Err(self.file.damage(here, &error));
                }
                return Ok(Skipped::EndOfWindow { needed: length });
            }
            if wanted {
                return Ok(Skipped::Found);
            }
            self.at = (self.at + length).min(self.window.len());
            if rest.len() < length {
                // The frame reaches over the window; go on behind it.
                self.at += length - rest.len();
                return Ok(Skipped::EndOfWindow { needed: 0 });
            }
        }
    }

    /// Takes whole batches until a limit; without copying when no mark lies between them.
    fn collect(&mut self, limit: ReadLimit) -> Result<Found, ReadError> {
        let mut runs: Vec<Bytes> = Vec::new();
        let (mut run_start, mut taken, mut next) = (self.at, 0, None);
        loop {
            let rest = self.window.slice(self.at.min(self.window.len())..);
            let here = self.start + self.at as u64;
            let length = match peek(&rest, here) {
                Ok((length, None)) => {
                    runs.push(self.window.slice(run_start..self.at));
                    run_start = self.at + length;
                    length
                }
                Ok((length, Some(header))) => {
                    let over = header.base >= limit.end || taken + length > limit.max_bytes;
                    if next.is_some() && (over || rest.len() < length) {
                        break;
                    }
                    self.check(&rest, here)?;
                    (taken, next) = (taken + length, Some(header.end()));
                    length
                }
                Err(_) => break,
            };
            if rest.len() < length {
                break;
            }
            self.at += length;
        }
        runs.push(self.window.slice(run_start.min(self.at)..self.at));
        Ok(Found {
            bytes: joined(&runs),
            next,
        })
    }

    fn check(&self, rest: &Bytes, here: u64) -> Result<(), ReadError> {
        match frame(rest, here) {
            Ok((Frame::Batch(_) | Frame::Mark, _)) => Ok(()),
            Err(error) => Err(self.file.damage(here, &error)),
        }
    }
}

fn joined(runs: &[Bytes]) -> Bytes {
    let mut full = runs.iter().filter(|run| !run.is_empty());
    match (full.next(), full.next()) {
        (Some(only), None) => only.clone(),
        (None, _) => Bytes::new(),
        _ => {
            let mut bytes = BytesMut::with_capacity(runs.iter().map(Bytes::len).sum());
            runs.iter().for_each(|run| bytes.extend_from_slice(run));
            bytes.freeze()
        }
    }
}
