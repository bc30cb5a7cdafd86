//! The messages of a subscription.

use strandline_proto::wire::PublishedMessageRef;

use super::call::Responses;
use crate::error::BenchError;

/// gRPC's code for "stop offset reached".
const RESOURCE_EXHAUSTED: i32 = 8;

/// Reads values.
#[derive(Debug)]
pub(crate) struct GrpcValues {
    responses: Responses,
    is_begun: bool,
}

impl GrpcValues {
    pub(crate) fn new(responses: Responses) -> Self {
        Self {
            responses,
            is_begun: false,
        }
    }

    /// Waits until the server has begun the subscription, which it says with an empty message.
    pub(crate) async fn begun(&mut self) -> Result<(), BenchError> {
        while !self.is_begun {
            if self.next_messages(|_| Ok(())).await?.is_none() {
                return Err(BenchError::Ended {
                    what: "subscription",
                    reason: "before it began".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Number of messages of the next DATA frame, none at the end. Values are not looked at.
    pub(crate) async fn count(&mut self) -> Result<Option<u64>, BenchError> {
        self.next_messages(|_| Ok(())).await
    }

    /// Hands out the values of the next DATA frame; none at the end.
    pub(crate) async fn values(&mut self, mut each: impl FnMut(&[u8])) -> Result<Option<u64>, BenchError> {
        let each = |message: &[u8]| {
            let message = PublishedMessageRef::scan(message).map_err(|error| BenchError::Ended {
                what: "subscription",
                reason: error.to_string(),
            })?;
            each(message.value);
            Ok(())
        };
        self.next_messages(each).await
    }

    async fn next_messages(
        &mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), BenchError>,
    ) -> Result<Option<u64>, BenchError> {
        let (mut count, mut is_begun) = (0, self.is_begun);
        let each = |message: &[u8]| {
            if !std::mem::replace(&mut is_begun, true) {
                return Ok(());
            }
            count += 1;
            each(message)
        };
        let is_open = self.responses.next(RESOURCE_EXHAUSTED, each).await?;
        self.is_begun = is_begun;
        Ok(is_open.then_some(count))
    }
}
