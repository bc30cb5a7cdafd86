//! Mends a log by writing the database anew: redb cannot change a page that it cannot read.
//!
//! All other logs are copied. What cannot be read of them cannot be copied, and must not be taken for a gap of compaction: a mark
//! stands in its place, which reads like a damaged batch until that log is mended, too.

use std::path::{Path, PathBuf};

use strandline_core::disk::Disk;
use strandline_core::record::Batch;
use strandline_core::storage::StorageError;
use strandline_core::{LogId, Offset, OffsetRange};

use super::RedbFactory;
use super::check::open;
use super::database::{DATABASE_FILE, Database, copy_of, remove_unfinished};
use super::shape::{Content, Segment, SegmentId, Shape};
use super::stored::{as_storage_error, list, load};
use super::tables::Tables;
use super::walk::each_readable;
use crate::files::failed;
use crate::repair::{RepairAction, RepairPlan, RepairWork};

/// Bytes of batches that one transaction copies.
const COPY_BYTES: usize = 8 << 20;

/// Plans the repair of a log; changes nothing.
///
/// # Errors
///
/// There is no such log, the database cannot be read, or the action is not what would mend it.
pub fn plan_redb_repair(
    disk: &dyn Disk,
    store: &Path,
    log: LogId,
    action: RepairAction,
) -> Result<RepairPlan, StorageError> {
    let database = open(disk, store)?;
    let shape = shape_of(&database, log)?;
    let segments = survey_all(&database, log, &shape)?;
    let lost: Vec<OffsetRange> = segments.iter().flat_map(|(_, gaps)| gaps.clone()).collect();
    let (shape, lost) = match action {
        RepairAction::DropDamaged => (without_damage(&shape, &segments), lost),
        RepairAction::Cut => match lost.first().map(|first| first.start.max(shape.start)) {
            Some(end) => {
                let lost = vec![OffsetRange::new(end, shape.end())];
                (cut(&database, log, &shape, end)?, lost)
            }
            None => (shape, lost),
        },
        RepairAction::RebuildIndex | RepairAction::RebuildState => {
            return Err(StorageError::Invalid {
                what: "redb keeps no indexes and no state of a log: use --action drop-damaged or cut"
                    .to_owned(),
            });
        }
    };
    Ok(plan(database.path(), store, log, shape, lost))
}

fn plan(path: &Path, store: &Path, log: LogId, shape: Shape, lost: Vec<OffsetRange>) -> RepairPlan {
    let (mut steps, mut originals) = (Vec::new(), Vec::new());
    if !lost.is_empty() {
        let records: u64 = shape.segments().map(|segment| segment.content.records).sum();
        steps.push(format!(
            "write {DATABASE_FILE} anew with the {records} records of the partition that can be read"
        ));
        steps.push("copy all other partitions into it as they are".to_owned());
        steps.push(format!("end the partition at offset {}", shape.end()));
        originals.push(path.to_owned());
    }
    let work = Rewrite {
        store: store.to_owned(),
        log,
        shape,
    };
    RepairPlan {
        steps,
        lost,
        originals,
        work: Box::new(work),
    }
}

fn shape_of(database: &Database, log: LogId) -> Result<Shape, StorageError> {
    let shape = load(database, log).map_err(|error| as_storage_error(database, error))?;
    shape.ok_or(StorageError::NotFound { log })
}

type Surveyed = (Segment, Vec<OffsetRange>);

/// The segments with what can be read of each, and where the rest is.
fn survey_all(database: &Database, log: LogId, shape: &Shape) -> Result<Vec<Surveyed>, StorageError> {
    let look = |segment: &Segment| {
        let (id, range) = (segment.id, segment.content.range);
        let mut content = Content::empty(range.start);
        let gaps = each_readable(database, log, segment, &mut |batch| {
            content.note(batch.header());
            Ok(())
        })?;
        content.range = range;
        Ok((Segment { id, content }, gaps))
    };
    shape.segments().map(look).collect()
}

/// The log without what cannot be read. No offset of that is given again.
fn without_damage(shape: &Shape, segments: &[Surveyed]) -> Shape {
    let mut segments: Vec<Segment> = segments.iter().map(|(segment, _)| *segment).collect();
    Shape {
        active: segments.pop().unwrap_or(shape.active),
        sealed: segments.into(),
        ..shape.clone()
    }
}

/// The log up to this offset.
fn cut(database: &Database, log: LogId, shape: &Shape, end: Offset) -> Result<Shape, StorageError> {
    let mut shape = shape.clone();
    let mut segments: Vec<Segment> = shape
        .segments()
        .filter(|segment| segment.id.base <= end)
        .copied()
        .collect();
    if let Some(mut last) = segments.pop() {
        last.content.range = OffsetRange::new(last.content.range.start.min(end), end);
        let mut content = Content::empty(last.content.range.start);
        each_readable(database, log, &last, &mut |batch| {
            content.note(batch.header());
            Ok(())
        })?;
        content.range.end = end;
        last.content = content;
        shape.active = last;
    }
    shape.sealed = segments.into();
    shape.epochs.forget_from(end);
    Ok(shape)
}

/// The database is written anew, with this log as it is to be.
#[derive(Debug)]
struct Rewrite {
    store: PathBuf,
    log: LogId,
    shape: Shape,
}

impl RepairWork for Rewrite {
    fn carry_out(&self, disk: &dyn Disk) -> Result<(), StorageError> {
        let written = self.write(disk);
        if written.is_err() {
            // A disk that got full has its room again; what cannot be removed now is by the next start.
            let _ = remove_unfinished(disk, &self.store);
        }
        written
    }
}

impl Rewrite {
    fn write(&self, disk: &dyn Disk) -> Result<(), StorageError> {
        let new = Database::make_aside(disk, &self.store, RedbFactory::DEFAULT_CACHE_BYTES)?;
        self.copy_all(disk, &new)?;
        new.put_in_place(disk, &self.store)
    }

    fn copy_all(&self, disk: &dyn Disk, new: &Database) -> Result<(), StorageError> {
        let old = open(disk, &self.store)?;
        let logs = list(&old).map_err(|error| as_storage_error(&old, error))?;
        let copy = Copy { old: &old, new };
        for log in logs {
            if log == self.log {
                copy.log(log, &self.shape)?;
            } else {
                copy.log(log, &shape_of(&old, log)?)?;
            }
        }
        Ok(())
    }
}

/// From one database into another.
struct Copy<'a> {
    old: &'a Database,
    new: &'a Database,
}

impl Copy<'_> {
    /// Copies a log as far as it can be read and this shape reaches. A mark stands where less is there than the shape says.
    fn log(&self, log: LogId, shape: &Shape) -> Result<(), StorageError> {
        self.write(&mut |tables| tables.create(log, shape))?;
        for segment in shape.segments() {
            let (mut batches, mut bytes) = (Vec::new(), 0);
            let gaps = each_readable(self.old, log, segment, &mut |batch| {
                bytes += batch.bytes().len();
                batches.push(batch.clone());
                if bytes < COPY_BYTES {
                    return Ok(());
                }
                bytes = 0;
                self.put(log, segment.id, &std::mem::take(&mut batches))
            })?;
            self.put(log, segment.id, &batches)?;
            self.mark(log, segment.id, &gaps)?;
        }
        Ok(())
    }

    fn put(&self, log: LogId, segment: SegmentId, batches: &[Batch]) -> Result<(), StorageError> {
        self.write(&mut |tables| {
            batches
                .iter()
                .try_for_each(|batch| tables.put_batch(log, segment, batch))
        })
    }

    fn mark(&self, log: LogId, segment: SegmentId, gaps: &[OffsetRange]) -> Result<(), StorageError> {
        if gaps.is_empty() {
            return Ok(());
        }
        self.write(&mut |tables| {
            gaps.iter()
                .try_for_each(|gap| tables.put_damage(log, segment, gap.start))
        })
    }

    fn write(
        &self,
        change: &mut dyn FnMut(&mut Tables<'_>) -> Result<(), redb::Error>,
    ) -> Result<(), StorageError> {
        let written = self.new.write(change);
        written.map_err(|error| failed("writing", self.new.path())(copy_of(&error)))
    }
}
