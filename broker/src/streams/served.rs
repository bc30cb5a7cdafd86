//! Which stream settings this version serves.

use strandline_core::storage::{Capabilities, Durability};
use strandline_core::stream::StreamDefinition;

/// A setting whose effect is not there: refused by name, never accepted and ignored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is not supported by this version: {fix}")]
pub(crate) struct NotServed {
    /// The setting, as the API calls it.
    pub(crate) setting: &'static str,
    /// What to ask for instead.
    pub(crate) fix: &'static str,
}

/// Checks that every setting of a definition has its effect here.
///
/// # Errors
///
/// Names the first that has not.
pub(crate) fn check_served(definition: &StreamDefinition, backend: Capabilities) -> Result<(), NotServed> {
    let settings = &definition.settings;
    let asked = [
        (
            definition.replication_factor > 1,
            "replicationFactor",
            "use 1, this broker is not part of a cluster",
        ),
        (
            settings.min_isr.is_some_and(|count| count > 1),
            "minIsr",
            "use 1, there is one replica",
        ),
        (
            settings.compact_enabled == Some(true) && !backend.segments,
            "compactEnabled",
            "this storage backend has no segments that could be compacted, leave it off",
        ),
        (
            settings.auto_pause_time_ms.is_some_and(|time| time > 0),
            "autoPauseTime",
            "use 0",
        ),
        (
            settings.auto_pause_disable_if_subscribers == Some(true),
            "autoPauseDisableIfSubscribers",
            "leave it off",
        ),
        (
            settings.durability == Some(Durability::Os) && !backend.durability_os,
            "durability os",
            "the redb backend always syncs, leave it out or choose the segment backend",
        ),
    ];
    match asked.into_iter().find(|(asked, ..)| *asked) {
        Some((_, setting, fix)) => Err(NotServed { setting, fix }),
        None => Ok(()),
    }
}
