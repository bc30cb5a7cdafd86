//! The manifest of a cluster, and its place in the bucket.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use strandline_core::metadata::{ClusterId, State};
use strandline_core::plugin::Sha256;
use strandline_core::{BrokerId, Timestamp};
use strandline_storage_backends::tiered::document::{self, DocumentError};
use strandline_storage_backends::tiered::{Bucket, BucketError, Gone, Version};

/// Documents that nothing names any more stay for readers who were faster than that.
pub(super) const GRACE: Duration = Duration::from_secs(600);
/// Most documents that wait to be deleted. There is one more with each change within the grace time.
const MAX_GONE: usize = 1024;
/// Words for the kinds of documents.
const CLUSTER: &str = "cluster";
const METADATA: &str = "metadata";
const CURSORS: &str = "cursors";

/// What the archive knows of a cluster. Later versions add fields for further kinds of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClusterManifest {
    /// Whose it is.
    pub(crate) cluster: ClusterId,
    /// Grows by one with each version.
    pub(crate) sequence: u64,
    /// Which broker wrote it.
    pub(crate) writer: BrokerId,
    /// Number of its process: that of an earlier one does not overwrite what a later one wrote.
    pub(crate) process: u32,
    /// When.
    pub(crate) written: Timestamp,
    /// Of the metadata.
    pub(crate) revision: u64,
    /// Name of the document with the metadata.
    pub(crate) metadata: String,
    /// Name of the document with the cursors, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursors: Option<String>,
    /// Whose bytes are there.
    #[serde(default)]
    pub(crate) modules: BTreeSet<Sha256>,
    /// Documents that were named before.
    #[serde(default)]
    pub(crate) gone: Vec<Gone>,
}

/// A cursor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct StoredCursor {
    pub(crate) stream: String,
    pub(crate) partition: i32,
    pub(crate) id: String,
    pub(crate) position: i64,
}

/// Why the bucket's word on a cluster cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    /// The bucket cannot be asked, or has no such cluster.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// What is there is no document.
    #[error("{key} is damaged: {source}")]
    Damaged {
        key: String,
        #[source]
        source: DocumentError,
    },
    /// It is one of another cluster.
    #[error("{key} is that of cluster {found}")]
    Foreign { key: String, found: ClusterId },
}

impl ManifestError {
    /// Whether the bucket has no such thing.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Bucket(BucketError::NotFound { .. }))
    }
}

impl ClusterManifest {
    /// Clusters that may have left their word in a bucket: directories that have such a name.
    pub(crate) async fn candidates(bucket: &Bucket) -> Result<Vec<ClusterId>, BucketError> {
        let found = bucket.directories("").await?.into_iter();
        Ok(found.filter_map(|name| ClusterId::new(name).ok()).collect())
    }

    /// Where the manifest of a cluster is.
    pub(super) fn key(cluster: &ClusterId) -> String {
        format!("{cluster}/CLUSTER")
    }

    /// Where the bytes of a plugin are.
    pub(super) fn module_key(cluster: &ClusterId, sum: &Sha256) -> String {
        format!("{cluster}/modules/{sum}")
    }

    /// The name of a new document with the metadata.
    pub(super) fn metadata_name(revision: u64, nonce: &str) -> String {
        format!("metadata/{revision:020}.{nonce}")
    }

    /// The name of a new document with the cursors.
    pub(super) fn cursors_name(sequence: u64, nonce: &str) -> String {
        format!("cursors/{sequence:020}.{nonce}")
    }

    /// The manifest of a cluster, with the version to replace it by.
    pub(crate) async fn load(bucket: &Bucket, cluster: &ClusterId) -> Result<(Self, Version), ManifestError> {
        let key = Self::key(cluster);
        let (bytes, version) = bucket.get(&key).await?;
        let manifest: Self = decode(CLUSTER, &key, &bytes)?;
        if manifest.cluster != *cluster {
            let found = manifest.cluster;
            return Err(ManifestError::Foreign { key, found });
        }
        Ok((manifest, version))
    }

    /// The metadata that it names.
    pub(crate) async fn state(&self, bucket: &Bucket) -> Result<State, ManifestError> {
        self.document(bucket, METADATA, &self.metadata).await
    }

    /// The cursors that it names.
    pub(super) async fn stored_cursors(&self, bucket: &Bucket) -> Result<Vec<StoredCursor>, ManifestError> {
        match &self.cursors {
            Some(name) => self.document(bucket, CURSORS, name).await,
            None => Ok(Vec::new()),
        }
    }

    async fn document<T: DeserializeOwned>(
        &self,
        bucket: &Bucket,
        kind: &str,
        name: &str,
    ) -> Result<T, ManifestError> {
        let key = format!("{}/{name}", self.cluster);
        let (bytes, _) = bucket.get(&key).await?;
        decode(kind, &key, &bytes)
    }

    /// The manifest as it is stored.
    pub(super) fn encode(&self) -> Result<Bytes, ManifestError> {
        encode(CLUSTER, &Self::key(&self.cluster), self)
    }

    /// Takes out what has been gone for long enough, for it to be deleted first.
    pub(super) fn take_overdue(&mut self, now: Timestamp) -> Vec<Gone> {
        let is_overdue = |gone: &Gone| now.since(gone.since) >= GRACE;
        let (overdue, rest) = std::mem::take(&mut self.gone).into_iter().partition(is_overdue);
        self.gone = rest;
        overdue
    }

    /// Notes that a document is no longer named. Beyond all bounds the oldest are forgotten, and stay.
    pub(super) fn leave(&mut self, name: String, now: Timestamp) {
        self.gone.push(Gone { name, since: now });
        let excess = self.gone.len().saturating_sub(MAX_GONE);
        self.gone.drain(..excess);
    }
}

/// A document with the metadata.
pub(super) fn encode_state(key: &str, state: &State) -> Result<Bytes, ManifestError> {
    encode(METADATA, key, state)
}

/// A document with the cursors.
pub(super) fn encode_cursors(key: &str, cursors: &[StoredCursor]) -> Result<Bytes, ManifestError> {
    encode(CURSORS, key, &cursors)
}

pub(super) fn encode(kind: &str, key: &str, content: &impl Serialize) -> Result<Bytes, ManifestError> {
    document::encode(kind, content).map_err(|source| ManifestError::Damaged {
        key: key.to_owned(),
        source,
    })
}

pub(super) fn decode<T: DeserializeOwned>(kind: &str, key: &str, bytes: &[u8]) -> Result<T, ManifestError> {
    document::decode(kind, bytes).map_err(|source| ManifestError::Damaged {
        key: key.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> ClusterManifest {
        ClusterManifest {
            cluster: ClusterId::new("c").unwrap(),
            sequence: 7,
            writer: BrokerId::new("b").unwrap(),
            process: 3,
            written: Timestamp::from_nanos(5),
            revision: 9,
            metadata: ClusterManifest::metadata_name(9, "0a"),
            cursors: None,
            modules: BTreeSet::new(),
            gone: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_manifest_comes_back_from_the_bucket_as_it_was() {
        let bucket = Bucket::in_memory();
        let manifest = manifest();
        let key = ClusterManifest::key(&manifest.cluster);
        bucket.create(&key, manifest.encode().unwrap()).await.unwrap();
        let (loaded, _) = ClusterManifest::load(&bucket, &manifest.cluster).await.unwrap();
        assert_eq!(loaded, manifest);
        assert_eq!(loaded.metadata, "metadata/00000000000000000009.0a");
    }

    #[tokio::test]
    async fn what_is_missing_damaged_or_of_another_cluster_is_named() {
        let bucket = Bucket::in_memory();
        let (c, d) = (ClusterId::new("c").unwrap(), ClusterId::new("d").unwrap());
        let missing = ClusterManifest::load(&bucket, &c).await.unwrap_err();
        assert!(
            matches!(missing, ManifestError::Bucket(BucketError::NotFound { .. })),
            "{missing}"
        );
        bucket
            .create("d/CLUSTER", manifest().encode().unwrap())
            .await
            .unwrap();
        let foreign = ClusterManifest::load(&bucket, &d).await.unwrap_err();
        assert_eq!(foreign.to_string(), "d/CLUSTER is that of cluster c");
        bucket
            .create("c/CLUSTER", Bytes::from_static(b"{}"))
            .await
            .unwrap();
        let damaged = ClusterManifest::load(&bucket, &c).await.unwrap_err();
        assert!(
            damaged.to_string().starts_with("c/CLUSTER is damaged: "),
            "{damaged}"
        );
    }

    #[test]
    fn documents_are_deleted_once_they_have_been_gone_for_the_grace_time() {
        let mut manifest = manifest();
        let at = |seconds| Timestamp::ZERO.plus(Duration::from_secs(seconds));
        manifest.leave("metadata/a".to_owned(), at(0));
        manifest.leave("metadata/b".to_owned(), at(100));
        assert_eq!(manifest.take_overdue(at(599)), []);
        let overdue = manifest.take_overdue(at(600));
        assert_eq!(
            overdue.iter().map(|gone| gone.name.as_str()).collect::<Vec<_>>(),
            ["metadata/a"]
        );
        assert_eq!(manifest.gone.len(), 1);
        for number in 0..2 * MAX_GONE {
            manifest.leave(format!("metadata/{number}"), at(200));
        }
        assert_eq!(manifest.gone.len(), MAX_GONE);
    }
}
