//! Attachments as the administration takes and shows them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use strandline_proto::admin;
use strandline_proto::admin::canary_mode::{Kind, Shadow};

/// Where on a message's way a plugin acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A filter of what is stored.
    Write,
    /// Gives keys to records that have none.
    Key,
    /// A filter of what every subscriber gets.
    Read,
}

/// What becomes of a record that a plugin fails on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorPolicy {
    /// Its publisher, or subscriber, gets an error.
    #[default]
    Fail,
    /// As if a filter had dropped it.
    Drop,
    /// As if the plugin were not there.
    Pass,
    /// It goes to the dead letters; not on the read side.
    DeadLetter,
}

/// The stream for dead letters, by the policy or by a filter's verdict; none = there is none.
pub type DeadLetters = Option<String>;

/// A version of a plugin with settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// None = the newest.
    pub version: Option<u32>,
    /// A JSON text; empty = `{}`.
    pub settings: String,
}

/// How a candidate is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryMode {
    /// It decides on this percentage of the batches, 1 to 99.
    Percent(u32),
    /// It is asked beside the active version, and only how its answers differ is counted.
    Shadow,
}

/// A candidate that is being tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// What is tried.
    pub candidate: Variant,
    /// How; none = in a way that this client does not know.
    pub mode: Option<CanaryMode>,
    /// Since when: nanoseconds since the Unix epoch.
    pub since: i64,
}

/// An attachment to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAttachment {
    /// The stream.
    pub stream: String,
    /// Where it acts.
    pub side: Side,
    /// Lower ones act first, among equals the one that was attached first.
    pub order: i32,
    /// The plugin.
    pub plugin: String,
    /// Version and settings.
    pub variant: Variant,
    /// What becomes of a record that it fails on.
    pub policy: ErrorPolicy,
    /// Where dead letters go.
    pub dead_letters: DeadLetters,
    /// Memory of an instance; none = what the server's configuration says.
    pub memory_bytes: Option<u64>,
    /// Time for a batch; none = what the server's configuration says.
    pub budget: Option<Duration>,
    /// Whether it is asked for the reasons of drops.
    pub debug: bool,
}

impl NewAttachment {
    /// The newest version of a plugin on a side of a stream, with the settings `{}`; errors fail their record.
    pub fn new(stream: impl Into<String>, side: Side, plugin: impl Into<String>) -> Self {
        Self {
            stream: stream.into(),
            side,
            order: 0,
            plugin: plugin.into(),
            variant: Variant::default(),
            policy: ErrorPolicy::Fail,
            dead_letters: None,
            memory_bytes: None,
            budget: None,
            debug: false,
        }
    }
}

/// What changes about an attachment; none = stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachmentUpdate {
    /// Version and settings.
    pub variant: Option<Variant>,
    /// See [`NewAttachment::order`].
    pub order: Option<i32>,
    /// What becomes of a record that it fails on, and where dead letters go.
    pub on_error: Option<(ErrorPolicy, DeadLetters)>,
    /// Memory of an instance and time for a batch, as in [`NewAttachment`].
    pub limits: Option<(Option<u64>, Option<Duration>)>,
    /// Whether it is asked for the reasons of drops.
    pub debug: Option<bool>,
}

/// A plugin at work on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Never given again.
    pub id: u64,
    /// The stream.
    pub stream: String,
    /// Where it acts; none = where this client does not know of.
    pub side: Option<Side>,
    /// See [`NewAttachment::order`].
    pub order: i32,
    /// The plugin.
    pub plugin: String,
    /// What is active of it.
    pub active: Variant,
    /// What a rollback goes back to when nothing is being tried.
    pub previous: Option<Variant>,
    /// What is being tried.
    pub canary: Option<Canary>,
    /// What becomes of a record that it fails on.
    pub policy: ErrorPolicy,
    /// Where dead letters go.
    pub dead_letters: DeadLetters,
    /// See [`NewAttachment::memory_bytes`].
    pub memory_bytes: Option<u64>,
    /// See [`NewAttachment::budget`].
    pub budget: Option<Duration>,
    /// Whether it is asked for the reasons of drops.
    pub debug: bool,
    /// When it was attached: nanoseconds since the Unix epoch.
    pub attached: i64,
    /// Why it does not work, or that it is being loaded; empty = it works.
    pub problem: String,
}

/// A word that is none of those there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("takes {}", .0)]
pub struct UnknownWord(&'static str);

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write => "write",
            Self::Key => "key",
            Self::Read => "read",
        })
    }
}

impl FromStr for Side {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "write" => Ok(Self::Write),
            "key" => Ok(Self::Key),
            "read" => Ok(Self::Read),
            _ => Err(UnknownWord("write, key or read")),
        }
    }
}

impl fmt::Display for ErrorPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail => "fail",
            Self::Drop => "drop",
            Self::Pass => "pass",
            Self::DeadLetter => "dead-letter",
        })
    }
}

impl FromStr for ErrorPolicy {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "fail" => Ok(Self::Fail),
            "drop" => Ok(Self::Drop),
            "pass" => Ok(Self::Pass),
            "dead-letter" => Ok(Self::DeadLetter),
            _ => Err(UnknownWord("fail, drop, pass or dead-letter")),
        }
    }
}

impl fmt::Display for CanaryMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent} %"),
            Self::Shadow => f.write_str("shadow"),
        }
    }
}

impl From<Side> for admin::PluginSide {
    fn from(side: Side) -> Self {
        match side {
            Side::Write => Self::Write,
            Side::Key => Self::Key,
            Side::Read => Self::Read,
        }
    }
}

impl From<Variant> for admin::PluginVariant {
    fn from(variant: Variant) -> Self {
        Self {
            version: variant.version.unwrap_or_default(),
            settings: variant.settings,
        }
    }
}

impl From<admin::PluginVariant> for Variant {
    fn from(variant: admin::PluginVariant) -> Self {
        Self {
            version: Some(variant.version).filter(|&version| version > 0),
            settings: variant.settings,
        }
    }
}

impl From<CanaryMode> for admin::CanaryMode {
    fn from(mode: CanaryMode) -> Self {
        Self {
            kind: Some(match mode {
                CanaryMode::Percent(percent) => Kind::Percent(percent),
                CanaryMode::Shadow => Kind::Shadow(Shadow {}),
            }),
        }
    }
}

impl From<NewAttachment> for admin::AttachPluginRequest {
    fn from(new: NewAttachment) -> Self {
        Self {
            stream: new.stream,
            side: admin::PluginSide::from(new.side).into(),
            order: new.order,
            plugin: new.plugin,
            variant: Some(new.variant.into()),
            on_error: Some(on_error(new.policy, new.dead_letters)),
            limits: Some(limits(new.memory_bytes, new.budget)),
            debug: new.debug,
        }
    }
}

impl AttachmentUpdate {
    pub(super) fn into_request(self, attachment: u64) -> admin::ChangeAttachmentRequest {
        admin::ChangeAttachmentRequest {
            attachment,
            variant: self.variant.map(Into::into),
            order: self.order,
            on_error: self
                .on_error
                .map(|(policy, dead_letters)| on_error(policy, dead_letters)),
            limits: self.limits.map(|(memory, budget)| limits(memory, budget)),
            debug: self.debug,
        }
    }
}

fn on_error(policy: ErrorPolicy, dead_letters: DeadLetters) -> admin::PluginErrorHandling {
    let policy = match policy {
        ErrorPolicy::Fail => admin::PluginErrorPolicy::Fail,
        ErrorPolicy::Drop => admin::PluginErrorPolicy::Drop,
        ErrorPolicy::Pass => admin::PluginErrorPolicy::Pass,
        ErrorPolicy::DeadLetter => admin::PluginErrorPolicy::DeadLetter,
    };
    admin::PluginErrorHandling {
        policy: policy.into(),
        dead_letters: dead_letters.unwrap_or_default(),
    }
}

fn limits(memory_bytes: Option<u64>, budget: Option<Duration>) -> admin::PluginLimits {
    let ms = |budget: Duration| u32::try_from(budget.as_millis()).unwrap_or(u32::MAX).max(1);
    admin::PluginLimits {
        memory_bytes: memory_bytes.unwrap_or_default(),
        budget_ms: budget.map_or(0, ms),
    }
}

impl From<admin::Attachment> for Attachment {
    fn from(attachment: admin::Attachment) -> Self {
        let side = match attachment.side() {
            admin::PluginSide::Unspecified => None,
            admin::PluginSide::Write => Some(Side::Write),
            admin::PluginSide::Key => Some(Side::Key),
            admin::PluginSide::Read => Some(Side::Read),
        };
        let on_error = attachment.on_error.unwrap_or_default();
        let policy = match on_error.policy() {
            admin::PluginErrorPolicy::Unspecified | admin::PluginErrorPolicy::Fail => ErrorPolicy::Fail,
            admin::PluginErrorPolicy::Drop => ErrorPolicy::Drop,
            admin::PluginErrorPolicy::Pass => ErrorPolicy::Pass,
            admin::PluginErrorPolicy::DeadLetter => ErrorPolicy::DeadLetter,
        };
        let limits = attachment.limits.unwrap_or_default();
        let budget = Some(limits.budget_ms).filter(|&ms| ms > 0);
        Self {
            id: attachment.id,
            stream: attachment.stream,
            side,
            order: attachment.order,
            plugin: attachment.plugin,
            active: attachment.active.unwrap_or_default().into(),
            previous: attachment.previous.map(Into::into),
            canary: attachment.canary.map(Into::into),
            policy,
            dead_letters: Some(on_error.dead_letters).filter(|name| !name.is_empty()),
            memory_bytes: Some(limits.memory_bytes).filter(|&bytes| bytes > 0),
            budget: budget.map(|ms| Duration::from_millis(ms.into())),
            debug: attachment.debug,
            attached: attachment.attached,
            problem: attachment.problem,
        }
    }
}

impl From<admin::Canary> for Canary {
    fn from(canary: admin::Canary) -> Self {
        let mode = canary.mode.and_then(|mode| mode.kind).map(|kind| match kind {
            Kind::Percent(percent) => CanaryMode::Percent(percent),
            Kind::Shadow(_) => CanaryMode::Shadow,
        });
        Self {
            candidate: canary.candidate.unwrap_or_default().into(),
            mode,
            since: canary.since,
        }
    }
}
