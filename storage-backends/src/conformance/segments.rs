//! Cases of segments: rolling, removing, replacing, truncating.

use std::sync::Arc;
use std::time::Duration;

use strandline_core::storage::{Log, LogSettings, ReadError, StorageError, Store, SyncBy};
use strandline_core::{LeaderEpoch, Offset, OffsetRange, Timestamp};

use super::Subject;
use super::records::{ALL, batch, batch_of, offsets, time_of};
use super::report::Cases;

/// Four sealed segments of five records and an active one of two.
fn segmented(subject: &Subject) -> (Arc<dyn Store>, Arc<dyn Log>) {
    let (store, log) = subject.log(&LogSettings::default());
    for number in 0..4 {
        let _commit = log.append(&[batch(5 * number, 5, number + 1)]).unwrap();
        log.roll().unwrap();
    }
    let _commit = log.append(&[batch(20, 2, 9)]).unwrap();
    (store, log)
}

pub(super) fn run(cases: &mut Cases, subject: &Subject) {
    cases.case("segments are summed up in order with the active one last", || {
        let (_store, log) = segmented(subject);
        let segments = log.segments();
        assert_eq!(segments.len(), 5);
        for (number, segment) in segments[..4].iter().enumerate() {
            let start = 5 * number as u64;
            assert_eq!(
                segment.range,
                OffsetRange::new(Offset::new(start), Offset::new(start + 5))
            );
            assert_eq!((segment.records, segment.sealed), (5, true));
            assert_eq!(segment.first_time, Some(time_of(start)));
            assert_eq!(segment.last_time, Some(time_of(start + 4)));
            assert!(segment.bytes > 0);
        }
        assert_eq!((segments[4].records, segments[4].sealed), (2, false));
    });
    cases.case("an empty segment is not rolled, a full or an old one is", || {
        let (_store, log) = subject.log(&LogSettings {
            segment_max_bytes: 1,
            ..LogSettings::default()
        });
        log.roll().unwrap();
        assert_eq!(log.segments().len(), 1);
        for offset in 0..3 {
            let _commit = log.append(&[batch(offset, 1, 1)]).unwrap();
        }
        assert_eq!(log.segments().len(), 3);
        let age = Some(Duration::from_micros(10));
        log.set_settings(&LogSettings {
            segment_max_age: age,
            ..LogSettings::default()
        })
        .unwrap();
        log.roll_if_due(time_of(11)).unwrap();
        assert_eq!(log.segments().len(), 3);
        log.roll_if_due(Timestamp::from_nanos(time_of(12).nanos()))
            .unwrap();
        assert_eq!(log.segments().len(), 4);
    });
    cases.case(
        "leading segments go, the active one stays, and readers are told",
        || {
            let (_store, log) = segmented(subject);
            log.remove_before(Offset::new(4)).unwrap();
            assert_eq!(log.start(), Offset::ZERO);
            log.remove_before(Offset::new(12)).unwrap();
            assert_eq!(log.start(), Offset::new(10));
            assert!(
                matches!(log.read(Offset::new(9), ALL), Err(ReadError::Trimmed { start }) if start == Offset::new(10))
            );
            assert_eq!(offsets(log.as_ref()), (10..22).collect::<Vec<_>>());
            assert!(log.epoch_end(LeaderEpoch::new(1)).is_none());
            log.remove_before(Offset::MAX).unwrap();
            assert_eq!(offsets(log.as_ref()), [20, 21]);
        },
    );
    cases.case("sealed segments are replaced by what compaction leaves", || {
        let (_store, log) = segmented(subject);
        let range = OffsetRange::new(Offset::new(5), Offset::new(15));
        let kept = batch_of(&[6, 13], 2);
        log.replace_sealed(range, &mut std::iter::once(Ok(kept))).unwrap();
        let expected: Vec<u64> = (0..5).chain([6, 13]).chain(15..22).collect();
        assert_eq!(offsets(log.as_ref()), expected);
        assert_eq!(log.segments().len(), 4);
        assert_eq!(log.segments()[1].range, range);
        let wrong = OffsetRange::new(Offset::new(6), Offset::new(15));
        let refused = log.replace_sealed(wrong, &mut std::iter::empty());
        assert!(matches!(refused, Err(StorageError::Invalid { .. })));
        log.replace_sealed(range, &mut std::iter::empty()).unwrap();
        assert_eq!(offsets(log.as_ref()), (0..5).chain(15..22).collect::<Vec<_>>());
        let run = log.read(Offset::new(7), ALL).unwrap();
        assert_eq!(
            run.batches().next().unwrap().unwrap().header().base,
            Offset::new(15)
        );
    });
    cases.case(
        "a truncation cuts at a border between batches and nowhere else",
        || {
            let (_store, log) = segmented(subject);
            assert!(matches!(
                log.truncate(Offset::new(7)),
                Err(StorageError::Invalid { .. })
            ));
            log.truncate(Offset::new(22)).unwrap();
            assert_eq!(log.end(), Offset::new(22));
            log.truncate(Offset::new(10)).unwrap();
            assert_eq!(offsets(log.as_ref()), (0..10).collect::<Vec<_>>());
            assert_eq!(
                (log.durable_end(), log.last_epoch()),
                (Offset::new(10), Some(LeaderEpoch::new(2)))
            );
            let _commit = log.append(&[batch(10, 3, 11)]).unwrap();
            assert_eq!(offsets(log.as_ref()), (0..13).collect::<Vec<_>>());
        },
    );
    // The property test of the segment backend's check found a log that had been cut in a hole of compaction's at offset 5: it
    // ended at 2, still said that epoch 2 had begun at 4, and took the next batch of that epoch at 2 for one of epoch 1.
    cases.case(
        "a truncation where compaction has left nothing forgets the epochs that began there",
        || {
            let (_store, log) = subject.log(&LogSettings::default());
            let _commits = log
                .append(&[batch(0, 2, 1), batch(2, 2, 1), batch(4, 3, 2), batch(7, 3, 2)])
                .unwrap();
            log.roll().unwrap();
            let range = OffsetRange::new(Offset::ZERO, Offset::new(10));
            log.replace_sealed(range, &mut [batch(0, 2, 1)].into_iter().map(Ok))
                .unwrap();
            log.truncate(Offset::new(5)).unwrap();
            let end = log.end();
            assert!(Offset::new(2) <= end && end <= Offset::new(5));
            if end <= Offset::new(4) {
                assert_eq!(log.last_epoch(), Some(LeaderEpoch::new(1)));
            }
            let _commit = log.append(&[batch(end.get(), 1, 2)]).unwrap();
            let begun = log.epoch_end(LeaderEpoch::new(1)).unwrap().end;
            assert_eq!(begun, end.min(Offset::new(4)));
        },
    );
    cases.case(
        "handles of records that are cut off fail, those of others do not",
        || {
            let (store, log) = subject.log(&LogSettings::default());
            let kept = log.append(&[batch(0, 3, 1)]).unwrap();
            let cut = log.append(&[batch(3, 3, 1)]).unwrap();
            log.truncate(Offset::new(3)).unwrap();
            let new = log.append(&[batch(3, 1, 1)]).unwrap();
            store.sync(SyncBy::Caller);
            assert!(kept.wait().is_ok() && cut.wait().is_err() && new.wait().is_ok());
            assert_eq!(log.durable_end(), Offset::new(4));
            let forgotten = log.append(&[batch(4, 1, 1)]).unwrap();
            log.reset(Offset::new(100)).unwrap();
            store.sync(SyncBy::Caller);
            assert!(forgotten.wait().is_err());
            assert_eq!(log.durable_end(), Offset::new(100));
        },
    );
    cases.case("a reset forgets everything and goes on where it is told", || {
        let (_store, log) = segmented(subject);
        log.reset(Offset::new(100)).unwrap();
        assert_eq!(
            (log.start(), log.end(), log.last_epoch()),
            (Offset::new(100), Offset::new(100), None)
        );
        let _commit = log.append(&[batch(100, 1, 1)]).unwrap();
        assert_eq!(offsets(log.as_ref()), [100]);
    });
}
