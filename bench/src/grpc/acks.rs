//! The answers to a stream of publishes.

use prost::Message as _;
use strandline_proto::api::PublishResponse;

use super::call::Responses;
use crate::error::BenchError;

/// Counts acks.
#[derive(Debug)]
pub(crate) struct GrpcAcks(Responses);

impl GrpcAcks {
    pub(crate) fn new(responses: Responses) -> Self {
        Self(responses)
    }

    /// How many messages the next DATA frame acks.
    ///
    /// # Errors
    ///
    /// The server has refused one of them, or the call is over.
    pub(crate) async fn next(&mut self) -> Result<u64, BenchError> {
        let mut count = 0;
        let is_open = self.0.next(0, |message| {
            count += 1;
            check(message)
        });
        if is_open.await? {
            return Ok(count);
        }
        Err(BenchError::Ended {
            what: "call",
            reason: "without a status".to_owned(),
        })
    }
}

/// A refused message is answered with an ack that is there but empty, and the error behind it.
fn check(message: &[u8]) -> Result<(), BenchError> {
    if let [0x0a, length, ..] = message
        && *length != 0
    {
        return Ok(());
    }
    let reason = match PublishResponse::decode(message) {
        Ok(response) => response
            .async_error
            .map(|error| error.message)
            .unwrap_or_default(),
        Err(error) => error.to_string(),
    };
    Err(BenchError::Refused {
        what: "a message".to_owned(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use strandline_proto::api::{Ack, PublishAsyncError};

    use super::*;

    #[test]
    fn a_refusal_is_told_from_an_ack_and_repeated() {
        let ack = PublishResponse {
            ack: Some(Ack {
                stream: "s".to_owned(),
                ..Ack::default()
            }),
            ..PublishResponse::default()
        };
        assert!(check(&ack.encode_to_vec()).is_ok());
        let refusal = PublishResponse {
            ack: Some(Ack::default()),
            async_error: Some(PublishAsyncError {
                code: 3,
                message: "disk full".to_owned(),
            }),
            ..PublishResponse::default()
        };
        let error = check(&refusal.encode_to_vec()).unwrap_err();
        assert_eq!(error.to_string(), "the server refused a message: disk full");
        assert!(check(b"\x0a").is_err());
    }
}
