//! Changes of settings as requests name them.

use strandline_core::record::Codec;
use strandline_core::storage::Durability;
use strandline_core::stream::{InvalidChange, SettingChange};
use strandline_proto::admin;
use strandline_proto::admin::SettingValue;
use strandline_proto::admin::setting_value::Kind;

/// Settings that are fixed when a stream is created.
const FIXED: [&str; 10] = [
    "concurrency.control",
    "encryption",
    "compact.max.goroutines",
    "auto.pause.time",
    "auto.pause.disable.if.subscribers",
    "min.insync.replicas",
    "replication.factor",
    "partitions",
    "subject",
    "group",
];

/// Characters of an unknown name that an error repeats.
const NAME_MAX_CHARS: usize = 100;

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RefusedChange {
    /// It names nothing.
    #[error("unknown setting {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Records are stored under it already.
    #[error("setting {name} is fixed when the stream is created")]
    Fixed {
        /// The name.
        name: String,
    },
    /// The value is of another kind.
    #[error("setting {name} takes {kind}")]
    Kind {
        /// The name.
        name: String,
        /// What it takes.
        kind: &'static str,
    },
    /// It stands in the request twice.
    #[error("setting {name} is there twice")]
    Twice {
        /// The name.
        name: &'static str,
    },
    /// The value has no meaning.
    #[error("setting {0}")]
    Invalid(#[from] InvalidChange),
}

/// Whether a setting is one of those that are fixed when a stream is created.
pub(super) fn is_fixed(name: &str) -> bool {
    FIXED.contains(&name)
}

/// Reads the changes of a request.
///
/// # Errors
///
/// The first that cannot be made.
pub(super) fn changes(requested: &[admin::SettingChange]) -> Result<Vec<SettingChange>, RefusedChange> {
    let mut changes: Vec<SettingChange> = Vec::with_capacity(requested.len());
    for requested in requested {
        let change = change(requested)?;
        change.check()?;
        if changes.iter().any(|other| other.setting() == change.setting()) {
            return Err(RefusedChange::Twice {
                name: change.setting(),
            });
        }
        changes.push(change);
    }
    Ok(changes)
}

fn change(requested: &admin::SettingChange) -> Result<SettingChange, RefusedChange> {
    let name = requested.name.as_str();
    let value = match &requested.value {
        None => None,
        Some(SettingValue { kind: Some(kind) }) => Some(kind),
        // A value of a kind that this version does not know.
        Some(SettingValue { kind: None }) => return Err(other_kind(name, "another kind of value")),
    };
    let change = match name {
        "retention.max.bytes" => SettingChange::RetentionMaxBytes(number(name, value)?),
        "retention.max.messages" => SettingChange::RetentionMaxMessages(number(name, value)?),
        "retention.max.age" => SettingChange::RetentionMaxAgeMs(time(name, value)?),
        "cleaner.interval" => SettingChange::CleanerIntervalMs(time(name, value)?),
        "segment.max.bytes" => SettingChange::SegmentMaxBytes(number(name, value)?),
        "segment.max.age" => SettingChange::SegmentMaxAgeMs(time(name, value)?),
        "compact.enabled" => SettingChange::CompactEnabled(flag(name, value)?),
        "compact.tombstone.grace" => SettingChange::CompactTombstoneGraceMs(time(name, value)?),
        "compact.min.lag" => SettingChange::CompactMinLagMs(time(name, value)?),
        "compact.min.dirty.percent" => SettingChange::CompactMinDirtyPercent(percent(name, value)?),
        "durability" => SettingChange::Durability(durability(name, value)?),
        "compression" => SettingChange::Compression(compression(name, value)?),
        "archive" => SettingChange::Archive(flag(name, value)?),
        _ if is_fixed(name) => {
            let name = name.to_owned();
            return Err(RefusedChange::Fixed { name });
        }
        _ => {
            let name = name.chars().take(NAME_MAX_CHARS).collect();
            return Err(RefusedChange::Unknown { name });
        }
    };
    Ok(change)
}

fn other_kind(name: &str, kind: &'static str) -> RefusedChange {
    RefusedChange::Kind {
        name: name.to_owned(),
        kind,
    }
}

fn number(name: &str, value: Option<&Kind>) -> Result<Option<u64>, RefusedChange> {
    match value {
        None => Ok(None),
        Some(Kind::Number(number)) => Ok(Some(*number)),
        Some(_) => Err(other_kind(name, "a number")),
    }
}

/// A number that is too large for its type is too large for a share, too.
fn percent(name: &str, value: Option<&Kind>) -> Result<Option<u8>, RefusedChange> {
    let number = number(name, value)?;
    Ok(number.map(|number| u8::try_from(number).unwrap_or(u8::MAX)))
}

fn time(name: &str, value: Option<&Kind>) -> Result<Option<u64>, RefusedChange> {
    match value {
        None => Ok(None),
        Some(Kind::Milliseconds(time)) => Ok(Some(*time)),
        Some(_) => Err(other_kind(name, "milliseconds")),
    }
}

fn flag(name: &str, value: Option<&Kind>) -> Result<Option<bool>, RefusedChange> {
    match value {
        None => Ok(None),
        Some(Kind::Flag(on)) => Ok(Some(*on)),
        Some(_) => Err(other_kind(name, "a flag")),
    }
}

fn durability(name: &str, value: Option<&Kind>) -> Result<Option<Durability>, RefusedChange> {
    match value {
        None => Ok(None),
        Some(Kind::Word(word)) if word == "fsync" => Ok(Some(Durability::Fsync)),
        Some(Kind::Word(word)) if word == "os" => Ok(Some(Durability::Os)),
        Some(_) => Err(other_kind(name, "the word fsync or os")),
    }
}

fn compression(name: &str, value: Option<&Kind>) -> Result<Option<Codec>, RefusedChange> {
    let kind = "the word none, lz4 or zstd";
    match value {
        None => Ok(None),
        Some(Kind::Word(word)) => word.parse().map(Some).map_err(|_| other_kind(name, kind)),
        Some(_) => Err(other_kind(name, kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requested(name: &str, kind: Option<Kind>) -> admin::SettingChange {
        admin::SettingChange {
            name: name.to_owned(),
            value: kind.map(|kind| SettingValue { kind: Some(kind) }),
        }
    }

    #[test]
    fn what_cannot_be_changed_is_refused_by_name() {
        let cases = [
            (
                requested("retention.max.size", Some(Kind::Number(1))),
                "unknown setting \"retention.max.size\"",
            ),
            (
                requested("encryption", Some(Kind::Flag(true))),
                "setting encryption is fixed when the stream is created",
            ),
            (
                requested("subject", None),
                "setting subject is fixed when the stream is created",
            ),
            (
                requested("retention.max.age", Some(Kind::Number(1))),
                "setting retention.max.age takes milliseconds",
            ),
            (
                requested("durability", Some(Kind::Word("x".into()))),
                "setting durability takes the word fsync or os",
            ),
            (
                requested("compression", Some(Kind::Word("gzip".into()))),
                "setting compression takes the word none, lz4 or zstd",
            ),
            (
                requested("segment.max.bytes", Some(Kind::Number(0))),
                "setting segment.max.bytes must be above zero",
            ),
        ];
        for (change, text) in cases {
            assert_eq!(changes(&[change]).unwrap_err().to_string(), text);
        }
        let twice = [requested("durability", None), requested("durability", None)];
        assert_eq!(
            changes(&twice).unwrap_err().to_string(),
            "setting durability is there twice"
        );
        let no_kind = admin::SettingChange {
            name: "durability".to_owned(),
            value: Some(SettingValue { kind: None }),
        };
        assert!(matches!(changes(&[no_kind]), Err(RefusedChange::Kind { .. })));
    }
}
