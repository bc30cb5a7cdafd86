//! Plugins in the state machine: modules, attachments, and what the commands about them do.

mod attachments;
mod change;
mod modules;
mod registry;
mod rejection;
mod verify;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::any_change;

pub use change::{AttachmentChange, NewAttachment, PluginChange, PluginOutcome};
pub use registry::PluginRegistry;
pub use rejection::PluginRejection;

use super::{Outcome, Rejection, State};
use crate::plugin::{AttachmentId, PluginAction, PluginEvent};
use crate::{StreamName, Timestamp};

/// Who asks for a change, and when: both come with the command.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    by: &'a str,
    at: Timestamp,
    /// Index of the command in the metadata log.
    index: u64,
}

impl Asked<'_> {
    fn event(&self, action: PluginAction) -> PluginEvent {
        PluginEvent {
            at: self.at,
            by: self.by.to_owned(),
            action,
            version: None,
            attachment: None,
            stream: None,
        }
    }
}

/// Applies a change that was asked for by somebody.
pub(super) fn change(
    state: &mut State,
    change: &PluginChange,
    (by, at, index): (&str, Timestamp, u64),
) -> Result<Outcome, Rejection> {
    if by.is_empty() || by.len() > PluginEvent::MAX_BY_BYTES || by.chars().any(char::is_control) {
        return Err(PluginRejection::InvalidCaller { bytes: by.len() }.into());
    }
    let asked = Asked { by, at, index };
    let outcome = match change {
        PluginChange::Push { name, facts } => modules::push(state, name, facts, &asked),
        PluginChange::Delete { name, version } => modules::delete(state, name, *version, &asked),
        PluginChange::Attach(attachment) => attachments::attach(state, attachment, &asked),
        PluginChange::Detach { attachment } => attachments::detach(state, *attachment, &asked),
        PluginChange::Change { attachment, change } => {
            attachments::change(state, *attachment, change, &asked)
        }
        PluginChange::StartCanary {
            attachment,
            candidate,
            mode,
        } => attachments::start_canary(state, *attachment, (candidate, *mode), &asked),
        PluginChange::Promote { attachment } => attachments::promote(state, *attachment, &asked),
        PluginChange::RollBack { attachment } => attachments::roll_back(state, *attachment, &asked),
    }?;
    Ok(Outcome::Plugin(outcome))
}

/// Whether the deletion of a stream would take away where others' dead letters go.
pub(super) fn refuse_deletion(state: &State, stream: &StreamName) -> Result<(), Rejection> {
    let is_target =
        |id: &(AttachmentId, &StreamName, Option<&StreamName>)| id.1 != stream && id.2 == Some(stream);
    let attachments = state.plugins.attachments();
    let mut targets =
        attachments.map(|entry| (entry.id, &entry.stream, entry.on_error.dead_letters.as_ref()));
    match targets.find(is_target) {
        None => Ok(()),
        Some((attachment, of, _)) => Err(PluginRejection::TakesDeadLetters {
            name: stream.clone(),
            attachment,
            of: of.clone(),
        }
        .into()),
    }
}
