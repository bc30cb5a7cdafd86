//! The log itself: open and write.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strandline_core::disk::{Disk, OpenMode};

use super::active::{Active, Begin, begin_segment};
use super::frame::{self, Place};
use super::open::{Replayed, SegmentFile, list_segments, remove_unfinished};
use super::segment::{self, HEADER_BYTES, Named};
use super::{Record, Recovered, WalError, WalSettings};

/// The open log. All methods block; one writer at a time.
#[derive(Debug)]
pub(crate) struct Wal {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) settings: WalSettings,
    pub(super) sealed: VecDeque<Sealed>,
    pub(super) active: Active,
    /// What the next segment begins with: everything but the entries.
    pub(super) summary: Recovered,
    pub(super) committed_is_unwritten: bool,
    pub(super) poison: Option<String>,
}

/// What a torn write has left at the end of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Torn {
    /// The file.
    pub(crate) path: PathBuf,
    /// Where the write began.
    pub(crate) position: u64,
}

/// Reads what the log in `dir` holds and changes nothing; says where a torn write is that [`Wal::open`] would cut off.
pub(crate) fn look(disk: &dyn Disk, dir: &Path) -> Result<(Recovered, Option<Torn>), WalError> {
    let content = Content::read(disk, dir, OpenMode::Read)?;
    let torn = content.scan.torn.then(|| Torn {
        path: content.file.path.clone(),
        position: content.scan.end,
    });
    Ok((content.recovered, torn))
}

/// What the segments of a log hold.
struct Content {
    sealed: VecDeque<Sealed>,
    /// The last segment.
    file: SegmentFile,
    scan: Replayed,
    recovered: Recovered,
}

impl Content {
    fn read(disk: &dyn Disk, dir: &Path, mode: OpenMode) -> Result<Self, WalError> {
        let segments = list_segments(disk, dir)?;
        let mut recovered = Recovered::default();
        let mut sealed: VecDeque<Sealed> = VecDeque::new();
        let Some((&last, earlier)) = segments.split_last() else {
            return Err(WalError::Missing {
                path: segment::path_of(dir, 1),
            });
        };
        let mut file = SegmentFile::read(disk, dir, *earlier.first().unwrap_or(&last), mode)?;
        for &next in segments.iter().skip(1) {
            let successor = SegmentFile::read(disk, dir, next, mode)?;
            let scan = file.replay(
                &mut recovered,
                sealed.is_empty(),
                Some(successor.header.previous_end),
            )?;
            sealed.push_back(Sealed {
                segment: file.header.segment,
                last_index: scan.last_index,
            });
            file = successor;
        }
        let scan = file.replay(&mut recovered, sealed.is_empty(), None)?;
        if recovered.has_hole() {
            let expected = recovered.first_expected();
            return Err(WalError::damaged(
                &file.path,
                HEADER_BYTES as u64,
                format!("entry {expected} is not there"),
            ));
        }
        Ok(Self {
            sealed,
            file,
            scan,
            recovered,
        })
    }
}

/// A segment that another follows.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) segment: u64,
    pub(super) last_index: Option<u64>,
}

impl Wal {
    /// Whether `dir` holds a segment of a log.
    pub(crate) fn exists(disk: &dyn Disk, dir: &Path) -> Result<bool, WalError> {
        match disk.list(dir) {
            Ok(entries) => Ok(entries
                .iter()
                .any(|entry| matches!(segment::parse_name(&entry.name), Named::Segment(_)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(WalError::io("list", dir)(error)),
        }
    }

    /// Begins an empty log in an existing directory that holds none.
    pub(crate) fn create(disk: Arc<dyn Disk>, dir: &Path, settings: WalSettings) -> Result<Self, WalError> {
        remove_unfinished(&*disk, dir)?;
        let summary = Recovered::default();
        let active = begin_segment(
            &*disk,
            dir,
            &summary,
            Begin {
                segment: 1,
                previous_end: 0,
                room: &settings,
            },
        )?;
        let (dir, sealed) = (dir.to_owned(), VecDeque::new());
        Ok(Self {
            disk,
            dir,
            settings,
            sealed,
            active,
            summary,
            committed_is_unwritten: false,
            poison: None,
        })
    }

    /// Opens the log in `dir` and reads what it holds. A torn last write is cut off; damage is refused and changes
    /// nothing. What is returned is durable.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        settings: WalSettings,
    ) -> Result<(Self, Recovered), WalError> {
        let Content {
            sealed,
            file,
            scan,
            recovered,
        } = Content::read(&*disk, dir, OpenMode::Write)?;
        remove_unfinished(&*disk, dir)?;
        let active = file.into_active(&scan)?;
        disk.sync_dir(dir).map_err(WalError::io("sync", dir))?;
        let summary = Recovered {
            entries: VecDeque::new(),
            ..recovered.clone()
        };
        let dir = dir.to_owned();
        let wal = Self {
            disk,
            dir,
            settings,
            sealed,
            active,
            summary,
            committed_is_unwritten: false,
            poison: None,
        };
        Ok((wal, recovered))
    }

    /// Writes records as one write and returns once they are durable. After [`WalError::Full`] nothing was written;
    /// after another error of the disk the log is poisoned.
    pub(crate) fn write(&mut self, records: &[Record]) -> Result<(), WalError> {
        self.check_poison()?;
        let start = Place {
            segment: self.active.segment,
            position: self.active.end,
        };
        let mut bytes = Vec::new();
        if self.committed_is_unwritten
            && let Some(committed) = &self.summary.committed
        {
            frame::encode(&mut bytes, start, &Record::Committed(committed.clone()))?;
        }
        for record in records {
            frame::encode(&mut bytes, start, record)?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.check_order(records)?;
        self.write_bytes(&bytes)?;
        self.committed_is_unwritten = false;
        for record in records {
            self.note(record);
        }
        Ok(())
    }

    /// Takes note of the commit position. It is written with whatever is written next: losing it loses nothing.
    pub(crate) fn set_committed(&mut self, committed: Vec<u8>) {
        self.summary.committed = Some(committed);
        self.committed_is_unwritten = true;
    }

    /// Writes what was noted only, if anything.
    pub(crate) fn flush(&mut self) -> Result<(), WalError> {
        self.write(&[])
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), WalError> {
        let path = self.active.path.clone();
        match self
            .active
            .file
            .write_at(self.active.end, bytes)
            .map_err(WalError::io("write", &path))
        {
            Err(error) if error.is_full() => {
                let cut = self.cut_back(&path);
                self.poison_on_error(cut)?;
                return Err(error);
            }
            written => self.poison_on_error(written)?,
        }
        let synced = self.active.file.sync_data();
        self.poison_after_sync(synced, &path)?;
        self.active.end += bytes.len() as u64;
        self.active.reserved_end = self.active.reserved_end.max(self.active.end);
        Ok(())
    }

    fn cut_back(&mut self, path: &Path) -> Result<(), WalError> {
        self.active
            .file
            .set_len(self.active.end)
            .map_err(WalError::io("shorten", path))?;
        self.active.reserved_end = self.active.end;
        self.active.file.sync_data().map_err(WalError::io("sync", path))
    }

    fn check_order(&self, records: &[Record]) -> Result<(), WalError> {
        if !self.settings.strict_order {
            return Ok(());
        }
        let mut ahead = Recovered {
            next_index: self.summary.next_index,
            ..Recovered::default()
        };
        for record in records {
            ahead
                .replay(record.clone())
                .map_err(|problem| WalError::damaged(&self.active.path, self.active.end, problem))?;
        }
        Ok(())
    }

    fn note(&mut self, record: &Record) {
        if let Record::Entry { index, .. } = record {
            self.active.last_index = self.active.last_index.max(Some(*index));
            self.summary.next_index = index.checked_add(1);
        } else if let Err(problem) = self.summary.replay(record.clone()) {
            self.poison = Some(problem);
        }
    }

    pub(super) fn check_poison(&self) -> Result<(), WalError> {
        match &self.poison {
            Some(cause) => Err(WalError::Poisoned { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    pub(super) fn poison_on_error<T>(&mut self, result: Result<T, WalError>) -> Result<T, WalError> {
        if let Err(error) = &result {
            self.poison.get_or_insert_with(|| error.in_full());
        }
        result
    }

    /// A failed sync is final whatever its kind: the pages may already be marked clean.
    pub(super) fn poison_after_sync(&mut self, synced: io::Result<()>, path: &Path) -> Result<(), WalError> {
        let failed = |source| WalError::Io {
            operation: "sync",
            path: path.to_owned(),
            source,
        };
        self.poison_on_error(synced.map_err(failed))
    }
}
