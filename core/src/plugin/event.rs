//! Who did what when.

use serde::{Deserialize, Serialize};

use super::AttachmentId;
use crate::{StreamName, Timestamp};

/// Something that was done to a module or an attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginEvent {
    /// When, by the clock of the broker that was asked.
    pub at: Timestamp,
    /// Who, as far as that broker knew.
    pub by: String,
    /// What.
    pub action: PluginAction,
    /// The version that it was about, or that is active since; none = all of the module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The attachment that it was about; none = the module alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<AttachmentId>,
    /// The stream of the attachment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamName>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginAction {
    /// A version was added.
    Pushed,
    /// A version, or all, were removed.
    Deleted,
    /// A version was attached to a stream.
    Attached,
    /// An attachment was taken away.
    Detached,
    /// An attachment got another version or other settings at once, or is to be run otherwise.
    Changed,
    /// A candidate began to run beside the active version.
    CanaryStarted,
    /// The candidate was taken away; the active version stayed.
    CanaryWithdrawn,
    /// The candidate became the active version.
    Promoted,
    /// The version that had been active before became active again.
    RolledBack,
}

impl PluginAction {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pushed => "pushed",
            Self::Deleted => "deleted",
            Self::Attached => "attached",
            Self::Detached => "detached",
            Self::Changed => "changed",
            Self::CanaryStarted => "canary started",
            Self::CanaryWithdrawn => "canary withdrawn",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled back",
        }
    }
}

impl PluginEvent {
    /// Events that are kept of a module, and of an attachment; older ones are forgotten.
    pub const MAX_KEPT: usize = 64;
    /// Longest text that says who did it, in bytes.
    pub const MAX_BY_BYTES: usize = 255;

    /// Adds this as the newest event of a history.
    pub fn note_in(self, history: &mut Vec<Self>) {
        if history.len() >= Self::MAX_KEPT {
            history.drain(..=history.len() - Self::MAX_KEPT);
        }
        history.push(self);
    }
}
