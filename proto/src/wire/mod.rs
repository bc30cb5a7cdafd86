//! The hot path's messages, read and written in place.
//!
//! What is read borrows from the bytes it came in, what is written is appended to a buffer of the caller's: no allocation
//! per message. The readers take and refuse exactly what the generated decoders do, and the writers make the bytes that
//! the generated encoders would; property tests hold them to it.

mod ack;
mod async_error;
mod envelope;
mod frame_reader;
mod headers;
mod message;
mod publish;
mod scan;
mod varint;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use ack::{AckError, AckFields, AckTemplate};
pub use async_error::{AsyncError, AsyncErrorCode, put_async_error};
pub use envelope::{EnvelopeFields, put_publish_envelope};
pub use frame_reader::{FRAME_PREFIX_BYTES, FrameError, FrameReader};
pub use headers::{EncodedHeaders, HeaderIter, HeadersRef};
pub use message::{BatchFrames, MessageFramer, PROGRESS_HEADER};
pub use publish::{PublishRequestRef, PublishedMessageRef};
pub use scan::ScanError;
