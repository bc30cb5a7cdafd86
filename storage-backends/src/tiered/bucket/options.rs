//! How a bucket is reached, beyond its URL.

use std::path::PathBuf;
use std::time::Duration;

/// What the URL of a bucket does not say. Everything has a default; what is not set here comes from the usual environment
/// (`AWS_*`, `GOOGLE_*`, `AZURE_*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketOptions {
    /// `http(s)://host:port` of an S3-compatible store.
    pub endpoint: Option<String>,
    /// Region of the bucket.
    pub region: Option<String>,
    /// Whether the bucket's name is part of the path instead of the host. Without a value: with an endpoint it is.
    pub path_style: Option<bool>,
    /// Whether requests may go unencrypted. Without a value: to an endpoint that begins with `http://` they may.
    pub allow_http: Option<bool>,
    /// Profile of the shared credentials file. Without a value `AWS_PROFILE`, or `default`, is used when the environment has
    /// no credentials.
    pub profile: Option<String>,
    /// PEM file with the certificates of the authorities to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// Time for one try of a call.
    pub timeout: Duration,
    /// Time for all tries of a call.
    pub deadline: Duration,
    /// Tries of a call that can be repeated without harm; at least 1.
    pub tries: u32,
    /// Size in bytes of the parts of large objects; objects up to this size are sent in one request. At least
    /// [`BucketOptions::MIN_PART_BYTES`].
    pub part_bytes: usize,
    /// Bytes of parts that all uploads together hold in memory. A part waits for room before it is filled; one that is larger
    /// than all the room has it for itself.
    pub upload_bytes: usize,
}

impl BucketOptions {
    /// What S3 asks for, except of the last part of an object.
    pub const MIN_PART_BYTES: usize = 5 << 20;
    /// Largest size of a part: two are in memory at a time, and one is filled meanwhile.
    pub const MAX_PART_BYTES: usize = 256 << 20;
}

impl Default for BucketOptions {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            path_style: None,
            allow_http: None,
            profile: None,
            ca: None,
            timeout: Duration::from_secs(30),
            deadline: Duration::from_secs(90),
            tries: 6,
            part_bytes: 16 << 20,
            upload_bytes: 48 << 20,
        }
    }
}
