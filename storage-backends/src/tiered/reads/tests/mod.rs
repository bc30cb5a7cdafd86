//! Reads of an archive in a bucket that is watched.

mod cost;
mod faults;

use strandline_core::record::Batch;

use super::super::records::batch_with;
use super::super::testing::World;

/// Bytes of one record: four of them are about a block.
const RECORD_BYTES: usize = 255 << 10;

/// Batches of one large record each.
fn large(offsets: std::ops::Range<u64>) -> Vec<Batch> {
    offsets
        .map(|offset| batch_with(&[offset], 1, RECORD_BYTES))
        .collect()
}

/// Segments of so many blocks each, all of them only in the archive, before a local batch.
fn archived(world: &mut World, segments: u64, blocks: u64) {
    let records = blocks * 4;
    for number in 0..segments {
        world.append(&large(number * records..(number + 1) * records));
        world.archive_to((number + 1) * records);
    }
    let end = segments * records;
    world.append(&large(end..end + 1));
    world.remove_local(end);
    world.store.take_reads();
}
