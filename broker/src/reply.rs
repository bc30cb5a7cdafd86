//! Durable publishing for plain NATS clients: a request with a header gets its offset as a reply.
//!
//! A request on a stream's subject that carries the header `Strandline-Ack: leader` or `Strandline-Ack: all` is answered
//! on its reply subject once its record is durable or committed, by one JSON object per stream that recorded it. An offset
//! of -1 says that a filter of the stream kept the message out of it:
//!
//! ```text
//! {"stream":"orders","partition":0,"offset":41}
//! {"stream":"orders","partition":0,"offset":-1}
//! {"stream":"orders","partition":0,"error":"message exceeds max replication size"}
//! ```

use serde::Serialize;

use strandline_core::stream::AckPolicy;
use strandline_proto::convert;
use strandline_proto::wire::AckError;

use crate::partition::{Ack, PartitionInfo, Reject};

/// The header that asks for an answer.
pub(crate) const ACK_HEADER: &str = "Strandline-Ack";

/// A reply, ready to be published.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) headers: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

#[derive(Serialize)]
struct Body<'a> {
    stream: &'a str,
    partition: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The answer to one request.
pub(crate) fn ack_reply(partition: &PartitionInfo, ack: &Ack<'_>) -> Reply {
    let body = Body {
        stream: partition.stream.as_str(),
        partition: partition.partition.get(),
        offset: ack.outcome.ok().map(convert::wire_ack_offset),
        error: ack.outcome.err().map(|reject| reject.to_string()),
    };
    // Strings and numbers always serialize.
    Reply {
        headers: Vec::new(),
        payload: serde_json::to_vec(&body).unwrap_or_default(),
    }
}

/// The policy that a header block asks for, if it holds our header. A value that is no policy counts as `leader`: the
/// client waits for an answer, and the safe one is the one after the sync.
pub(crate) fn wanted_policy(headers: &[u8]) -> Option<AckPolicy> {
    let mut lines = headers.split(|&byte| byte == b'\n').skip(1);
    lines.find_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        if !name.eq_ignore_ascii_case(ACK_HEADER.as_bytes()) {
            return None;
        }
        let value = value.get(1..)?.trim_ascii();
        Some(if value.eq_ignore_ascii_case(b"all") {
            AckPolicy::All
        } else {
            AckPolicy::Leader
        })
    })
}

/// The wire's number for a refusal.
pub(crate) fn ack_error(reject: Reject) -> AckError {
    match reject {
        Reject::IncorrectOffset => AckError::IncorrectOffset,
        Reject::TooLarge => AckError::TooLarge,
        _ => AckError::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ack_header_is_found_whatever_its_case() {
        let policy = |block: &str| wanted_policy(block.as_bytes());
        assert_eq!(
            policy("NATS/1.0\r\nA: b\r\nstrandline-ack: all\r\n\r\n"),
            Some(AckPolicy::All)
        );
        assert_eq!(
            policy("NATS/1.0\r\nStrandline-Ack:leader\r\n\r\n"),
            Some(AckPolicy::Leader)
        );
        assert_eq!(policy("NATS/1.0\r\nOther: all\r\n\r\n"), None);
        assert_eq!(policy("Strandline-Ack: all"), None);
        assert_eq!(policy(""), None);
    }
}
