//! A broker that only serves what another cluster has archived.

use std::time::Duration;

use strandline_core::metadata::ClusterId;

/// What is served of the bucket, which nothing is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountSettings {
    /// The cluster whose streams are served; none = the only one in the bucket.
    pub cluster: Option<ClusterId>,
    /// How often it is looked what the cluster has archived since; above zero.
    pub interval: Duration,
}

impl MountSettings {
    /// Default of [`MountSettings::interval`].
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
}

impl Default for MountSettings {
    fn default() -> Self {
        Self {
            cluster: None,
            interval: Self::DEFAULT_INTERVAL,
        }
    }
}
