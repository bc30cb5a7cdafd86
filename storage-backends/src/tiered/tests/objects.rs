//! Segments as objects: what goes in comes out, and no changed byte passes.

use std::sync::Arc;

use object_store::memory::InMemory;
use proptest::prelude::*;
use strandline_core::Offset;

use super::super::object::{BLOCK_BYTES, Blocks};
use super::super::{Entry, Expected, Footer};
use super::store::Faulty;
use super::support::*;

/// An object of batches of so many records, and its entry.
fn object(batches: &[u64]) -> (Vec<u8>, Entry) {
    let (mut blocks, first) = Blocks::begin(Offset::new(5));
    let mut bytes = first.to_vec();
    let mut base = 5;
    for (number, &records) in batches.iter().enumerate() {
        for piece in blocks.push(&batch(base, records, 1 + number as u64 / 2)) {
            bytes.extend_from_slice(&piece);
        }
        base += records;
    }
    let (rest, totals) = blocks.finish().unwrap();
    rest.iter().for_each(|piece| bytes.extend_from_slice(piece));
    let entry = Entry::of(
        "segments/x".to_owned(),
        strandline_core::OffsetRange::new(Offset::new(5), Offset::new(base)),
        totals,
    );
    (bytes, entry)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn batches_come_back_as_they_were(batches in prop::collection::vec(1_u64..50, 1..20)) {
        let (bytes, entry) = object(&batches);
        entry.check().unwrap();
        let found = records_of(&bytes.into(), &entry);
        let end = 5 + batches.iter().sum::<u64>();
        prop_assert_eq!(found, (5..end).map(|offset| (offset, value(offset))).collect());
    }

    #[test]
    fn a_footer_from_elsewhere_is_refused(bytes: Vec<u8>) {
        let (_, entry) = object(&[3]);
        prop_assert!(Footer::parse(&bytes, &entry).is_err());
    }
}

#[test]
fn blocks_end_at_batches_and_are_about_a_mebibyte() {
    let (bytes, entry) = object(&[9000; 12]);
    let tail = Footer::range_of(&entry).start as usize;
    let footer = Footer::parse(&bytes[tail..], &entry).unwrap();
    assert!(footer.blocks().len() > 2);
    let (last, whole) = footer.blocks().split_last().unwrap();
    assert!(last.length > 0);
    assert!(
        whole
            .iter()
            .all(|block| (block.length as usize) <= BLOCK_BYTES && block.length > 1 << 18)
    );
    for (number, block) in footer.blocks().iter().enumerate() {
        assert_eq!(footer.block_at(block.base), number);
        assert_eq!(footer.block_range(number, &entry).unwrap().start, block.base);
        assert_eq!(
            footer.block_at_time(block.first_time.plus(std::time::Duration::from_nanos(1))),
            number
        );
    }
    assert_eq!(footer.block_at(Offset::ZERO), 0);
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_footer_is_refused() {
    let (bytes, entry) = object(&[3, 4, 5]);
    let tail = &bytes[Footer::range_of(&entry).start as usize..];
    Footer::parse(tail, &entry).unwrap();
    for at in 0..tail.len() {
        for bit in 0..8 {
            let mut changed = tail.to_vec();
            changed[at] ^= 1 << bit;
            assert!(Footer::parse(&changed, &entry).is_err(), "byte {at} bit {bit}");
        }
        assert!(Footer::parse(&tail[..at], &entry).is_err(), "cut at {at}");
        assert!(Footer::parse(&tail[at + 1..], &entry).is_err(), "from {at}");
    }
}

#[test]
fn a_footer_of_another_object_is_refused() {
    let ((bytes, _), (_, entry)) = (object(&[3, 4, 5]), object(&[3, 4, 6]));
    let tail = &bytes[bytes.len() - (entry.footer_bytes as usize + 24)..];
    assert!(Footer::parse(tail, &entry).is_err());
}

#[test]
fn an_entry_whose_numbers_contradict_is_refused() {
    let (_, entry) = object(&[3, 4]);
    let changes: [fn(&mut Entry); 8] = [
        |entry| entry.name = "segments/../../HEAD".to_owned(),
        |entry| entry.name = "elsewhere".to_owned(),
        |entry| entry.range.end = entry.range.start,
        |entry| entry.records = 0,
        |entry| entry.records = u64::MAX,
        |entry| entry.bytes = u64::MAX,
        |entry| entry.epochs.clear(),
        |entry| entry.epochs.push((Default::default(), Offset::MAX)),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = entry.clone();
        change(&mut changed);
        assert!(changed.check().is_err(), "change {number}");
    }
}

#[tokio::test]
async fn a_large_segment_goes_up_in_parts_and_is_the_same_again() {
    let inner = Arc::new(InMemory::new());
    let faulty = Faulty::new(&inner);
    let (store, log) = memory_log();
    fill(&store, &log, 40, 1);
    let mut archiver = archiver(&faulty.bucket(), &log, 1, Expected::New);
    drive(&mut archiver, &keeping(&log, 100)).await.unwrap();
    let count = |what: &str| {
        faulty
            .calls()
            .iter()
            .filter(|call| call.starts_with(what))
            .count()
    };
    let segments = contents(&inner).await.entries.len();
    assert_eq!((count("begin"), count("complete")), (segments, segments));
    assert!(count("part") >= 2 * segments && count("abort") == 0);
}
