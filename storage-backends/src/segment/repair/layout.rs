//! What a log consists of, as far as it can be told.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use strandline_core::disk::{Disk, OpenMode};
use strandline_core::storage::StorageError;
use strandline_core::{LogId, Offset, OffsetRange};

use super::super::check::{Broken, Seen, Surveyor};
use super::super::files::{SegmentId, failed, read_whole};
use super::super::index::{self, Index};
use super::super::reading::SegmentFile;
use super::super::recovery::{KNOWN_VERSION, close_gaps, newest_generations, segment_ids};
use super::super::state::{self, Content, STATE_FILE, SealedEntry, State, Undecodable};
use super::rewrite::Rewrite;
use crate::epochs::Epochs;

/// The log.
pub(super) struct Layout {
    pub(super) directory: PathBuf,
    /// None if it is missing or damaged.
    pub(super) state: Option<State>,
    /// In order; the last one is active.
    pub(super) parts: Vec<Part>,
    /// The largest generation that any file has.
    pub(super) generation: u32,
}

/// A segment.
pub(super) struct Part {
    pub(super) id: SegmentId,
    /// None if it is missing. What was never acknowledged lies behind its end.
    pub(super) file: Option<SegmentFile>,
    /// Where batches begin, if there is damage and an index.
    guide: Option<Index>,
    /// What the state says of it.
    pub(super) promised: Option<Content>,
    pub(super) found: Content,
    pub(super) epochs: Epochs,
    /// Places that cannot be read.
    pub(super) broken: Vec<Broken>,
    /// Offsets that are not there, as far as there were records at them.
    pub(super) lost: Vec<OffsetRange>,
}

impl Part {
    pub(super) fn is_damaged(&self) -> bool {
        !self.broken.is_empty() || !self.lost.is_empty()
    }

    /// Where its log goes on behind it, as far as can be told.
    fn end(&self) -> Offset {
        let promised = self.promised.map_or(Offset::ZERO, |content| content.range.end);
        self.found.range.end.max(promised)
    }
}

impl Layout {
    pub(super) fn read(disk: &dyn Disk, directory: &Path, log: LogId) -> Result<Self, StorageError> {
        let entries = match disk.list(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(StorageError::NotFound { log }),
            other => other.map_err(failed("listing", directory))?,
        };
        let path = directory.join(STATE_FILE);
        let bytes = read_whole(disk, &path, state::MAX_FILE_BYTES).map_err(failed("reading", &path))?;
        let state = match bytes.as_deref().map(State::decode) {
            Some(Ok(state)) => Some(state),
            Some(Err(Undecodable::Version(found))) => {
                let (file, found, known) = (path, found.to_string(), KNOWN_VERSION);
                return Err(StorageError::Version { file, found, known });
            }
            Some(Err(Undecodable::Damaged)) | None => None,
        };
        let there = segment_ids(&entries);
        let wanted: Vec<(SegmentId, Option<Content>)> = match &state {
            Some(state) => {
                let sealed = state
                    .sealed
                    .iter()
                    .map(|sealed| (sealed.id, Some(sealed.content)));
                sealed.chain([(state.active, Some(state.content))]).collect()
            }
            None => newest_generations(there.clone())
                .into_iter()
                .map(|id| (id, None))
                .collect(),
        };
        if wanted.is_empty() {
            return Err(StorageError::NotFound { log });
        }
        let known = wanted.iter().map(|(id, _)| id.generation);
        let generation = there
            .iter()
            .map(|id| id.generation)
            .chain(known)
            .max()
            .unwrap_or_default();
        let mut layout = Self {
            directory: directory.to_owned(),
            state,
            parts: Vec::new(),
            generation,
        };
        for (place, &(id, promised)) in wanted.iter().enumerate() {
            let next = wanted.get(place + 1).map(|(next, _)| next.base);
            let overlaps = layout
                .parts
                .last()
                .is_some_and(|last| id.base < last.found.range.end);
            if promised.is_none() && next.is_some() && overlaps {
                // Its records are in a segment that compaction has written anew.
                continue;
            }
            let part = layout.survey(disk, id, promised, next)?;
            layout.parts.push(part);
        }
        Ok(layout)
    }

    /// Reads a segment from end to end. `next` is where the one behind it begins.
    fn survey(
        &self,
        disk: &dyn Disk,
        id: SegmentId,
        promised: Option<Content>,
        next: Option<Offset>,
    ) -> Result<Part, StorageError> {
        let mut part = Part {
            id,
            file: None,
            guide: None,
            promised,
            found: Content::empty(id.base),
            epochs: Epochs::default(),
            broken: Vec::new(),
            lost: Vec::new(),
        };
        let path = self.directory.join(id.data_file());
        let file = match disk.open(&path, OpenMode::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            other => Some(other.map_err(failed("opening", &path))?),
        };
        let mut behind = id.base;
        if let Some(file) = file {
            let mut end = file.len().map_err(failed("measuring", &path))?;
            match (promised, next) {
                // What lies behind the end of a sealed segment belongs to nothing.
                (Some(promised), Some(_)) => end = end.min(promised.file_bytes),
                _ => end = end.min(self.state.as_ref().and_then(|state| state.cut_at).unwrap_or(end)),
            }
            let mut file = SegmentFile { file, path, end };
            let guide = stored_index(disk, &self.directory, id);
            let durable = next
                .is_none()
                .then_some(promised.map_or(0, |content| content.file_bytes));
            let surveyor = Surveyor {
                file: &file,
                guide: guide.as_ref(),
                durable,
            };
            let mut is_behind_damage = false;
            let survey = surveyor.run(id.base, &mut |seen| {
                match seen {
                    Seen::Mark(..) => {}
                    Seen::Broken(_) => is_behind_damage = true,
                    Seen::Batch(_, batch) => {
                        let header = batch.header();
                        if std::mem::take(&mut is_behind_damage) && behind < header.base {
                            part.lost.push(OffsetRange::new(behind, header.base));
                        }
                        behind = header.end();
                    }
                }
                true
            });
            part.found = survey.found.content;
            part.epochs = survey.found.epochs;
            part.broken = survey.broken;
            file.end = survey.torn.map_or(end, |torn| torn.position);
            part.file = Some(file);
            part.guide = guide.filter(|_| !part.broken.is_empty());
        }
        part.note_lost_end(behind, next);
        Ok(part)
    }

    /// Where the log ends.
    pub(super) fn end(&self) -> Offset {
        self.parts.last().map_or(Offset::ZERO, Part::end)
    }

    /// The state as it is, or as a start would build it anew.
    pub(super) fn state_now(&self) -> State {
        if let Some(state) = &self.state {
            return state.clone();
        }
        let entry = |part: &Part| SealedEntry {
            id: part.id,
            content: part.found,
        };
        let mut sealed: Vec<_> = self.parts.iter().map(entry).collect();
        let active = sealed.pop().unwrap_or(SealedEntry {
            id: SegmentId {
                base: Offset::ZERO,
                generation: 0,
            },
            content: Content::empty(Offset::ZERO),
        });
        close_gaps(&mut sealed, active.id.base);
        let mut epochs = Epochs::default();
        self.parts.iter().for_each(|part| epochs.note_all(&part.epochs));
        let first = sealed.first().unwrap_or(&active);
        // What is damaged may have begun where its segment does.
        let is_damaged = self.parts.first().is_some_and(Part::is_damaged);
        let start = if is_damaged {
            first.id.base
        } else {
            first.content.range.start
        };
        State {
            start,
            active: active.id,
            content: active.content,
            sealed,
            cut_at: None,
            epochs,
        }
    }
}

impl Part {
    /// Writes what can be read, before this position if one is given, as another segment.
    pub(super) fn rewrite(&self, to: SegmentId, good_end: Option<u64>) -> Rewrite {
        let good_end = good_end.unwrap_or(u64::MAX);
        Rewrite {
            from: self.file.clone().map(|file| SegmentFile {
                end: file.end.min(good_end),
                ..file
            }),
            guide: self.guide.clone(),
            base: self.id.base,
            to,
        }
    }

    /// Notes what is missing between the last batch that was read, which ends at `behind`, and the end of the segment.
    fn note_lost_end(&mut self, behind: Offset, next: Option<Offset>) {
        let is_short = self
            .promised
            .is_some_and(|promised| self.found.file_bytes < promised.file_bytes);
        let is_cut = !self.broken.is_empty() && self.broken.last().is_some_and(|last| last.next.is_none());
        let reaches = next.is_none_or(|next| self.id.generation > 0 || behind == next);
        let end = match (self.promised, next) {
            (Some(promised), _) => promised.range.end,
            (None, Some(next)) => next,
            (None, None) => behind,
        };
        let is_missing = self.file.is_none() || is_short || is_cut || (self.promised.is_none() && !reaches);
        if is_missing && behind < end {
            self.lost.push(OffsetRange::new(behind, end));
        }
    }
}

fn stored_index(disk: &dyn Disk, directory: &Path, id: SegmentId) -> Option<Index> {
    let path = directory.join(id.index_file());
    let bytes = read_whole(disk, &path, index::MAX_FILE_BYTES).ok()??;
    Index::read(&bytes).ok().map(|(_, index)| index)
}
