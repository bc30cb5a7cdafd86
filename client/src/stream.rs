//! The settings of a new stream.

use std::time::Duration;

use strandline_proto::api::{CreateStreamRequest, NullableBool, NullableInt32, NullableInt64};
use tonic::Request;
use tonic::metadata::MetadataValue;

/// A stream to create. What is not set follows the server's configuration.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    request: CreateStreamRequest,
    durability: Option<Durability>,
    backend: Option<Backend>,
    compression: Option<Compression>,
    archive: Option<bool>,
    /// Request metadata with numbers.
    numbers: Vec<(&'static str, u64)>,
}

/// When a record counts as stored. Liftbridge does not know it and ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once it survives power loss.
    Fsync,
    /// Once the operating system has it: it survives the end of the process only.
    Os,
}

impl Durability {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Os => "os",
        }
    }
}

/// The storage engine that keeps a stream. Liftbridge has one only and ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Append-only segment files.
    Segment,
    /// An embedded database.
    Redb,
}

impl Backend {
    /// The word that stands for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Redb => "redb",
        }
    }
}

/// How records are compressed on disk. Liftbridge does not know it and ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// With LZ4: faster.
    Lz4,
    /// With Zstandard: smaller.
    Zstd,
}

impl Compression {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Request metadata for what the request has no field for.
const DURABILITY_METADATA: &str = "strandline-durability";
pub(crate) const BACKEND_METADATA: &str = "strandline-backend";
const COMPRESSION_METADATA: &str = "strandline-compression";
const ARCHIVE_METADATA: &str = "strandline-archive";
const COMPACT_TOMBSTONE_GRACE_METADATA: &str = "strandline-compact-tombstone-grace-ms";
const COMPACT_MIN_LAG_METADATA: &str = "strandline-compact-min-lag-ms";
const COMPACT_MIN_DIRTY_METADATA: &str = "strandline-compact-min-dirty-percent";

impl StreamConfig {
    /// A stream of this name that records this NATS subject; wildcards are allowed.
    pub fn new(name: impl Into<String>, subject: impl Into<String>) -> Self {
        let request = CreateStreamRequest {
            name: name.into(),
            subject: subject.into(),
            ..Default::default()
        };
        Self {
            request,
            durability: None,
            backend: None,
            compression: None,
            archive: None,
            numbers: Vec::new(),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut CreateStreamRequest)) -> Self {
        change(&mut self.request);
        self
    }

    /// Number of partitions; 1 unless set.
    #[must_use]
    pub fn partitions(self, count: u32) -> Self {
        self.with(|request| request.partitions = i32::try_from(count).unwrap_or(i32::MAX))
    }

    /// Copies of each partition; 1 unless set.
    #[must_use]
    pub fn replication_factor(self, copies: u32) -> Self {
        self.with(|request| request.replication_factor = i32::try_from(copies).unwrap_or(i32::MAX))
    }

    /// A copy of each partition on every broker.
    #[must_use]
    pub fn replicate_everywhere(self) -> Self {
        self.with(|request| request.replication_factor = -1)
    }

    /// When a record counts as stored.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// The storage engine that keeps it, for good.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// How records are compressed on disk.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Whether its sealed segments move to the server's archive. Liftbridge does not know it and ignores it.
    #[must_use]
    pub fn archive(mut self, enabled: bool) -> Self {
        self.archive = Some(enabled);
        self
    }

    /// Load-balance group: streams of one subject and group share the messages.
    #[must_use]
    pub fn group(self, group: impl Into<String>) -> Self {
        self.with(|request| request.group = group.into())
    }

    /// Bytes to keep per partition; 0 = unlimited.
    #[must_use]
    pub fn retention_max_bytes(self, bytes: u64) -> Self {
        self.with(|request| request.retention_max_bytes = number(bytes))
    }

    /// Records to keep per partition; 0 = unlimited.
    #[must_use]
    pub fn retention_max_messages(self, count: u64) -> Self {
        self.with(|request| request.retention_max_messages = number(count))
    }

    /// Age to keep, to the millisecond; zero = unlimited.
    #[must_use]
    pub fn retention_max_age(self, age: Duration) -> Self {
        self.with(|request| request.retention_max_age = milliseconds(age))
    }

    /// Period of the cleaner, to the millisecond.
    #[must_use]
    pub fn cleaner_interval(self, interval: Duration) -> Self {
        self.with(|request| request.cleaner_interval = milliseconds(interval))
    }

    /// Size in bytes at which a segment is sealed.
    #[must_use]
    pub fn segment_max_bytes(self, bytes: u64) -> Self {
        self.with(|request| request.segment_max_bytes = number(bytes))
    }

    /// Age at which a segment is sealed, to the millisecond; zero = by size only.
    #[must_use]
    pub fn segment_max_age(self, age: Duration) -> Self {
        self.with(|request| request.segment_max_age = milliseconds(age))
    }

    /// Whether the log is compacted by key.
    #[must_use]
    pub fn compact(self, enabled: bool) -> Self {
        self.with(|request| request.compact_enabled = Some(NullableBool { value: enabled }))
    }

    /// Partitions of the stream that are compacted at the same time, at the most.
    #[must_use]
    pub fn compact_max_workers(self, count: u32) -> Self {
        let value = i32::try_from(count).unwrap_or(i32::MAX);
        self.with(|request| request.compact_max_goroutines = Some(NullableInt32 { value }))
    }

    /// Time for which tombstones stay when the log is compacted, to the millisecond. Liftbridge does not know tombstones.
    #[must_use]
    pub fn compact_tombstone_grace(self, time: Duration) -> Self {
        self.number(COMPACT_TOMBSTONE_GRACE_METADATA, whole_milliseconds(time))
    }

    /// Age below which records are not compacted, to the millisecond. Liftbridge does not know it.
    #[must_use]
    pub fn compact_min_lag(self, age: Duration) -> Self {
        self.number(COMPACT_MIN_LAG_METADATA, whole_milliseconds(age))
    }

    /// Share of the log, in percent, that is not compacted yet and below which it is left alone. Liftbridge does not know it.
    #[must_use]
    pub fn compact_min_dirty_percent(self, percent: u8) -> Self {
        self.number(COMPACT_MIN_DIRTY_METADATA, percent.into())
    }

    fn number(mut self, key: &'static str, number: u64) -> Self {
        self.numbers.push((key, number));
        self
    }

    /// In-sync replicas that must hold a record for it to be committed.
    #[must_use]
    pub fn min_isr(self, count: u32) -> Self {
        let value = i32::try_from(count).unwrap_or(i32::MAX);
        self.with(|request| request.min_isr = Some(NullableInt32 { value }))
    }

    /// Whether publishers may state the offset that they expect.
    #[must_use]
    pub fn concurrency_control(self, enabled: bool) -> Self {
        self.with(|request| request.optimistic_concurrency_control = Some(NullableBool { value: enabled }))
    }

    /// Whether records are encrypted at rest; the server needs a master key for it. Liftbridge encrypts values only.
    #[must_use]
    pub fn encryption(self, enabled: bool) -> Self {
        self.with(|request| request.encryption = Some(NullableBool { value: enabled }))
    }

    /// Fills in a request for it.
    pub(crate) fn request(&self, mut request: Request<()>) -> Request<CreateStreamRequest> {
        if let Some(durability) = self.durability {
            let value = MetadataValue::from_static(durability.word());
            request.metadata_mut().insert(DURABILITY_METADATA, value);
        }
        if let Some(backend) = self.backend {
            let value = MetadataValue::from_static(backend.name());
            request.metadata_mut().insert(BACKEND_METADATA, value);
        }
        if let Some(compression) = self.compression {
            let value = MetadataValue::from_static(compression.word());
            request.metadata_mut().insert(COMPRESSION_METADATA, value);
        }
        if let Some(archive) = self.archive {
            let value = MetadataValue::from_static(if archive { "true" } else { "false" });
            request.metadata_mut().insert(ARCHIVE_METADATA, value);
        }
        for &(key, number) in &self.numbers {
            request.metadata_mut().insert(key, MetadataValue::from(number));
        }
        request.map(|()| self.request.clone())
    }
}

fn number(value: u64) -> Option<NullableInt64> {
    Some(NullableInt64 {
        value: i64::try_from(value).unwrap_or(i64::MAX),
    })
}

fn milliseconds(duration: Duration) -> Option<NullableInt64> {
    number(whole_milliseconds(duration))
}

fn whole_milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
