//! Streams as they were at a point or at a time, in places of their own, beside a cluster that goes on.
//!
//! A copy borrows what its original has archived and is a stream like others otherwise: it goes on at the cut under epochs of its
//! own. The original is not fenced. Nothing is left of a copy that fails, unless the broker is killed: then there is a place that no
//! cluster names, which is purged as that of a deleted stream.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use strandline_core::metadata::{self, ArchivePlace, PlaceRoot, RestoredPartition, State, StreamEntry};
use strandline_core::{Offset, PartitionId};
use strandline_storage_backends::tiered::{
    ArchiveError, Bucket, BucketOptions, Cut, Loan, Means, PartitionArchive, PointError, Throttle,
};

use super::point::{ClusterPoint, PartitionPoint, place};
use super::restore::{AT_ONCE, ArchivedRange, Restore, RestoredStream};
use super::takeover::{Problem, epoch_beyond};
use crate::context::Context;
use crate::metadata::ChangeError;
use crate::streams::{Expect, describe};

/// How often a loan is begun anew because its lender's retention was faster.
const TRIES: u32 = 4;

/// What all streams of one restore share.
pub(super) struct Copying<'a> {
    pub(super) context: &'a Arc<Context>,
    pub(super) bucket: &'a Arc<Bucket>,
    pub(super) state: &'a State,
    pub(super) point: Option<&'a ClusterPoint>,
    pub(super) wanted: &'a Restore,
}

/// A partition that is to be copied.
struct Original {
    number: PartitionId,
    archive: Arc<PartitionArchive>,
    /// Its point, if it is copied from one.
    point: Option<String>,
    /// Whether the cluster knows of its HEAD: without one there is nothing to copy otherwise.
    is_archived: bool,
}

impl Copying<'_> {
    pub(super) async fn stream(&self, entry: &StreamEntry) -> RestoredStream {
        let original = &entry.definition.name;
        let mut restored = RestoredStream {
            name: self.wanted.new_name.as_ref().unwrap_or(original).clone(),
            partitions: Vec::new(),
            problem: None,
        };
        if let Err(problem) = self.try_stream(entry, &mut restored).await {
            let reason = describe(&problem);
            tracing::warn!(stream = %restored.name, of = %original, %reason, "stream was not restored");
            restored.problem = Some(reason);
        }
        restored
    }

    async fn try_stream(&self, entry: &StreamEntry, restored: &mut RestoredStream) -> Result<(), Problem> {
        let context = self.context;
        let originals = self.originals(entry)?;
        restored.partitions = ranges(&self.cuts(&originals).await?);
        if context.metadata.state().stream(restored.name.as_str()).is_some() {
            return Err(Problem::NameTaken);
        }
        if !entry.keys.is_empty() && restored.name != entry.definition.name {
            return Err(Problem::Encrypted);
        }
        let new_key = context.opener.keys.for_restored(entry)?;
        if self.wanted.only_look {
            return Ok(());
        }
        // Before there is a stream that would be out of service.
        let backend = entry.definition.settings.backend();
        context.opener.stores.engine(backend).await?;
        context.archives.prove().await?;
        let root = self.new_root(restored)?;
        let made = match self.borrow(&originals, &root).await {
            Ok(cuts) => {
                restored.partitions = ranges(&cuts);
                self.create(entry, (restored, &root, &cuts), new_key).await
            }
            Err(problem) => Err(problem),
        };
        if let Err(problem) = &made
            && problem.is_without_stream()
        {
            self.give_back(&originals, &root).await;
        }
        let entry = made?;
        let opened = context.opener.open(&entry, Expect::New).await;
        if let Some(reason) = opened.first_failure() {
            return Err(Problem::OutOfService(reason.to_owned()));
        }
        context.metadata.logs_created(&entry).await?;
        tracing::info!(stream = %restored.name, of = %entry.definition.name, %root, "stream copied in the archive");
        Ok(())
    }

    fn originals(&self, entry: &StreamEntry) -> Result<Vec<Original>, Problem> {
        let original = |root: &PlaceRoot, number, point: Option<String>, is_archived| Original {
            number,
            archive: PartitionArchive::new(Arc::clone(self.bucket), place(root, number)),
            point,
            is_archived,
        };
        if let Some(point) = self.point {
            let stream = point.stream(&entry.definition.name).ok_or(Problem::NotInPoint)?;
            let object = |point: &PartitionPoint| point.object.clone();
            let numbered = (0..).map(PartitionId::new).zip(&stream.partitions);
            return Ok(numbered
                .map(|(number, of)| original(&stream.place, number, of.as_ref().map(object), of.is_some()))
                .collect());
        }
        let root = &entry.archive.as_ref().ok_or(Problem::NeverArchived)?.root;
        let numbered = entry.numbered_partitions();
        Ok(numbered
            .map(|(number, known)| original(root, number, None, known.is_archived))
            .collect())
    }

    /// Where each would end; none of one that has nothing in the archive.
    async fn cuts(&self, originals: &[Original]) -> Result<Vec<Option<Cut>>, Problem> {
        let loans: Vec<_> = originals.iter().map(|original| self.cut(original)).collect();
        let cut = |loan: Option<(Loan, Cut)>| loan.map(|(_, cut)| cut);
        stream::iter(loans)
            .buffered(AT_ONCE)
            .map_ok(cut)
            .try_collect()
            .await
    }

    /// What can be borrowed of it now, and where that would end; none when it has nothing in the archive.
    async fn cut(&self, original: &Original) -> Result<Option<(Loan, Cut)>, Problem> {
        let Some(loan) = self.loan(original).await? else {
            return Ok(None);
        };
        match loan.cut(self.wanted.to).await {
            Ok(cut) => Ok(Some((loan, cut))),
            Err(source) => Err(archive_problem(original, source)),
        }
    }

    async fn loan(&self, original: &Original) -> Result<Option<Loan>, Problem> {
        let problem = |source| archive_problem(original, source);
        match &original.point {
            Some(object) => {
                let loan = Loan::of_point(&original.archive, object).await.map_err(problem)?;
                loan.map(Some).ok_or(Problem::PointGone {
                    partition: original.number,
                })
            }
            // Nothing of it was archived at the point.
            None if self.point.is_some() => Ok(None),
            None => match Loan::of_head(&original.archive).await {
                Err(ArchiveError::Missing { .. }) if !original.is_archived => Ok(None),
                loan => loan.map(Some).map_err(problem),
            },
        }
    }

    fn new_root(&self, restored: &RestoredStream) -> Result<PlaceRoot, Problem> {
        let state = self.context.metadata.state();
        let cluster = state.cluster().ok_or(Problem::NoCluster)?;
        let mut drawn = [0; 8];
        getrandom::fill(&mut drawn).map_err(|error| Problem::Random {
            reason: error.to_string(),
        })?;
        Ok(PlaceRoot::drawn(
            cluster,
            &restored.name,
            u64::from_le_bytes(drawn),
        ))
    }

    /// Makes the archives of all partitions.
    async fn borrow(&self, originals: &[Original], root: &PlaceRoot) -> Result<Vec<Option<Cut>>, Problem> {
        let borrowed = originals
            .iter()
            .map(|original| self.borrow_partition(original, root));
        let borrowed: Vec<_> = borrowed.collect();
        // All of them come to an end: what one does must not go on when it is taken back.
        let borrowed: Vec<_> = stream::iter(borrowed).buffered(AT_ONCE).collect().await;
        borrowed.into_iter().collect()
    }

    async fn borrow_partition(&self, original: &Original, root: &PlaceRoot) -> Result<Option<Cut>, Problem> {
        let borrower = self.borrower(original, root);
        let throttle = self.context.archives.throttle();
        let throttle = throttle.unwrap_or_else(|| Arc::new(Throttle::new(None)));
        let means = Means {
            part_bytes: BucketOptions::default().part_bytes,
            throttle: &throttle,
            now: self.context.clock.now(),
        };
        let mut tries = TRIES;
        loop {
            let Some((loan, cut)) = self.cut(original).await? else {
                return Ok(None);
            };
            tries -= 1;
            match loan.borrow(&cut, &borrower, means).await {
                Ok(()) => return Ok(Some(cut)),
                Err(PointError::Outdated { .. }) if tries > 0 => {
                    let given_back = Loan::give_back(&borrower, means.now).await;
                    given_back.map_err(|source| point_problem(original, source))?;
                }
                Err(source) => return Err(point_problem(original, source)),
            }
        }
    }

    fn borrower(&self, original: &Original, root: &PlaceRoot) -> Arc<PartitionArchive> {
        PartitionArchive::new(Arc::clone(self.bucket), place(root, original.number))
    }

    async fn create(
        &self,
        entry: &StreamEntry,
        (restored, root, cuts): (&RestoredStream, &PlaceRoot, &[Option<Cut>]),
        new_key: Option<metadata::WrappedKey>,
    ) -> Result<Arc<StreamEntry>, Problem> {
        let partitions = entry.partitions.iter().zip(cuts).map(|(known, cut)| {
            let epoch = cut.as_ref().map_or(known.leader_epoch, Cut::epoch);
            RestoredPartition {
                epoch: epoch_beyond(known.leader_epoch.max(epoch)),
                start: cut.as_ref().map_or(Offset::ZERO, Cut::end),
                is_archived: cut.is_some(),
            }
        });
        let made = metadata::RestoredStream {
            place: ArchivePlace {
                root: root.clone(),
                since: self.context.clock.now(),
            },
            keys: entry.keys.clone(),
            keys_given: self.state.keys_given(),
            new_key,
            partitions: partitions.collect(),
        };
        let mut definition = entry.definition.clone();
        definition.name = restored.name.clone();
        if let Some(subject) = &self.wanted.subject {
            definition.subject = subject.clone();
        }
        // There may be fewer brokers here.
        definition.replication_factor = 1;
        Ok(self.context.metadata.restore_stream(definition, made).await?)
    }

    /// As far as the bucket answers. What is left is a place that no cluster names.
    async fn give_back(&self, originals: &[Original], root: &PlaceRoot) {
        let now = self.context.clock.now();
        for original in originals {
            let borrower = self.borrower(original, root);
            if let Err(error) = Loan::give_back(&borrower, now).await {
                tracing::warn!(place = %borrower.place(), error = %describe(&error),
                    "what a copy that failed has left in the archive could not be removed; purge the place");
            }
        }
    }
}

impl Problem {
    /// Whether there is certainly no stream that reads what was borrowed.
    fn is_without_stream(&self) -> bool {
        !matches!(self, Self::Change(ChangeError::Failed(_)) | Self::OutOfService(_))
    }
}

fn archive_problem(original: &Original, source: ArchiveError) -> Problem {
    let partition = original.number;
    Problem::Archive { partition, source }
}

fn point_problem(original: &Original, source: PointError) -> Problem {
    let partition = original.number;
    Problem::Point { partition, source }
}

fn ranges(cuts: &[Option<Cut>]) -> Vec<ArchivedRange> {
    let range = |cut: &Cut| ArchivedRange {
        start: cut.start(),
        end: cut.end(),
        last_time: cut.last_time(),
    };
    cuts.iter()
        .map(|cut| cut.as_ref().map_or_else(ArchivedRange::default, range))
        .collect()
}
