//! How far each log is compacted, across restarts.
//!
//! ```text
//! <data directory>/compaction (little-endian)
//!    0  u32  CRC-32C of bytes 4..
//!    4  u32  version, 1
//!    8  u32  number of logs
//!   12  u32  0
//!   16       logs, in ascending order, 40 bytes each:
//!                u64 log id
//!                u64 clean end: below it every key has one record
//!                u64 end of the tombstones whose grace time runs, if bit 0 is set
//!                i64 since when it runs, nanoseconds since the Unix epoch
//!                u64 bit 0: there are such tombstones; bit 1: there may be younger ones
//! ```
//!
//! A cache in the sense that its loss costs time, not data: a log that is not in it is compacted from its start, and its
//! tombstones stay for another grace time. It is replaced as a whole after every pass.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use strandline_core::compaction::{Progress, Waiting};
use strandline_core::disk::{Disk, OpenMode};
use strandline_core::record::crc32c;
use strandline_core::{LogId, Offset, Timestamp};

/// Name of the file.
pub(crate) const NAME: &str = "compaction";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 16;
const ENTRY_BYTES: usize = 40;
/// Largest file that is read: room for a million logs.
const MAX_FILE_BYTES: u64 = 64 << 20;
const IS_WAITING: u64 = 1;
const HAS_NEWER: u64 = 2;

/// The file and what is in it.
#[derive(Debug)]
pub(crate) struct ProgressFile {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    logs: Mutex<BTreeMap<LogId, Progress>>,
}

impl ProgressFile {
    /// Reads the file. One that is not there, or says nothing, is as good as empty.
    pub(crate) fn open(disk: Arc<dyn Disk>, directory: &Path) -> Self {
        let path = directory.join(NAME);
        let logs = match read(disk.as_ref(), &path) {
            Ok(None) => BTreeMap::new(),
            Ok(Some(bytes)) => decode(&bytes).unwrap_or_else(|| {
                tracing::warn!(file = %path.display(),
                    "the record of what is compacted is damaged or of another version; logs are compacted from their start");
                BTreeMap::new()
            }),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error,
                    "the record of what is compacted cannot be read; logs are compacted from their start");
                BTreeMap::new()
            }
        };
        Self {
            disk,
            directory: directory.to_owned(),
            logs: Mutex::new(logs),
        }
    }

    /// How far a log that ends at `end` is compacted. A log that ends before that was begun anew.
    pub(crate) fn of(&self, log: LogId, end: Offset) -> Progress {
        let known = self.logs.lock().get(&log).copied();
        known
            .filter(|progress| progress.clean_end <= end)
            .unwrap_or_default()
    }

    /// Takes note, and forgets the logs that are no more.
    ///
    /// # Errors
    ///
    /// The disk failed; it is remembered until the process ends.
    pub(crate) fn remember(
        &self,
        log: LogId,
        progress: Progress,
        is_there: impl Fn(LogId) -> bool,
    ) -> io::Result<()> {
        // Held while it is written: the file never goes back.
        let mut logs = self.logs.lock();
        logs.insert(log, progress);
        logs.retain(|&log, _| is_there(log));
        self.write(&encode(&logs))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let disk = self.disk.as_ref();
        let aside = self.directory.join(format!("{NAME}.tmp"));
        match disk.remove_file(&aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.open(&aside, OpenMode::CreateNew)?;
        file.write_at(0, bytes)?;
        file.sync_data()?;
        disk.rename(&aside, &self.directory.join(NAME))?;
        disk.sync_dir(&self.directory)
    }
}

/// What is wrong with the file of a data directory; none if it is whole or not there.
pub(crate) fn problem_of(disk: &dyn Disk, directory: &Path) -> Option<(PathBuf, String)> {
    let path = directory.join(NAME);
    let problem = match read(disk, &path) {
        Ok(Some(bytes)) if decode(&bytes).is_none() => "it is damaged or of another version".to_owned(),
        Ok(_) => return None,
        Err(error) => format!("cannot be read: {error}"),
    };
    Some((path, problem))
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, OpenMode::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let length = file.len()?;
    if length > MAX_FILE_BYTES {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("it has {length} bytes"),
        ));
    }
    let mut bytes = Vec::new();
    file.read_at(0, usize::try_from(length).unwrap_or(usize::MAX), &mut bytes)?;
    Ok(Some(bytes))
}

fn encode(logs: &BTreeMap<LogId, Progress>) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(logs.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for (log, progress) in logs {
        let (before, since) = progress.waiting.map_or((0, 0), |waiting| {
            (waiting.before.get(), waiting.since.nanos() as u64)
        });
        let flags = if progress.waiting.is_some() { IS_WAITING } else { 0 }
            | if progress.newer_tombstones { HAS_NEWER } else { 0 };
        for number in [log.get(), progress.clean_end.get(), before, since, flags] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    let crc = crc32c(&out[4..]);
    out[..4].copy_from_slice(&crc.to_le_bytes());
    out
}

fn decode(bytes: &[u8]) -> Option<BTreeMap<LogId, Progress>> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let word = |at: usize| {
        head.get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_le_bytes)
    };
    let (entries, remainder) = rest.as_chunks::<ENTRY_BYTES>();
    let is_whole = word(0)? == crc32c(bytes.get(4..)?)
        && word(4)? == VERSION
        && word(8)? as usize == entries.len()
        && remainder.is_empty();
    is_whole.then(|| entries.iter().map(entry).collect())
}

fn entry(raw: &[u8; ENTRY_BYTES]) -> (LogId, Progress) {
    let (numbers, _) = raw.as_chunks::<8>();
    let number = |at: usize| numbers.get(at).map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let waiting = Waiting {
        before: Offset::new(number(2)),
        since: Timestamp::from_nanos(number(3) as i64),
    };
    let progress = Progress {
        clean_end: Offset::new(number(1)),
        waiting: (number(4) & IS_WAITING != 0).then_some(waiting),
        newer_tombstones: number(4) & HAS_NEWER != 0,
    };
    (LogId::new(number(0)), progress)
}

#[cfg(test)]
mod tests {
    use strandline_storage_backends::sim::{Image, SimDisk};

    use super::*;

    fn disk() -> (Arc<SimDisk>, PathBuf) {
        let directory = PathBuf::from("/data");
        (Arc::new(SimDisk::of(Image::with_dir(&directory))), directory)
    }

    fn progress(end: u64) -> Progress {
        Progress {
            clean_end: Offset::new(end),
            waiting: Some(Waiting {
                before: Offset::new(end - 1),
                since: Timestamp::from_nanos(-7),
            }),
            newer_tombstones: end.is_multiple_of(2),
        }
    }

    #[test]
    fn what_is_remembered_is_there_after_a_restart_and_forgotten_with_its_log() {
        let (disk, directory) = disk();
        let file = ProgressFile::open(Arc::clone(&disk) as Arc<dyn Disk>, &directory);
        let (a, b, end) = (LogId::new(1), LogId::new(2), Offset::new(100));
        file.remember(a, progress(5), |_| true).unwrap();
        file.remember(b, progress(8), |_| true).unwrap();
        let again = ProgressFile::open(Arc::clone(&disk) as Arc<dyn Disk>, &directory);
        assert_eq!((again.of(a, end), again.of(b, end)), (progress(5), progress(8)));
        again.remember(b, progress(9), |log| log == b).unwrap();
        let last = ProgressFile::open(disk, &directory);
        assert_eq!(
            (last.of(a, end), last.of(b, end)),
            (Progress::default(), progress(9))
        );
    }

    #[test]
    fn a_log_that_ends_before_its_clean_end_was_begun_anew() {
        let (disk, directory) = disk();
        let file = ProgressFile::open(disk, &directory);
        file.remember(LogId::new(1), progress(5), |_| true).unwrap();
        assert_eq!(file.of(LogId::new(1), Offset::new(4)), Progress::default());
    }

    #[test]
    fn a_damaged_file_says_nothing() {
        let logs = [(LogId::new(1), progress(5)), (LogId::new(3), Progress::default())];
        let bytes = encode(&logs.into_iter().collect());
        assert_eq!(decode(&bytes).map(|logs| logs.len()), Some(2));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None, "byte {at}");
            assert_eq!(decode(&bytes[..at]), None, "{at} bytes");
        }
    }
}
