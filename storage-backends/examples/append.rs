//! How fast the storage engines append, read and recover here.
//!
//! ```text
//! cargo run --release -p strandline-storage-backends --example append -- [directory] [records a commit] [logs] [MiB]
//! ```
//!
//! Records of 256 bytes are appended as a broker's appender does: while one commit is made durable the next one is appended.
//! Both engines do the same in one run, beside bare writes of the same size that are synced each.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that fails should fail loudly"
)]

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use strandline_core::record::{Batch, BatchBuilder, Fields, RecordIter, append_record};
use strandline_core::storage::{Commit, Factory, Log, LogSettings, ReadLimit, Store, SyncBy};
use strandline_core::{LeaderEpoch, LogId, Offset, Timestamp};
use strandline_storage_backends::{RedbFactory, SegmentFactory, SystemDisk};

const VALUE_BYTES: usize = 256;

#[derive(Clone, Debug)]
struct Plan {
    directory: PathBuf,
    /// Of all logs together.
    records: u64,
    logs: u64,
    commits: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |index: usize, default: u64| arguments.get(index).map_or(default, |text| text.parse().unwrap());
    let directory = arguments
        .first()
        .map_or_else(|| PathBuf::from("."), PathBuf::from);
    let (records, logs) = (number(1, 1000), number(2, 1));
    let commits = (number(3, 512) << 20) / (records * VALUE_BYTES as u64);
    let temporary = tempfile::tempdir_in(directory).unwrap();
    let plan = Plan {
        directory: temporary.path().to_owned(),
        records,
        logs,
        commits,
    };
    println!("{records} records of {VALUE_BYTES} bytes a commit, {logs} logs, {commits} commits");
    let bare = bare(&plan);
    println!("bare writes      {:>9.0} records/s", plan.rate(bare));
    let segment = measure(&plan, &SegmentFactory::new());
    let redb = measure(&plan, &RedbFactory::new());
    println!(
        "redb takes {:.2} times as long as segment files",
        redb.as_secs_f64() / segment.as_secs_f64()
    );
}

impl Plan {
    fn rate(&self, time: Duration) -> f64 {
        (self.records * self.commits) as f64 / time.as_secs_f64()
    }
}

/// The same bytes, written and synced one commit after another.
fn bare(plan: &Plan) -> Duration {
    let path = plan.directory.join("bare");
    let file = std::fs::File::create(&path).unwrap();
    let bytes = vec![0x5a; (plan.records as usize) * (VALUE_BYTES + 30)];
    let begun = Instant::now();
    for number in 0..plan.commits {
        file.write_all_at(&bytes, number * bytes.len() as u64).unwrap();
        file.sync_data().unwrap();
    }
    let time = begun.elapsed();
    std::fs::remove_file(path).unwrap();
    time
}

fn measure(plan: &Plan, factory: &dyn Factory) -> Duration {
    let directory = plan.directory.join(factory.name());
    let store = factory.open(Arc::new(SystemDisk::new()), &directory).unwrap();
    let logs: Vec<_> = (0..plan.logs)
        .map(|id| store.create(LogId::new(id), &LogSettings::default()).unwrap())
        .collect();
    let time = append(plan, store.as_ref(), &logs);
    println!(
        "{:<8} append  {:>9.0} records/s, {:.2} bytes on the disk for one of a record",
        factory.name(),
        plan.rate(time),
        used_bytes(&directory) as f64 / (plan.records * plan.commits * VALUE_BYTES as u64) as f64
    );
    let begun = Instant::now();
    let read: u64 = logs.iter().map(|log| read_all(log.as_ref())).sum();
    println!(
        "{:<8} read    {:>9.0} MiB/s",
        factory.name(),
        read as f64 / begun.elapsed().as_secs_f64() / (1 << 20) as f64
    );
    drop((logs, store));
    let begun = Instant::now();
    let store = factory.open(Arc::new(SystemDisk::new()), &directory).unwrap();
    store.open(LogId::new(0), &LogSettings::default()).unwrap();
    println!(
        "{:<8} open    {:>9.1} ms",
        factory.name(),
        begun.elapsed().as_secs_f64() * 1000.0
    );
    drop(store);
    std::fs::remove_dir_all(&directory).unwrap();
    time
}

/// At most two commits are under way.
fn append(plan: &Plan, store: &dyn Store, logs: &[Arc<dyn Log>]) -> Duration {
    let record = record();
    let mut before: Vec<Commit> = Vec::new();
    let begun = Instant::now();
    for _ in 0..plan.commits {
        let now: Vec<_> = logs
            .iter()
            .map(|log| {
                log.append(&[batch(log.end(), plan.records / plan.logs, &record)])
                    .unwrap()
            })
            .collect();
        store.sync(SyncBy::Store);
        std::mem::replace(&mut before, now)
            .iter()
            .for_each(|commit| commit.wait().unwrap());
    }
    before.iter().for_each(|commit| commit.wait().unwrap());
    begun.elapsed()
}

fn record() -> BytesMut {
    let mut bytes = BytesMut::new();
    let fields = Fields {
        key: None,
        value: &[0x5a; VALUE_BYTES],
        subject: "bench",
        reply: "",
    };
    append_record(&mut bytes, &fields, []).unwrap();
    bytes
}

fn batch(base: Offset, records: u64, record: &[u8]) -> Batch {
    let mut builder = BatchBuilder::new();
    let record = RecordIter::new(record).next().unwrap();
    for number in 0..records {
        let offset = base.plus(number);
        let time = Timestamp::from_nanos(1000 * offset.get() as i64);
        builder.push(&record, LeaderEpoch::new(1), offset, time);
    }
    builder.finish().unwrap()
}

fn read_all(log: &dyn Log) -> u64 {
    let (mut next, mut bytes) = (log.start(), 0);
    while next < log.end() {
        let (end, max_bytes) = (log.end(), 1 << 20);
        let run = log.read(next, ReadLimit { end, max_bytes }).unwrap();
        (next, bytes) = (run.next, bytes + run.bytes.len() as u64);
    }
    bytes
}

fn used_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;

    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => used_bytes(&entry.path()),
            false => entry.metadata().unwrap().blocks() * 512,
        })
        .sum()
}
