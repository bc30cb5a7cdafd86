//! Every backend and wrapper against the suite.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by a panic")]

use std::path::Path;
use std::sync::Arc;

use strandline_core::storage::{Factory, Log};
use strandline_storage_backends::conformance::{Part, Subject, run};
use strandline_storage_backends::{MemoryFactory, RedbFactory, SegmentFactory, SystemDisk, TailCache};

/// The parts that use the disk that they are given; the others bring a model of one.
const ON_ITS_DISK: [Part; 3] = [Part::Contract, Part::Concurrency, Part::Limits];

fn on_the_systems_disk(directory: &Path) -> Subject {
    Subject::new(SegmentFactory::new(), Arc::new(SystemDisk::new()), directory)
}

/// An engine on a model of a disk; `SEQUENCES`, `SEED` and `IMAGES` in the environment ask for more random sequences, for others,
/// and for more of what power losses leave.
fn in_memory(factory: impl Factory + 'static) -> Subject {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let subject = Subject::in_memory(factory);
    let subject = match number("SEQUENCES") {
        Some(sequences) => subject.sequences(u32::try_from(sequences).unwrap()),
        None => subject,
    };
    let subject = match number("IMAGES") {
        Some(images) => subject.images(usize::try_from(images).unwrap()),
        None => subject,
    };
    match number("SEED") {
        Some(seed) => subject.seed(seed),
        None => subject,
    }
}

#[test]
fn the_memory_backend_keeps_the_contract() {
    run(&in_memory(MemoryFactory::new()), &Part::ALL);
}

#[test]
fn the_segment_backend_keeps_the_contract_on_the_systems_disk() {
    let directory = tempfile::tempdir().unwrap();
    run(&on_the_systems_disk(directory.path()), &ON_ITS_DISK);
}

#[test]
fn the_segment_backend_keeps_the_contract_on_a_model_of_a_disk() {
    run(&in_memory(SegmentFactory::new()), &ON_ITS_DISK);
}

#[test]
fn the_segment_backend_does_what_the_model_does() {
    run(&in_memory(SegmentFactory::new()), &[Part::Sequences]);
}

#[test]
fn the_segment_backend_survives_power_losses() {
    run(&in_memory(SegmentFactory::new()), &[Part::Crashes]);
}

#[test]
fn the_segment_backend_survives_faults_and_damage() {
    run(&in_memory(SegmentFactory::new()), &[Part::Faults, Part::Damage]);
}

fn redb() -> RedbFactory {
    RedbFactory::new().queue_bytes(2_000)
}

#[test]
fn the_redb_backend_keeps_the_contract_on_the_systems_disk() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(SystemDisk::new());
    run(
        &Subject::new(RedbFactory::new(), disk, directory.path()),
        &ON_ITS_DISK,
    );
}

#[test]
fn the_redb_backend_keeps_the_contract_on_a_model_of_a_disk() {
    run(&in_memory(redb()), &ON_ITS_DISK);
}

#[test]
fn the_redb_backend_does_what_the_model_does() {
    run(&in_memory(redb()), &[Part::Sequences]);
}

/// A transaction of redb writes about a dozen pages between two syncs, so that the 17 workloads have a million losses (the segment
/// backend has 150,000). About 1,500 of each are looked at, which chance chooses from all moments alike; `IMAGES` asks for more.
#[test]
fn the_redb_backend_survives_power_losses() {
    run(&in_memory(redb()), &[Part::Crashes]);
}

#[test]
fn the_redb_backend_survives_faults_and_damage() {
    run(&in_memory(redb()), &[Part::Faults, Part::Damage]);
}

#[test]
fn the_tail_cache_keeps_the_contract_of_what_it_wraps() {
    let cached = |log: Arc<dyn Log>| Arc::new(TailCache::new(log, 4096)) as Arc<dyn Log>;
    let directory = tempfile::tempdir().unwrap();
    run(
        &on_the_systems_disk(directory.path()).wrapped(cached),
        &ON_ITS_DISK,
    );
    run(
        &in_memory(MemoryFactory::new()).wrapped(cached),
        &[Part::Sequences],
    );
}
