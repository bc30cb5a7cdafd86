//! Reading: which segment, where in it, and what to do at its end.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use strandline_core::record::Batch;
use strandline_core::storage::{Damage, Log, ReadError, ReadLimit, Run};
use strandline_core::{Offset, Timestamp};

use super::super::active::{Sealed, View};
use super::super::files::read_whole;
use super::super::handles::Access;
use super::super::index::{self, Index};
use super::super::reading::SegmentFile;
use super::super::recovery::build_index;
use super::{Condition, SegmentLog};

/// A segment to read from: sealed ones by their place, the active one last.
type Place = usize;

impl SegmentLog {
    pub(super) fn read_run(&self, from: Offset, limit: ReadLimit) -> Result<Run, ReadError> {
        self.with_view(|view, end| self.read_run_in(view, end, from, limit))
    }

    pub(super) fn read_batch_before(&self, before: Offset) -> Result<Option<Batch>, ReadError> {
        self.with_view(|view, end| self.batch_before_in(view, end, before))
    }

    pub(super) fn first_offset_at(&self, time: Timestamp) -> Result<Offset, ReadError> {
        self.with_view(|view, end| self.offset_at_in(view, end, time))
    }

    /// Looks at the segments as they are now, and again at those that have taken their place when a file was replaced
    /// meanwhile.
    fn with_view<T>(&self, look: impl Fn(&View, Offset) -> Result<T, ReadError>) -> Result<T, ReadError> {
        loop {
            self.check_readable()?;
            // The end first: a view that is loaded later holds at least everything below it.
            let end = self.end();
            let view = self.view.load_full();
            match look(&view, end) {
                Err(ReadError::Io(error))
                    if error.kind() == ErrorKind::NotFound && !self.is_current(&view) => {}
                other => return other,
            }
        }
    }

    fn is_current(&self, view: &View) -> bool {
        Arc::ptr_eq(&view.sealed, &self.view.load().sealed)
    }

    fn read_run_in(
        &self,
        view: &View,
        end: Offset,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Run, ReadError> {
        self.check_bounds(from, end)?;
        let limit = ReadLimit {
            end: limit.end.min(end),
            ..limit
        };
        if from >= limit.end {
            return Ok(Run {
                next: from,
                ..Run::default()
            });
        }
        let first = view
            .sealed
            .partition_point(|sealed| sealed.content.range.end <= from);
        for place in first..=view.sealed.len() {
            if view
                .sealed
                .get(place)
                .is_some_and(|sealed| sealed.content.range.start >= limit.end)
            {
                break;
            }
            let found = self.with_segment(view, place, |file, index| {
                file.read(index.position_of(from), from, limit)
            })?;
            if let Some(next) = found.next {
                return Ok(Run {
                    bytes: found.bytes,
                    next,
                });
            }
        }
        Ok(Run {
            next: from,
            ..Run::default()
        })
    }

    fn batch_before_in(&self, view: &View, end: Offset, before: Offset) -> Result<Option<Batch>, ReadError> {
        if before > end {
            return Err(ReadError::BeyondEnd { end });
        }
        let start = self.start();
        let Some(last) = before.before().filter(|&last| last >= start) else {
            return Ok(None);
        };
        let newest = view
            .sealed
            .partition_point(|sealed| sealed.content.range.start < before);
        let newest = if view.active.id.base < before {
            view.sealed.len()
        } else {
            newest.saturating_sub(1)
        };
        for place in (0..=newest).rev() {
            let found = self.with_segment(view, place, |file, index| {
                file.last_before(index.position_of(last), before)
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn offset_at_in(&self, view: &View, end: Offset, time: Timestamp) -> Result<Offset, ReadError> {
        let older = |sealed: &Arc<Sealed>| sealed.content.records == 0 || sealed.content.last_time < time;
        let first = view
            .sealed
            .iter()
            .position(|sealed| !older(sealed))
            .unwrap_or(view.sealed.len());
        for place in first..=view.sealed.len() {
            let found = self.with_segment(view, place, |file, index| {
                file.first_at(index.position_at(time), time)
            })?;
            if let Some(offset) = found {
                return Ok(offset.min(end));
            }
        }
        Ok(end)
    }

    fn check_readable(&self) -> Result<(), ReadError> {
        match &*self.condition.read() {
            Condition::Open | Condition::Poisoned(_) => Ok(()),
            Condition::Closed => Err(ReadError::Closed),
            Condition::Deleted => Err(ReadError::Deleted),
        }
    }

    fn check_bounds(&self, from: Offset, end: Offset) -> Result<(), ReadError> {
        let start = self.start();
        if from < start {
            return Err(ReadError::Trimmed { start });
        }
        if from > end {
            return Err(ReadError::BeyondEnd { end });
        }
        Ok(())
    }

    /// Runs a look-up in one segment. A sealed segment whose file is gone was removed by retention meanwhile,
    /// or replaced: then the error is that the file is not there.
    fn with_segment<T>(
        &self,
        view: &View,
        place: Place,
        look: impl FnOnce(&SegmentFile, &Index) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let Some(sealed) = view.sealed.get(place) else {
            return self
                .active_segment(view)
                .and_then(|file| look(&file, &view.active.index.read()));
        };
        let result = self
            .sealed_file(sealed)
            .and_then(|file| look(&file, self.sealed_index(sealed, &file)?));
        match result {
            Err(ReadError::Io(error)) if error.kind() == ErrorKind::NotFound => {
                let start = self.start();
                if start > sealed.content.range.start {
                    return Err(ReadError::Trimmed { start });
                }
                if !self.is_current(view) {
                    return Err(ReadError::Io(error));
                }
                let file = self.directory.join(sealed.id.data_file());
                Err(Damage {
                    file,
                    position: 0,
                    reason: "the file is missing".to_owned(),
                }
                .into())
            }
            // A cut would have made another segment of it.
            Err(ReadError::Io(error))
                if error.kind() == ErrorKind::UnexpectedEof && self.is_current(view) =>
            {
                let file = self.directory.join(sealed.id.data_file());
                Err(Damage {
                    position: self.sealed_file(sealed)?.file.len()?,
                    reason: format!("it ends there and had {} bytes", sealed.content.file_bytes),
                    file,
                }
                .into())
            }
            other => other,
        }
    }

    fn active_segment(&self, view: &View) -> Result<SegmentFile, ReadError> {
        let active = &view.active;
        let file = match self.segment_file(active.id, Access::Active) {
            // It is sealed and replaced meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound && !self.is_current(view) => {
                return Err(error.into());
            }
            // The log was cut, or deleted, while it was read.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.check_readable()?;
                return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
            }
            other => other?,
        };
        Ok(SegmentFile {
            file,
            path: active.path(&self.directory),
            end: active.written(),
        })
    }

    fn sealed_file(&self, sealed: &Sealed) -> Result<SegmentFile, ReadError> {
        let file = self.segment_file(sealed.id, Access::Sealed)?;
        let path = self.directory.join(sealed.id.data_file());
        Ok(SegmentFile {
            file,
            path,
            end: sealed.content.file_bytes,
        })
    }

    /// The index of a sealed segment: from its file, or from a scan when that is no good.
    fn sealed_index<'a>(&self, sealed: &'a Sealed, file: &SegmentFile) -> Result<&'a Index, ReadError> {
        if let Some(index) = sealed.index.get() {
            return Ok(index);
        }
        let path = self.directory.join(sealed.id.index_file());
        let stored = read_whole(self.shared.disk.as_ref(), &path, index::MAX_FILE_BYTES)
            .ok()
            .flatten();
        let stored = stored.and_then(|bytes| Index::decode(&bytes, sealed.content.file_bytes));
        let index = match stored {
            Some(index) => index,
            None => {
                tracing::warn!(log = %self.id, segment = %sealed.id.base, "an index is missing or damaged, rebuilding it");
                build_index(file)?
            }
        };
        Ok(sealed.index.get_or_init(|| index))
    }
}
