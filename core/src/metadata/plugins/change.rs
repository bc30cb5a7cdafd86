//! What can be asked about plugins, and what is answered.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::command::shared;
use crate::StreamName;
use crate::plugin::{
    Attachment, AttachmentId, CanaryMode, ErrorHandling, ModuleFacts, ModuleName, ModuleVersion,
    PluginLimits, Sha256, Side, Variant,
};

/// A change of modules or attachments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginChange {
    /// Adds a version to a module; the first creates it. Whoever proposes it has the bytes, durably and checked. Bytes that a
    /// version of the module has already are that version, so that repeating it is harmless.
    Push {
        /// The module.
        name: ModuleName,
        /// What is known of the bytes.
        facts: ModuleFacts,
    },
    /// Deletes versions that no attachment holds on to.
    Delete {
        /// The module.
        name: ModuleName,
        /// Which; none = all.
        version: Option<u32>,
    },
    /// Attaches a version to a stream.
    Attach(NewAttachment),
    /// Takes an attachment away.
    Detach {
        /// Which.
        attachment: AttachmentId,
    },
    /// Changes an attachment at once. Repeating it is harmless.
    Change {
        /// Which.
        attachment: AttachmentId,
        /// How.
        change: AttachmentChange,
    },
    /// Tries another version, or other settings, beside the active ones.
    StartCanary {
        /// Of which attachment.
        attachment: AttachmentId,
        /// What is tried.
        candidate: Variant,
        /// How.
        mode: CanaryMode,
    },
    /// Makes the candidate active.
    Promote {
        /// Of which attachment.
        attachment: AttachmentId,
    },
    /// Takes the candidate away if there is one; otherwise makes active again what was active before.
    RollBack {
        /// Of which attachment.
        attachment: AttachmentId,
    },
}

/// An attachment as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewAttachment {
    /// See [`Attachment::stream`].
    pub stream: StreamName,
    /// See [`Attachment::side`].
    pub side: Side,
    /// See [`Attachment::order`].
    pub order: i32,
    /// See [`Attachment::module`].
    pub module: ModuleName,
    /// What is to be active.
    pub variant: Variant,
    /// See [`Attachment::on_error`].
    pub on_error: ErrorHandling,
    /// See [`Attachment::limits`].
    pub limits: PluginLimits,
    /// See [`Attachment::debug`].
    pub debug: bool,
}

/// What changes about an attachment; none = stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttachmentChange {
    /// What is to be active; what was active before can be rolled back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
    /// See [`Attachment::order`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<i32>,
    /// See [`Attachment::on_error`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_error: Option<ErrorHandling>,
    /// See [`Attachment::limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<PluginLimits>,
    /// See [`Attachment::debug`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug: Option<bool>,
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginOutcome {
    /// The module has this version, by this push or an earlier one.
    Pushed {
        /// The version.
        version: ModuleVersion,
        /// Whether this push added it.
        is_new: bool,
    },
    /// The versions are gone.
    Deleted {
        /// How many.
        versions: u64,
        /// The bytes that no version of any module has any more: every broker has to remove its copy.
        unused: Vec<Sha256>,
    },
    /// The attachment is like this now.
    Attached(#[serde(with = "shared")] Arc<Attachment>),
    /// The attachment was like this and is gone.
    Detached(#[serde(with = "shared")] Arc<Attachment>),
}

impl PluginChange {
    /// About how many bytes it takes in the metadata log beyond a few hundred.
    pub fn weight(&self) -> usize {
        let settings = |variant: &Variant| variant.settings.len();
        match self {
            Self::Push { facts, .. } => facts.imports.iter().map(String::len).sum(),
            Self::Attach(attachment) => settings(&attachment.variant),
            Self::Change { change, .. } => change.variant.as_ref().map_or(0, settings),
            Self::StartCanary { candidate, .. } => settings(candidate),
            Self::Delete { .. } | Self::Detach { .. } | Self::Promote { .. } | Self::RollBack { .. } => 0,
        }
    }

    /// Whether it adds to what is stored: on a full disk it has to wait.
    pub fn is_growth(&self) -> bool {
        matches!(
            self,
            Self::Push { .. } | Self::Attach(_) | Self::StartCanary { .. }
        )
    }
}
