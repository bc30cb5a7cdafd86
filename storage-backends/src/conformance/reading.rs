//! Cases of reading.

use strandline_core::storage::{EpochEnd, LogSettings, ReadError, ReadLimit};
use strandline_core::{LeaderEpoch, Offset, Timestamp};

use super::Subject;
use super::records::{ALL, batch, batch_of, time_of};
use super::report::Cases;

pub(super) fn run(cases: &mut Cases, subject: &Subject) {
    cases.case(
        "a read starts with the batch that holds the offset and keeps to its limits",
        || {
            let (_store, log) = subject.log(&LogSettings {
                segment_max_bytes: 1000,
                ..LogSettings::default()
            });
            for base in [0, 5, 10, 15, 20] {
                let _commit = log.append(&[batch(base, 5, 1)]).unwrap();
            }
            let bases = |from: u64, limit: ReadLimit| {
                let run = log.read(Offset::new(from), limit).unwrap();
                run.batches()
                    .map(|batch| batch.unwrap().header().base.get())
                    .collect::<Vec<_>>()
            };
            let one = ReadLimit { max_bytes: 1, ..ALL };
            assert_eq!(bases(0, one), [0]);
            assert_eq!(bases(7, one), [5]);
            assert_eq!(bases(24, ALL), [20]);
            assert_eq!(
                bases(
                    0,
                    ReadLimit {
                        end: Offset::new(5),
                        ..ALL
                    }
                ),
                [0]
            );
            assert_eq!(
                bases(
                    4,
                    ReadLimit {
                        end: Offset::new(6),
                        max_bytes: 1
                    }
                ),
                [0]
            );
            let end = log.read(Offset::new(25), ALL).unwrap();
            assert_eq!((end.bytes.len(), end.next), (0, Offset::new(25)));
        },
    );
    cases.case("an offset beyond the end is refused", || {
        let (_store, log) = subject.log(&LogSettings::default());
        assert!(log.read(Offset::ZERO, ALL).unwrap().bytes.is_empty());
        match log.read(Offset::new(1), ALL) {
            Err(ReadError::BeyondEnd { end }) => assert_eq!(end, Offset::ZERO),
            other => panic!("{other:?}"),
        }
    });
    cases.case("a read goes over gaps", || {
        let (_store, log) = subject.log(&LogSettings::default());
        let _commit = log.append(&[batch_of(&[0, 4], 1), batch_of(&[9], 1)]).unwrap();
        let run = log.read(Offset::new(6), ALL).unwrap();
        assert_eq!(
            run.batches().next().unwrap().unwrap().header().base,
            Offset::new(9)
        );
    });
    cases.case("reading backwards gives each batch once", || {
        let (_store, log) = subject.log(&LogSettings {
            segment_max_bytes: 1000,
            ..LogSettings::default()
        });
        for base in [0, 5, 10, 15, 20] {
            let _commit = log.append(&[batch(base, 5, 1)]).unwrap();
        }
        let (mut before, mut bases) = (log.end(), Vec::new());
        while let Some(batch) = log.read_before(before).unwrap() {
            before = batch.header().base;
            bases.push(before.get());
        }
        assert_eq!(bases, [20, 15, 10, 5, 0]);
        assert_eq!(
            log.read_before(Offset::new(7)).unwrap().unwrap().header().base,
            Offset::new(5)
        );
        assert_eq!(
            log.read_before(Offset::new(5)).unwrap().unwrap().header().base,
            Offset::ZERO
        );
        assert!(log.read_before(Offset::ZERO).unwrap().is_none());
    });
    cases.case("a time is found at its record", || {
        let (_store, log) = subject.log(&LogSettings {
            segment_max_bytes: 1000,
            ..LogSettings::default()
        });
        for base in [0, 5, 10, 15] {
            let _commit = log.append(&[batch(base, 5, 1)]).unwrap();
        }
        for offset in 0..20 {
            assert_eq!(log.offset_at(time_of(offset)).unwrap(), Offset::new(offset));
            let just_after = Timestamp::from_nanos(time_of(offset).nanos() + 1);
            assert_eq!(log.offset_at(just_after).unwrap(), Offset::new(offset + 1));
        }
        assert_eq!(log.offset_at(Timestamp::from_nanos(-1)).unwrap(), Offset::ZERO);
        assert_eq!(log.last_time(), Some(time_of(19)));
    });
    cases.case("the end of an epoch is where the next one begins", || {
        let (_store, log) = subject.log(&LogSettings::default());
        assert_eq!(
            (log.last_epoch(), log.epoch_end(LeaderEpoch::new(9))),
            (None, None)
        );
        let _commit = log
            .append(&[batch(0, 2, 3), batch(2, 2, 3), batch(4, 1, 7)])
            .unwrap();
        let end = |epoch| log.epoch_end(LeaderEpoch::new(epoch));
        let expected = |epoch, end| {
            Some(EpochEnd {
                epoch: LeaderEpoch::new(epoch),
                end: Offset::new(end),
            })
        };
        assert_eq!((end(2), end(3), end(5)), (None, expected(3, 4), expected(3, 4)));
        assert_eq!((end(7), end(99)), (expected(7, 5), expected(7, 5)));
    });
}
