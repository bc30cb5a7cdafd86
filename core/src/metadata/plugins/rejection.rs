//! Why a change of plugins was refused.

use serde::{Deserialize, Serialize};

use crate::StreamName;
use crate::plugin::{AttachmentId, ModuleName, PluginEvent, Side, World};

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginRejection {
    /// Who asks has no name that could be remembered.
    #[error("who asks is named by 1 to {max} bytes without control characters: {bytes} bytes", max = PluginEvent::MAX_BY_BYTES)]
    InvalidCaller {
        /// Length of the refused name.
        bytes: usize,
    },
    /// There is no such module.
    #[error("no such plugin: {name}")]
    NoSuchModule {
        /// Its name.
        name: ModuleName,
    },
    /// The module has no such version.
    #[error("plugin {name} has no version {version}")]
    NoSuchVersion {
        /// The module.
        name: ModuleName,
        /// The version.
        version: u32,
    },
    /// There is no such attachment.
    #[error("no such attachment: {attachment}")]
    NoSuchAttachment {
        /// Its identity.
        attachment: AttachmentId,
    },
    /// The module is of another world than the side takes.
    #[error("plugin {name} version {version} is a {world}: it cannot act on the {side} side of a stream")]
    WrongWorld {
        /// The module.
        name: ModuleName,
        /// The version.
        version: u32,
        /// What it is.
        world: World,
        /// Where it was to act.
        side: Side,
    },
    /// An attachment holds on to the version.
    #[error(
        "plugin {name} version {version} is in use by attachment {attachment} of stream {stream} ({role}); detach it first"
    )]
    InUse {
        /// The module.
        name: ModuleName,
        /// The version.
        version: u32,
        /// The attachment.
        attachment: AttachmentId,
        /// Its stream.
        stream: StreamName,
        /// As what.
        role: String,
    },
    /// A candidate is being tried already.
    #[error("attachment {attachment} tries version {version} as a canary; promote it or roll it back first")]
    CanaryRuns {
        /// The attachment.
        attachment: AttachmentId,
        /// The candidate's version.
        version: u32,
    },
    /// No candidate is being tried.
    #[error("attachment {attachment} has no canary to promote")]
    NoCanary {
        /// The attachment.
        attachment: AttachmentId,
    },
    /// Nothing was active before.
    #[error(
        "attachment {attachment} has nothing to roll back to: neither a canary nor a version that was active before"
    )]
    NothingBefore {
        /// The attachment.
        attachment: AttachmentId,
    },
    /// There are as many as there can be.
    #[error("there are at most {max} {what}")]
    TooMany {
        /// Of what.
        what: String,
        /// How many.
        max: u64,
    },
    /// Something is too long, too large or of no meaning.
    #[error("{what} must be {rule}")]
    Invalid {
        /// What.
        what: String,
        /// What it must be.
        rule: String,
    },
    /// Dead letters of a stream go there.
    #[error(
        "stream {name} takes the dead letters of attachment {attachment} of stream {of}; detach it or send them elsewhere first"
    )]
    TakesDeadLetters {
        /// The stream that was to be deleted.
        name: StreamName,
        /// The attachment.
        attachment: AttachmentId,
        /// The attachment's stream.
        of: StreamName,
    },
}

impl PluginRejection {
    pub(super) fn invalid(what: &str, rule: impl Into<String>) -> Self {
        Self::Invalid {
            what: what.to_owned(),
            rule: rule.into(),
        }
    }

    pub(super) fn too_many(what: impl Into<String>, max: usize) -> Self {
        Self::TooMany {
            what: what.into(),
            max: max as u64,
        }
    }
}
