//! Why a connection ends.

use std::fmt;

/// The reason, for the log and for the last words to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The client closed, or the network did.
    Gone,
    /// The client complained with an `-ERR` of its own.
    ClientError,
    /// What it sent is no protocol; the text of the `-ERR`, if one is owed.
    Protocol(Option<&'static str>),
    AuthorizationViolation,
    AuthenticationTimeout,
    StaleConnection,
    InvalidClientProtocol,
    NoRespondersNeedsHeaders,
    SlowConsumerPending,
    SlowConsumerDeadline,
    /// Unfinished payloads of all clients together hold as much memory as they may.
    UnfinishedPayloads,
    Shutdown,
}

impl CloseReason {
    /// The `-ERR` that the client is owed.
    pub(crate) fn last_words(self) -> Option<&'static str> {
        match self {
            Self::Protocol(text) => text,
            Self::AuthorizationViolation => Some("Authorization Violation"),
            Self::AuthenticationTimeout => Some("Authentication Timeout"),
            Self::StaleConnection => Some("Stale Connection"),
            Self::InvalidClientProtocol => Some("invalid client protocol"),
            Self::NoRespondersNeedsHeaders => Some("no responders requires headers support"),
            Self::Gone
            | Self::ClientError
            | Self::SlowConsumerPending
            | Self::SlowConsumerDeadline
            | Self::UnfinishedPayloads
            | Self::Shutdown => None,
        }
    }

    /// Whether what is queued is still written out.
    pub(crate) fn is_polite(self) -> bool {
        !matches!(
            self,
            Self::Gone | Self::SlowConsumerPending | Self::SlowConsumerDeadline
        )
    }

    pub(crate) fn is_slow_consumer(self) -> bool {
        matches!(self, Self::SlowConsumerPending | Self::SlowConsumerDeadline)
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "client closed",
            Self::ClientError => "client reported an error",
            Self::Protocol(text) => text.unwrap_or("bad arguments"),
            Self::AuthorizationViolation => "authorization violation",
            Self::AuthenticationTimeout => "authentication timeout",
            Self::StaleConnection => "stale connection",
            Self::InvalidClientProtocol => "invalid client protocol",
            Self::NoRespondersNeedsHeaders => "no responders requires headers support",
            Self::SlowConsumerPending => "slow consumer (pending bytes)",
            Self::SlowConsumerDeadline => "slow consumer (write deadline)",
            Self::UnfinishedPayloads => "too many unfinished payloads",
            Self::Shutdown => "server shutdown",
        })
    }
}
