use std::sync::Arc;

use strandline_core::LogId;
use strandline_core::storage::{Factory, LogSettings};
use strandline_storage_backends::{SegmentFactory, SystemDisk};

use super::*;

/// A batch whose records have the keys `a` and `b` in turn.
fn batch(offsets: std::ops::Range<u64>) -> Batch {
    let mut builder = BatchBuilder::new();
    for offset in offsets {
        let key: &[u8] = if offset % 2 == 0 { b"a" } else { b"b" };
        let fields = Fields {
            key: Some(key),
            value: b"value",
            subject: "s",
            reply: "",
        };
        let mut bytes = BytesMut::new();
        append_record(&mut bytes, &fields, std::iter::empty()).unwrap();
        let record = RecordIter::new(&bytes).next().unwrap();
        let time = Timestamp::from_nanos(offset.cast_signed());
        builder.push(&record, LeaderEpoch::new(1), Offset::new(offset), time);
    }
    builder.finish().unwrap()
}

/// A log with a sealed segment of three batches of four records, and an active one after it.
fn log(directory: &tempfile::TempDir) -> Arc<dyn Log> {
    let store = SegmentFactory::new().open(Arc::new(SystemDisk::new()), directory.path());
    let log = store
        .unwrap()
        .create(LogId::new(1), &LogSettings::default())
        .unwrap();
    log.append(&[batch(0..4), batch(4..8), batch(8..12)]).unwrap();
    log.roll().unwrap();
    log.append(&[batch(12..16)]).unwrap();
    log
}

fn offsets(log: &dyn Log) -> Vec<u64> {
    let range = OffsetRange::new(log.start(), log.end());
    let running = CancellationToken::new();
    let mut batches = Batches::new(log, range, &running);
    let mut found = Vec::new();
    while let Some(batch) = batches.next_batch().unwrap() {
        found.extend(batch.records().map(|record| offset_of(&batch, &record).get()));
    }
    found
}

fn rewrite(log: &dyn Log, judge: &Judge<'_>, stopping: &CancellationToken) -> Result<u64, RemovalError> {
    let mut done = Rewritten::default();
    rewrite_sealed(log, Offset::MAX, judge, stopping, &mut done).map(|()| done.dropped)
}

fn drop_if(goes: bool) -> Verdict {
    if goes { Verdict::Drop } else { Verdict::Keep }
}

#[test]
fn the_records_that_go_are_gone_and_the_others_stay_where_they_were() {
    let directory = tempfile::tempdir().unwrap();
    let log = log(&directory);
    let middle = ReadLimit {
        end: Offset::new(8),
        max_bytes: 1,
    };
    let untouched = log.read(Offset::new(4), middle).unwrap().bytes;
    let judge: &Judge<'_> =
        &|record, offset, _| drop_if(record.key() == Some(b"a") && !(4..8).contains(&offset.get()));
    let running = CancellationToken::new();
    assert_eq!(rewrite(log.as_ref(), judge, &running).unwrap(), 4);
    assert_eq!(offsets(log.as_ref()), [1, 3, 4, 5, 6, 7, 9, 11, 12, 13, 14, 15]);
    let after = log.read(Offset::new(4), middle).unwrap();
    assert_eq!(
        after.bytes, untouched,
        "a batch that keeps all its records keeps its bytes"
    );
    assert_eq!(rewrite(log.as_ref(), judge, &running).unwrap(), 0);
}

#[test]
fn only_what_lies_below_the_end_goes_and_a_segment_can_lose_all_its_records() {
    let directory = tempfile::tempdir().unwrap();
    let log = log(&directory);
    let (running, mut done) = (CancellationToken::new(), Rewritten::default());
    let judge: &Judge<'_> = &|_, _, _| Verdict::Drop;
    rewrite_sealed(log.as_ref(), Offset::new(6), judge, &running, &mut done).unwrap();
    assert_eq!(done.dropped, 6);
    assert!(0 < done.bytes_out && done.bytes_out < done.bytes_in, "{done:?}");
    assert_eq!(offsets(log.as_ref()), [6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    assert_eq!(rewrite(log.as_ref(), judge, &running).unwrap(), 6);
    assert_eq!(log.segments()[0].records, 0);
    assert_eq!(offsets(log.as_ref()), [12, 13, 14, 15]);
}

/// A source that fails in the middle must not pass for one that is at its end: the rest of the segment would be lost.
#[test]
fn a_source_that_fails_leaves_the_segment_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let log = log(&directory);
    let before = offsets(log.as_ref());
    for first_seen in [0, 5, 11] {
        let stopping = CancellationToken::new();
        // The look for one that goes ends at the first; the rewrite finds that the broker is stopping.
        let judge: &Judge<'_> = &|_, offset, _| {
            if offset.get() >= first_seen {
                stopping.cancel();
            }
            drop_if(offset.get() >= first_seen)
        };
        let stopped = rewrite(log.as_ref(), judge, &stopping);
        assert!(matches!(stopped, Err(RemovalError::Stopping)), "{stopped:?}");
        assert_eq!(offsets(log.as_ref()), before);
    }
}

#[test]
fn damage_is_named_and_nothing_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let log = log(&directory);
    let data = std::fs::read_dir(directory.path().join("1"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .min()
        .unwrap();
    let mut bytes = std::fs::read(&data).unwrap();
    let third_batch = bytes.len() * 5 / 6;
    bytes[third_batch] ^= 1;
    std::fs::write(&data, &bytes).unwrap();
    let judge: &Judge<'_> = &|record, _, _| drop_if(record.key() == Some(b"a"));
    let damaged = rewrite(log.as_ref(), judge, &CancellationToken::new());
    assert!(matches!(damaged, Err(RemovalError::Read(_))), "{damaged:?}");
    assert_eq!(std::fs::read(&data).unwrap(), bytes);
}
