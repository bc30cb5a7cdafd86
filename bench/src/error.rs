//! What can go wrong with a benchmark.

use std::io;
use std::time::Duration;

/// Why a benchmark, or one work of it, has no result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A server could not be started.
    #[error("cannot start {what}: {reason}")]
    Start {
        /// The server.
        what: String,
        /// Why, with the end of its log.
        reason: String,
    },
    /// Nobody answers.
    #[error("no server answers at {address}: {reason}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// Somebody answers who does not speak the protocol, or another version of it.
    #[error("{address} does not answer as a server of this kind does: {reason}")]
    Foreign {
        /// Where.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The server refused something, for example because its disk is full.
    #[error("the server refused {what}: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// The server's words.
        reason: String,
    },
    /// The server stopped answering.
    #[error("no {what} for {waited:?}")]
    Silent {
        /// What was waited for.
        what: &'static str,
        /// How long.
        waited: Duration,
    },
    /// The server ended a connection or a call.
    #[error("the server ended the {what}: {reason}")]
    Ended {
        /// Connection or call.
        what: &'static str,
        /// The server's words, if it had any.
        reason: String,
    },
    /// The server lost or invented messages.
    #[error("{expected} messages should be {what} and {found} are")]
    WrongCount {
        /// Stored or delivered.
        what: &'static str,
        /// How many should be.
        expected: u64,
        /// How many are.
        found: u64,
    },
    /// The server changed, repeated or reordered records.
    #[error("a record did not come back as it was published: {reason}")]
    WrongRecord {
        /// Which, and how.
        reason: String,
    },
    /// The work cannot be done on this server.
    #[error("{work} is not possible here: {reason}")]
    NotPossible {
        /// The work.
        work: &'static str,
        /// Why.
        reason: String,
    },
    /// A file or directory of the benchmark's own.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was to be done.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// The user has stopped it.
    #[error("interrupted")]
    Interrupted,
}

impl BenchError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
