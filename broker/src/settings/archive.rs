//! What the archive is told: where it is, and what it may use.

use std::path::PathBuf;
use std::time::Duration;

use strandline_core::retention::RetentionLimits;

/// The archive of sealed segments in an object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveSettings {
    /// Where it is; none = there is none, and no stream can be archived.
    pub target: Option<ArchiveTarget>,
    /// Whether streams that do not say otherwise are archived.
    pub by_default: bool,
    /// Age of its first record at which a segment is sealed to be archived, so that slow streams are archived too. Zero: by
    /// size only.
    pub upload_max_age: Duration,
    /// Bytes that all uploads together send a second; 0 = as fast as it goes.
    pub upload_rate: u64,
    /// What stays on the disk of a partition once it is archived, besides what is not yet.
    pub local: RetentionLimits,
    /// Bytes in memory for what is read from it, of all partitions together.
    pub cache_memory: u64,
    /// Bytes on disk for what is read from it; 0 = none.
    pub cache_disk: u64,
    /// How long a reader waits for it before he is told that it does not answer; above zero.
    pub fetch_timeout: Duration,
}

/// Where the archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveTarget {
    /// Bucket and prefix: `s3://`, `gs://`, `az://` or `file:///`. Credentials come from the environment, never from here.
    pub url: String,
    /// Server instead of the provider's own, with `http://` or `https://`.
    pub endpoint: Option<String>,
    /// Region of an S3 bucket.
    pub region: Option<String>,
    /// Whether the bucket stands in the path instead of the host; none = with an endpoint of one's own.
    pub path_style: Option<bool>,
    /// PEM file with the authorities of the server's certificate; none = those of the system.
    pub ca: Option<PathBuf>,
}

impl ArchiveTarget {
    /// The bucket at this address, as its provider and the environment say.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            endpoint: None,
            region: None,
            path_style: None,
            ca: None,
        }
    }
}

impl ArchiveSettings {
    /// Default of [`ArchiveSettings::upload_max_age`]: what a lost disk may cost of a slow stream.
    pub const DEFAULT_UPLOAD_MAX_AGE: Duration = Duration::from_mins(10);
    /// Default age of [`ArchiveSettings::local`]: readers that are a day behind read from the disk.
    pub const DEFAULT_LOCAL_MAX_AGE: Duration = Duration::from_hours(24);
    /// Default of [`ArchiveSettings::cache_memory`].
    pub const DEFAULT_CACHE_MEMORY: u64 = 64 << 20;
    /// Least [`ArchiveSettings::cache_memory`]: what a few readers at the same time take.
    pub const MIN_CACHE_MEMORY: u64 = 16 << 20;
    /// Default of [`ArchiveSettings::fetch_timeout`].
    pub const DEFAULT_FETCH_TIMEOUT: Duration = Duration::from_secs(30);
}

impl Default for ArchiveSettings {
    fn default() -> Self {
        Self {
            target: None,
            by_default: false,
            upload_max_age: Self::DEFAULT_UPLOAD_MAX_AGE,
            upload_rate: 0,
            local: RetentionLimits {
                max_age: Some(Self::DEFAULT_LOCAL_MAX_AGE),
                ..RetentionLimits::default()
            },
            cache_memory: Self::DEFAULT_CACHE_MEMORY,
            cache_disk: 0,
            fetch_timeout: Self::DEFAULT_FETCH_TIMEOUT,
        }
    }
}
