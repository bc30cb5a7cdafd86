//! What is measured.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use strandline_core::record::Batch;
use strandline_core::storage::{Commit, Factory, Log, LogSettings, ReadLimit, Store, SyncBy};
use strandline_core::{LogId, Offset, OffsetRange};
use strandline_storage_backends::SystemDisk;

use crate::records::{VALUE_BYTES, batch, record};
use crate::{CRASH, bare, used_bytes, written_bytes};

const MIB: f64 = (1 << 20) as f64;
/// Bytes of a large batch, nearly.
const LARGE: usize = 64 << 10;
/// Large batches that share a sync.
const SHARED: u64 = 64;
/// Bytes of one read.
const READ: usize = 1 << 20;
/// Records of a small commit.
const RECORDS: u64 = 1000;
const LOGS: u64 = 100;

const APPEND: &str = "append, 64 KiB batches, 4 MiB a sync";
const COMMITS: &str = "append, 1,000 records a commit";
const SPREAD: &str = "append, 1,000 records a commit to 100 logs";
const SCAN: &str = "read of sealed segments, 1 MiB at once";

pub(crate) struct Figures {
    pub(crate) name: String,
    pub(crate) all: Vec<Figure>,
}

pub(crate) struct Figure {
    pub(crate) what: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

pub(crate) struct Work {
    directory: PathBuf,
    mib: u64,
    record: BytesMut,
    /// Records of a large batch.
    in_large: u64,
}

impl Figures {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            all: Vec::new(),
        }
    }

    fn add(&mut self, what: &'static str, value: f64, unit: &'static str) {
        self.all.push(Figure { what, value, unit });
    }

    fn rate(&mut self, what: &'static str, bytes: u64, time: Duration) {
        self.add(what, bytes as f64 / time.as_secs_f64() / MIB, "MiB/s");
    }
}

impl Work {
    pub(crate) fn new(directory: &Path, mib: u64) -> Self {
        let record = record();
        Self {
            directory: directory.to_owned(),
            mib,
            in_large: (LARGE / record.len()) as u64,
            record,
        }
    }

    fn larges(&self) -> u64 {
        (self.mib << 20) / LARGE as u64
    }

    fn commits(&self) -> u64 {
        (self.mib << 20) / (RECORDS * VALUE_BYTES as u64)
    }

    fn large(&self, base: Offset) -> Batch {
        batch(base, self.in_large, 1, &self.record)
    }

    pub(crate) fn bare(&self) -> Figures {
        let mut figures = Figures::new("bare writes, fdatasync and reads");
        let path = self.directory.join("bare");
        let piece = self.large(Offset::ZERO).bytes().len();
        let time = bare::write(&path, piece, self.larges(), SHARED);
        figures.rate(APPEND, piece as u64 * self.larges(), time);
        let (bytes, time) = bare::read(&path, READ);
        figures.rate(SCAN, bytes, time);
        std::fs::remove_file(&path).unwrap();
        let piece = batch(Offset::ZERO, RECORDS, 1, &self.record).bytes().len();
        let time = bare::write(&path, piece, self.commits(), 1);
        figures.add(
            COMMITS,
            records_per_second(RECORDS * self.commits(), time),
            "k records/s",
        );
        std::fs::remove_file(&path).unwrap();
        figures
    }

    pub(crate) fn measure(&self, factory: &dyn Factory) -> Figures {
        let mut figures = Figures::new(factory.name());
        self.large_batches(factory, &mut figures);
        self.crash(factory, &mut figures);
        let time = self.small_commits(factory, 1);
        figures.add(
            COMMITS,
            records_per_second(RECORDS * self.commits(), time),
            "k records/s",
        );
        let time = self.small_commits(factory, LOGS);
        figures.add(
            SPREAD,
            records_per_second(RECORDS * self.commits(), time),
            "k records/s",
        );
        figures
    }

    /// Appends, starts, reads, compacts and reads again.
    fn large_batches(&self, factory: &dyn Factory, figures: &mut Figures) {
        let directory = self.directory.join(factory.name());
        let store = open(factory, &directory);
        let log = store.create(LogId::new(1), &LogSettings::default()).unwrap();
        let before = written_bytes();
        let time = self.append_large(store.as_ref(), log.as_ref());
        let bytes: u64 = log.segments().iter().map(|segment| segment.bytes).sum();
        figures.rate(APPEND, bytes, time);
        let times = (written_bytes() - before) as f64 / bytes as f64;
        figures.add("written to the disk for a byte of batches", times, "bytes");
        figures.add(
            "kept on the disk for a byte of batches",
            used_bytes(&directory) as f64 / bytes as f64,
            "bytes",
        );
        log.roll().unwrap();
        log.close().unwrap();
        drop((log, store));
        let begun = Instant::now();
        let store = open(factory, &directory);
        let log = store.open(LogId::new(1), &LogSettings::default()).unwrap();
        figures.add("start after a clean stop", millis(begun), "ms");
        // Twice: the first time brings what the engine keeps of it into memory.
        read_all(log.as_ref());
        let (bytes, time) = read_all(log.as_ref());
        figures.rate(SCAN, bytes, time);
        for segment in log.segments().iter().filter(|segment| segment.sealed) {
            self.thin(log.as_ref(), segment.range);
        }
        read_all(log.as_ref());
        let (bytes, time) = read_all(log.as_ref());
        figures.rate("the same where every other record is gone", bytes, time);
        drop((log, store));
        std::fs::remove_dir_all(&directory).unwrap();
    }

    /// Appends large batches; the time that building them takes does not count.
    fn append_large(&self, store: &dyn Store, log: &dyn Log) -> Duration {
        let mut time = Duration::ZERO;
        for number in 0..self.larges() {
            let batch = self.large(log.end());
            let begun = Instant::now();
            let commit = log.append(&[batch]).unwrap();
            if (number + 1) % SHARED == 0 || number + 1 == self.larges() {
                store.sync(SyncBy::Caller);
                commit.wait().unwrap();
            }
            time += begun.elapsed();
        }
        time
    }

    /// Takes every other record out of a segment, as a compaction does; batches are as large as before.
    fn thin(&self, log: &dyn Log, range: OffsetRange) {
        let mut next = range.start;
        let mut batches = std::iter::from_fn(|| {
            let records = (range.end.since(next) / 2).min(self.in_large);
            let thinned = (records > 0).then(|| batch(next, records, 2, &self.record));
            next = next.plus(2 * records);
            thinned.map(Ok)
        });
        log.replace_sealed(range, &mut batches).unwrap();
    }

    /// Measures a start after a process ended without closing anything.
    fn crash(&self, factory: &dyn Factory, figures: &mut Figures) {
        let directory = self.directory.join("crashed");
        let program = std::env::current_exe().unwrap();
        let arguments = [
            CRASH,
            factory.name(),
            directory.to_str().unwrap(),
            &self.mib.to_string(),
        ];
        let status = Command::new(program).args(arguments).status().unwrap();
        assert!(!status.success(), "it was to crash");
        let begun = Instant::now();
        let store = open(factory, &directory);
        let log = store.open(LogId::new(1), &LogSettings::default()).unwrap();
        figures.add("start after a crash", millis(begun), "ms");
        assert_eq!(log.end(), Offset::new(self.larges() * self.in_large));
        drop((log, store));
        std::fs::remove_dir_all(&directory).unwrap();
    }

    pub(crate) fn append_and_crash(&self, factory: &dyn Factory, directory: &Path) -> ! {
        let store = open(factory, directory);
        let log = store.create(LogId::new(1), &LogSettings::default()).unwrap();
        self.append_large(store.as_ref(), log.as_ref());
        std::process::abort();
    }

    /// Appends as a broker does: while one commit is made durable the next one is appended.
    fn small_commits(&self, factory: &dyn Factory, logs: u64) -> Duration {
        let directory = self.directory.join(factory.name());
        let store = open(factory, &directory);
        let settings = LogSettings::default();
        let logs: Vec<_> = (0..logs)
            .map(|id| store.create(LogId::new(id), &settings).unwrap())
            .collect();
        let mut before: Vec<Commit> = Vec::new();
        let begun = Instant::now();
        for _ in 0..self.commits() {
            let append = |log: &Arc<dyn Log>| {
                let batch = batch(log.end(), RECORDS / logs.len() as u64, 1, &self.record);
                log.append(&[batch]).unwrap()
            };
            let now: Vec<_> = logs.iter().map(append).collect();
            store.sync(SyncBy::Store);
            let done = std::mem::replace(&mut before, now);
            done.iter().for_each(|commit| commit.wait().unwrap());
        }
        before.iter().for_each(|commit| commit.wait().unwrap());
        let time = begun.elapsed();
        drop((logs, store));
        std::fs::remove_dir_all(&directory).unwrap();
        time
    }
}

fn open(factory: &dyn Factory, directory: &Path) -> Arc<dyn Store> {
    factory.open(Arc::new(SystemDisk::new()), directory).unwrap()
}

fn read_all(log: &dyn Log) -> (u64, Duration) {
    let (mut next, mut bytes, begun) = (log.start(), 0, Instant::now());
    while next < log.end() {
        let (end, max_bytes) = (log.end(), READ);
        let run = log.read(next, ReadLimit { end, max_bytes }).unwrap();
        if run.bytes.is_empty() {
            break;
        }
        (next, bytes) = (run.next, bytes + run.bytes.len() as u64);
    }
    (bytes, begun.elapsed())
}

fn records_per_second(records: u64, time: Duration) -> f64 {
    records as f64 / time.as_secs_f64() / 1000.0
}

fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}
