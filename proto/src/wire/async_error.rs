//! Errors on a PublishAsync stream.

use bytes::{BufMut, BytesMut};

use super::varint::{
    bytes_field_bytes, number_field_bytes, put_bytes_field, put_frame_prefix, put_number_field, put_varint,
    varint_bytes,
};

/// Codes of `PublishAsyncError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsyncErrorCode {
    /// Anything else.
    Unknown = 0,
    /// The publisher's mistake.
    BadRequest = 1,
    /// No such stream or partition.
    NotFound = 2,
    /// The broker's state.
    Internal = 3,
    /// The partition takes no messages.
    Readonly = 4,
    /// The record was to get another offset than expected.
    IncorrectOffset = 5,
    /// The message could not be encrypted.
    EncryptionFailed = 6,
    /// The publisher may not.
    PermissionDenied = 7,
}

/// An error to answer a request with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsyncError {
    /// What kind.
    pub code: AsyncErrorCode,
    /// Text; some clients compare it.
    pub message: String,
}

impl AsyncError {
    /// An error of this kind with this text.
    pub fn new(code: AsyncErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// Appends a gRPC frame of a `PublishResponse` with an error. Its ack is there but has no correlation id, so that clients
/// from before async errors pass over it.
pub fn put_async_error(out: &mut BytesMut, correlation_id: &str, error: &AsyncError) {
    let code = error.code as i64;
    let error_bytes = number_field_bytes(code) + bytes_field_bytes(error.message.len());
    let error_field_bytes = 1 + varint_bytes(error_bytes as u64) + error_bytes;
    put_frame_prefix(
        out,
        2 + error_field_bytes + bytes_field_bytes(correlation_id.len()),
    );
    out.put_slice(&[1 << 3 | 2, 0]);
    out.put_u8(2 << 3 | 2);
    put_varint(out, error_bytes as u64);
    put_number_field(out, 1, code);
    put_bytes_field(out, 2, error.message.as_bytes());
    put_bytes_field(out, 3, correlation_id.as_bytes());
}
