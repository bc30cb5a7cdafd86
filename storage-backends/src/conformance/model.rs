//! Random operations against a model that is obviously right: a list of records.

use strandline_core::storage::{Capabilities, Log, LogSettings, Store, SyncBy};
use strandline_core::{LogId, Offset};

use super::records::{batch, offsets};
use super::{Subject, case};

/// Sequences of operations that are tried, and operations of each.
const SEQUENCES: u64 = 30;
const OPERATIONS: u64 = 40;

pub(super) fn run(subject: &Subject, capabilities: Capabilities) {
    for seed in 1..=SEQUENCES {
        case(
            &format!("random operations with seed {seed} do what the model does"),
            || {
                sequence(subject, capabilities, Random(seed));
            },
        );
    }
}

/// Xorshift: the same seed gives the same operations everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }
}

fn sequence(subject: &Subject, capabilities: Capabilities, mut random: Random) {
    let settings = LogSettings {
        segment_max_bytes: 900,
        ..LogSettings::default()
    };
    let directory = subject.fresh();
    let mut store = subject.open_store(&directory);
    let mut log = store.create(LogId::new(1), &settings).unwrap();
    // Ends of all batches, and the records that are left.
    let (mut borders, mut records): (Vec<u64>, Vec<u64>) = (vec![0], Vec::new());
    for _ in 0..OPERATIONS {
        match random.below(8) {
            0..4 => append(log.as_ref(), &mut random, &mut borders, &mut records),
            4 => store.sync(SyncBy::Caller),
            5 if capabilities.segments => log.roll().unwrap(),
            6 if capabilities.segments => {
                let start = log.start().get();
                let before = random.below(borders.last().copied().unwrap_or(0) + 1);
                log.remove_before(Offset::new(before)).unwrap();
                records.retain(|&offset| offset >= log.start().get());
                assert!(log.start().get() <= before.max(start));
            }
            _ if capabilities.survives_restart => {
                store.sync(SyncBy::Caller);
                (store, log) = reopened(subject, &directory, (store, log), &settings);
            }
            _ => {}
        }
        assert_eq!(offsets(log.as_ref()), records);
    }
}

fn append(log: &dyn Log, random: &mut Random, borders: &mut Vec<u64>, records: &mut Vec<u64>) {
    let (base, count) = (log.end().get(), 1 + random.below(6));
    let _commit = log.append(&[batch(base, count, 1)]).unwrap();
    records.extend(base..base + count);
    borders.push(base + count);
}

fn reopened(
    subject: &Subject,
    directory: &std::path::Path,
    open: (std::sync::Arc<dyn Store>, std::sync::Arc<dyn Log>),
    settings: &LogSettings,
) -> (std::sync::Arc<dyn Store>, std::sync::Arc<dyn Log>) {
    drop(open);
    let store = subject.open_store(directory);
    let log = store.open(LogId::new(1), settings).unwrap();
    (store, log)
}
