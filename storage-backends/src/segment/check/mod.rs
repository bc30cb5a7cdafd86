//! Looks at a store of segment files that nobody uses, and changes nothing.
//!
//! What a start would do about a finding decides how bad it is: a torn tail is cut, an index is built anew, leftovers are
//! removed, and all of that is harmless. What a start refuses, or would serve otherwise than it was stored, is damage.

mod promises;
mod store;
mod survey;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use strandline_core::disk::{DirEntry, Disk, EntryKind, OpenMode};
use strandline_core::record::Batch;
use strandline_core::storage::StorageError;
use strandline_core::{LogId, Offset, OffsetRange};

pub use store::check_segment_store;
pub(super) use survey::{Broken, Seen, Survey, Surveyor};

use super::files::{SegmentId, TEMPORARY, read_whole};
use super::index::{self, Index};
use super::reading::SegmentFile;
use super::recovery::{KNOWN_VERSION, check_reaches, newest_generations, segment_ids};
use super::state::{self, STATE_FILE, State, Undecodable};
use crate::check::{
    Contents, Finding, Inspector, LEFT_ALONE, LogTotals, NEWER, REBUILT, REMOVED, RESTORE, RESTORE_ONLY,
    UNREADABLE,
};
use crate::epochs::Epochs;

/// The bytes that [`check_segment_log`] is going to read, about.
pub fn segment_log_bytes(disk: &dyn Disk, store: &Path, log: LogId) -> u64 {
    let directory = log_directory(store, log);
    let entries = disk.list(&directory).unwrap_or_default();
    let lengths = segment_ids(&entries).into_iter().filter_map(|id| {
        let file = disk.open(&directory.join(id.data_file()), OpenMode::Read).ok()?;
        file.len().ok()
    });
    lengths.sum()
}

/// Looks at everything in the directory of a log; none if there is no log in it.
pub fn check_segment_log(
    disk: &dyn Disk,
    store: &Path,
    log: LogId,
    inspector: &mut dyn Inspector,
) -> Option<LogTotals> {
    let directory = &log_directory(store, log);
    inspector.turn_to(log);
    let entries = match disk.list(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            inspector.found(unreadable(directory, &error));
            return None;
        }
    };
    let check = Check {
        disk,
        directory,
        entries: &entries,
        inspector,
        contents: Contents::default(),
        totals: LogTotals::default(),
    };
    check.run()
}

/// Where a log of a store is.
pub(super) fn log_directory(store: &Path, log: LogId) -> PathBuf {
    store.join(log.to_string())
}

const FOREIGN: &str = "this is no file of the broker's";

fn unreadable(path: &Path, error: &std::io::Error) -> Finding {
    Finding::damage(path, format!("cannot be read: {error}"), UNREADABLE)
}

/// A log that is looked at.
struct Check<'a> {
    disk: &'a dyn Disk,
    directory: &'a Path,
    entries: &'a [DirEntry],
    inspector: &'a mut dyn Inspector,
    contents: Contents,
    totals: LogTotals,
}

impl Check<'_> {
    fn run(mut self) -> Option<LogTotals> {
        let path = self.directory.join(STATE_FILE);
        let bytes = match read_whole(self.disk, &path, state::MAX_FILE_BYTES) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.inspector.found(unreadable(&path, &error));
                return None;
            }
        };
        let has_segments = !segment_ids(self.entries).is_empty();
        self.inspector
            .read(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64));
        match bytes.as_deref().map(State::decode) {
            Some(Ok(state)) => self.with_state(&state),
            Some(Err(Undecodable::Version(found))) => {
                let problem = format!("written by version {found}, this program knows up to {KNOWN_VERSION}");
                self.inspector.found(Finding::damage(path, problem, NEWER));
            }
            None if !has_segments => return None,
            missing_or_damaged => {
                let problem = match missing_or_damaged {
                    None => "the file is missing",
                    Some(_) => "its checksum or its form is wrong",
                };
                self.inspector.found(Finding::damage(path, problem, STATE_LOST));
                self.without_state();
            }
        }
        self.totals.locked = self.contents.locked;
        Some(self.totals)
    }

    fn with_state(&mut self, state: &State) {
        self.check_state(state);
        for (place, sealed) in state.sealed.iter().enumerate() {
            let next = state
                .sealed
                .get(place + 1)
                .map_or(state.active.base, |next| next.id.base);
            self.check_border(sealed, next);
            self.check_sealed(sealed, &state.epochs);
        }
        self.check_active(state);
        let known: Vec<_> = state
            .sealed
            .iter()
            .map(|sealed| sealed.id)
            .chain([state.active])
            .collect();
        self.check_names(&known);
        let first = state.sealed.first().map_or(state.content, |first| first.content);
        self.totals.range.start = state.start.max(first.range.start);
        self.totals.segments = known.len() as u64;
    }

    /// Reads the segments as a start would that builds the state anew.
    fn without_state(&mut self) {
        let ids = newest_generations(segment_ids(self.entries));
        let (mut used, mut end): (Vec<SegmentId>, Option<Offset>) = (Vec::new(), None);
        for (place, &id) in ids.iter().enumerate() {
            let next = ids.get(place + 1).map(|next| next.base);
            if next.is_some() && end.is_some_and(|end| id.base < end) {
                continue;
            }
            used.push(id);
            let Some(file) = self.open(id) else { continue };
            let guide = self.stored_index(id, None);
            let durable = next.is_none().then_some(0);
            let survey = self.survey(&file, id, (guide.as_ref(), durable), &Epochs::default());
            let reached = survey.found.content.range.end;
            if survey.broken.is_empty()
                && let Some(next) = next
                && let Err(StorageError::Damaged(damage)) = check_reaches(&file, id, reached, next)
            {
                let finding = Finding::damage(damage.file, damage.reason, RESTORE);
                self.inspector.found(finding.at(damage.position));
            }
            end = Some(reached);
        }
        self.check_names(&used);
        self.totals.range = OffsetRange::new(
            used.first().map_or(Offset::ZERO, |first| first.base),
            end.unwrap_or(Offset::ZERO),
        );
        self.totals.segments = used.len() as u64;
    }

    /// Opens a segment file; says if that cannot be done.
    fn open(&mut self, id: SegmentId) -> Option<SegmentFile> {
        let path = self.directory.join(id.data_file());
        let opened = self.disk.open(&path, OpenMode::Read);
        match opened.and_then(|file| file.len().map(|end| (file, end))) {
            Ok((file, end)) => Some(SegmentFile { file, path, end }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.inspector
                    .found(Finding::damage(path, "the file is missing", RESTORE));
                None
            }
            Err(error) => {
                self.inspector.found(unreadable(&path, &error));
                None
            }
        }
    }

    /// Reads a segment, up to the end that its file is given, and looks at every batch. Up to what the state knows its epochs
    /// have to be right, if there are any.
    fn survey(
        &mut self,
        file: &SegmentFile,
        id: SegmentId,
        (guide, durable): (Option<&Index>, Option<u64>),
        epochs: &Epochs,
    ) -> Survey {
        let none = Epochs::default();
        let known = durable.unwrap_or(file.end);
        let mut reached = 0;
        let surveyor = Surveyor { file, guide, durable };
        let survey = surveyor.run(id.base, &mut |seen| {
            let position = match seen {
                Seen::Mark(position, _) => position,
                Seen::Batch(position, batch) => {
                    let epochs = if position < known { epochs } else { &none };
                    self.check_batch(file, position, batch, epochs);
                    position
                }
                Seen::Broken(broken) => {
                    self.inspector.found(told(file, broken));
                    broken.position
                }
            };
            self.inspector.read(position.saturating_sub(reached));
            reached = position.max(reached);
            true
        });
        self.inspector.read(file.end.saturating_sub(reached));
        if let Some(torn) = &survey.torn {
            let left = file.end - torn.position;
            let problem = format!(
                "a write of {left} bytes was torn and never acknowledged: {}",
                torn.reason
            );
            let finding = Finding::harmless(
                &file.path,
                problem,
                "nothing: the next start of the broker cuts it off",
            );
            self.inspector.found(finding.at(torn.position));
        }
        survey
    }

    fn check_batch(&mut self, file: &SegmentFile, position: u64, batch: &Batch, epochs: &Epochs) {
        let header = batch.header();
        self.totals.batches += 1;
        self.totals.records += u64::from(header.records);
        self.totals.bytes += u64::from(header.bytes);
        let checked = self
            .contents
            .check(batch, self.inspector)
            .and_then(|()| promises::check_epoch(header, epochs));
        if let Err(problem) = checked {
            let problem = format!("the batch at offset {}: {problem}", header.base);
            self.inspector
                .found(Finding::damage(&file.path, problem, RESTORE).at(position));
        }
    }

    /// The index of a segment, if it can be used and covers so many bytes.
    fn stored_index(&self, id: SegmentId, covered: Option<u64>) -> Option<Index> {
        let path = self.directory.join(id.index_file());
        let bytes = read_whole(self.disk, &path, index::MAX_FILE_BYTES).ok()??;
        let (covers, index) = Index::read(&bytes).ok()?;
        covered.is_none_or(|covered| covered == covers).then_some(index)
    }

    /// Names the files that are not part of the log.
    fn check_names(&mut self, known: &[SegmentId]) {
        for entry in self.entries.iter().filter(|entry| entry.name != STATE_FILE) {
            let whole = entry.name.strip_suffix(TEMPORARY);
            let own = SegmentId::of_file(whole.unwrap_or(&entry.name));
            let path = self.directory.join(&entry.name);
            if entry.kind != EntryKind::File || (own.is_none() && whole != Some(STATE_FILE)) {
                self.inspector.found(Finding::harmless(path, FOREIGN, LEFT_ALONE));
            } else if whole.is_some() {
                self.inspector
                    .found(Finding::harmless(path, "a write was interrupted", REMOVED));
            } else if own.is_some_and(|(id, _)| !known.contains(&id)) {
                let problem = "left over: the state of the log does not name it";
                self.inspector.found(Finding::harmless(path, problem, REMOVED));
            }
        }
    }
}

const STATE_LOST: &str = "the next start builds it anew from the segments, or do it now with `strandline storage repair`; \
                          what is gone from the end of the last segment cannot be told without it";

fn told(file: &SegmentFile, broken: &Broken) -> Finding {
    let advice = if broken.is_newer { NEWER } else { RESTORE };
    let extent = match broken.next {
        Some(next) => format!("{} bytes cannot be used", next - broken.position),
        None => "nothing behind it can be found".to_owned(),
    };
    let problem = format!("{}; {extent}", broken.reason);
    Finding::damage(&file.path, problem, advice).at(broken.position)
}
