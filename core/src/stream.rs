//! What a stream is: its definition in the metadata log and the settings of its partitions.

mod change;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::StreamName;
use crate::compaction::CompactionSettings;
use crate::record::Codec;
use crate::retention::RetentionLimits;
use crate::storage::{Backend, Durability, LogSettings};
use crate::subject::SubjectFilter;

pub use change::{InvalidChange, MAX_CHANGES, SettingChange};

/// Most partitions of one stream.
pub const MAX_PARTITIONS: u32 = 10_000;

/// A stream as its creator asked for it. Everything that was left out is `None` and follows the server's configuration
/// at the time a partition opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamDefinition {
    /// Unique name.
    pub name: StreamName,
    /// NATS subject that the stream records; wildcards allowed.
    pub subject: SubjectFilter,
    /// Load-balance group: NATS queue group shared by streams that split the messages.
    pub group: Option<String>,
    /// Number of partitions, 1 to [`MAX_PARTITIONS`].
    pub partitions: u32,
    /// Copies of each partition, at least 1.
    pub replication_factor: u32,
    /// Settings that override the server's.
    pub settings: StreamSettings,
}

/// Settings of one stream that override the server's; absent = not overridden.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamSettings {
    /// Bytes to keep per partition; 0 = unlimited.
    pub retention_max_bytes: Option<u64>,
    /// Records to keep per partition; 0 = unlimited.
    pub retention_max_messages: Option<u64>,
    /// Age to keep, milliseconds; 0 = unlimited.
    pub retention_max_age_ms: Option<u64>,
    /// Period of the cleaner, milliseconds.
    pub cleaner_interval_ms: Option<u64>,
    /// Size at which a segment is sealed, bytes.
    pub segment_max_bytes: Option<u64>,
    /// Age at which a segment is sealed, milliseconds; 0 = by size only.
    pub segment_max_age_ms: Option<u64>,
    /// Most workers of one compaction.
    pub compact_max_workers: Option<u32>,
    /// Compaction by key.
    pub compact_enabled: Option<bool>,
    /// Time for which tombstones stay, milliseconds.
    pub compact_tombstone_grace_ms: Option<u64>,
    /// Age below which segments are not compacted, milliseconds.
    pub compact_min_lag_ms: Option<u64>,
    /// Share of bytes not compacted yet below which there is no run, percent.
    pub compact_min_dirty_percent: Option<u8>,
    /// Idle time after which the partition is paused, milliseconds; 0 = never.
    pub auto_pause_time_ms: Option<u64>,
    /// Whether subscribers keep a partition from being paused.
    pub auto_pause_disable_if_subscribers: Option<bool>,
    /// The least number of in-sync replicas that must hold a record for it to be committed.
    pub min_isr: Option<u32>,
    /// Whether publishers may state the offset that they expect.
    pub optimistic_concurrency_control: Option<bool>,
    /// Whether records are encrypted at rest.
    pub encryption: Option<bool>,
    /// When an append counts as done.
    pub durability: Option<Durability>,
    /// The storage engine. Unlike the others it is never left to the server's configuration later: it is filled in when the
    /// stream is created, and streams of versions that knew one engine only are in segment files.
    pub backend: Option<Backend>,
    /// How batches are compressed.
    pub compression: Option<Codec>,
    /// Whether sealed segments move to the archive.
    pub archive: Option<bool>,
}

impl StreamSettings {
    /// The storage engine that keeps the stream.
    pub fn backend(&self) -> Backend {
        self.backend.unwrap_or_default()
    }

    /// The log settings that follow from these and the server's.
    pub fn log_settings(&self, server: &LogSettings) -> LogSettings {
        LogSettings {
            durability: self.durability.unwrap_or(server.durability),
            segment_max_bytes: self
                .segment_max_bytes
                .filter(|&bytes| bytes > 0)
                .unwrap_or(server.segment_max_bytes),
            segment_max_age: match self.segment_max_age_ms {
                None => server.segment_max_age,
                Some(0) => None,
                Some(milliseconds) => Some(Duration::from_millis(milliseconds)),
            },
        }
    }
}

impl StreamSettings {
    /// The retention limits that follow from these and the server's. An explicit 0 lifts the server's limit.
    pub fn retention_limits(&self, server: &RetentionLimits) -> RetentionLimits {
        let or_server = |own: Option<u64>, server: Option<u64>| {
            own.map_or(server, |own| Some(own).filter(|&max| max > 0))
        };
        let max_age = match self.retention_max_age_ms {
            None => server.max_age,
            Some(0) => None,
            Some(milliseconds) => Some(Duration::from_millis(milliseconds)),
        };
        RetentionLimits {
            max_bytes: or_server(self.retention_max_bytes, server.max_bytes),
            max_records: or_server(self.retention_max_messages, server.max_records),
            max_age,
        }
    }
}

impl StreamSettings {
    /// How the log is compacted, if it is, as follows from these and the server's.
    pub fn compaction(&self, server: &CompactionDefaults) -> Option<StreamCompaction> {
        if !self.compact_enabled.unwrap_or(server.enabled) {
            return None;
        }
        let own =
            |milliseconds: Option<u64>, server: Duration| milliseconds.map_or(server, Duration::from_millis);
        let percent = self.compact_min_dirty_percent;
        Some(StreamCompaction {
            settings: CompactionSettings {
                tombstone_grace: own(
                    self.compact_tombstone_grace_ms,
                    server.compaction.settings.tombstone_grace,
                ),
                min_lag: own(self.compact_min_lag_ms, server.compaction.settings.min_lag),
                min_dirty_percent: percent.unwrap_or(server.compaction.settings.min_dirty_percent),
            },
            max_workers: self
                .compact_max_workers
                .filter(|&workers| workers > 0)
                .unwrap_or(server.compaction.max_workers),
        })
    }
}

/// How the logs of a stream are compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamCompaction {
    /// When and how each of them is.
    pub settings: CompactionSettings,
    /// Most of them at the same time, at least 1.
    pub max_workers: u32,
}

impl Default for StreamCompaction {
    fn default() -> Self {
        Self {
            settings: CompactionSettings::default(),
            max_workers: Self::DEFAULT_MAX_WORKERS,
        }
    }
}

impl StreamCompaction {
    /// Liftbridge's default.
    pub const DEFAULT_MAX_WORKERS: u32 = 10;
}

/// Compaction of streams that do not override it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionDefaults {
    /// Whether they are compacted.
    pub enabled: bool,
    /// How they are, if they are.
    pub compaction: StreamCompaction,
}

/// When a publisher is told that its record is safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AckPolicy {
    /// Once it is durable on the partition's leader.
    #[default]
    Leader,
    /// Once it is committed.
    All,
    /// Never; errors are still told where there is a way to.
    None,
}

/// The offset that a publisher expects its record to get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpectedOffset {
    /// Any will do.
    #[default]
    Any,
    /// Exactly this one. Checked on streams with concurrency control only; may be a number that no offset can have.
    Exactly(i64),
}
