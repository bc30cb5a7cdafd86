//! Readers of records that have to be fetched first.

pub(crate) mod faraway;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt;

use strandline_core::record::{Batch, BatchBuilder, Fields, RecordIter, append_record};
use strandline_core::storage::{Factory, FetchFailure, Log, LogSettings, Store};
use strandline_core::subject::SubjectFilter;
use strandline_core::{LeaderEpoch, LogId, PartitionId, StreamName, Timestamp};
use strandline_proto::convert::{StartAt, StopAt};
use strandline_storage_backends::{MemoryFactory, SystemDisk, TailCache};

use super::*;
use crate::bus::AckPublisher;
use crate::clock::SystemClock;
use crate::metrics::Metrics;
use crate::partition::{Answerer, Appender, AppenderLimits, BatchLimits, Packing, PartitionInfo};
use faraway::Faraway;

/// Records in each batch; a record's time is its offset in nanoseconds.
const BATCH: u64 = 5;
/// Offsets below this are far away.
const BELOW: u64 = 10;
const END: u64 = 20;

/// A partition of four batches, two of which are far away.
struct Bench {
    far: Arc<Faraway>,
    partition: Arc<PartitionHandle>,
    _appender: Appender,
    _store: Arc<dyn Store>,
}

#[derive(Debug)]
struct Nobody;

impl AckPublisher for Nobody {
    fn publish(&mut self, _: &str, _: &[u8], _: &[u8]) {}

    fn flush(&mut self) {}
}

fn batch(base: u64) -> Batch {
    let mut builder = BatchBuilder::new();
    for offset in base..base + BATCH {
        let fields = Fields {
            key: None,
            value: b"value",
            subject: "orders",
            reply: "",
        };
        let mut bytes = BytesMut::new();
        append_record(&mut bytes, &fields, []).unwrap();
        let record = RecordIter::new(&bytes).next().unwrap();
        let time = Timestamp::from_nanos(offset as i64);
        builder.push(&record, LeaderEpoch::new(1), Offset::new(offset), time);
    }
    builder.finish().unwrap()
}

fn bench() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let store = MemoryFactory::new()
        .open(Arc::new(SystemDisk::new()), directory.path())
        .unwrap();
    let log = store.create(LogId::new(1), &LogSettings::default()).unwrap();
    for base in (0..END).step_by(BATCH as usize) {
        let _commit = log.append(&[batch(base)]).unwrap();
    }
    let far = Faraway::new(log, BELOW);
    let metrics = Metrics::new();
    let answerer = Answerer::new(Box::new(Nobody), Arc::clone(&metrics));
    let limits = AppenderLimits {
        batch: BatchLimits {
            max_records: 10,
            max_bytes: 1 << 20,
        },
        max_unsynced: 100,
    };
    let clock = Arc::new(SystemClock);
    let appender = Appender::start(Arc::clone(&store), limits, clock, answerer, metrics).unwrap();
    let info = PartitionInfo {
        log: LogId::new(1),
        stream: StreamName::new("orders").unwrap(),
        partition: PartitionId::new(0),
        base_subject: SubjectFilter::new("orders").unwrap(),
        literal_subject: Some("orders".to_owned()),
        group: None,
        concurrency_control: false,
        max_message_bytes: 1 << 20,
        packing: Packing::default(),
    };
    let cache = Arc::new(TailCache::new(Arc::clone(&far) as Arc<dyn Log>, 1 << 20));
    Bench {
        partition: PartitionHandle::new(info, cache, appender.handle().clone()),
        far,
        _appender: appender,
        _store: store,
    }
}

impl Bench {
    fn forward(&self, start: u64) -> ForwardReader {
        ForwardReader::new(Arc::clone(&self.partition), plan(start))
    }

    /// Waits until somebody waits for what is far away.
    async fn wanted(&self) {
        for _ in 0..5_000 {
            if self.far.is_wanted() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("nobody wants what is far away");
    }
}

fn plan(start: u64) -> Plan {
    Plan {
        start: Offset::new(start),
        stop: None,
        on_trimmed: OnTrimmed::Skip,
    }
}

fn unreachable() -> FetchFailure {
    FetchFailure::Unreachable {
        reason: "s3://cold/orders did not answer within 30s".to_owned(),
    }
}

#[tokio::test]
async fn a_reader_waits_for_what_is_fetched_and_goes_on_where_it_was() {
    let bench = bench();
    let mut reader = bench.forward(3);
    let mut from = 3;
    while from < END {
        let next = tokio::spawn(async move {
            let records = reader.next().await;
            (reader, records)
        });
        if from < BELOW {
            bench.wanted().await;
            assert!(!next.is_finished(), "there is nothing to read yet");
            bench.far.answer(Ok(()));
        }
        let (after, records) = next.await.unwrap();
        let records = records.unwrap();
        assert_eq!(records.from, Offset::new(from));
        from = records.run.next.get();
        reader = after;
        bench.far.send_away();
    }
    assert!(reader.next().now_or_never().is_none(), "it has caught up");
}

#[tokio::test]
async fn a_turn_that_must_not_wait_ends_where_something_is_to_be_fetched() {
    let bench = bench();
    let mut reader = bench.forward(0);
    assert!(reader.next_at_once().unwrap().is_none());
    bench.far.answer(Ok(()));
    assert_eq!(reader.next_at_once().unwrap().unwrap().from, Offset::ZERO);
}

#[tokio::test]
async fn a_reverse_reader_waits_where_it_comes_to_what_is_far_away() {
    let bench = bench();
    let start = Plan {
        start: Offset::new(END),
        stop: Some(Offset::ZERO),
        on_trimmed: OnTrimmed::Skip,
    };
    let mut reader = BackwardReader::new(Arc::clone(&bench.partition), start);
    for base in [15, 10] {
        assert_eq!(reader.next().await.unwrap().0.header().base, Offset::new(base));
    }
    let (next, ()) = tokio::join!(reader.next(), async {
        bench.wanted().await;
        bench.far.answer(Ok(()));
    });
    assert_eq!(next.unwrap().0.header().base, Offset::new(5));
    assert_eq!(reader.next().await.unwrap().0.header().base, Offset::ZERO);
    assert!(matches!(reader.next().await, Err(ReadEnd::StartReached)));
}

#[tokio::test]
async fn readers_are_told_that_an_archive_does_not_answer_and_can_try_again() {
    let bench = bench();
    let mut reader = bench.forward(0);
    let (next, ()) = tokio::join!(reader.next(), async {
        bench.wanted().await;
        bench.far.answer(Err(unreachable()));
    });
    let Err(ReadEnd::Failed(error @ ReadError::Unreachable { .. })) = next else {
        panic!("{next:?}");
    };
    assert_eq!(
        error.to_string(),
        "what is archived cannot be read now: s3://cold/orders did not answer within 30s; reading again later can work"
    );
    let (next, ()) = tokio::join!(reader.next(), async {
        bench.wanted().await;
        bench.far.answer(Ok(()));
    });
    assert_eq!(next.unwrap().from, Offset::ZERO);
}

#[tokio::test]
async fn the_end_of_a_stream_ends_those_who_wait_at_once() {
    for (state, is_deleted) in [(ReadState::Deleted, true), (ReadState::Stopping, false)] {
        let bench = bench();
        let mut reader = bench.forward(0);
        let (next, ()) = tokio::join!(reader.next(), async {
            bench.wanted().await;
            bench.partition.close_readers(state);
        });
        match next {
            Err(ReadEnd::Deleted) => assert!(is_deleted),
            Err(ReadEnd::Stopping) => assert!(!is_deleted),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn only_plans_that_depend_on_what_is_far_away_wait_for_it() {
    let bench = bench();
    let resolve = |start| {
        let bounds = Bounds::of(&bench.partition, start)?;
        Plan::resolve(start, StopAt::OnCancel, bounds, &bench.partition)
    };
    let at = |nanos| StartAt::Time(Timestamp::from_nanos(nanos));
    for start in [StartAt::NewOnly, StartAt::Latest, StartAt::Offset(2), at(12)] {
        assert!(resolve(start).is_ok(), "{start:?}");
    }
    for start in [StartAt::Earliest, at(3)] {
        let plan = resolve(start);
        assert!(
            matches!(plan, Err(PlanError::Read(ReadError::Fetching(_)))),
            "{plan:?}"
        );
    }
    bench.far.answer(Ok(()));
    assert_eq!(resolve(StartAt::Earliest).unwrap(), plan(0));
    assert_eq!(resolve(at(3)).unwrap(), plan(3));
}
