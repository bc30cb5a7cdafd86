//! The statuses of the API, by operation.
//!
//! Codes, capitals and wording are Liftbridge's wherever it has such a status, because clients and their tests compare
//! them; what only this server says follows the house style. Details come after Liftbridge's words, never instead.

use std::fmt::Display;

use tonic::Status;

use crate::text;
use crate::wire::FrameError;

pub mod cursor;
pub mod group;
pub mod metadata;
pub mod publish;
pub mod stream;
pub mod subscribe;

#[cfg(test)]
mod tests;

/// The server is going away. The only code on which clients connect again and resume their subscriptions.
pub fn stopping() -> Status {
    Status::unavailable("the broker is stopping")
}

/// A call that this version does not serve.
pub fn unimplemented(call: &str) -> Status {
    Status::unimplemented(format!("{call} is not supported by this version"))
}

/// The client may not make this call on this stream or subject.
pub fn not_authorized(method: &str, resource: &str) -> Status {
    Status::permission_denied(text::not_authorized(method, resource))
}

/// A change needs a leader of the metadata cluster and there is none. Clients try again when the text is exactly this.
pub fn no_metadata_leader() -> Status {
    Status::internal("no known metadata leader")
}

/// The bytes of a request are not one.
pub fn malformed(error: &dyn Display) -> Status {
    Status::invalid_argument(format!("request is malformed: {error}"))
}

/// The client closed its side within a message.
pub fn truncated_request() -> Status {
    Status::invalid_argument("request ends within a message")
}

/// The data of a request is refused before it is read, with the codes that gRPC libraries use.
pub fn frame(error: &FrameError) -> Status {
    match error {
        FrameError::Compressed => Status::unimplemented(error.to_string()),
        FrameError::TooLarge { .. } => Status::resource_exhausted(error.to_string()),
    }
}
