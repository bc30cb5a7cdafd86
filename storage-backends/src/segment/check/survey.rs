//! Reads a segment from end to end, and goes on behind places that cannot be read.

use strandline_core::Offset;
use strandline_core::record::{Batch, HEADER_BYTES};
use strandline_core::storage::{Damage, StorageError};

use super::super::frames::{Frame, MARK_BYTES, Mark, claimed_bytes};
use super::super::index::Index;
use super::super::reading::SegmentFile;
use super::super::recovery::{Scan, is_covered_by_a_mark, refuse_foreign};
use super::super::state::Content;
use super::super::walk::{Obstacle, Walk};
use crate::epochs::Epochs;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// Places of one file that are told apart; behind more the file is not read on.
const MAX_BROKEN: usize = 1_000;

/// A place that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Broken {
    pub(in super::super) position: u64,
    /// Where it can be read again; none = nowhere.
    pub(in super::super) next: Option<u64>,
    pub(in super::super) reason: String,
    /// It is whole, and of a version that this program does not know.
    pub(in super::super) is_newer: bool,
}

/// What comes next in a file.
#[derive(Debug)]
pub(in super::super) enum Seen<'a> {
    Mark(u64, Mark),
    Batch(u64, &'a Batch),
    Broken(&'a Broken),
}

/// What a segment holds.
#[derive(Debug)]
pub(in super::super) struct Survey {
    /// What can be read. Behind a broken place it goes on with what follows.
    pub(in super::super) found: Scan,
    /// Places that cannot be read though they were durable.
    pub(in super::super) broken: Vec<Broken>,
    /// Where what was never acknowledged begins.
    pub(in super::super) torn: Option<Broken>,
}

/// How a segment is to be read.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Surveyor<'a> {
    pub(in super::super) file: &'a SegmentFile,
    /// Where batches begin behind a header that cannot be believed. Without it such a place may hide what follows.
    pub(in super::super) guide: Option<&'a Index>,
    /// Bytes that were durable; none = all. What lies behind may be torn.
    pub(in super::super) durable: Option<u64>,
}

impl Surveyor<'_> {
    /// Reads the segment, which begins at this offset, for as long as `visit` wants to go on.
    pub(in super::super) fn run(&self, base: Offset, visit: &mut dyn FnMut(Seen<'_>) -> bool) -> Survey {
        let mut survey = Survey {
            found: Scan::empty(base),
            broken: Vec::new(),
            torn: None,
        };
        let mut walk = Walk::new(self.file, 0, CHUNK_BYTES);
        loop {
            let broken = match walk.next() {
                Ok(None) => return survey,
                Ok(Some((position, Frame::Mark(mark)))) => {
                    survey.found.content.file_bytes = position + MARK_BYTES as u64;
                    if !visit(Seen::Mark(position, mark)) {
                        return survey;
                    }
                    continue;
                }
                Ok(Some((position, Frame::Batch(batch)))) => {
                    match survey.found.contradiction(batch.header()) {
                        None => {
                            survey.found.note(batch.header(), position);
                            if !visit(Seen::Batch(position, &batch)) {
                                return survey;
                            }
                            continue;
                        }
                        Some(reason) => Broken {
                            position,
                            next: Some(position + batch.bytes().len() as u64),
                            reason: reason.to_owned(),
                            is_newer: false,
                        },
                    }
                }
                Err(Obstacle::Io(error)) => Broken {
                    position: walk.position(),
                    next: None,
                    reason: format!("cannot be read: {error}"),
                    is_newer: false,
                },
                Err(Obstacle::Broken { position, reason }) => {
                    self.look_behind(position, reason, &survey.found)
                }
            };
            if self.is_torn(&broken) {
                survey.torn = Some(broken);
                return survey;
            }
            let goes_on = visit(Seen::Broken(&broken)) && survey.broken.len() < MAX_BROKEN;
            let next = broken.next.filter(|_| goes_on);
            survey.broken.push(broken);
            match next {
                Some(next) => walk = Walk::new(self.file, next, CHUNK_BYTES),
                None => return survey,
            }
        }
    }

    /// Whether a broken place was never acknowledged, as recovery judges.
    fn is_torn(&self, broken: &Broken) -> bool {
        let Some(durable) = self.durable else {
            return false;
        };
        let may_be = broken.position >= durable && !broken.is_newer;
        may_be && matches!(is_covered_by_a_mark(self.file, broken.position), Ok(false))
    }

    /// Finds out what a place is at which there is no frame, and where there is one again: behind a mark, behind the batch if
    /// the length in its header is right, or where the index says that a batch begins. Nothing is guessed: bytes that look like
    /// a batch may be part of a value.
    fn look_behind(&self, position: u64, reason: String, found: &Scan) -> Broken {
        let damage = Damage {
            file: self.file.path.clone(),
            position,
            reason,
        };
        let (reason, is_newer) = match refuse_foreign(self.file, &damage) {
            Err(StorageError::Version { found, known, .. }) => (
                format!("written by version {found}, this program knows up to {known}"),
                true,
            ),
            _ => (damage.reason, false),
        };
        let behind_mark = Some(position + MARK_BYTES as u64);
        let behind_batch = self.claimed_end(position);
        let by_index = self.guide.and_then(|guide| guide.position_behind(position));
        let mut candidates: Vec<u64> = [behind_mark, behind_batch, by_index]
            .into_iter()
            .flatten()
            .collect();
        candidates.sort_unstable();
        let next = candidates
            .into_iter()
            .find(|&next| next == self.file.end || self.continues(next, found));
        Broken {
            position,
            next,
            reason,
            is_newer,
        }
    }

    /// Where the batch at this position ends, if its header says the truth.
    fn claimed_end(&self, position: u64) -> Option<u64> {
        let mut head = Vec::new();
        self.file.file.read_at(position, HEADER_BYTES, &mut head).ok()?;
        let end = position + claimed_bytes(&head)? as u64;
        (end <= self.file.end).then_some(end)
    }

    /// Whether what has been read goes on at this position.
    fn continues(&self, position: u64, found: &Scan) -> bool {
        match Walk::new(self.file, position, HEADER_BYTES).next() {
            Ok(Some((_, Frame::Mark(_)))) => true,
            Ok(Some((_, Frame::Batch(batch)))) => found.contradiction(batch.header()).is_none(),
            _ => false,
        }
    }
}

impl Scan {
    /// Nothing, from this offset on.
    fn empty(base: Offset) -> Self {
        Self {
            content: Content::empty(base),
            index: Index::default(),
            epochs: Epochs::default(),
        }
    }
}
