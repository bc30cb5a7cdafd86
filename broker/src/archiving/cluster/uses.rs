//! Which places a cluster needs, by its own word in the bucket.

use strandline_core::metadata::ClusterId;
use strandline_storage_backends::tiered::{Bucket, BucketError};

use super::manifest::{ClusterManifest, ManifestError};

/// The places of a cluster's streams, also of those that it has restored from other clusters.
///
/// # Errors
///
/// Its manifest, or the metadata that this names, is missing or damaged; or the bucket cannot be asked.
pub(crate) async fn named_places(bucket: &Bucket, cluster: &ClusterId) -> Result<Vec<String>, ManifestError> {
    let (manifest, _) = ClusterManifest::load(bucket, cluster).await?;
    let state = manifest.state(bucket).await?;
    let places = state.streams().filter_map(|stream| stream.archive.as_ref());
    Ok(places.map(|place| place.root.to_string()).collect())
}

impl ManifestError {
    /// Whether a cluster has left no word at all.
    pub(crate) fn is_missing_manifest(&self, cluster: &ClusterId) -> bool {
        let key = ClusterManifest::key(cluster);
        matches!(self, Self::Bucket(BucketError::NotFound { key: missing, .. }) if *missing == key)
    }
}
