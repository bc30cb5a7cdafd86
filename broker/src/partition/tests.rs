//! A partition from its inbox to its answers, on a real log.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tempfile::TempDir;

use strandline_codec::PackBuffers;
use strandline_core::record::{Batch, BatchBuilder, Codec, Fields, RecordIter, append_record};
use strandline_core::storage::{
    Capabilities, Factory, Log, LogSettings, ReadLimit, StorageError, Store, SyncBy,
};
use strandline_core::stream::{AckPolicy, ExpectedOffset};
use strandline_core::subject::SubjectFilter;
use strandline_core::{LeaderEpoch, LogId, Offset, PartitionId, StreamName, Timestamp};
use strandline_storage_backends::{SegmentFactory, SystemDisk, TailCache};

mod screening;

use super::*;
use crate::bus::AckPublisher;
use crate::clock::SystemClock;
use crate::metrics::Metrics;

/// Subjects and payloads.
type Messages = Vec<(String, Vec<u8>)>;

struct Bench {
    appender: Appender,
    handle: Arc<PartitionHandle>,
    published: Arc<Mutex<Messages>>,
    _directory: TempDir,
}

struct Published {
    turn: Messages,
    out: Arc<Mutex<Messages>>,
}

impl AckPublisher for Published {
    fn publish(&mut self, subject: &str, _: &[u8], payload: &[u8]) {
        self.turn.push((subject.to_owned(), payload.to_vec()));
    }

    fn flush(&mut self) {
        self.out.lock().append(&mut self.turn);
    }
}

#[derive(Debug, Default)]
struct Heard {
    acks: Mutex<Vec<(String, Result<i64, Reject>)>>,
}

impl AckSink for Heard {
    fn expect(&self, _: usize) {}

    fn answer(&self, answers: &Answers<'_>) {
        let heard = answers.iter().map(|ack| {
            (
                ack.correlation_id.to_owned(),
                ack.outcome
                    .map(|offset| offset.map_or(-1, |offset| offset.get() as i64)),
            )
        });
        self.acks.lock().extend(heard);
    }
}

async fn bench(concurrency_control: bool) -> Bench {
    bench_with(concurrency_control, Packing::default(), |store| store).await
}

async fn bench_on(concurrency_control: bool, wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Bench {
    bench_with(concurrency_control, Packing::default(), wrap).await
}

async fn bench_with(
    concurrency_control: bool,
    packing: Packing,
    wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
) -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let store = SegmentFactory::new()
        .open(Arc::new(SystemDisk::new()), &directory.path().join("streams"))
        .unwrap();
    let store = wrap(store);
    let log = store.create(LogId::new(1), &LogSettings::default()).unwrap();
    let published = Arc::new(Mutex::default());
    let bus = Published {
        turn: Vec::new(),
        out: Arc::clone(&published),
    };
    let limits = AppenderLimits {
        batch: BatchLimits {
            max_records: 10,
            max_bytes: 1 << 20,
        },
        max_unsynced: 100,
    };
    let metrics = Metrics::new();
    let answerer = Answerer::new(Box::new(bus), Arc::clone(&metrics));
    let appender = Appender::start(store, limits, Arc::new(SystemClock), answerer, metrics).unwrap();
    let info = PartitionInfo {
        log: LogId::new(1),
        stream: StreamName::new("orders").unwrap(),
        partition: PartitionId::new(0),
        base_subject: SubjectFilter::new("orders").unwrap(),
        literal_subject: Some("orders".to_owned()),
        group: None,
        concurrency_control,
        max_message_bytes: 1 << 20,
        packing,
    };
    let handle = PartitionHandle::new(
        info,
        Arc::new(TailCache::new(log, 1 << 20)),
        appender.handle().clone(),
    );
    appender
        .handle()
        .add(Arc::clone(&handle), LeaderEpoch::new(1))
        .await;
    Bench {
        appender,
        handle,
        published,
        _directory: directory,
    }
}

fn chunk(origin: &Origin, messages: &[(&str, Delivery<'_>)]) -> Chunk {
    let mut chunk = Chunk::new(
        origin.clone(),
        Timestamp::from_nanos(1),
        ChunkRoom::default(),
        BytesMut::new(),
    );
    for (value, delivery) in messages {
        let fields = Fields {
            key: None,
            value: value.as_bytes(),
            subject: "orders",
            reply: "",
        };
        chunk.push(&fields, [], delivery);
    }
    chunk
}

fn answered(id: &str) -> Delivery<'_> {
    Delivery {
        answer: Answer::Origin,
        correlation_id: id,
        ..Delivery::default()
    }
}

async fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..5_000 {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it did not happen in time");
}

#[tokio::test]
async fn messages_are_answered_in_order_once_they_are_durable() {
    let bench = bench(false).await;
    let heard = Arc::new(Heard::default());
    let origin = Origin::Session(heard.clone());
    for round in 0..30 {
        let ids: Vec<_> = (0..7).map(|number| (round * 7 + number).to_string()).collect();
        let messages: Vec<_> = ids.iter().map(|id| ("v", answered(id))).collect();
        bench.handle.push(chunk(&origin, &messages)).await;
    }
    let acks = wait_for(|| Some(heard.acks.lock().clone()).filter(|acks| acks.len() == 210)).await;
    for (number, (id, outcome)) in acks.iter().enumerate() {
        assert_eq!(
            (id.as_str(), *outcome),
            (number.to_string().as_str(), Ok(number as i64))
        );
    }
    assert_eq!(bench.handle.log().durable_end(), Offset::new(210));
    assert_eq!(bench.handle.readable().end, Offset::new(210));
    tokio::task::spawn_blocking(move || bench.appender.stop())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_refused_message_takes_no_offset_and_is_answered_in_its_turn() {
    let bench = bench(true).await;
    let heard = Arc::new(Heard::default());
    let origin = Origin::Session(heard.clone());
    let expecting = |id, offset| Delivery {
        expected: ExpectedOffset::Exactly(offset),
        ..answered(id)
    };
    let messages = [
        ("a", expecting("a", 0)),
        ("b", expecting("b", 0)),
        ("c", expecting("c", 1)),
    ];
    bench.handle.push(chunk(&origin, &messages)).await;
    let acks = wait_for(|| Some(heard.acks.lock().clone()).filter(|acks| acks.len() == 3)).await;
    let expected = [("a", Ok(0)), ("b", Err(Reject::IncorrectOffset)), ("c", Ok(1))];
    assert_eq!(acks, expected.map(|(id, outcome)| (id.to_owned(), outcome)));
}

#[tokio::test]
async fn answers_go_to_the_ack_inbox_or_the_reply_subject_that_a_message_names() {
    let bench = bench(false).await;
    let inbox = Delivery {
        answer: Answer::Inbox,
        inbox: "acks",
        correlation_id: "c1",
        ..Delivery::default()
    };
    let reply = Delivery {
        answer: Answer::Reply,
        inbox: "_INBOX.1",
        ..Delivery::default()
    };
    let silent = Delivery {
        policy: AckPolicy::None,
        ..inbox
    };
    bench
        .handle
        .push(chunk(&Origin::Bus, &[("a", inbox), ("b", silent), ("c", reply)]))
        .await;
    let published = wait_for(|| Some(bench.published.lock().clone()).filter(|acks| acks.len() == 2)).await;
    assert_eq!(published[0].0, "acks");
    assert_eq!(
        published[0].1[..8],
        strandline_core::envelope::header(strandline_core::envelope::Kind::Ack)
    );
    let json = String::from_utf8(published[1].1.clone()).unwrap();
    assert_eq!(
        (published[1].0.as_str(), json.as_str()),
        ("_INBOX.1", r#"{"stream":"orders","partition":0,"offset":2}"#)
    );
}

/// Keeps the appender waiting in an answer until the other end is dropped.
#[derive(Debug)]
struct Gate {
    entered: AtomicBool,
    closed: Mutex<mpsc::Receiver<()>>,
}

impl AckSink for Gate {
    fn expect(&self, _: usize) {}

    fn answer(&self, _: &Answers<'_>) {
        self.entered.store(true, Ordering::Release);
        let _ = self.closed.lock().recv();
    }
}

#[tokio::test]
async fn a_publisher_that_is_held_back_is_counted_with_its_time() {
    let bench = bench(false).await;
    let (open, closed) = mpsc::channel();
    let gate = Arc::new(Gate {
        entered: AtomicBool::new(false),
        closed: Mutex::new(closed),
    });
    let first = chunk(&Origin::Session(gate.clone()), &[("v", answered("x"))]);
    bench.handle.push(first).await;
    wait_for(|| gate.entered.load(Ordering::Acquire).then_some(())).await;
    let large = "v".repeat(INBOX_MAX_BYTES);
    let message = [(large.as_str(), Delivery::default())];
    bench.handle.push(chunk(&Origin::Bus, &message)).await;
    assert!(bench.handle.inbox_bytes() > INBOX_MAX_BYTES);
    let metrics = bench.handle.metrics();
    assert_eq!(metrics.publisher_wait.snapshot().count, 0);
    let mut second = Box::pin(bench.handle.push(chunk(&Origin::Bus, &message)));
    assert!(second.as_mut().now_or_never().is_none(), "there is no room");
    drop(open);
    second.await;
    assert_eq!(metrics.publisher_wait.snapshot().count, 1);
    let end = || (bench.handle.end() == Offset::new(3)).then_some(());
    wait_for(end).await;
    assert_eq!(metrics.append.records.get(), 3);
}

/// Records of one batch at these times, in nanoseconds.
fn batch_at(base: u64, times: &[i64]) -> Batch {
    let mut builder = BatchBuilder::new();
    for (offset, &time) in (base..).zip(times) {
        let fields = Fields {
            key: None,
            value: &[b'v'; 100],
            subject: "orders",
            reply: "",
        };
        let mut bytes = BytesMut::new();
        append_record(&mut bytes, &fields, []).unwrap();
        let record = RecordIter::new(&bytes).next().unwrap();
        builder.push(
            &record,
            LeaderEpoch::new(1),
            Offset::new(offset),
            Timestamp::from_nanos(time),
        );
    }
    builder.finish().unwrap()
}

#[tokio::test]
async fn a_time_is_looked_up_inside_of_a_packed_batch() {
    let bench = bench_with(false, Packing::encrypting(Codec::Lz4), |store| store).await;
    let (packer, mut buffers) = (bench.handle.info().packing.packer(), PackBuffers::default());
    let plain = [
        batch_at(0, &[10, 20, 30]),
        batch_at(3, &[40, 40, 50]),
        batch_at(6, &[60, 70]),
    ];
    let last = plain[2].clone();
    let [first, second, _] = plain.map(|batch| packer.pack(&batch, &mut buffers).unwrap());
    bench.handle.log().append(&[first, second, last]).unwrap();
    let expected = [
        (0, 0),
        (10, 0),
        (11, 1),
        (30, 2),
        (31, 3),
        (40, 3),
        (41, 5),
        (51, 6),
        (61, 7),
        (71, 8),
    ];
    for (time, offset) in expected {
        let found = bench.handle.offset_at(Timestamp::from_nanos(time)).unwrap();
        assert_eq!(found, Offset::new(offset), "{time}");
    }
}

#[tokio::test]
async fn a_changed_compression_holds_from_the_next_batch_on_and_tailing_readers_get_plain_batches() {
    let bench = bench_with(false, Packing::encrypting(Codec::None), |store| store).await;
    let heard = Arc::new(Heard::default());
    let origin = Origin::Session(heard.clone());
    let value = "v".repeat(500);
    for (number, codec) in [Codec::None, Codec::Lz4, Codec::Zstd].into_iter().enumerate() {
        bench.handle.info().packing.set_codec(codec);
        bench
            .handle
            .push(chunk(&origin, &[(value.as_str(), answered("x"))]))
            .await;
        wait_for(|| (heard.acks.lock().len() > number).then_some(())).await;
    }
    let limit = ReadLimit {
        end: Offset::MAX,
        max_bytes: usize::MAX,
    };
    let stored = bench.handle.log().read(Offset::ZERO, limit).unwrap();
    let headers: Vec<_> = stored.batches().map(|batch| *batch.unwrap().header()).collect();
    let codecs: Vec<_> = headers.iter().map(|header| header.codec).collect();
    assert_eq!(codecs, [Codec::None, Codec::Lz4, Codec::Zstd]);
    assert!(headers.iter().all(|header| header.encryption.is_some()));
    let cached = bench.handle.log().read_cached(Offset::ZERO, limit).unwrap();
    let unpacker = bench.handle.info().packing.unpacker();
    assert_eq!(unpacker.unpack_run(stored, usize::MAX).unwrap().run, cached);
    assert!(cached.batches().all(|batch| !batch.unwrap().header().is_packed()));
}

#[tokio::test]
async fn what_comes_after_the_end_is_answered_as_refused() {
    let bench = bench(false).await;
    let heard = Arc::new(Heard::default());
    let origin = Origin::Session(heard.clone());
    bench
        .appender
        .handle()
        .remove(LogId::new(1), ReadState::Deleted)
        .await;
    assert_eq!(bench.handle.readable().state, ReadState::Deleted);
    assert!(
        bench
            .handle
            .try_push(chunk(&origin, &[("late", answered("x"))]))
            .is_ok()
    );
    let acks = wait_for(|| Some(heard.acks.lock().clone()).filter(|acks| !acks.is_empty())).await;
    assert_eq!(acks, [("x".to_owned(), Err(Reject::Closed))]);
}

/// A store whose syncs wait, each for a word of the test, until the other end of the channel is dropped.
#[derive(Debug)]
struct HeldStore {
    store: Arc<dyn Store>,
    syncs: Arc<AtomicUsize>,
    words: Mutex<mpsc::Receiver<()>>,
}

impl Store for HeldStore {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn list(&self) -> Result<Vec<LogId>, StorageError> {
        self.store.list()
    }

    fn create(&self, id: LogId, settings: &LogSettings) -> Result<Arc<dyn Log>, StorageError> {
        self.store.create(id, settings)
    }

    fn open(&self, id: LogId, settings: &LogSettings) -> Result<Arc<dyn Log>, StorageError> {
        self.store.open(id, settings)
    }

    fn delete(&self, id: LogId) -> Result<(), StorageError> {
        self.store.delete(id)
    }

    fn sync(&self, by: SyncBy) {
        self.syncs.fetch_add(1, Ordering::AcqRel);
        let _ = self.words.lock().recv();
        self.store.sync(by);
    }
}

/// A lone turn is synced on the appender's own thread. Acks for NATS used to leave after that, so that under a light and
/// steady load each waited for the sync of the turn behind it, too.
#[tokio::test]
async fn an_ack_on_the_bus_does_not_wait_for_the_sync_of_the_next_turn() {
    let syncs = Arc::new(AtomicUsize::new(0));
    let (words, heard) = mpsc::channel();
    let seen = Arc::clone(&syncs);
    let wrap = move |store| {
        Arc::new(HeldStore {
            store,
            syncs: seen,
            words: Mutex::new(heard),
        }) as Arc<dyn Store>
    };
    let bench = bench_on(false, wrap).await;
    let delivery = Delivery {
        answer: Answer::Inbox,
        inbox: "acks",
        ..Delivery::default()
    };
    for turn in 1..=2 {
        bench.handle.push(chunk(&Origin::Bus, &[("v", delivery)])).await;
        if turn == 1 {
            wait_for(|| (syncs.load(Ordering::Acquire) == 1).then_some(())).await;
        }
    }
    words.send(()).unwrap();
    wait_for(|| (syncs.load(Ordering::Acquire) == 2).then_some(())).await;
    assert_eq!(
        bench.published.lock().len(),
        1,
        "the first is durable, the second is not"
    );
    drop(words);
    wait_for(|| (bench.published.lock().len() == 2).then_some(())).await;
}
