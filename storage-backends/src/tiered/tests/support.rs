//! Logs that say what is in them, and a look at everything that an archive holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use object_store::memory::InMemory;
use strandline_core::record::{Batch, BatchBuilder, BatchIter, Fields, RecordIter, append_record, crc32c};
use strandline_core::retention::RetentionLimits;
use strandline_core::storage::{Factory, Log, LogSettings, ReadLimit, Store, SyncBy};
use strandline_core::{LeaderEpoch, LogId, Offset, PartitionId, Timestamp};

use super::super::{
    ArchiveError, Archiver, ArchiverSettings, Bucket, Entry, Expected, Footer, HEADER_BYTES,
    PartitionArchive, Place, Situation, Step, Throttle, check_header,
};
use super::store::Faulty;
use crate::{MemoryFactory, sim::SimDisk};

pub(super) const LOG: LogId = LogId::new(7);
/// Records of the largest segment: limits are passed by less.
pub(super) const SEGMENT: u64 = 6;
pub(super) const GRACE: Duration = Duration::from_secs(60);
/// Parts so small that segments need several.
pub(super) const PART_BYTES: usize = 400;

pub(super) fn place() -> Place {
    Place {
        root: "cluster/stream.7".to_owned(),
        partition: PartitionId::new(0),
    }
}

pub(super) fn tiny() -> LogSettings {
    LogSettings {
        segment_max_bytes: 600,
        ..LogSettings::default()
    }
}

pub(super) fn memory_log() -> (Arc<dyn Store>, Arc<dyn Log>) {
    let disk = Arc::new(SimDisk::default());
    let store = MemoryFactory::new()
        .open(disk, std::path::Path::new("/"))
        .unwrap();
    let log = store.create(LOG, &tiny()).unwrap();
    (store, log)
}

/// `count` records from `base` on; each value tells its offset, each time is its offset in microseconds.
pub(super) fn batch(base: u64, count: u64, epoch: u64) -> Batch {
    let mut builder = BatchBuilder::new();
    for offset in base..base + count {
        let mut bytes = BytesMut::new();
        let value = value(offset);
        let fields = Fields {
            key: None,
            value: value.as_bytes(),
            subject: "s",
            reply: "",
        };
        append_record(&mut bytes, &fields, []).unwrap();
        let record = RecordIter::new(&bytes).next().unwrap();
        builder.push(
            &record,
            LeaderEpoch::new(epoch),
            Offset::new(offset),
            time_of(offset),
        );
    }
    builder.finish().unwrap()
}

pub(super) fn value(offset: u64) -> String {
    format!("value of {offset}")
}

/// When a record of this offset was written.
pub(super) fn time_of(offset: u64) -> Timestamp {
    Timestamp::ZERO.plus(Duration::from_micros(offset))
}

pub(super) fn seconds(seconds: u64) -> Timestamp {
    Timestamp::ZERO.plus(Duration::from_secs(seconds))
}

/// Appends batches of two records up to this end, and makes them durable.
pub(super) fn fill(store: &Arc<dyn Store>, log: &Arc<dyn Log>, end: u64, epoch: u64) {
    while log.end().get() < end {
        let base = log.end().get();
        let commit = log.append(&[batch(base, 2.min(end - base), epoch)]).unwrap();
        store.sync(SyncBy::Caller);
        commit.wait().unwrap();
    }
}

pub(super) fn settings(epoch: u64, expected: Expected) -> ArchiverSettings {
    ArchiverSettings {
        epoch: LeaderEpoch::new(epoch),
        expected,
        part_bytes: PART_BYTES,
        throttle: Arc::new(Throttle::new(None)),
        grace: GRACE,
    }
}

pub(super) fn archiver(bucket: &Arc<Bucket>, log: &Arc<dyn Log>, epoch: u64, expected: Expected) -> Archiver {
    let archive = PartitionArchive::new(Arc::clone(bucket), place());
    Archiver::new(archive, Arc::clone(log), settings(epoch, expected))
}

/// Everything is committed, nothing has to go.
pub(super) fn keeping(log: &Arc<dyn Log>, now: u64) -> Situation {
    Situation {
        now: seconds(now),
        committed: log.end(),
        total: RetentionLimits::default(),
        local: RetentionLimits::default(),
    }
}

pub(super) fn records(count: u64) -> RetentionLimits {
    RetentionLimits {
        max_records: Some(count),
        ..RetentionLimits::default()
    }
}

/// As [`keeping`], but of both tiers only so many records stay.
pub(super) fn keeping_records(log: &Arc<dyn Log>, count: u64, now: u64) -> Situation {
    Situation {
        total: records(count),
        ..keeping(log, now)
    }
}

/// A log of which all is archived, under the leader epoch 1.
pub(super) struct Archived {
    pub(super) inner: Arc<InMemory>,
    pub(super) store: Arc<dyn Store>,
    pub(super) log: Arc<dyn Log>,
    pub(super) archiver: Archiver,
}

impl Archived {
    /// With records up to here.
    pub(super) async fn new(end: u64) -> Self {
        let inner = Arc::new(InMemory::new());
        let (store, log) = memory_log();
        fill(&store, &log, end, 1);
        log.roll().unwrap();
        let mut archiver = archiver(&Faulty::new(&inner).bucket(), &log, 1, Expected::New);
        drive(&mut archiver, &keeping(&log, 100)).await.unwrap();
        Self {
            inner,
            store,
            log,
            archiver,
        }
    }

    /// Retention takes all but so many records, whatever goes wrong.
    pub(super) async fn keep(&mut self, count: u64, now: u64) {
        let situation = keeping_records(&self.log, count, now);
        drive_on(&mut self.archiver, &situation).await;
    }
}

/// Steps until there is nothing to do.
pub(super) async fn drive(archiver: &mut Archiver, situation: &Situation) -> Result<Vec<Step>, ArchiveError> {
    let mut steps = Vec::new();
    loop {
        match archiver.step(situation).await? {
            Step::Idle => return Ok(steps),
            step => steps.push(step),
        }
        assert!(steps.len() < 10_000, "it never ends: {steps:?}");
    }
}

/// Steps until there is nothing to do, whatever goes wrong.
pub(super) async fn drive_on(archiver: &mut Archiver, situation: &Situation) {
    let mut errors = Vec::new();
    while let Err(error) = drive(archiver, situation).await {
        assert!(!matches!(error, ArchiveError::Fenced { .. }), "{error}");
        errors.push(error);
        assert!(errors.len() < 20, "it never works: {errors:#?}");
    }
}

/// All that the archive holds, by a look at every byte of it: what the manifest promises has to be there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Offset and value.
    pub(super) records: BTreeMap<u64, String>,
    pub(super) gaps: Vec<(u64, u64)>,
    pub(super) entries: Vec<Entry>,
}

pub(super) async fn contents(inner: &Arc<InMemory>) -> Contents {
    contents_at(inner, place()).await
}

/// As [`contents`], of another place.
pub(super) async fn contents_at(inner: &Arc<InMemory>, place: Place) -> Contents {
    let bucket = Faulty::new(inner).bucket();
    let archive = PartitionArchive::new(Arc::clone(&bucket), place.clone());
    let view = archive.load().await.unwrap();
    let mut entries = Vec::new();
    for page in view.pages() {
        entries.extend(
            archive
                .page(page)
                .await
                .unwrap()
                .entries()
                .iter()
                .map(|entry| (**entry).clone()),
        );
    }
    entries.extend(view.entries().iter().map(|entry| (**entry).clone()));
    entries.retain(|entry| entry.range.end > view.start());
    let mut records = BTreeMap::new();
    for entry in &entries {
        let (object, _) = bucket.get(&entry.key(&place)).await.unwrap();
        records.extend(records_of(&object, entry));
    }
    Contents {
        start: view.start().get(),
        end: view.end().get(),
        records,
        gaps: view
            .gaps()
            .iter()
            .map(|gap| (gap.start.get(), gap.end.get()))
            .collect(),
        entries,
    }
}

/// The records of an object, which is checked from its first byte to its last.
pub(super) fn records_of(object: &Bytes, entry: &Entry) -> BTreeMap<u64, String> {
    assert_eq!(object.len() as u64, entry.object_bytes);
    assert_eq!(crc32c(object), entry.crc32c);
    check_header(object).unwrap();
    let tail = Footer::range_of(entry);
    let footer = Footer::parse(&object[tail.start as usize..], entry).unwrap();
    let mut position = HEADER_BYTES as u64;
    let mut records = BTreeMap::new();
    for block in footer.blocks() {
        assert_eq!(block.position, position);
        let range = block.bytes();
        let bytes = object.slice(range.start as usize..range.end as usize);
        assert_eq!(crc32c(&bytes), block.crc32c);
        let mut found = 0;
        for batch in BatchIter::new(bytes) {
            let batch = Batch::parse(batch.unwrap().bytes()).unwrap();
            found += batch.header().records;
            for record in batch.records() {
                let offset = batch.header().base.plus(u64::from(record.offset_delta()));
                assert!(entry.range.contains(offset));
                records.insert(offset.get(), String::from_utf8(record.value().to_vec()).unwrap());
            }
        }
        assert_eq!(found, block.records);
        position = range.end;
    }
    assert_eq!(position, tail.start);
    records
}

impl Contents {
    /// Exactly the records of a range are there, right ones.
    pub(super) fn assert_is(&self, start: u64, end: u64) {
        assert_eq!((self.start, self.end), (start, end));
        let expected: BTreeMap<_, _> = (start..end).map(|offset| (offset, value(offset))).collect();
        assert_eq!(self.records, expected);
    }
}

/// The offsets that a log holds.
pub(super) fn local_offsets(log: &dyn Log) -> Vec<u64> {
    let (mut found, mut next) = (Vec::new(), log.start());
    while next < log.end() {
        let limit = ReadLimit {
            end: log.end(),
            max_bytes: 1000,
        };
        let run = log.read(next, limit).unwrap();
        for batch in run.batches() {
            let range = batch.unwrap().header().range();
            found.extend(range.start.get()..range.end.get());
        }
        next = run.next;
    }
    found.retain(|&offset| offset >= log.start().get());
    found
}

/// The names of all objects of the place.
pub(super) async fn names(inner: &Arc<InMemory>) -> Vec<String> {
    let listed = Faulty::new(inner)
        .bucket()
        .list(&place().to_string(), 100_000)
        .await
        .unwrap();
    let name = |key: &str| place().name_of(key).unwrap().to_owned();
    listed.iter().map(|object| name(&object.key)).collect()
}
