//! Changes of a stream's settings.

use std::time::Duration;

use strandline_proto::admin::SettingChange;

use super::SettingValue;
use crate::stream::{Compression, Durability};

/// What changes about a stream; what is not named stays as it is.
///
/// ```
/// use std::time::Duration;
/// use strandline_client::admin::StreamUpdate;
///
/// // Keep a day, and whatever number of bytes the server's configuration says.
/// let update = StreamUpdate::new()
///     .retention_max_age(Duration::from_secs(24 * 3600))
///     .reset("retention.max.bytes");
/// # assert!(!update.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamUpdate {
    changes: Vec<SettingChange>,
}

impl StreamUpdate {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// A setting by its name, as the configuration calls it without `streams.`.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: SettingValue) -> Self {
        self.changes.push(SettingChange {
            name: name.into(),
            value: Some(value.into()),
        });
        self
    }

    /// A setting back to what the server's configuration says.
    #[must_use]
    pub fn reset(mut self, name: impl Into<String>) -> Self {
        self.changes.push(SettingChange {
            name: name.into(),
            value: None,
        });
        self
    }

    /// Bytes to keep per partition; 0 = unlimited.
    #[must_use]
    pub fn retention_max_bytes(self, bytes: u64) -> Self {
        self.set("retention.max.bytes", SettingValue::Number(bytes))
    }

    /// Records to keep per partition; 0 = unlimited.
    #[must_use]
    pub fn retention_max_messages(self, count: u64) -> Self {
        self.set("retention.max.messages", SettingValue::Number(count))
    }

    /// Age to keep, to the millisecond; zero = unlimited.
    #[must_use]
    pub fn retention_max_age(self, age: Duration) -> Self {
        self.set("retention.max.age", SettingValue::Time(age))
    }

    /// Period of the cleaner, to the millisecond; above zero.
    #[must_use]
    pub fn cleaner_interval(self, interval: Duration) -> Self {
        self.set("cleaner.interval", SettingValue::Time(interval))
    }

    /// Size in bytes at which a segment is sealed; above zero.
    #[must_use]
    pub fn segment_max_bytes(self, bytes: u64) -> Self {
        self.set("segment.max.bytes", SettingValue::Number(bytes))
    }

    /// Age at which a segment is sealed, to the millisecond; zero = by size only.
    #[must_use]
    pub fn segment_max_age(self, age: Duration) -> Self {
        self.set("segment.max.age", SettingValue::Time(age))
    }

    /// Whether the log is compacted by key.
    #[must_use]
    pub fn compact(self, enabled: bool) -> Self {
        self.set("compact.enabled", SettingValue::Flag(enabled))
    }

    /// When a record counts as stored, from the next one on.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        self.set("durability", SettingValue::Word(durability.word().to_owned()))
    }

    /// How records are compressed on disk, from the next one on.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        self.set("compression", SettingValue::Word(compression.word().to_owned()))
    }

    /// Whether sealed segments move to the archive. What is there stays readable when it is turned off.
    #[must_use]
    pub fn archive(self, enabled: bool) -> Self {
        self.set("archive", SettingValue::Flag(enabled))
    }

    pub(super) fn into_changes(self) -> Vec<SettingChange> {
        self.changes
    }
}
