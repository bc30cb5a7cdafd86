//! Changes of a stream's settings while it is served.

use serde::{Deserialize, Serialize};

use super::StreamSettings;
use crate::record::Codec;
use crate::storage::Durability;

/// Most changes of one command.
pub const MAX_CHANGES: usize = 64;

/// One setting of a stream that is to have another value; none = what the server's configuration says.
///
/// What is not here is fixed when the stream is created: records already stored were written under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingChange {
    /// See [`StreamSettings::retention_max_bytes`].
    RetentionMaxBytes(Option<u64>),
    /// See [`StreamSettings::retention_max_messages`].
    RetentionMaxMessages(Option<u64>),
    /// See [`StreamSettings::retention_max_age_ms`].
    RetentionMaxAgeMs(Option<u64>),
    /// See [`StreamSettings::cleaner_interval_ms`]; above zero.
    CleanerIntervalMs(Option<u64>),
    /// See [`StreamSettings::segment_max_bytes`]; above zero.
    SegmentMaxBytes(Option<u64>),
    /// See [`StreamSettings::segment_max_age_ms`].
    SegmentMaxAgeMs(Option<u64>),
    /// See [`StreamSettings::compact_enabled`].
    CompactEnabled(Option<bool>),
    /// See [`StreamSettings::compact_tombstone_grace_ms`].
    CompactTombstoneGraceMs(Option<u64>),
    /// See [`StreamSettings::compact_min_lag_ms`].
    CompactMinLagMs(Option<u64>),
    /// See [`StreamSettings::compact_min_dirty_percent`]; at most 100.
    CompactMinDirtyPercent(Option<u8>),
    /// See [`StreamSettings::durability`]; holds for records that are appended from then on.
    Durability(Option<Durability>),
    /// See [`StreamSettings::compression`]; holds for batches that are written from then on.
    Compression(Option<Codec>),
    /// See [`StreamSettings::archive`].
    Archive(Option<bool>),
}

/// A value that a setting cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} must be {rule}")]
pub struct InvalidChange {
    /// The setting, as the configuration calls it.
    pub setting: &'static str,
    /// What it must be.
    pub rule: &'static str,
}

impl SettingChange {
    /// The setting, as the configuration calls it without `streams.`.
    pub fn setting(&self) -> &'static str {
        match self {
            Self::RetentionMaxBytes(_) => "retention.max.bytes",
            Self::RetentionMaxMessages(_) => "retention.max.messages",
            Self::RetentionMaxAgeMs(_) => "retention.max.age",
            Self::CleanerIntervalMs(_) => "cleaner.interval",
            Self::SegmentMaxBytes(_) => "segment.max.bytes",
            Self::SegmentMaxAgeMs(_) => "segment.max.age",
            Self::CompactEnabled(_) => "compact.enabled",
            Self::CompactTombstoneGraceMs(_) => "compact.tombstone.grace",
            Self::CompactMinLagMs(_) => "compact.min.lag",
            Self::CompactMinDirtyPercent(_) => "compact.min.dirty.percent",
            Self::Durability(_) => "durability",
            Self::Compression(_) => "compression",
            Self::Archive(_) => "archive",
        }
    }

    /// Checks that the setting can have this value.
    ///
    /// # Errors
    ///
    /// It cannot.
    pub fn check(&self) -> Result<(), InvalidChange> {
        let rule = match self {
            Self::CleanerIntervalMs(Some(0)) | Self::SegmentMaxBytes(Some(0)) => "above zero",
            Self::CompactMinDirtyPercent(Some(101..)) => "at most 100",
            _ => return Ok(()),
        };
        Err(InvalidChange {
            setting: self.setting(),
            rule,
        })
    }
}

impl StreamSettings {
    /// Makes a change. Making it again changes nothing.
    pub fn change(&mut self, change: SettingChange) {
        match change {
            SettingChange::RetentionMaxBytes(bytes) => self.retention_max_bytes = bytes,
            SettingChange::RetentionMaxMessages(count) => self.retention_max_messages = count,
            SettingChange::RetentionMaxAgeMs(age) => self.retention_max_age_ms = age,
            SettingChange::CleanerIntervalMs(interval) => self.cleaner_interval_ms = interval,
            SettingChange::SegmentMaxBytes(bytes) => self.segment_max_bytes = bytes,
            SettingChange::SegmentMaxAgeMs(age) => self.segment_max_age_ms = age,
            SettingChange::CompactEnabled(enabled) => self.compact_enabled = enabled,
            SettingChange::CompactTombstoneGraceMs(grace) => self.compact_tombstone_grace_ms = grace,
            SettingChange::CompactMinLagMs(lag) => self.compact_min_lag_ms = lag,
            SettingChange::CompactMinDirtyPercent(percent) => self.compact_min_dirty_percent = percent,
            SettingChange::Durability(durability) => self.durability = durability,
            SettingChange::Compression(codec) => self.compression = codec,
            SettingChange::Archive(on) => self.archive = on,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_touches_its_setting_alone_and_can_be_taken_back() {
        let before = StreamSettings {
            retention_max_bytes: Some(1),
            encryption: Some(false),
            ..StreamSettings::default()
        };
        let mut settings = before;
        settings.change(SettingChange::RetentionMaxAgeMs(Some(5)));
        let expected = StreamSettings {
            retention_max_age_ms: Some(5),
            ..before
        };
        assert_eq!(settings, expected);
        settings.change(SettingChange::RetentionMaxAgeMs(None));
        assert_eq!(settings, before);
    }

    #[test]
    fn zero_is_refused_where_it_has_no_meaning() {
        assert!(SettingChange::RetentionMaxAgeMs(Some(0)).check().is_ok());
        let error = SettingChange::SegmentMaxBytes(Some(0)).check().unwrap_err();
        assert_eq!(error.to_string(), "segment.max.bytes must be above zero");
        assert!(SettingChange::SegmentMaxBytes(None).check().is_ok());
        assert!(SettingChange::CompactMinDirtyPercent(Some(100)).check().is_ok());
        let error = SettingChange::CompactMinDirtyPercent(Some(101))
            .check()
            .unwrap_err();
        assert_eq!(error.to_string(), "compact.min.dirty.percent must be at most 100");
    }
}
