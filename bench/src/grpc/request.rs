//! Requests of the API, encoded once.

use bytes::Bytes;
use prost::Message as _;
use strandline_proto::api::{PublishRequest, StartPosition, StopPosition, SubscribeRequest};

use crate::message::Template;
use crate::subscriber::From;

/// A message for a partition of a stream, acked when it is durable.
pub(crate) fn publish_template(
    stream: &str,
    partition: u32,
    value: &[u8],
    header: Option<(&str, String)>,
) -> Template {
    let request = PublishRequest {
        stream: stream.to_owned(),
        partition: i32::try_from(partition).unwrap_or(i32::MAX),
        value: Bytes::copy_from_slice(value),
        correlation_id: "0123456789".to_owned(),
        expected_offset: -1,
        headers: header
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect(),
        ..PublishRequest::default()
    };
    let bytes = framed(&request.encode_to_vec()).to_vec();
    let value_at = memchr::memmem::find(&bytes, value).unwrap_or_default();
    Template { bytes, value_at }
}

/// A subscription to partition 0.
pub(crate) fn subscribe_request(stream: &str, from: From) -> Bytes {
    let (start, stop) = match from {
        From::Earliest => (StartPosition::Earliest, StopPosition::StopLatest),
        From::New => (StartPosition::NewOnly, StopPosition::StopOnCancel),
    };
    let request = SubscribeRequest {
        stream: stream.to_owned(),
        start_position: start.into(),
        stop_position: stop.into(),
        ..SubscribeRequest::default()
    };
    framed(&request.encode_to_vec())
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0][..], &length.to_be_bytes(), message].concat().into()
}
