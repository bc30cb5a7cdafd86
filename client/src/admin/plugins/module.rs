//! Modules as the administration shows them.

use bytes::Bytes;
use strandline_proto::admin;

use super::Attachment;

/// A plugin with its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// Its name.
    pub name: String,
    /// Oldest first.
    pub versions: Vec<PluginVersion>,
}

/// A version of a plugin; it never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginVersion {
    /// From 1, never given again under the name.
    pub number: u32,
    /// Names its bytes.
    pub sha256: Bytes,
    /// Length of its bytes.
    pub size: u64,
    /// `filter` or `key-extractor`.
    pub world: String,
    /// Version of the contract that it was built for.
    pub contract: String,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// When it was pushed: nanoseconds since the Unix epoch.
    pub pushed: i64,
    /// By whom.
    pub pushed_by: String,
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The plugin.
    pub name: String,
    /// Its version.
    pub version: PluginVersion,
    /// Whether the push added it; otherwise it was there.
    pub added: bool,
}

/// A version with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedPlugin {
    /// What it is.
    pub version: PluginVersion,
    /// The component, whose SHA-256 is the version's.
    pub bytes: Bytes,
}

/// A plugin, who uses it, and what was done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginDescription {
    /// The plugin.
    pub plugin: Plugin,
    /// Its attachments.
    pub attachments: Vec<Attachment>,
    /// Oldest first.
    pub history: Vec<PluginEvent>,
}

/// Something that was done to a plugin or an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginEvent {
    /// When: nanoseconds since the Unix epoch.
    pub at: i64,
    /// Who, as far as the broker knew.
    pub by: String,
    /// What, such as `pushed` or `canary started`.
    pub action: String,
    /// The version that it was about, or that is active since; none = all of the plugin.
    pub version: Option<u32>,
    /// The attachment; none = the plugin alone.
    pub attachment: Option<u64>,
    /// Its stream; empty without an attachment.
    pub stream: String,
}

impl From<admin::Plugin> for Plugin {
    fn from(plugin: admin::Plugin) -> Self {
        Self {
            name: plugin.name,
            versions: plugin.versions.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<admin::PluginVersion> for PluginVersion {
    fn from(version: admin::PluginVersion) -> Self {
        Self {
            number: version.number,
            sha256: version.sha256,
            size: version.size,
            world: version.world,
            contract: version.contract,
            imports: version.imports,
            pushed: version.pushed,
            pushed_by: version.pushed_by,
        }
    }
}

impl From<admin::PushPluginResponse> for Pushed {
    fn from(pushed: admin::PushPluginResponse) -> Self {
        Self {
            name: pushed.name,
            version: pushed.version.map(Into::into).unwrap_or_default(),
            added: pushed.added,
        }
    }
}

impl From<admin::DescribePluginResponse> for PluginDescription {
    fn from(described: admin::DescribePluginResponse) -> Self {
        Self {
            plugin: described.plugin.unwrap_or_default().into(),
            attachments: described.attachments.into_iter().map(Into::into).collect(),
            history: described.history.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<admin::PluginEvent> for PluginEvent {
    fn from(event: admin::PluginEvent) -> Self {
        Self {
            at: event.at,
            by: event.by,
            action: event.action,
            version: Some(event.version).filter(|&version| version > 0),
            attachment: Some(event.attachment).filter(|&id| id > 0),
            stream: event.stream,
        }
    }
}
