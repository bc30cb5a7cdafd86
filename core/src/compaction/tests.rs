//! Random logs against the definition.

use std::collections::HashMap;

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::LeaderEpoch;
use crate::record::{Batch, BatchBuilder, Fields, RecordIter, append_record};

/// One record of the model; its offset is its place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    time: i64,
    epoch: u64,
}

type Log = Vec<(u64, Record)>;

/// Batches of these lengths, one after another.
fn encode(log: &Log, lengths: &[usize]) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut builder = BatchBuilder::new();
    let mut lengths = lengths.iter().copied().cycle();
    let mut left = lengths.next().unwrap_or(1);
    let mut epoch = None;
    for (offset, record) in log {
        if left == 0 || epoch.is_some_and(|epoch| epoch != record.epoch) {
            batches.extend(builder.finish());
            left = lengths.next().unwrap_or(1);
        }
        let mut bytes = BytesMut::new();
        let fields = Fields {
            key: record.key.as_deref(),
            value: &record.value,
            subject: "s",
            reply: "",
        };
        append_record(&mut bytes, &fields, []).unwrap();
        let view = RecordIter::new(&bytes).next().unwrap();
        let time = Timestamp::from_nanos(record.time);
        builder.push(&view, LeaderEpoch::new(record.epoch), Offset::new(*offset), time);
        left -= 1;
        epoch = Some(record.epoch);
    }
    batches.extend(builder.finish());
    batches
}

fn decode(batches: &[Batch]) -> Log {
    let mut log = Vec::new();
    for batch in batches {
        // Form and checksum of what was written.
        let batch = Batch::parse(batch.bytes()).unwrap();
        for view in batch.records() {
            let record = Record {
                key: view.key().map(<[u8]>::to_vec),
                value: view.value().to_vec(),
                time: batch.header().time(&view).nanos(),
                epoch: batch.header().epoch.get(),
            };
            log.push((batch.header().base.get() + u64::from(view.offset_delta()), record));
        }
    }
    log
}

/// One pass from `clean_end` up to `end`; where it ended and what is left.
fn pass(
    batches: &[Batch],
    dirty: (u64, u64),
    room: u64,
    tombstones_before: u64,
) -> (u64, Vec<Batch>, NewestPerKey) {
    let table = KeyTable::new(room * KeyTable::KEY_BYTES, u64::MAX, [9; 16]);
    let mut newest = NewestPerKey::new(table, Offset::new(tombstones_before));
    let mut end = dirty.1;
    'noting: for batch in batches {
        for record in batch.records() {
            let offset = batch.header().base.plus(u64::from(record.offset_delta()));
            if offset.get() < dirty.0 || offset.get() >= dirty.1 {
                continue;
            }
            if newest.observe(&record, offset) == Observed::Full {
                end = offset.get();
                break 'noting;
            }
        }
    }
    let mut rewriter = Rewriter::default();
    let mut left = Vec::new();
    for batch in batches {
        rewriter.push(batch.clone(), batch, &mut |record, offset, time| {
            newest.verdict(record, offset, time)
        });
        left.extend(std::iter::from_fn(|| rewriter.pop()));
    }
    rewriter.flush();
    left.extend(std::iter::from_fn(|| rewriter.pop()));
    let left = left.into_iter().map(|left| match left {
        Left::Stored(batch) => {
            assert!(batches.contains(&batch), "stored as it is");
            batch
        }
        Left::Built(batch) => batch,
    });
    (end, left.collect(), newest)
}

/// What compaction up to `end` is defined to leave.
fn definition(log: &Log, end: u64, tombstones_before: u64) -> Log {
    let mut newest: HashMap<&[u8], u64> = HashMap::new();
    for (offset, record) in log.iter().filter(|(offset, _)| *offset < end) {
        if let Some(key) = &record.key {
            newest.insert(key, *offset);
        }
    }
    let stays = |(offset, record): &&(u64, Record)| {
        let Some(key) = &record.key else { return true };
        if *offset >= end {
            return true;
        }
        newest[key.as_slice()] == *offset && !(record.value.is_empty() && *offset < tombstones_before)
    };
    log.iter().filter(stays).cloned().collect()
}

fn logs() -> impl Strategy<Value = Log> {
    let key = prop_oneof![
        1 => Just(None),
        6 => prop::collection::vec(0_u8..3, 0..3).prop_map(Some),
    ];
    let value = prop_oneof![1 => Just(Vec::new()), 3 => prop::collection::vec(any::<u8>(), 1..40)];
    let record = (key, value, 0_i64..5, 0_u64..2);
    prop::collection::vec(record, 1..120).prop_map(|records| {
        let (mut time, mut epoch) = (0, 1);
        let add = |(offset, (key, value, pause, elections)): (u64, (_, _, i64, u64))| {
            time += pause;
            epoch += u64::from(elections == 1 && offset % 7 == 0);
            (
                offset,
                Record {
                    key,
                    value,
                    time,
                    epoch,
                },
            )
        };
        (0..).zip(records).map(add).collect()
    })
}

proptest! {
    #[test]
    fn passes_of_any_memory_leave_what_the_definition_says(
        log in logs(),
        lengths in prop::collection::vec(1_usize..20, 1..6),
        room in 1_u64..12,
        end in 0_u64..130,
    ) {
        let end = end.min(log.len() as u64);
        let mut batches = encode(&log, &lengths);
        let mut clean_end = 0;
        let mut passes = 0;
        while clean_end < end {
            let (covered, left, _) = pass(&batches, (clean_end, end), room, 0);
            prop_assert!(covered > clean_end, "a pass goes on");
            prop_assert_eq!(decode(&left), definition(&log, covered, 0));
            (clean_end, batches, passes) = (covered, left, passes + 1);
        }
        prop_assert!(passes <= end.max(1));
    }

    #[test]
    fn tombstones_leave_once_their_keys_are_clean(log in logs(), lengths in prop::collection::vec(1_usize..20, 1..6)) {
        let end = log.len() as u64;
        let (_, once, newest) = pass(&encode(&log, &lengths), (0, end), 100, 0);
        let has_tombstone = log.iter().any(|(_, record)| record.key.is_some() && record.value.is_empty());
        prop_assert_eq!(newest.saw_tombstone(), has_tombstone);
        let (_, twice, _) = pass(&once, (end, end), 1, end);
        prop_assert_eq!(decode(&twice), definition(&log, end, end));
    }

    #[test]
    fn what_keeps_all_its_records_comes_out_as_the_same_bytes(
        log in logs(),
        lengths in prop::collection::vec(1_usize..20, 1..6),
    ) {
        let batches = encode(&log, &lengths);
        let (_, left, newest) = pass(&batches, (0, log.len() as u64), 100, 0);
        for batch in &batches {
            let all_stay = batch.records().all(|record| {
                let offset = batch.header().base.plus(u64::from(record.offset_delta()));
                newest.verdict(&record, offset, Timestamp::ZERO) == Verdict::Keep
            });
            prop_assert_eq!(left.contains(batch), all_stay);
        }
    }
}

#[test]
fn what_is_left_of_neighbours_is_joined_within_an_epoch() {
    let record = |offset: u64| Record {
        key: Some(vec![(offset % 2) as u8, (offset / 20) as u8]),
        value: b"v".to_vec(),
        time: offset as i64,
        epoch: 1 + offset / 60,
    };
    let log: Log = (0..120).map(|offset| (offset, record(offset))).collect();
    let (_, left, _) = pass(&encode(&log, &[10]), (0, 120), 100, 0);
    assert_eq!(decode(&left), definition(&log, 120, 0));
    assert_eq!(left.len(), 2);
}
