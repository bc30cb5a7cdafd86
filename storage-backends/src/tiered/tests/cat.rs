//! Reading an archive from one end to the other without a broker.

use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use strandline_core::record::Batch;
use strandline_core::storage::{Log, Store};
use strandline_core::{Offset, OffsetRange};

use super::super::cat::{CatFrom, CatTaker};
use super::super::survey::Survey;
use super::super::{ArchiveError, Bucket, Expected, Situation};
use super::store::Faulty;
use super::support::*;
use crate::check::Finding;

/// Everything that came, and what could not be read.
struct Taken {
    offsets: Vec<u64>,
    damage: Vec<(OffsetRange, Finding)>,
    /// Batches that are taken before it is enough.
    most: usize,
    skips: bool,
}

impl Default for Taken {
    fn default() -> Self {
        Self {
            offsets: Vec::new(),
            damage: Vec::new(),
            most: usize::MAX,
            skips: true,
        }
    }
}

impl CatTaker for Taken {
    fn batch(&mut self, batch: &Batch) -> bool {
        let base = batch.header().base.get();
        let records = batch
            .records()
            .map(|record| base + u64::from(record.offset_delta()));
        self.offsets.extend(records);
        self.most -= 1;
        self.most > 0
    }

    fn damaged(&mut self, range: OffsetRange, finding: Finding) -> bool {
        self.damage.push((range, finding));
        self.skips
    }
}

struct World {
    inner: Arc<InMemory>,
    bucket: Arc<Bucket>,
    log: Arc<dyn Log>,
    archiver: super::super::Archiver,
    _store: Arc<dyn Store>,
}

/// A bucket with an archive of many segments.
async fn archived(end: u64) -> World {
    let inner = Arc::new(InMemory::new());
    let bucket = Faulty::new(&inner).bucket();
    let (store, log) = memory_log();
    fill(&store, &log, end, 1);
    let mut archiver = archiver(&bucket, &log, 1, Expected::New);
    drive(&mut archiver, &keeping(&log, 100)).await.unwrap();
    World {
        inner,
        bucket,
        log,
        archiver,
        _store: store,
    }
}

impl World {
    async fn cat(&self, from: CatFrom, taken: &mut Taken) -> Result<(), ArchiveError> {
        Survey::new(Arc::clone(&self.bucket))
            .cat(&place(), from, taken)
            .await
    }

    async fn offsets(&self, from: CatFrom) -> Vec<u64> {
        let mut taken = Taken::default();
        self.cat(from, &mut taken).await.unwrap();
        assert_eq!(taken.damage, []);
        taken.offsets
    }

    async fn segments(&self) -> Vec<String> {
        let names = names(&self.inner).await;
        names
            .into_iter()
            .filter(|name| name.starts_with("segments/"))
            .collect()
    }

    fn end(&self) -> u64 {
        let segments = self.log.segments();
        let sealed = segments.iter().filter(|segment| segment.sealed);
        sealed.map(|segment| segment.range.end.get()).max().unwrap_or(0)
    }
}

fn path(name: &str) -> Path {
    Path::parse(place().key(name)).unwrap()
}

async fn bytes(inner: &InMemory, name: &str) -> Bytes {
    inner.get(&path(name)).await.unwrap().bytes().await.unwrap()
}

#[tokio::test]
async fn all_that_is_archived_comes_in_order_and_once() {
    let world = archived(24).await;
    let all: Vec<u64> = (0..world.end()).collect();
    assert!(all.len() > 10, "{all:?}");
    assert_eq!(world.offsets(CatFrom::Offset(Offset::ZERO)).await, all);
    for from in 0..world.end() {
        let found = world.offsets(CatFrom::Offset(Offset::new(from))).await;
        // Whole batches come: the first one may begin before.
        assert!(found.ends_with(&all[from as usize..]), "{from}: {found:?}");
        assert!(found.len() < all.len() - from as usize + 8, "{from}: {found:?}");
        let by_time = world.offsets(CatFrom::Time(time_of(from))).await;
        assert!(by_time.ends_with(&all[from as usize..]), "{from}: {by_time:?}");
    }
    assert_eq!(
        world.offsets(CatFrom::Offset(Offset::new(world.end()))).await,
        Vec::<u64>::new()
    );
    assert_eq!(
        world.offsets(CatFrom::Time(time_of(1000))).await,
        Vec::<u64>::new()
    );
}

#[tokio::test]
async fn who_has_enough_is_given_no_more() {
    let world = archived(24).await;
    let mut taken = Taken {
        most: 2,
        ..Taken::default()
    };
    world
        .cat(CatFrom::Offset(Offset::ZERO), &mut taken)
        .await
        .unwrap();
    assert_eq!(taken.most, 0);
    assert!(!taken.offsets.is_empty());
}

#[tokio::test]
async fn damaged_and_missing_objects_are_named_and_passed_over_if_that_is_wanted() {
    let world = archived(24).await;
    let segments = world.segments().await;
    let all: Vec<u64> = (0..world.end()).collect();
    let mut changed = bytes(&world.inner, &segments[0]).await.to_vec();
    changed[40] ^= 1;
    world
        .inner
        .put(&path(&segments[0]), changed.into())
        .await
        .unwrap();
    world.inner.delete(&path(&segments[1])).await.unwrap();
    // No footer can be read of this one.
    let zeros = vec![0; bytes(&world.inner, &segments[2]).await.len()];
    world.inner.put(&path(&segments[2]), zeros.into()).await.unwrap();
    let mut taken = Taken::default();
    world
        .cat(CatFrom::Offset(Offset::ZERO), &mut taken)
        .await
        .unwrap();
    assert_eq!(taken.damage.len(), 3, "{:?}", taken.damage);
    for ((range, finding), name) in taken.damage.iter().zip(&segments) {
        assert!(finding.file.to_string_lossy().ends_with(name), "{finding:?}");
        assert!(!range.is_empty());
    }
    let lost = taken.damage[2].0.end.get();
    assert_eq!(taken.offsets, all[lost as usize..]);

    let mut taken = Taken {
        skips: false,
        ..Taken::default()
    };
    world
        .cat(CatFrom::Offset(Offset::ZERO), &mut taken)
        .await
        .unwrap();
    assert_eq!((taken.damage.len(), taken.offsets.len()), (1, 0));
}

/// Retention takes segments away while somebody is about to read them: that is no damage.
#[tokio::test]
async fn what_retention_removed_meanwhile_is_no_damage() {
    let mut world = archived(24).await;
    let segments = world.segments().await;
    let (reading, end) = (
        super::super::PartitionArchive::new(Arc::clone(&world.bucket), place()),
        world.end(),
    );
    let old = reading.load().await.unwrap();
    let trimming = Situation {
        total: records(4),
        ..keeping(&world.log, 100)
    };
    drive(&mut world.archiver, &trimming).await.unwrap();
    for name in &segments[..2] {
        // Whether they are gone already is a matter of the grace time.
        let _ = world.inner.delete(&path(name)).await;
    }
    let now = reading.load().await.unwrap();
    assert!(now.start() > old.start());
    let found = world.offsets(CatFrom::Offset(Offset::ZERO)).await;
    assert_eq!(found, (now.start().get()..end).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_place_without_a_manifest_and_a_bucket_that_fails_are_told_apart() {
    let bucket = Faulty::new(&Arc::new(InMemory::new())).bucket();
    let error = Survey::new(bucket)
        .cat(&place(), CatFrom::Offset(Offset::ZERO), &mut Taken::default())
        .await
        .unwrap_err();
    assert!(matches!(error, ArchiveError::Missing { .. }), "{error}");
}
