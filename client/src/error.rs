//! What can go wrong, by what the caller can do about it.

use std::error::Error as StdError;

use strandline_proto::api;
use tonic::{Code, Status};

/// An error of a call.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    may_have_taken_effect: bool,
    is_answer: bool,
}

/// The kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No server can be reached, or the connection was lost.
    Unavailable,
    /// There was no answer in time.
    Timeout,
    /// The stream, partition or broker does not exist.
    NotFound,
    /// The stream exists already.
    AlreadyExists,
    /// The request is wrong.
    InvalidRequest,
    /// The broker's state or configuration does not allow it.
    FailedPrecondition,
    /// The record was to get another offset than expected.
    IncorrectOffset,
    /// The message is over the server's limit.
    TooLarge,
    /// The caller may not make the call.
    PermissionDenied,
    /// The partition takes no messages.
    Readonly,
    /// The server does not know the call.
    Unsupported,
    /// Records that were asked for have been removed.
    Trimmed,
    /// Stored data is damaged.
    DataLoss,
    /// Anything else.
    Other,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            may_have_taken_effect: false,
            is_answer: false,
        }
    }

    /// What an ack says that is none. The texts are those of the server's statuses.
    pub(crate) fn of_ack(error: api::ack::Error) -> Self {
        let (kind, text) = match error {
            api::ack::Error::IncorrectOffset => (ErrorKind::IncorrectOffset, "incorrect expected offset"),
            api::ack::Error::TooLarge => (ErrorKind::TooLarge, "message exceeds max replication size"),
            api::ack::Error::Encryption => (ErrorKind::Other, "encryption failed on partition"),
            api::ack::Error::Ok | api::ack::Error::Unknown => (ErrorKind::Other, "the message was refused"),
        };
        Self {
            is_answer: true,
            ..Self::new(kind, text)
        }
    }

    pub(crate) fn after_send(mut self) -> Self {
        self.may_have_taken_effect = true;
        self
    }

    pub(crate) fn lost() -> Self {
        Self::new(
            ErrorKind::Unavailable,
            "the connection was lost before the answer came",
        )
        .after_send()
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether a server said so; otherwise it is what happened to the connection, or was found out on this side.
    pub fn is_answer(&self) -> bool {
        self.is_answer
    }

    /// Whether the same call can succeed later without a change.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Timeout)
    }

    /// Whether the call may have taken effect although it failed: a message may be stored, a stream created.
    pub fn may_have_taken_effect(&self) -> bool {
        self.may_have_taken_effect
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let text = status.message();
        // No server's answer has a source.
        let broken = StdError::source(&status).map(describe);
        let kind = match status.code() {
            Code::Unavailable => ErrorKind::Unavailable,
            Code::DeadlineExceeded | Code::Cancelled => ErrorKind::Timeout,
            _ if text.contains("Timeout expired") => ErrorKind::Timeout,
            Code::NotFound => ErrorKind::NotFound,
            Code::AlreadyExists => ErrorKind::AlreadyExists,
            Code::InvalidArgument if text.contains("exceeds max replication size") => ErrorKind::TooLarge,
            Code::InvalidArgument => ErrorKind::InvalidRequest,
            Code::FailedPrecondition => ErrorKind::FailedPrecondition,
            Code::PermissionDenied | Code::Unauthenticated => ErrorKind::PermissionDenied,
            Code::Unknown if text == "incorrect expected offset" => ErrorKind::IncorrectOffset,
            // The connection broke while the call was on its way.
            Code::Unknown | Code::Internal if broken.is_some() => ErrorKind::Unavailable,
            Code::Unimplemented => ErrorKind::Unsupported,
            Code::OutOfRange => ErrorKind::Trimmed,
            Code::DataLoss => ErrorKind::DataLoss,
            _ => ErrorKind::Other,
        };
        let unclear = matches!(
            status.code(),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
        );
        let may_have_taken_effect = unclear && kind != ErrorKind::IncorrectOffset;
        Self {
            kind,
            is_answer: broken.is_none(),
            message: match (broken, text) {
                (Some(reason), _) => format!("the connection to the broker broke: {reason}"),
                (None, "") => status.code().description().to_lowercase(),
                (None, text) => text.to_owned(),
            },
            may_have_taken_effect,
        }
    }
}

/// An error with its causes on one line. A cause whose text stands in the error already is left out.
fn describe(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| StdError::source(*error));
    causes.fold(String::new(), |text, cause| {
        let more = cause.to_string();
        match text.contains(&more) {
            true => text,
            false if text.is_empty() => more,
            false => format!("{text}: {more}"),
        }
    })
}
