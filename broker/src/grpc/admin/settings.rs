//! Settings of a stream as the administration shows and takes them.

use std::time::Duration;

use strandline_core::retention::RetentionLimits;
use strandline_core::storage::{Durability, LogSettings};
use strandline_core::stream::{CompactionDefaults, StreamSettings};
use strandline_proto::admin::setting_value::Kind;
use strandline_proto::admin::{Setting, SettingSource, SettingValue};

use super::change::is_fixed;
use crate::context::Context;
use crate::settings::{PackingDefaults, RetentionDefaults};

/// What streams follow that do not say otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerSettings {
    retention: RetentionDefaults,
    compaction: CompactionDefaults,
    log: LogSettings,
    concurrency_control: bool,
    packing: PackingDefaults,
    archive: bool,
}

impl ServerSettings {
    pub(super) fn of(context: &Context) -> Self {
        Self {
            retention: context.retention,
            compaction: context.compaction,
            log: context.opener.defaults,
            concurrency_control: context.opener.concurrency_control,
            packing: context.opener.keys.defaults(),
            archive: context.archives.by_default(),
        }
    }

    /// Every setting that has an effect, as it is in force.
    pub(super) fn in_force(&self, own: &StreamSettings) -> Vec<Setting> {
        let mut settings = self.kept(own).to_vec();
        settings.extend(self.compacted(own));
        settings.extend(self.written(own));
        settings
    }

    /// What is kept, in which segments.
    fn kept(&self, own: &StreamSettings) -> [Setting; 6] {
        let RetentionLimits {
            max_bytes,
            max_records,
            max_age,
        } = self.retention.limits;
        let number = |name, own, server| setting(name, own, server, Kind::Number);
        let time = |name, own, server| setting(name, own, milliseconds(server), Kind::Milliseconds);
        [
            number(
                "retention.max.bytes",
                own.retention_max_bytes,
                max_bytes.unwrap_or(0),
            ),
            number(
                "retention.max.messages",
                own.retention_max_messages,
                max_records.unwrap_or(0),
            ),
            time("retention.max.age", own.retention_max_age_ms, max_age),
            time(
                "cleaner.interval",
                above_zero(own.cleaner_interval_ms),
                Some(self.retention.interval),
            ),
            number(
                "segment.max.bytes",
                above_zero(own.segment_max_bytes),
                self.log.segment_max_bytes,
            ),
            time(
                "segment.max.age",
                own.segment_max_age_ms,
                self.log.segment_max_age,
            ),
        ]
    }

    /// How it is compacted.
    fn compacted(&self, own: &StreamSettings) -> [Setting; 4] {
        let server = self.compaction.compaction.settings;
        let time = |name, own, server| setting(name, own, milliseconds(Some(server)), Kind::Milliseconds);
        [
            setting(
                "compact.enabled",
                own.compact_enabled,
                self.compaction.enabled,
                Kind::Flag,
            ),
            time(
                "compact.tombstone.grace",
                own.compact_tombstone_grace_ms,
                server.tombstone_grace,
            ),
            time("compact.min.lag", own.compact_min_lag_ms, server.min_lag),
            setting(
                "compact.min.dirty.percent",
                own.compact_min_dirty_percent,
                server.min_dirty_percent,
                |percent| Kind::Number(percent.into()),
            ),
        ]
    }

    /// How records are taken and written.
    fn written(&self, own: &StreamSettings) -> [Setting; 5] {
        let durability = |durability| match durability {
            Durability::Fsync => Kind::Word("fsync".to_owned()),
            Durability::Os => Kind::Word("os".to_owned()),
        };
        [
            setting(
                "concurrency.control",
                own.optimistic_concurrency_control,
                self.concurrency_control,
                Kind::Flag,
            ),
            setting("durability", own.durability, self.log.durability, durability),
            setting(
                "compression",
                own.compression,
                self.packing.compression,
                |codec| Kind::Word(codec.to_string()),
            ),
            setting("encryption", own.encryption, self.packing.encryption, Kind::Flag),
            setting("archive", own.archive, self.archive, Kind::Flag),
        ]
    }
}

fn above_zero(own: Option<u64>) -> Option<u64> {
    own.filter(|&number| number > 0)
}

fn setting<T>(name: &str, own: Option<T>, server: T, kind: impl Fn(T) -> Kind) -> Setting {
    let source = match own {
        Some(_) => SettingSource::Stream,
        None => SettingSource::Server,
    };
    Setting {
        name: name.to_owned(),
        value: Some(SettingValue {
            kind: Some(kind(own.unwrap_or(server))),
        }),
        source: source.into(),
        changeable: !is_fixed(name),
    }
}

/// None = 0, which stands for "no limit".
fn milliseconds(time: Option<Duration>) -> u64 {
    time.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use strandline_proto::admin;

    use super::super::change::changes;
    use super::*;

    fn server() -> ServerSettings {
        ServerSettings {
            retention: RetentionDefaults::default(),
            compaction: CompactionDefaults::default(),
            log: LogSettings::default(),
            concurrency_control: true,
            packing: PackingDefaults::default(),
            archive: false,
        }
    }

    fn of<'a>(settings: &'a [Setting], name: &str) -> (&'a Kind, SettingSource) {
        let setting = settings.iter().find(|setting| setting.name == name).unwrap();
        (
            setting.value.as_ref().unwrap().kind.as_ref().unwrap(),
            setting.source(),
        )
    }

    #[test]
    fn what_is_in_force_says_where_it_comes_from() {
        let own = StreamSettings {
            retention_max_age_ms: Some(0),
            durability: Some(Durability::Os),
            cleaner_interval_ms: Some(0),
            ..StreamSettings::default()
        };
        let settings = server().in_force(&own);
        let word = Kind::Word("os".to_owned());
        assert_eq!(
            of(&settings, "retention.max.age"),
            (&Kind::Milliseconds(0), SettingSource::Stream)
        );
        assert_eq!(of(&settings, "durability"), (&word, SettingSource::Stream));
        assert_eq!(
            of(&settings, "concurrency.control"),
            (&Kind::Flag(true), SettingSource::Server)
        );
        assert_eq!(
            of(&settings, "retention.max.bytes"),
            (&Kind::Number(0), SettingSource::Server)
        );
        assert_eq!(
            of(&settings, "cleaner.interval"),
            (&Kind::Milliseconds(300_000), SettingSource::Server)
        );
    }

    /// Whoever sets each changeable setting to what is shown for it gets a stream of its own settings that are in force.
    #[test]
    fn every_setting_that_is_shown_as_changeable_can_be_changed_and_reset() {
        let shown = server().in_force(&StreamSettings::default());
        let changeable: Vec<_> = shown.iter().filter(|setting| setting.changeable).collect();
        let set = changeable.iter().map(|setting| admin::SettingChange {
            name: setting.name.clone(),
            value: setting.value.clone(),
        });
        let mut settings = StreamSettings::default();
        for change in changes(&set.collect::<Vec<_>>()).unwrap() {
            settings.change(change);
        }
        for setting in server()
            .in_force(&settings)
            .iter()
            .filter(|setting| setting.changeable)
        {
            assert_eq!(setting.source(), SettingSource::Stream, "{}", setting.name);
        }
        let reset = changeable.iter().map(|setting| admin::SettingChange {
            name: setting.name.clone(),
            value: None,
        });
        for change in changes(&reset.collect::<Vec<_>>()).unwrap() {
            settings.change(change);
        }
        assert_eq!(settings, StreamSettings::default());
    }
}
