//! Every backend and wrapper against the suite.

use std::path::Path;
use std::sync::Arc;

use strandline_storage_backends::conformance::{Subject, run_all};
use strandline_storage_backends::sim::{Image, SimDisk};
use strandline_storage_backends::{MemoryFactory, RedbFactory, SegmentFactory, SystemDisk, TailCache};

#[test]
fn the_memory_backend_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    run_all(&Subject::new(
        MemoryFactory::new(),
        Arc::new(SystemDisk::new()),
        directory.path(),
    ));
}

#[test]
fn the_segment_backend_keeps_the_contract_on_the_systems_disk() {
    let directory = tempfile::tempdir().unwrap();
    run_all(&Subject::new(
        SegmentFactory::new(),
        Arc::new(SystemDisk::new()),
        directory.path(),
    ));
}

#[test]
fn the_segment_backend_keeps_the_contract_on_a_model_of_a_disk() {
    let root = Path::new("/data");
    let disk = Arc::new(SimDisk::of(Image::with_dir(root)));
    run_all(&Subject::new(SegmentFactory::new(), disk, root));
}

#[test]
fn the_redb_backend_keeps_the_contract_on_the_systems_disk() {
    let directory = tempfile::tempdir().unwrap();
    run_all(&Subject::new(
        RedbFactory::new(),
        Arc::new(SystemDisk::new()),
        directory.path(),
    ));
}

#[test]
fn the_redb_backend_keeps_the_contract_on_a_model_of_a_disk() {
    let root = Path::new("/data");
    let disk = Arc::new(SimDisk::of(Image::with_dir(root)));
    run_all(&Subject::new(RedbFactory::new().queue_bytes(2_000), disk, root));
}

#[test]
fn the_tail_cache_keeps_the_contract_of_what_it_wraps() {
    let directory = tempfile::tempdir().unwrap();
    let subject = Subject::new(
        SegmentFactory::new(),
        Arc::new(SystemDisk::new()),
        directory.path(),
    );
    run_all(&subject.wrapped(|log| Arc::new(TailCache::new(log, 4096))));
}
