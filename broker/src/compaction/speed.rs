//! How fast it is. Measured, never judged:
//! `cargo test --release -p strandline-broker speed -- --ignored --nocapture --test-threads 1`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tokio_util::sync::CancellationToken;

use strandline_core::compaction::CompactionSettings;
use strandline_core::record::{Batch, BatchBuilder, Fields, RecordIter, append_record};
use strandline_core::retention::{Retention, RetentionLimits};
use strandline_core::storage::{Factory, LogSettings, Store, SyncBy};
use strandline_core::{LeaderEpoch, Offset};
use strandline_storage_backends::{SegmentFactory, SystemDisk};

use super::*;
use crate::partition::Packing;

const RECORDS: u64 = 1 << 20;
const KEYS: u64 = 1_000_000;
const VALUE_BYTES: usize = 960;
const BATCH_RECORDS: u64 = 1_000;

struct Forget;

impl Memory for Forget {
    fn now(&self) -> Timestamp {
        Timestamp::ZERO
    }

    fn remember(&mut self, _: Progress) {}
}

/// Time that this thread has spent on a processor.
fn on_processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split_whitespace().next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

/// Records of about a kibibyte, each with one of a million keys.
fn batch(builder: &mut BatchBuilder, base: u64, count: u64) -> Batch {
    let value = vec![b'v'; VALUE_BYTES];
    for offset in base..base + count {
        let mixed = (offset + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let key = format!("key-{:012}", (mixed ^ (mixed >> 31)) % KEYS);
        let mut bytes = BytesMut::new();
        let fields = Fields {
            key: Some(key.as_bytes()),
            value: &value,
            subject: "s",
            reply: "",
        };
        append_record(&mut bytes, &fields, []).unwrap();
        let record = RecordIter::new(&bytes).next().unwrap();
        builder.push(&record, LeaderEpoch::new(1), Offset::new(offset), Timestamp::ZERO);
    }
    builder.finish().unwrap()
}

fn fill(store: &dyn Store, log: &dyn Log, records: u64) {
    let mut builder = BatchBuilder::new();
    for base in (0..records).step_by(BATCH_RECORDS as usize) {
        let batch = batch(&mut builder, base, BATCH_RECORDS.min(records - base));
        let _commit = log.append(&[batch]).unwrap();
        if base.is_multiple_of(16 * BATCH_RECORDS) {
            store.sync(SyncBy::Caller);
        }
    }
    log.roll().unwrap();
}

/// Appends a small durable batch every few milliseconds until it is told to stop; the times that they took.
fn append_beside(store: &dyn Store, log: &dyn Log, stop: &AtomicBool) -> Vec<Duration> {
    let (mut builder, mut times) = (BatchBuilder::new(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let batch = batch(&mut builder, log.end().get(), 10);
        let begun = Instant::now();
        let commit = log.append(&[batch]).unwrap();
        store.sync(SyncBy::Caller);
        commit.wait().unwrap();
        times.push(begun.elapsed());
        std::thread::sleep(Duration::from_millis(2));
    }
    times.sort_unstable();
    times
}

#[test]
#[ignore = "takes seconds and gigabytes; run it to measure"]
fn speed_of_a_gibibyte_of_kibibytes_with_a_million_keys() {
    let directory =
        tempfile::tempdir_in(std::env::var("STRANDLINE_BENCH_DIR").unwrap_or("/var/tmp".into())).unwrap();
    let store = SegmentFactory::new()
        .open(Arc::new(SystemDisk::new()), directory.path())
        .unwrap();
    let log = store.create(LogId::new(1), &LogSettings::default()).unwrap();
    fill(store.as_ref(), log.as_ref(), RECORDS);
    let settings = CompactionSettings::default();
    for round in ["as written", "again with a quarter more"] {
        let progress = Progress {
            clean_end: if round == "as written" {
                Offset::ZERO
            } else {
                Offset::new(RECORDS)
            },
            ..Progress::default()
        };
        let segments = log.segments();
        let bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let dirt = Dirt::of(&segments, &progress, log.end(), &settings, Timestamp::ZERO);
        let work = Work::due(
            &dirt,
            &progress,
            &CompactionSettings {
                min_dirty_percent: 0,
                ..settings
            },
            Timestamp::ZERO,
        );
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let appends = scope.spawn(|| append_beside(store.as_ref(), log.as_ref(), &stop));
            let pace = Pace::new(CancellationToken::new(), 0);
            let means = Means {
                memory_bytes: CompactionLimits::DEFAULT_MEMORY_MAX_BYTES,
                secret: [5; 16],
                pace: &pace,
            };
            let (begun, spent) = (Instant::now(), on_processor());
            let plain = PackedLog {
                log: log.as_ref(),
                packing: &Packing::default(),
                floor: Offset::ZERO,
            };
            let report = run(plain, &work.unwrap(), progress, &means, &mut Forget).unwrap();
            let (elapsed, spent) = (begun.elapsed(), on_processor() - spent);
            stop.store(true, Ordering::Relaxed);
            let times = appends.join().unwrap();
            let mib = bytes as f64 / f64::from(1 << 20);
            println!(
                "{round}: {mib:.0} MiB in {elapsed:?} = {:.0} MiB/s, {spent:?} of it on the processor = {:.0} MiB/s, {} passes, {} records dropped, {} MiB written; \
                 {} durable appends beside it, median {:?}, slowest {:?}",
                mib / elapsed.as_secs_f64(),
                mib / spent.as_secs_f64(),
                report.passes,
                report.rewritten.counts.dropped,
                (report.rewritten.bytes_out + report.merged.bytes_out) >> 20,
                times.len(),
                times.get(times.len() / 2),
                times.last(),
            );
        });
        fill_more(store.as_ref(), log.as_ref());
    }
}

fn fill_more(store: &dyn Store, log: &dyn Log) {
    let mut builder = BatchBuilder::new();
    for _ in 0..RECORDS / 4 / BATCH_RECORDS {
        let batch = batch(&mut builder, log.end().get(), BATCH_RECORDS);
        let _commit = log.append(&[batch]).unwrap();
    }
    store.sync(SyncBy::Caller);
    log.roll().unwrap();
}

#[test]
#[ignore = "run it to measure"]
fn speed_of_a_look_at_a_thousand_partitions_with_nothing_due() {
    // Making the partitions would take minutes of syncs elsewhere; looking at them reads no file.
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let store = SegmentFactory::new()
        .open(Arc::new(SystemDisk::new()), directory.path())
        .unwrap();
    let settings = LogSettings::default();
    let logs: Vec<_> = (1..=1_000)
        .map(|id| {
            let log = store.create(LogId::new(id), &settings).unwrap();
            for number in 0..10 {
                let _commit = log.append(&[batch(&mut BatchBuilder::new(), number, 1)]).unwrap();
                if number < 9 {
                    log.roll().unwrap();
                }
            }
            log
        })
        .collect();
    let limits = RetentionLimits {
        max_age: Some(Duration::from_secs(3600)),
        max_bytes: Some(1 << 30),
        max_records: Some(1 << 30),
    };
    let compaction = CompactionSettings::default();
    let progress = Progress {
        clean_end: Offset::new(9),
        ..Progress::default()
    };
    for _ in 0..3 {
        let begun = Instant::now();
        for log in &logs {
            log.roll_if_due(Timestamp::ZERO).unwrap();
            let segments = log.segments();
            assert_eq!(limits.removable_before(&segments, Timestamp::ZERO), None);
            let dirt = Dirt::of(&segments, &progress, log.end(), &compaction, Timestamp::ZERO);
            assert_eq!(Work::due(&dirt, &progress, &compaction, Timestamp::ZERO), None);
        }
        println!(
            "1000 partitions of 10 segments looked at in {:?}",
            begun.elapsed()
        );
    }
}
