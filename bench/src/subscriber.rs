//! A reader of a stream, whatever the server.

use std::time::Duration;

use crate::error::BenchError;
use crate::grpc::GrpcValues;
use crate::nats::NatsReader;

/// How long a message may be waited for before the server counts as dead.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a subscription begins, and with that where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// With the oldest message; it ends with the one that is the newest now.
    Earliest,
    /// With the next message; it does not end.
    New,
}

/// One connection that reads.
#[derive(Debug)]
pub(crate) enum Subscriber {
    Grpc(GrpcValues),
    JetStream(NatsReader),
}

impl Subscriber {
    /// Reads until so many messages have come or the subscription ends; says how many have.
    pub(crate) async fn count(&mut self, wanted: u64) -> Result<u64, BenchError> {
        let mut total = 0;
        while total < wanted {
            let next = async {
                match self {
                    Self::Grpc(values) => values.count().await,
                    Self::JetStream(reader) => reader.receive(|_| {}).await.map(Some),
                }
            };
            match patient(next).await? {
                Some(count) => total += count,
                None => break,
            }
        }
        Ok(total)
    }

    /// Hands out the values that come next; none at the end.
    pub(crate) async fn values(&mut self, mut each: impl FnMut(&[u8])) -> Result<Option<u64>, BenchError> {
        let next = async {
            match self {
                Self::Grpc(values) => values.values(&mut each).await,
                Self::JetStream(reader) => reader.receive(|message| each(message.payload)).await.map(Some),
            }
        };
        patient(next).await
    }
}

async fn patient<T>(next: impl Future<Output = Result<T, BenchError>>) -> Result<T, BenchError> {
    tokio::time::timeout(PATIENCE, next)
        .await
        .unwrap_or(Err(BenchError::Silent {
            what: "message",
            waited: PATIENCE,
        }))
}
