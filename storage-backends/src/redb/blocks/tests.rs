//! Blocks on a disk in memory.

use std::path::Path;

use strandline_core::disk::{Disk, OpenMode};

use super::layout::*;
use super::*;
use crate::sim::{Image, SimDisk};

const PATH: &str = "/d/f";

fn blocks() -> (SimDisk, Blocks) {
    let disk = SimDisk::of(Image::with_dir(Path::new("/d")));
    let file = disk.open(Path::new(PATH), OpenMode::CreateNew).unwrap();
    (disk, Blocks::open(Backend::new(file)).unwrap())
}

fn reopened(disk: &SimDisk) -> io::Result<Blocks> {
    Blocks::open(Backend::new(disk.open(Path::new(PATH), OpenMode::Write).unwrap()))
}

fn read(blocks: &Blocks, offset: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blocks.read(offset, &mut out).unwrap();
    out
}

#[test]
fn what_was_written_over_the_border_of_a_group_is_read_back() {
    let (_, blocks) = blocks();
    let offset = (GROUP - 3) * BLOCK;
    blocks.set_len(offset + 8 * BLOCK).unwrap();
    let data: Vec<u8> = (0..8 * BLOCK_BYTES).map(|at| (at / 100) as u8).collect();
    blocks.write(offset, &data).unwrap();
    for _ in 0..2 {
        assert_eq!(read(&blocks, offset, data.len()), data);
        blocks.sync_data().unwrap();
    }
    assert_eq!(
        read(&blocks, GROUP * BLOCK, BLOCK_BYTES),
        data[3 * BLOCK_BYTES..4 * BLOCK_BYTES]
    );
    assert_eq!(blocks.damage(), None);
}

#[test]
fn lengths_are_those_of_the_blocks_alone() {
    let (disk, blocks) = blocks();
    for (count, with_sums) in [(1, 2), (2, 3), (GROUP, GROUP + 1), (GROUP + 1, GROUP + 3), (0, 0)] {
        blocks.set_len(count * BLOCK).unwrap();
        assert_eq!(blocks.len().unwrap(), count * BLOCK);
        assert_eq!(disk.length(Path::new(PATH)) as u64, with_sums * BLOCK);
    }
    assert!(blocks.set_len(BLOCK + 1).is_err());
    blocks.shared.file.set_len(3 * BLOCK + 1).unwrap();
    assert_eq!(blocks.len().unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn any_flipped_bit_of_a_block_or_its_sum_is_found_and_named() {
    let (disk, blocks) = blocks();
    blocks.set_len(5 * BLOCK).unwrap();
    blocks.write(BLOCK, &[7; 4 * BLOCK_BYTES]).unwrap();
    blocks.sync_data().unwrap();
    for position in (0..BLOCK as usize)
        .step_by(97)
        .map(|at| place_of(3) as usize + at)
        .chain([12, 15])
    {
        let (path, bit) = (Path::new(PATH), 1 << (position % 8));
        disk.flip(path, position, bit);
        assert_eq!(
            read(&blocks, 2 * BLOCK, 3 * BLOCK_BYTES),
            vec![NO_PAGE; 3 * BLOCK_BYTES]
        );
        assert_eq!(blocks.damage(), Some(place_of(3)), "{position}");
        disk.flip(path, position, bit);
        assert_eq!(read(&blocks, 2 * BLOCK, 3 * BLOCK_BYTES), [7; 3 * BLOCK_BYTES]);
    }
}

#[test]
fn blocks_that_stand_in_each_others_place_are_found() {
    let (_, blocks) = blocks();
    blocks.set_len(3 * BLOCK).unwrap();
    blocks.write(BLOCK, &[1; BLOCK_BYTES]).unwrap();
    blocks.sync_data().unwrap();
    let (mut sum, mut block) = ([0; SUM_BYTES], [0; BLOCK_BYTES]);
    blocks.shared.file.read(place_of_sum(1), &mut sum).unwrap();
    blocks.shared.file.read(place_of(1), &mut block).unwrap();
    blocks.shared.file.write(place_of_sum(2), &sum).unwrap();
    blocks.shared.file.write(place_of(2), &block).unwrap();
    assert_eq!(read(&blocks, BLOCK, BLOCK_BYTES), block);
    assert_eq!(read(&blocks, 2 * BLOCK, BLOCK_BYTES), [NO_PAGE; BLOCK_BYTES]);
}

#[test]
fn the_header_is_the_newest_that_is_whole_and_none_is_refused() {
    let (disk, blocks) = blocks();
    blocks.set_len(2 * BLOCK).unwrap();
    for value in 1..=4 {
        blocks.write(0, &[value; 320]).unwrap();
        assert_eq!(read(&reopened(&disk).unwrap(), 0, 9), [value; 9]);
    }
    // The last one was written in part.
    disk.flip(Path::new(PATH), BLOCK_BYTES, 1);
    let again = reopened(&disk).unwrap();
    assert_eq!(read(&again, 0, 320), [3; 320]);
    again.write(0, &[5; 320]).unwrap();
    assert_eq!(read(&reopened(&disk).unwrap(), 0, 320), [5; 320]);
    for copy in [0, COPY_BYTES] {
        disk.flip(Path::new(PATH), BLOCK_BYTES + copy + STATE_AT, 1);
    }
    assert_eq!(reopened(&disk).unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn after_a_crash_blocks_are_given_as_they_are_and_get_their_sums_with_the_next_header() {
    let (disk, blocks) = blocks();
    blocks.set_len(3 * BLOCK).unwrap();
    let mut header = [0; 320];
    header[STATE_AT] = IS_UNCLEAN;
    blocks.write(0, &header).unwrap();
    blocks.write(BLOCK, &[5; BLOCK_BYTES]).unwrap();
    // The sum was not written any more.
    blocks
        .shared
        .file
        .write(place_of_sum(1), &[0; SUM_BYTES])
        .unwrap();
    for is_clean in [false, true] {
        let again = reopened(&disk).unwrap();
        assert_eq!(read(&again, BLOCK, BLOCK_BYTES), [5; BLOCK_BYTES]);
        if is_clean {
            again.write(0, &[0; 320]).unwrap();
        }
    }
    let strict = reopened(&disk).unwrap();
    assert_eq!(read(&strict, BLOCK, BLOCK_BYTES), [5; BLOCK_BYTES]);
    assert_eq!(read(&strict, 2 * BLOCK, BLOCK_BYTES), [NO_PAGE; BLOCK_BYTES]);
}
