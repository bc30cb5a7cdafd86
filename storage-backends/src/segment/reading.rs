//! Reads frames from a segment file.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use strandline_core::disk::DiskFile;
use strandline_core::record::{Batch, BatchError, HEADER_BYTES};
use strandline_core::storage::{Damage, ReadError, ReadLimit};
use strandline_core::{Offset, Timestamp};

use super::frames::{Frame, frame, peek};
use super::walk::{Obstacle, Walk};

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
        let mut walk = Walk::new(self, position, LOOK_BYTES);
        let mut found = None;
        while let Some(batch) = self
            .next_batch(&mut walk)?
            .filter(|batch| batch.header().base < before)
        {
            found = Some(batch);
        }
        Ok(found)
    }

    /// The first offset whose record is not older than this time, looking from `position` on.
    pub(super) fn first_at(&self, position: u64, time: Timestamp) -> Result<Option<Offset>, ReadError> {
        let mut walk = Walk::new(self, position, LOOK_BYTES);
        while let Some(batch) = self.next_batch(&mut walk)? {
            if batch.header().last_time >= time {
                return Ok(batch.first_at_or_after(time));
            }
        }
        Ok(None)
    }

    fn next_batch(&self, walk: &mut Walk<'_>) -> Result<Option<Batch>, ReadError> {
        loop {
            match walk.next() {
                Ok(None) => return Ok(None),
                Ok(Some((_, Frame::Batch(batch)))) => return Ok(Some(batch)),
                Ok(Some((_, Frame::Mark(_)))) => {}
                Err(Obstacle::Io(error)) => return Err(error.into()),
                Err(Obstacle::Broken { position, reason }) => {
                    return Err(Damage {
                        file: self.path.clone(),
                        position,
                        reason,
                    }
                    .into());
                }
            }
        }
    }

    /// Up to so many bytes from a position, fewer at the end.
    fn window(&self, position: u64, bytes: usize) -> Result<Bytes, ReadError> {
        let available = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
        let mut window = Vec::new();
        let wanted = bytes.min(available);
        if self.file.read_at(position, wanted, &mut window)? < wanted {
            // The log was cut while it was read.
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
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
            if rest.len() < length {
                if is_at_end {
                    let error = BatchError::Incomplete {
                        needed: length,
                        available: rest.len(),
                    };
                    return Err(self.file.damage(here, &error));
                }
                return Ok(Skipped::EndOfWindow { needed: length });
            }
            if let Some(header) = header {
                // Before its header is believed: what it says may be what is damaged.
                self.check(&self.window.slice(self.at..), here)?;
                if header.base >= end {
                    return Ok(Skipped::Nothing);
                }
                if header.end() > from {
                    return Ok(Skipped::Found);
                }
            }
            self.at += length;
        }
    }

    /// Takes whole batches until a limit, of which the first is checked already; without copying when no mark lies between
    /// them.
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
                    if next.is_some() {
                        self.check(&rest, here)?;
                    }
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
            Ok(_) => Ok(()),
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
