//! Attachments: modules at work on a stream.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ModuleName, PluginEvent};
use crate::{StreamName, Timestamp};

/// Identity of an attachment, never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttachmentId(u64);

impl AttachmentId {
    /// The identity with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of the identity.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for AttachmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where on a message's way a plugin acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// A filter of what is stored.
    Write,
    /// Gives keys to records that have none, behind the filters.
    Key,
    /// A filter of what every subscriber gets.
    Read,
}

/// What becomes of a record that a plugin fails on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorPolicy {
    /// Its publisher, or subscriber, gets an error.
    Fail,
    /// As if a filter had dropped it.
    Drop,
    /// As if the plugin were not there.
    Pass,
    /// It goes to the dead letters.
    DeadLetter,
}

/// Words of a type, as commands and calls spell them.
macro_rules! words {
    ($type:ident, $what:literal, $($variant:ident = $word:literal),+) => {
        impl $type {
            /// The word for it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl FromStr for $type {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { what: $what, words: &[$($word),+] }),
                }
            }
        }
    };
}

words!(
    Side,
    "the side of a stream",
    Write = "write",
    Key = "key",
    Read = "read"
);
words!(
    ErrorPolicy,
    "the error policy",
    Fail = "fail",
    Drop = "drop",
    Pass = "pass",
    DeadLetter = "dead-letter"
);

/// A word that is none of those there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is one of {}", words.join(", "))]
pub struct UnknownWord {
    what: &'static str,
    words: &'static [&'static str],
}

/// What is done about records that a plugin fails on, and where dead letters go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorHandling {
    /// What becomes of the record.
    pub policy: ErrorPolicy,
    /// The stream for dead letters, by the policy or by a filter's verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<StreamName>,
}

/// What one call may use; none = what the server's configuration says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginLimits {
    /// Memory of an instance, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Time for a batch, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_ms: Option<u32>,
}

impl PluginLimits {
    /// The least memory: one page of WebAssembly.
    pub const MIN_MEMORY_BYTES: u64 = 64 << 10;
    /// The most memory: what a component of 32 bits can address.
    pub const MAX_MEMORY_BYTES: u64 = 4 << 30;
    /// The shortest time for a batch: what the host can keep to.
    pub const MIN_BUDGET_MS: u32 = 10;
    /// The longest time for a batch.
    pub const MAX_BUDGET_MS: u32 = 60_000;
}

/// A version of a module with settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// The version.
    pub version: u32,
    /// Settings for it, a JSON text of at most [`Variant::MAX_SETTINGS_BYTES`].
    pub settings: String,
}

impl Variant {
    /// Longest settings, in bytes.
    pub const MAX_SETTINGS_BYTES: usize = 64 << 10;
}

/// How a candidate is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CanaryMode {
    /// It takes the place of the active version for this percentage of the batches, 1 to 99.
    Percent(u8),
    /// It is asked beside the active version, and only how its answers differ is counted.
    Shadow,
}

impl fmt::Display for CanaryMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent} %"),
            Self::Shadow => f.write_str("shadow"),
        }
    }
}

/// A candidate that is being tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// What is tried.
    pub candidate: Variant,
    /// How.
    pub mode: CanaryMode,
    /// Since when.
    pub since: Timestamp,
}

/// A module at work on a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Its identity.
    pub id: AttachmentId,
    /// The stream.
    pub stream: StreamName,
    /// Where it acts.
    pub side: Side,
    /// Its place among the attachments of the side: lower ones first, among equals the one that was attached first.
    pub order: i32,
    /// The module.
    pub module: ModuleName,
    /// What is active of it.
    pub active: Variant,
    /// What was active before, and is again after a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Variant>,
    /// What is being tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// What is done about records that it fails on.
    pub on_error: ErrorHandling,
    /// What it may use.
    pub limits: PluginLimits,
    /// Whether it is asked for the reasons of drops.
    pub debug: bool,
    /// Index in the metadata log of the last change.
    pub revision: u64,
    /// When it was attached.
    pub attached: Timestamp,
    /// What was done to it, oldest first.
    pub history: Vec<PluginEvent>,
}

impl Attachment {
    /// Most attachments of one stream.
    pub const MAX_PER_STREAM: usize = 16;

    /// What it holds on to: these versions cannot be deleted.
    pub fn variants(&self) -> impl Iterator<Item = &Variant> {
        let candidate = self.canary.as_ref().map(|canary| &canary.candidate);
        [Some(&self.active), self.previous.as_ref(), candidate]
            .into_iter()
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_shown() {
        for side in [Side::Write, Side::Key, Side::Read] {
            assert_eq!(side.word().parse(), Ok(side));
        }
        for policy in [
            ErrorPolicy::Fail,
            ErrorPolicy::Drop,
            ErrorPolicy::Pass,
            ErrorPolicy::DeadLetter,
        ] {
            assert_eq!(policy.word().parse(), Ok(policy));
        }
        let error = "ignore".parse::<ErrorPolicy>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the error policy is one of fail, drop, pass, dead-letter"
        );
    }
}
