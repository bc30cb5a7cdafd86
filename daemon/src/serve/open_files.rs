//! The limit of open files: connections and segments all count.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Below this a few thousand clients already run into the limit.
const ENOUGH: u64 = 4_096;

/// Raises the soft limit to the hard one, and says so when that is still low. Returns it.
pub(super) fn raise() -> usize {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        let raised = Rlimit {
            current: before.maximum,
            maximum: before.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
    // None = no limit.
    let limit = getrlimit(Resource::Nofile).current;
    match limit {
        Some(limit) if limit < ENOUGH => tracing::warn!(
            limit,
            enough = ENOUGH,
            "the limit of open files is low: clients may be turned away; raise it with ulimit -n or LimitNOFILE="
        ),
        limit => tracing::debug!(limit, "limit of open files"),
    }
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}
