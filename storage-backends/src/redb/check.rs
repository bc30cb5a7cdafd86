//! Looks at a store that nobody uses, and changes nothing. The database is opened as for writing, since redb has to tidy up
//! after a crash before it can be read; what it writes stays in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use redb::ReadableTable;

use strandline_core::disk::{Disk, EntryKind, OpenMode};
use strandline_core::record::Batch;
use strandline_core::storage::StorageError;
use strandline_core::{LogId, Offset, OffsetRange};

use super::RedbFactory;
use super::database::{DATABASE_FILE, Database};
use super::shape::{Content, Segment, SegmentId, Shape};
use super::store::FORMAT;
use super::stored::{as_storage_error, list, load};
use super::tables::{BATCHES, BatchKey, LEFTOVERS, SegmentKey, batch_key, segment_key};
use super::walk::each_batch;
use crate::check::{
    Contents, Field, Finding, Inspector, LEFT_ALONE, LogTotals, NEWER, Piece, REMOVED, RESTORE, RESTORE_ONLY,
    UNREADABLE,
};
use crate::directory::{FORMAT_FILE, LOCK_FILE};
use crate::disk::Overlay;
use crate::epochs::Epochs;
use crate::files::TEMPORARY;

/// Looks at a store in redb: at all of its logs, or at these of them. Gives back what each holds, nothing where there is no
/// store; none if it cannot be read at all.
pub fn check_redb_store(
    disk: &dyn Disk,
    directory: &Path,
    only: Option<&BTreeSet<LogId>>,
    inspector: &mut dyn Inspector,
) -> Option<BTreeMap<LogId, LogTotals>> {
    let mut totals = BTreeMap::new();
    if !check_directory(disk, directory, inspector) {
        return Some(totals);
    }
    let path = directory.join(DATABASE_FILE);
    let opened = open(disk, directory).map_err(|error| refused(&path, &error));
    let verified = opened.and_then(|database| {
        let (is_whole, logs) = (database.is_whole(), list(&database));
        let damage = |problem: String| Finding::damage(&path, problem, RESTORE_ONLY);
        match is_whole {
            Ok(true) => {}
            Ok(false) => inspector.found(damage(
                "redb finds pages that are not as it wrote them".to_owned(),
            )),
            Err(error) => return Err(damage(format!("redb cannot verify it: {error}"))),
        }
        Ok((logs.map_err(|error| damage(error.to_string()))?, database))
    });
    let (logs, database) = match verified {
        Ok(verified) => verified,
        Err(finding) => {
            inspector.found(finding);
            return None;
        }
    };
    inspector.read(redb_store_bytes(disk, directory) / 2);
    let mut known = BTreeSet::new();
    for log in logs
        .into_iter()
        .filter(|log| only.is_none_or(|only| only.contains(log)))
    {
        inspector.turn_to(log);
        if let Some(found) = check_log(&database, log, &mut known, inspector) {
            totals.insert(log, found);
        }
    }
    if only.is_none() {
        check_rest(&database, &known, inspector);
    }
    Some(totals)
}

/// The bytes that [`check_redb_store`] is going to read, about: redb reads everything, and so do we.
pub fn redb_store_bytes(disk: &dyn Disk, directory: &Path) -> u64 {
    let file = disk.open(&directory.join(DATABASE_FILE), OpenMode::Read);
    2 * file.and_then(|file| file.len()).unwrap_or_default()
}

/// Shows what a log holds, for as long as `show` wants to go on. Batches that end before `from` are left out.
///
/// # Errors
///
/// There is no such log, or the database cannot be read.
pub fn dump_redb_log(
    disk: &dyn Disk,
    directory: &Path,
    log: LogId,
    from: Offset,
    show: &mut dyn FnMut(Piece<'_>) -> bool,
) -> Result<(), StorageError> {
    let database = open(disk, directory)?;
    let shape = load(&database, log).map_err(|error| as_storage_error(&database, error))?;
    let shape = shape.ok_or(StorageError::NotFound { log })?;
    let fields = vec![
        ("start", Field::Number(shape.start.get())),
        ("end", Field::Number(shape.end().get())),
        ("epochs", Field::Number(shape.epochs.len() as u64)),
    ];
    let mut goes_on = show(Piece::new("log", None, fields));
    for segment in shape.segments() {
        let fields = segment_fields(segment);
        goes_on = goes_on && show(Piece::new("segment", None, fields));
        if !goes_on || segment.content.range.end <= from {
            continue;
        }
        let walked = each_batch(&database, (log, segment.id), Offset::ZERO, &mut |base, batch| {
            goes_on = match batch {
                Ok(batch) if batch.header().end() <= from => true,
                Ok(batch) => show(Piece::of_batch(None, &batch)),
                Err(problem) => {
                    let fields = vec![
                        ("offset", Field::Number(base.get())),
                        ("problem", Field::Text(problem)),
                    ];
                    show(Piece::new("damage", None, fields))
                }
            };
            goes_on
        });
        walked.map_err(|error| as_storage_error(&database, error))?;
    }
    Ok(())
}

fn segment_fields(segment: &Segment) -> Vec<(&'static str, Field)> {
    let content = &segment.content;
    vec![
        ("base", Field::Number(segment.id.base.get())),
        ("generation", Field::Number(u64::from(segment.id.generation))),
        ("start", Field::Number(content.range.start.get())),
        ("end", Field::Number(content.range.end.get())),
        ("records", Field::Number(content.records)),
        ("bytes", Field::Number(content.bytes)),
    ]
}

/// Opens the database of a store to be read; what redb writes stays in memory.
pub(super) fn open(disk: &dyn Disk, directory: &Path) -> Result<Database, StorageError> {
    Database::open(&Overlay::new(disk), directory, RedbFactory::DEFAULT_CACHE_BYTES)
}

/// Looks at the files beside the database; says whether there is one.
fn check_directory(disk: &dyn Disk, directory: &Path, inspector: &mut dyn Inspector) -> bool {
    let entries = match disk.list(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return false,
        Err(error) => {
            let problem = format!("cannot be read: {error}");
            inspector.found(Finding::damage(directory, problem, UNREADABLE));
            return false;
        }
    };
    let own = [DATABASE_FILE, FORMAT_FILE, LOCK_FILE];
    for entry in entries
        .iter()
        .filter(|entry| entry.kind != EntryKind::File || !own.contains(&entry.name.as_str()))
    {
        let path = directory.join(&entry.name);
        let is_unfinished = entry
            .name
            .strip_suffix(TEMPORARY)
            .is_some_and(|name| own.contains(&name));
        inspector.found(if is_unfinished {
            Finding::harmless(path, "a write was interrupted", REMOVED)
        } else {
            Finding::harmless(path, "this is no file of the broker's", LEFT_ALONE)
        });
    }
    let is_there = |name: &str| entries.iter().any(|entry| entry.name == name);
    let marker = directory.join(FORMAT_FILE);
    match FORMAT.is_marked(disk, directory) {
        // The marker is written last of all when a store is made.
        Ok(false) if is_there(DATABASE_FILE) => {
            inspector.found(Finding::harmless(
                marker,
                "the file is missing",
                "nothing: the next start of the broker writes it",
            ));
        }
        Ok(_) => {}
        Err(error @ StorageError::Version { .. }) => {
            inspector.found(Finding::damage(marker, error.to_string(), NEWER));
        }
        Err(error) => inspector.found(Finding::damage(marker, error.to_string(), UNREADABLE)),
    }
    is_there(DATABASE_FILE) || {
        if is_there(FORMAT_FILE) {
            let path = directory.join(DATABASE_FILE);
            inspector.found(Finding::damage(path, "the file is missing", RESTORE_ONLY));
        }
        false
    }
}

fn refused(path: &Path, error: &StorageError) -> Finding {
    match error {
        StorageError::Version { found, known, .. } => {
            let problem = format!("written by version {found}, this program knows up to {known}");
            Finding::damage(path, problem, NEWER)
        }
        StorageError::Damaged(damage) => Finding::damage(path, &damage.reason, RESTORE_ONLY),
        StorageError::Io { source, .. } => {
            Finding::damage(path, format!("cannot be read: {source}"), UNREADABLE)
        }
        other => Finding::damage(path, other.to_string(), RESTORE_ONLY),
    }
}

/// Looks at a log and takes note of its segments.
fn check_log(
    database: &Database,
    log: LogId,
    known: &mut BTreeSet<SegmentKey>,
    inspector: &mut dyn Inspector,
) -> Option<LogTotals> {
    let path = database.path();
    // A repair gives up what cannot be read. What can be read and is wrong it leaves as it is.
    let found_damage = |problem: String, help| Finding::damage(path, format!("log {log}: {problem}"), help);
    let unreadable = |problem: String| found_damage(problem, RESTORE);
    let damage = |problem: String| found_damage(problem, RESTORE_ONLY);
    let shape = match load(database, log) {
        Ok(shape) => shape?,
        Err(error) => {
            inspector.found(damage(error.to_string()));
            return Some(LogTotals::default());
        }
    };
    known.extend(shape.segments().map(|segment| segment_key(log, segment.id)));
    contradictions(&shape)
        .into_iter()
        .for_each(|problem| inspector.found(damage(problem)));
    let mut totals = LogTotals {
        range: OffsetRange::new(shape.start, shape.end()),
        ..LogTotals::default()
    };
    let mut contents = Contents::default();
    for segment in shape.segments() {
        totals.segments += 1;
        let (mut found, mut is_whole) = (Content::empty(segment.content.range.start), true);
        let walked = each_batch(database, (log, segment.id), Offset::ZERO, &mut |base, batch| {
            let help = if batch.is_ok() { RESTORE_ONLY } else { RESTORE };
            let checked = batch.and_then(|batch| {
                let header = batch.header();
                inspector.read(u64::from(header.bytes));
                totals.batches += 1;
                totals.records += u64::from(header.records);
                totals.bytes += u64::from(header.bytes);
                let order = if header.base < found.range.end {
                    Err("it repeats offsets of the one before".to_owned())
                } else {
                    epoch_problem(&shape.epochs, &batch)
                };
                found.note(header);
                order.and_then(|()| contents.check(&batch, inspector))
            });
            if let Err(problem) = checked {
                is_whole = false;
                inspector.found(found_damage(
                    format!("the batch at offset {base}: {problem}"),
                    help,
                ));
            }
            true
        });
        if let Err(error) = walked {
            inspector.found(unreadable(error.to_string()));
        } else if is_whole && let Some(problem) = difference(segment, &found) {
            inspector.found(damage(format!(
                "the segment from offset {} {problem}",
                segment.id.base
            )));
        }
    }
    totals.locked = contents.locked;
    Some(totals)
}

/// What a log says of itself that cannot be.
fn contradictions(shape: &Shape) -> Vec<String> {
    let mut problems = Vec::new();
    if !shape.epochs.are_in_order() {
        problems.push("its epochs are out of order".to_owned());
    }
    let mut end = shape.start;
    for segment in shape.segments() {
        let range = segment.content.range;
        if range.end < range.start || segment.id.generation > shape.generation {
            problems.push(format!("the segment from offset {} cannot be", segment.id.base));
        }
        if range.start < end {
            problems.push(format!(
                "the segment from offset {} begins before offset {end}",
                segment.id.base
            ));
        }
        end = range.end;
    }
    problems
}

/// What is in a segment that its entry does not say.
fn difference(segment: &Segment, found: &Content) -> Option<String> {
    let promised = &segment.content;
    if (found.records, found.bytes) != (promised.records, promised.bytes) {
        return Some(format!(
            "holds {} records in {} bytes, its entry says {} in {}",
            found.records, found.bytes, promised.records, promised.bytes
        ));
    }
    if found.records == 0 {
        return None;
    }
    if (found.first_time, found.last_time) != (promised.first_time, promised.last_time) {
        return Some("has other times than its entry says".to_owned());
    }
    let is_within = found.range.start >= promised.range.start && found.range.end <= promised.range.end;
    (!is_within).then(|| {
        format!(
            "holds the offsets {}, its entry says {}",
            found.range, promised.range
        )
    })
}

fn epoch_problem(epochs: &Epochs, batch: &Batch) -> Result<(), String> {
    let header = batch.header();
    match epochs.at(header.base) {
        Some(known) if known == header.epoch => Ok(()),
        Some(known) => Err(format!("its epoch is {}, the log says {known}", header.epoch)),
        None => Err("the log knows no epoch for it".to_owned()),
    }
}

/// Finds batches that belong to no log.
fn check_rest(database: &Database, known: &BTreeSet<SegmentKey>, inspector: &mut dyn Inspector) {
    let looked = database.read(|transaction| {
        let look = || {
            let batches = transaction.open_table(BATCHES)?;
            let leftovers = transaction.open_table(LEFTOVERS)?;
            let mut next = batch_key(LogId::new(0), FIRST_SEGMENT, Offset::ZERO, 0);
            let mut rest = Vec::new();
            while let Some(entry) = ReadableTable::range::<&BatchKey>(&batches, &next..)?.next() {
                let key = *entry?.0.value();
                let Some(segment) = key.first_chunk::<20>().copied() else {
                    break;
                };
                if !known.contains(&segment) {
                    rest.push(leftovers.get(&segment)?.is_some());
                }
                next = [u8::MAX; 32];
                next[..20].copy_from_slice(&segment);
                if key == next {
                    break;
                }
            }
            Ok(rest)
        };
        look().map_err(|error: redb::Error| database.read_error(error))
    });
    let path = database.path();
    match looked {
        Err(error) => inspector.found(Finding::damage(path, error.to_string(), RESTORE_ONLY)),
        Ok(rest) => {
            let removed = rest.iter().filter(|is_left| **is_left).count();
            if removed > 0 {
                let problem = format!("{removed} segments left their logs and are not removed yet");
                inspector.found(Finding::harmless(path, problem, REMOVED));
            }
            if removed < rest.len() {
                let problem = format!("{} segments with batches belong to no log", rest.len() - removed);
                inspector.found(Finding::harmless(
                    path,
                    problem,
                    "nothing: they are never read, and take room",
                ));
            }
        }
    }
}

const FIRST_SEGMENT: SegmentId = SegmentId {
    base: Offset::ZERO,
    generation: 0,
};
