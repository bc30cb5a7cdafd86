//! Opening a log after any kind of stop.
//!
//! What the state file calls durable is not looked at again but for its presence; the rest of the active segment is read
//! frame by frame. Where a frame cannot be read, a later mark that covers the place proves that it was durable once: then it
//! is damage, and the log is refused as it is. Without such a mark it was never acknowledged, and the tail is cut.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use strandline_core::disk::{DirEntry, EntryKind, OpenMode};
use strandline_core::record::{BatchHeader, FORMAT_VERSION, HEADER_BYTES};
use strandline_core::storage::{Damage, ReadError, StorageError};
use strandline_core::{LogId, Offset, OffsetRange};

use super::active::{Active, Sealed, View};
use super::files::{SegmentId, TEMPORARY, failed, read_whole, remove_if_there, replace, replace_cache};
use super::frames::{Frame, MARK_BYTES, Mark, claimed_bytes, version_of_whole};
use super::handles::Access;
use super::index::{self, Index};
use super::log::Recovered;
use super::reading::SegmentFile;
use super::state::{self, Content, STATE_FILE, SealedEntry, State, Undecodable};
use super::store::Shared;
use super::walk::{Obstacle, Walk};
use crate::epochs::Epochs;

/// Bytes that a scan reads at a time.
const SCAN_BYTES: usize = 1 << 20;
/// The version of state files that this program reads and writes.
pub(super) const KNOWN_VERSION: u32 = 1;

/// What a scan found, up to where it ended.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    pub(super) content: Content,
    pub(super) index: Index,
    pub(super) epochs: Epochs,
}

/// A frame that cannot be read.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) damage: Damage,
    /// What lies before it.
    pub(super) before: Box<Scan>,
}

/// Recovers a log's directory.
pub(super) fn recover(shared: &Shared, id: LogId, directory: &Path) -> Result<Recovered, StorageError> {
    let disk = shared.disk.as_ref();
    let entries = match disk.list(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(StorageError::NotFound { log: id }),
        other => other.map_err(failed("listing", directory))?,
    };
    let path = directory.join(STATE_FILE);
    let bytes = read_whole(disk, &path, state::MAX_FILE_BYTES).map_err(failed("reading", &path))?;
    let recovery = Recovery {
        shared,
        id,
        directory,
        entries: &entries,
    };
    match bytes.as_deref().map(State::decode) {
        Some(Ok(state)) => recovery.with_state(state),
        Some(Err(Undecodable::Version(found))) => Err(StorageError::Version {
            file: path,
            found: found.to_string(),
            known: KNOWN_VERSION,
        }),
        Some(Err(Undecodable::Damaged)) => {
            tracing::warn!(log = %id, "the state of a log is damaged, rebuilding it from its segments");
            recovery.rebuild()
        }
        None if segment_ids(&entries).is_empty() => Err(StorageError::NotFound { log: id }),
        None => {
            tracing::warn!(log = %id, "the state of a log is missing, rebuilding it from its segments");
            recovery.rebuild()
        }
    }
}

/// Builds the index of a whole segment.
pub(super) fn build_index(file: &SegmentFile) -> Result<Index, ReadError> {
    let base = Content::empty(Offset::ZERO);
    scan(file, base, Index::default(), |_| true)
        .map(|scan| scan.index)
        .map_err(|stop| stop.damage.into())
}

/// Reads frames behind `content.file_bytes`, as long as `keep` wants the next batch.
pub(super) fn scan(
    file: &SegmentFile,
    content: Content,
    index: Index,
    mut keep: impl FnMut(&BatchHeader) -> bool,
) -> Result<Scan, Stop> {
    let mut scan = Scan {
        content,
        index,
        epochs: Epochs::default(),
    };
    let mut walk = Walk::new(file, content.file_bytes, SCAN_BYTES);
    loop {
        match walk.next() {
            Ok(None) => return Ok(scan),
            Ok(Some((position, Frame::Mark(_)))) => scan.content.file_bytes = position + MARK_BYTES as u64,
            Ok(Some((position, Frame::Batch(batch)))) => {
                let header = batch.header();
                if !keep(header) {
                    return Ok(scan);
                }
                if let Some(reason) = scan.contradiction(header) {
                    return Err(scan.stop(file, position, reason.to_owned()));
                }
                scan.note(header, position);
            }
            Err(Obstacle::Broken { position, reason }) => return Err(scan.stop(file, position, reason)),
            Err(Obstacle::Io(error)) => {
                let position = scan.content.file_bytes;
                return Err(scan.stop(file, position, format!("cannot be read: {error}")));
            }
        }
    }
}

impl Scan {
    pub(super) fn contradiction(&self, header: &BatchHeader) -> Option<&'static str> {
        if header.base < self.content.range.end {
            return Some("a batch repeats offsets of the one before");
        }
        let falls = self.epochs.last().is_some_and(|last| header.epoch < last);
        falls.then_some("a batch has an older epoch than the one before")
    }

    pub(super) fn note(&mut self, header: &BatchHeader, position: u64) {
        self.index.note(header, position);
        self.epochs.note(header.epoch, header.base);
        self.content.note(header);
        self.content.file_bytes = position + u64::from(header.bytes);
    }

    fn stop(self, file: &SegmentFile, position: u64, reason: String) -> Stop {
        Stop {
            damage: Damage {
                file: file.path.clone(),
                position,
                reason,
            },
            before: Box::new(self),
        }
    }
}

/// A batch that is whole and cannot be read is of another version, and no torn write: it is never cut.
pub(super) fn refuse_foreign(file: &SegmentFile, damage: &Damage) -> Result<(), StorageError> {
    let read = |bytes: usize| {
        let mut found = Vec::new();
        let read = file.file.read_at(damage.position, bytes, &mut found);
        read.map_err(failed("reading", &file.path)).map(|_| found)
    };
    let head = read(HEADER_BYTES)?;
    let is_readable = head
        .first_chunk()
        .is_some_and(|head| BatchHeader::decode(head).is_ok());
    let Some(length) = claimed_bytes(&head).filter(|_| !is_readable) else {
        return Ok(());
    };
    match version_of_whole(&read(length)?) {
        None => Ok(()),
        Some(found) if found > FORMAT_VERSION => Err(StorageError::Version {
            file: file.path.clone(),
            found: format!("{found} of batches"),
            known: u32::from(FORMAT_VERSION),
        }),
        // Its version is known, and something else of it is not: a flag, a codec, a key.
        Some(_) => Err(StorageError::Damaged(damage.clone())),
    }
}

struct Recovery<'a> {
    shared: &'a Shared,
    id: LogId,
    directory: &'a Path,
    entries: &'a [DirEntry],
}

impl Recovery<'_> {
    fn with_state(&self, state: State) -> Result<Recovered, StorageError> {
        // Who gave the state its name may have ended before that was durable, and what is appended from now on counts on it.
        self.shared
            .disk
            .sync_dir(self.directory)
            .map_err(failed("sync of", self.directory))?;
        self.remove_leftovers(&state)?;
        for sealed in &state.sealed {
            self.check_length(sealed.id, sealed.content.file_bytes)?;
        }
        let file = self.open_active(&state)?;
        let index = self.stored_index(state.active, state.content.file_bytes);
        let (known, index) = match index {
            Some(index) => (state.content, index),
            // Without the index the whole segment is read; its durable part must then read well.
            None => (Content::empty(state.active.base), Index::default()),
        };
        // A cut that was under way is over only when the state no longer asks for it.
        let is_clean =
            file.end == state.content.file_bytes && known == state.content && state.cut_at.is_none();
        let scan = self.scan_tail(&file, known, index, state.content.file_bytes)?;
        let mut epochs = state.epochs.clone();
        epochs.note_all(&scan.epochs);
        let mut content = scan.content;
        if content.records == 0 {
            content.range = state.content.range;
        }
        let recovered = State {
            content,
            epochs,
            cut_at: None,
            ..state
        };
        if !is_clean {
            self.make_durable(&file, &recovered, &scan.index)?;
        }
        Ok(self.recovered(recovered, &file, scan.index))
    }

    /// Rebuilds everything from the segments themselves.
    fn rebuild(&self) -> Result<Recovered, StorageError> {
        let ids = newest_generations(segment_ids(self.entries));
        let Some((&last, sealed_ids)) = ids.split_last() else {
            return Err(StorageError::NotFound { log: self.id });
        };
        let next_bases = ids.iter().skip(1).map(|next| next.base);
        let (mut sealed, mut epochs) = self.scan_sealed(sealed_ids.iter().copied().zip(next_bases))?;
        close_gaps(&mut sealed, last.base);
        let file = self.open_whole(last, OpenMode::Write)?;
        let scan = self.scan_tail(&file, Content::empty(last.base), Index::default(), 0)?;
        epochs.note_all(&scan.epochs);
        let start = sealed
            .first()
            .map_or(scan.content.range.start, |first| first.content.range.start);
        let state = State {
            start,
            sealed,
            active: last,
            content: scan.content,
            cut_at: None,
            epochs,
        };
        self.make_durable(&file, &state, &scan.index)?;
        Ok(self.recovered(state, &file, scan.index))
    }

    /// Reads sealed segments, each with where the next one begins, from end to end.
    fn scan_sealed(
        &self,
        ids: impl Iterator<Item = (SegmentId, Offset)>,
    ) -> Result<(Vec<SealedEntry>, Epochs), StorageError> {
        let (mut sealed, mut epochs): (Vec<SealedEntry>, _) = (Vec::new(), Epochs::default());
        for (id, next_base) in ids {
            if sealed.last().is_some_and(|last| id.base < last.content.range.end) {
                // Its records are in a segment that compaction has written anew.
                continue;
            }
            let file = self.open_whole(id, OpenMode::Read)?;
            let found = scan(&file, Content::empty(id.base), Index::default(), |_| true);
            let found = found.map_err(|stop| StorageError::Damaged(stop.damage))?;
            check_reaches(&file, id, found.content.range.end, next_base)?;
            epochs.note_all(&found.epochs);
            let content = found.content;
            sealed.push(SealedEntry { id, content });
        }
        Ok((sealed, epochs))
    }

    /// Reads what may be torn, and cuts it there if it is.
    fn scan_tail(
        &self,
        file: &SegmentFile,
        known: Content,
        index: Index,
        durable: u64,
    ) -> Result<Scan, StorageError> {
        let stop = match scan(file, known, index, |_| true) {
            Ok(scan) => return Ok(scan),
            Err(stop) => stop,
        };
        let position = stop.damage.position;
        refuse_foreign(file, &stop.damage)?;
        if position < durable || is_covered_by_a_mark(file, position)? {
            return Err(StorageError::Damaged(stop.damage));
        }
        let cut = stop.before.content.file_bytes;
        tracing::warn!(log = %self.id, position, bytes = file.end - cut, reason = %stop.damage.reason,
            "cutting the torn tail of a log: it was never acknowledged");
        file.file.set_len(cut).map_err(failed("cutting", &file.path))?;
        Ok(*stop.before)
    }

    fn open_active(&self, state: &State) -> Result<SegmentFile, StorageError> {
        let mut file = self.open_whole(state.active, OpenMode::Write)?;
        if let Some(cut) = state.cut_at.filter(|&cut| cut < file.end) {
            file.file
                .set_len(cut)
                .and_then(|()| file.file.sync_data())
                .map_err(failed("cutting", &file.path))?;
            file.end = cut;
        }
        if file.end < state.content.file_bytes {
            let reason = format!(
                "the file ends here but {} bytes were durable",
                state.content.file_bytes
            );
            return Err(Damage {
                file: file.path,
                position: file.end,
                reason,
            }
            .into());
        }
        Ok(file)
    }

    fn open_whole(&self, id: SegmentId, mode: OpenMode) -> Result<SegmentFile, StorageError> {
        let path = self.directory.join(id.data_file());
        let file = match self.shared.disk.open(&path, mode) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Damage {
                    file: path,
                    position: 0,
                    reason: "the file is missing".to_owned(),
                }
                .into());
            }
            other => other.map_err(failed("opening", &path))?,
        };
        let end = file.len().map_err(failed("measuring", &path))?;
        Ok(SegmentFile { file, path, end })
    }

    fn check_length(&self, id: SegmentId, bytes: u64) -> Result<(), StorageError> {
        let file = self.open_whole(id, OpenMode::Read)?;
        if file.end < bytes {
            let reason = format!("the file ends here but {bytes} bytes were durable");
            return Err(Damage {
                file: file.path,
                position: file.end,
                reason,
            }
            .into());
        }
        Ok(())
    }

    fn stored_index(&self, id: SegmentId, covered: u64) -> Option<Index> {
        if covered == 0 {
            return Some(Index::default());
        }
        let path = self.directory.join(id.index_file());
        let bytes = read_whole(self.shared.disk.as_ref(), &path, index::MAX_FILE_BYTES)
            .ok()
            .flatten()?;
        Index::decode(&bytes, covered)
    }

    /// What is served from now on must not vanish with the next crash.
    fn make_durable(&self, file: &SegmentFile, state: &State, index: &Index) -> Result<(), StorageError> {
        let disk = self.shared.disk.as_ref();
        file.file.sync_data().map_err(failed("sync of", &file.path))?;
        let encoded = index.encode(state.content.file_bytes);
        replace_cache(disk, self.directory, &state.active.index_file(), &encoded)
            .map_err(failed("writing an index in", self.directory))?;
        replace(disk, self.directory, STATE_FILE, &state.encode())
            .map_err(failed("writing the state of", self.directory))
    }

    fn recovered(&self, state: State, file: &SegmentFile, index: Index) -> Recovered {
        let key = (self.id, state.active, Access::Active);
        self.shared.handles.put(key, Arc::clone(&file.file));
        let active = Active::new(state.active, index, state.content.file_bytes);
        let sealed = state
            .sealed
            .iter()
            .map(|sealed| Sealed::new(sealed.id, sealed.content))
            .collect();
        Recovered {
            view: View { sealed, active },
            start: state.start,
            content: state.content,
            epochs: state.epochs,
        }
    }

    /// Removes files of our own naming that the state does not name; everything else is left alone and told.
    fn remove_leftovers(&self, state: &State) -> Result<(), StorageError> {
        let named = |id: SegmentId| id == state.active || state.sealed.iter().any(|sealed| sealed.id == id);
        let disk = self.shared.disk.as_ref();
        for entry in self.entries.iter().filter(|entry| entry.name != STATE_FILE) {
            let whole = entry.name.strip_suffix(TEMPORARY);
            let own = SegmentId::of_file(whole.unwrap_or(&entry.name));
            let is_own = own.is_some() || whole == Some(STATE_FILE);
            if entry.kind != EntryKind::File || !is_own {
                tracing::warn!(log = %self.id, name = %entry.name, "an unknown file is left alone");
                continue;
            }
            if whole.is_some() || own.is_some_and(|(id, _)| !named(id)) {
                let path = self.directory.join(&entry.name);
                remove_if_there(disk, &path).map_err(failed("removing", &path))?;
            }
        }
        Ok(())
    }
}

/// Whether a mark behind this position says that it was durable.
pub(super) fn is_covered_by_a_mark(file: &SegmentFile, position: u64) -> Result<bool, StorageError> {
    let mut at = position;
    while at < file.end {
        let mut window = Vec::new();
        let left = usize::try_from(file.end - at).unwrap_or(usize::MAX);
        let bytes = (SCAN_BYTES + MARK_BYTES).min(left);
        file.file
            .read_at(at, bytes, &mut window)
            .map_err(failed("reading", &file.path))?;
        let covers = |start: usize| {
            let rest = window.get(start..).unwrap_or_default();
            Mark::decode(rest, at + start as u64).is_some_and(|mark| mark.durable > position)
        };
        if (0..window.len()).any(covers) {
            return Ok(true);
        }
        at += SCAN_BYTES as u64;
    }
    Ok(false)
}

/// The segments whose data files are in a directory, in no order.
pub(super) fn segment_ids(entries: &[DirEntry]) -> Vec<SegmentId> {
    let files = entries.iter().filter(|entry| entry.kind == EntryKind::File);
    let ids = files.filter_map(|entry| SegmentId::of_file(&entry.name));
    ids.filter_map(|(id, is_data)| is_data.then_some(id)).collect()
}

/// One segment for each base: the one that was written last.
pub(super) fn newest_generations(mut ids: Vec<SegmentId>) -> Vec<SegmentId> {
    ids.sort_unstable();
    let mut newest: Vec<SegmentId> = Vec::new();
    for id in ids {
        match newest.last_mut() {
            Some(last) if last.base == id.base => *last = id,
            _ => newest.push(id),
        }
    }
    newest
}

/// A segment that was never compacted ends where the next one begins; else a file is missing or was shortened.
pub(super) fn check_reaches(
    file: &SegmentFile,
    id: SegmentId,
    end: Offset,
    next: Offset,
) -> Result<(), StorageError> {
    if id.generation > 0 || end == next {
        return Ok(());
    }
    let reason = format!("the segment ends at offset {end} but the next one begins at {next}");
    Err(Damage {
        file: file.path.clone(),
        position: file.end,
        reason,
    }
    .into())
}

/// Lets each sealed segment reach to the next one: compaction may have left nothing at its end.
pub(super) fn close_gaps(sealed: &mut [SealedEntry], active_base: Offset) {
    let starts: Vec<_> = sealed
        .iter()
        .map(|sealed| sealed.id.base)
        .skip(1)
        .chain([active_base])
        .collect();
    for (sealed, next) in sealed.iter_mut().zip(starts) {
        let range = sealed.content.range;
        sealed.content.range = OffsetRange::new(range.start, range.end.max(next));
    }
}
