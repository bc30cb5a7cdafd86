//! Shows what is in the files of a log, as far as it can be read.

use std::io::ErrorKind;
use std::path::Path;

use strandline_core::disk::{Disk, OpenMode};
use strandline_core::record::{BatchHeader, HEADER_BYTES};
use strandline_core::storage::StorageError;
use strandline_core::{LogId, Offset};

use super::check::{Broken, Seen, Surveyor, log_directory};
use super::files::{SegmentId, failed, read_whole};
use super::index::{self, Index};
use super::reading::SegmentFile;
use super::recovery::{newest_generations, segment_ids};
use super::state::{self, Content, STATE_FILE, State, Undecodable};
use crate::check::{Field, Piece, header_fields};

/// Shows one file: a segment, an index or a state, which its name tells. Batches that end before `from` are left out. Goes on
/// for as long as `show` wants.
///
/// # Errors
///
/// The file cannot be read, or its name is none of these.
pub fn dump_segment_file(
    disk: &dyn Disk,
    path: &Path,
    from: Offset,
    show: &mut dyn FnMut(Piece<'_>) -> bool,
) -> Result<(), StorageError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let id = SegmentId::of_file(&name).map(|(id, _)| id);
    if name.ends_with(".seg") {
        return dump_segment(disk, path, id, from, show).map(drop);
    }
    if name.ends_with(".idx") {
        return dump_index(disk, path, from, show);
    }
    if name == STATE_FILE {
        return dump_state(disk, path, show).map(drop);
    }
    Err(StorageError::Invalid {
        what: format!(
            "{} is no segment (.seg), index (.idx) or state file by its name",
            path.display()
        ),
    })
}

/// Shows the state and the segments of a log.
///
/// # Errors
///
/// There is no such log, or it cannot be read.
pub fn dump_segment_log(
    disk: &dyn Disk,
    store: &Path,
    log: LogId,
    from: Offset,
    show: &mut dyn FnMut(Piece<'_>) -> bool,
) -> Result<(), StorageError> {
    let directory = log_directory(store, log);
    let entries = match disk.list(&directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(StorageError::NotFound { log }),
        other => other.map_err(failed("listing", &directory))?,
    };
    let state = dump_state(disk, &directory.join(STATE_FILE), show)?;
    let ids: Vec<_> = match state {
        Some(state) => {
            let wanted = |content: &Content| content.range.end > from;
            let sealed = state.sealed.iter().filter(|sealed| wanted(&sealed.content));
            sealed.map(|sealed| sealed.id).chain([state.active]).collect()
        }
        None => newest_generations(segment_ids(&entries)),
    };
    for id in ids {
        let path = directory.join(id.data_file());
        match dump_segment(disk, &path, Some(id), from, show) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(StorageError::Io { source, .. }) => {
                let problem = format!("{} cannot be read: {source}", path.display());
                if !show(Piece::new(
                    "damage",
                    None,
                    vec![("problem", Field::Text(problem))],
                )) {
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Shows the frames of a segment; says whether to go on behind it.
fn dump_segment(
    disk: &dyn Disk,
    path: &Path,
    id: Option<SegmentId>,
    from: Offset,
    show: &mut dyn FnMut(Piece<'_>) -> bool,
) -> Result<bool, StorageError> {
    let file = disk.open(path, OpenMode::Read).map_err(failed("opening", path))?;
    let end = file.len().map_err(failed("measuring", path))?;
    let index = read_whole(disk, &path.with_extension("idx"), index::MAX_FILE_BYTES);
    let guide = index.ok().flatten().and_then(|bytes| Index::read(&bytes).ok());
    let file = SegmentFile {
        file,
        path: path.to_owned(),
        end,
    };
    let fields = vec![
        ("file", Field::Text(path.display().to_string())),
        ("bytes", Field::Number(end)),
    ];
    if !show(Piece::new("segment", None, fields)) {
        return Ok(false);
    }
    let surveyor = Surveyor {
        file: &file,
        guide: guide.as_ref().map(|(_, index)| index),
        durable: None,
    };
    let mut goes_on = true;
    let base = id.map_or(Offset::ZERO, |id| id.base);
    surveyor.run(base, &mut |seen| {
        goes_on = match seen {
            Seen::Mark(position, mark) => show(Piece::new(
                "mark",
                Some(position),
                vec![("durable", Field::Number(mark.durable))],
            )),
            Seen::Batch(_, batch) if batch.header().end() <= from => true,
            Seen::Batch(position, batch) => show(Piece::of_batch(Some(position), batch)),
            Seen::Broken(broken) => show(broken_piece(&file, broken)),
        };
        goes_on
    });
    Ok(goes_on)
}

/// What is wrong at a place, and what a header there would say.
fn broken_piece(file: &SegmentFile, broken: &Broken) -> Piece<'static> {
    let mut fields = vec![("problem", Field::Text(broken.reason.clone()))];
    match broken.next {
        Some(next) => fields.push(("readable_from", Field::Number(next))),
        None => fields.push(("unreadable_to", Field::Number(file.end))),
    }
    let mut head = Vec::new();
    let read = file.file.read_at(broken.position, HEADER_BYTES, &mut head);
    let header = read.ok().and_then(|_| head.first_chunk());
    if let Some(Ok(header)) = header.map(BatchHeader::decode) {
        fields.extend(header_fields(&header));
    }
    Piece::new("damage", Some(broken.position), fields)
}

fn dump_index(
    disk: &dyn Disk,
    path: &Path,
    from: Offset,
    show: &mut dyn FnMut(Piece<'_>) -> bool,
) -> Result<(), StorageError> {
    let bytes = read_whole(disk, path, index::MAX_FILE_BYTES).map_err(failed("reading", path))?;
    let bytes = bytes.ok_or_else(|| failed("opening", path)(ErrorKind::NotFound.into()))?;
    let (covered, index) = match Index::read(&bytes) {
        Ok(read) => read,
        Err(problem) => {
            show(Piece::new(
                "damage",
                Some(0),
                vec![("problem", Field::Text(problem.to_owned()))],
            ));
            return Ok(());
        }
    };
    let fields = vec![
        ("covered", Field::Number(covered)),
        ("entries", Field::Number(index.entries().len() as u64)),
    ];
    let mut goes_on = show(Piece::new("index", Some(0), fields));
    for (offset, time, position) in index.entries().filter(|(offset, ..)| *offset >= from) {
        if !goes_on {
            break;
        }
        let fields = vec![
            ("offset", Field::Number(offset.get())),
            ("first_time", Field::Time(time.nanos())),
            ("segment_position", Field::Number(position)),
        ];
        goes_on = show(Piece::new("entry", None, fields));
    }
    Ok(())
}

/// Shows a state file; gives back what it says if that can be read.
fn dump_state(
    disk: &dyn Disk,
    path: &Path,
    show: &mut dyn FnMut(Piece<'_>) -> bool,
) -> Result<Option<State>, StorageError> {
    let bytes = read_whole(disk, path, state::MAX_FILE_BYTES).map_err(failed("reading", path))?;
    let problem = match bytes.as_deref().map(State::decode) {
        Some(Ok(state)) => {
            show_state(&state, show);
            return Ok(Some(state));
        }
        Some(Err(Undecodable::Version(version))) => format!("{} is of version {version}", path.display()),
        Some(Err(Undecodable::Damaged)) => format!("{}: checksum or form is wrong", path.display()),
        None => format!("{} is missing", path.display()),
    };
    show(Piece::new(
        "damage",
        Some(0),
        vec![("problem", Field::Text(problem))],
    ));
    Ok(None)
}

fn show_state(state: &State, show: &mut dyn FnMut(Piece<'_>) -> bool) {
    let mut fields = vec![
        ("start", Field::Number(state.start.get())),
        ("end", Field::Number(state.content.range.end.get())),
        ("sealed_segments", Field::Number(state.sealed.len() as u64)),
        ("epochs", Field::Number(state.epochs.len() as u64)),
    ];
    fields.extend(state.cut_at.map(|cut| ("cut_at", Field::Number(cut))));
    let sealed = state
        .sealed
        .iter()
        .map(|sealed| ("sealed", sealed.id, &sealed.content));
    let mut pieces = vec![Piece::new("state", Some(0), fields)];
    for (kind, id, content) in sealed.chain([("active", state.active, &state.content)]) {
        pieces.push(Piece::new(kind, None, content_fields(id, content)));
    }
    pieces.extend(state.epochs.iter().map(|epoch| {
        let fields = vec![
            ("epoch", Field::Number(epoch.epoch.get())),
            ("offset", Field::Number(epoch.start.get())),
        ];
        Piece::new("epoch", None, fields)
    }));
    for piece in pieces {
        if !show(piece) {
            return;
        }
    }
}

fn content_fields(id: SegmentId, content: &Content) -> Vec<(&'static str, Field)> {
    let mut fields = vec![
        ("file", Field::Text(id.data_file())),
        ("start", Field::Number(content.range.start.get())),
        ("end", Field::Number(content.range.end.get())),
        ("records", Field::Number(content.records)),
        ("bytes", Field::Number(content.bytes)),
        ("file_bytes", Field::Number(content.file_bytes)),
    ];
    if content.records > 0 {
        fields.push(("first_time", Field::Time(content.first_time.nanos())));
        fields.push(("last_time", Field::Time(content.last_time.nanos())));
    }
    fields
}
