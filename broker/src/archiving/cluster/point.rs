//! Points of a cluster, and their documents in the bucket.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use strandline_core::metadata::{ClusterId, PlaceRoot, State};
use strandline_core::plugin::Sha256;
use strandline_core::{Offset, PartitionId, StreamName, Timestamp};
use strandline_storage_backends::tiered::{
    Bucket, BucketError, Place, PointError, Version, is_free_point_name,
};

use super::super::NoArchive;
use super::export::ExportError;
use super::manifest::{ManifestError, StoredCursor, decode, encode};

/// Word for the kind of documents.
const KIND: &str = "cluster-point";
/// How often a document is written or replaced while answers are lost.
const TRIES: u32 = 4;
/// Documents that are listed.
const MOST_LISTED: usize = 10_000;

/// A cluster as it was: all that it takes to bring that back, but for the records, which the points of partitions keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClusterPoint {
    /// What it is called.
    pub(crate) name: String,
    /// Of which cluster.
    pub(crate) cluster: ClusterId,
    /// When it was begun: cursors and metadata are those of then, and every record that was committed by then is in it.
    pub(crate) taken: Timestamp,
    /// Whether somebody has begun to remove it: then it is no point any more.
    #[serde(default)]
    pub(crate) removing: bool,
    /// The metadata.
    pub(crate) state: State,
    /// The cursors.
    #[serde(default)]
    pub(crate) cursors: Vec<StoredCursor>,
    /// The plugins, whose bytes are in the bucket.
    #[serde(default)]
    pub(crate) modules: BTreeSet<Sha256>,
    /// The streams whose records are in it.
    pub(crate) streams: Vec<StreamPoint>,
    /// The streams that were not archived.
    #[serde(default)]
    pub(crate) left_out: Vec<StreamName>,
}

/// A stream at a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamPoint {
    pub(crate) stream: StreamName,
    /// Where it was archived then.
    pub(crate) place: PlaceRoot,
    /// By number; none = nothing of it was archived.
    pub(crate) partitions: Vec<Option<PartitionPoint>>,
}

/// A partition at a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartitionPoint {
    /// Name of the document in its place.
    pub(crate) object: String,
    pub(crate) start: Offset,
    pub(crate) end: Offset,
}

/// Why there is no point, or none any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PointFailure {
    /// There is no bucket.
    #[error(transparent)]
    NoArchive(#[from] NoArchive),
    /// Nothing is archived.
    #[error("no stream of this cluster is archived: there is nothing that a point could keep")]
    Nothing,
    /// Nothing can be called so.
    #[error(
        "{name:?} is not the name of a point: take 1 to 64 letters, digits, '.', '_' and '-', and do not begin with lent-"
    )]
    InvalidName { name: String },
    /// There is one.
    #[error("cluster {cluster} has a point {name} already: remove it first, or take another name")]
    Taken { cluster: ClusterId, name: String },
    /// There is none.
    #[error("cluster {cluster} has no point {name}: see strandline archive snapshot --list")]
    NoSuchPoint { cluster: ClusterId, name: String },
    /// It is being removed.
    #[error("point {name} of cluster {cluster} is being removed: repeat that, or take another one")]
    Removing { cluster: ClusterId, name: String },
    /// Somebody else removes or makes it at the same time.
    #[error("point {name} of cluster {cluster} was changed by somebody else: try again")]
    Contended { cluster: ClusterId, name: String },
    /// A partition is not archived as far as it has to be.
    #[error("{partition} is not archived up to offset {wanted} yet, only to {archived}{reason}")]
    Late {
        partition: String,
        wanted: Offset,
        archived: Offset,
        /// Begins with a separator if there is one.
        reason: String,
    },
    /// A stream was deleted meanwhile.
    #[error("{partition} is not on this broker any more: try again")]
    Gone { partition: String },
    /// A partition's point.
    #[error("{partition}: {source}")]
    Partition {
        partition: String,
        #[source]
        source: PointError,
    },
    /// What belongs to the whole cluster cannot be had.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The bucket cannot be asked, or what it holds not be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl From<BucketError> for PointFailure {
    fn from(error: BucketError) -> Self {
        ManifestError::from(error).into()
    }
}

impl ClusterPoint {
    /// Refuses what people may not call a point: names are keys.
    pub(super) fn check_name(name: &str) -> Result<(), PointFailure> {
        match is_free_point_name(name) {
            true => Ok(()),
            false => Err(PointFailure::InvalidName {
                name: name.to_owned(),
            }),
        }
    }

    fn key(cluster: &ClusterId, name: &str) -> String {
        format!("{cluster}/points/{name}")
    }

    /// The document of a point, with the version to replace it by.
    pub(super) async fn load(
        bucket: &Bucket,
        cluster: &ClusterId,
        name: &str,
    ) -> Result<(Self, Version), PointFailure> {
        Self::check_name(name)?;
        let key = Self::key(cluster, name);
        let (bytes, version) = match bucket.get(&key).await {
            Err(BucketError::NotFound { .. }) => {
                let (cluster, name) = (cluster.clone(), name.to_owned());
                return Err(PointFailure::NoSuchPoint { cluster, name });
            }
            found => found?,
        };
        let point: Self = decode(KIND, &key, &bytes)?;
        if point.cluster != *cluster || point.name != name {
            let found = point.cluster;
            return Err(ManifestError::Foreign { key, found }.into());
        }
        Ok((point, version))
    }

    /// Writes the document if there is none.
    pub(super) async fn create(&self, bucket: &Bucket) -> Result<(), PointFailure> {
        let key = Self::key(&self.cluster, &self.name);
        let bytes = encode(KIND, &key, self)?;
        let mut doubt = None;
        for _ in 0..TRIES {
            match bucket.create(&key, bytes.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) if error.leaves_doubt() => doubt = Some(error),
                Err(error) => return Err(error.into()),
            }
            match bucket.get(&key).await {
                Ok((found, _)) if found == bytes => return Ok(()),
                Ok(_) => return Err(self.taken()),
                Err(BucketError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(doubt.map_or_else(|| self.contended(), Into::into))
    }

    /// Says in the document that it is being removed. From then on it is no point any more.
    pub(super) async fn begin_removal(
        bucket: &Bucket,
        cluster: &ClusterId,
        name: &str,
    ) -> Result<Self, PointFailure> {
        let key = Self::key(cluster, name);
        for _ in 0..TRIES {
            let (mut point, version) = Self::load(bucket, cluster, name).await?;
            if point.removing {
                return Ok(point);
            }
            point.removing = true;
            match bucket.replace(&key, encode(KIND, &key, &point)?, &version).await {
                Ok(_) => return Ok(point),
                Err(error) if error.leaves_doubt() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let (cluster, name) = (cluster.clone(), name.to_owned());
        Err(PointFailure::Contended { cluster, name })
    }

    /// Deletes the document.
    pub(super) async fn delete(bucket: &Bucket, cluster: &ClusterId, name: &str) -> Result<(), PointFailure> {
        Ok(bucket.delete(&Self::key(cluster, name)).await?)
    }

    /// The names of all documents of a cluster.
    pub(super) async fn names(bucket: &Bucket, cluster: &ClusterId) -> Result<Vec<String>, PointFailure> {
        let prefix = format!("{cluster}/points");
        let listed = bucket.list(&prefix, MOST_LISTED).await?;
        let name = |key: &str| {
            let name = key.strip_prefix(&prefix)?.strip_prefix('/')?;
            (!name.contains('/')).then(|| name.to_owned())
        };
        Ok(listed.iter().filter_map(|object| name(&object.key)).collect())
    }

    pub(super) fn taken(&self) -> PointFailure {
        let (cluster, name) = (self.cluster.clone(), self.name.clone());
        PointFailure::Taken { cluster, name }
    }

    fn contended(&self) -> PointFailure {
        let (cluster, name) = (self.cluster.clone(), self.name.clone());
        PointFailure::Contended { cluster, name }
    }

    /// What is in it of a stream.
    pub(super) fn stream(&self, name: &StreamName) -> Option<&StreamPoint> {
        self.streams.iter().find(|point| point.stream == *name)
    }
}

/// Where a partition is archived.
pub(super) fn place(root: &PlaceRoot, partition: PartitionId) -> Place {
    Place {
        root: root.as_str().to_owned(),
        partition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point() -> ClusterPoint {
        ClusterPoint {
            name: "then".to_owned(),
            cluster: ClusterId::new("c").unwrap(),
            taken: Timestamp::from_nanos(5),
            removing: false,
            state: State::default(),
            cursors: Vec::new(),
            modules: BTreeSet::new(),
            streams: vec![StreamPoint {
                stream: StreamName::new("orders").unwrap(),
                place: PlaceRoot::new("c/orders.1").unwrap(),
                partitions: vec![
                    None,
                    Some(PartitionPoint {
                        object: "points/1.a".to_owned(),
                        start: Offset::ZERO,
                        end: Offset::new(7),
                    }),
                ],
            }],
            left_out: vec![StreamName::new("other").unwrap()],
        }
    }

    #[tokio::test]
    async fn a_point_comes_back_from_the_bucket_as_it_was_and_is_not_overwritten() {
        let (bucket, point) = (Bucket::in_memory(), point());
        point.create(&bucket).await.unwrap();
        point.create(&bucket).await.unwrap();
        let (loaded, _) = ClusterPoint::load(&bucket, &point.cluster, "then").await.unwrap();
        assert_eq!(loaded, point);
        let later = ClusterPoint {
            taken: Timestamp::from_nanos(6),
            ..point.clone()
        };
        let error = later.create(&bucket).await.unwrap_err();
        assert!(matches!(error, PointFailure::Taken { .. }), "{error}");
        assert_eq!(
            ClusterPoint::names(&bucket, &point.cluster).await.unwrap(),
            ["then"]
        );
    }

    #[tokio::test]
    async fn a_point_that_is_being_removed_says_so_until_it_is_gone() {
        let (bucket, point) = (Bucket::in_memory(), point());
        point.create(&bucket).await.unwrap();
        for _ in 0..2 {
            let found = ClusterPoint::begin_removal(&bucket, &point.cluster, "then")
                .await
                .unwrap();
            assert!(found.removing);
        }
        ClusterPoint::delete(&bucket, &point.cluster, "then")
            .await
            .unwrap();
        let error = ClusterPoint::load(&bucket, &point.cluster, "then")
            .await
            .unwrap_err();
        assert!(matches!(error, PointFailure::NoSuchPoint { .. }), "{error}");
    }
}
