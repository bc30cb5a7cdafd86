//! Goes over the frames of a file one by one. Nothing is passed over that has not been checked: a header that is damaged may
//! say anything about where its batch begins and ends.

use std::io;

use bytes::Bytes;

use strandline_core::record::BatchError;

use super::frames::{Frame, frame};
use super::reading::SegmentFile;

/// A place in a file that moves from frame to frame.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    file: &'a SegmentFile,
    bytes: Bytes,
    position: u64,
    /// Bytes that are read at a time.
    chunk_bytes: usize,
}

/// Why a walk cannot go on.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// The disk failed.
    Io(io::Error),
    /// There is no frame at this position.
    Broken { position: u64, reason: String },
}

impl<'a> Walk<'a> {
    /// Starts at a position where a frame begins.
    pub(super) fn new(file: &'a SegmentFile, position: u64, chunk_bytes: usize) -> Self {
        Self {
            file,
            bytes: Bytes::new(),
            position,
            chunk_bytes,
        }
    }

    /// Where the next frame begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next frame and its position; none at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Frame)>, Obstacle> {
        loop {
            let position = self.position;
            let left = self.file.end.saturating_sub(position);
            if left == 0 {
                return Ok(None);
            }
            match frame(&self.bytes, position) {
                Ok((frame, length)) => {
                    self.bytes = self.bytes.slice(length..);
                    self.position += length as u64;
                    return Ok(Some((position, frame)));
                }
                Err(BatchError::Incomplete { needed, available }) if (available as u64) < left => {
                    self.fill(needed.max(self.chunk_bytes))?;
                }
                Err(error) => {
                    return Err(Obstacle::Broken {
                        position,
                        reason: error.to_string(),
                    });
                }
            }
        }
    }

    fn fill(&mut self, bytes: usize) -> Result<(), Obstacle> {
        let left = usize::try_from(self.file.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let mut window = Vec::new();
        let read = self
            .file
            .file
            .read_at(self.position, bytes.min(left), &mut window)
            .map_err(Obstacle::Io)?;
        if read <= self.bytes.len() {
            let reason = "the file is shorter than its length says".to_owned();
            return Err(Obstacle::Broken {
                position: self.position,
                reason,
            });
        }
        self.bytes = window.into();
        Ok(())
    }
}
