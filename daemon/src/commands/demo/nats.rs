//! The plain NATS client of the demonstration.

use std::time::Duration;

use async_nats::HeaderMap;

use crate::exit::{Failure, describe};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Publishes so many messages, the last one as a request for an ack, and returns the answer: as they come in order, it
/// stands for all of them.
pub(super) async fn publish(server: &str, messages: u32) -> Result<String, Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(format!("nats at {server}: {}", describe(error)))
    };
    let client = async_nats::connect(server)
        .await
        .map_err(|error| failed(&error))?;
    for number in 1..messages {
        let text = format!("message {number} of {messages}");
        client
            .publish("demo.plain", text.into())
            .await
            .map_err(|error| failed(&error))?;
    }
    let mut headers = HeaderMap::new();
    headers.insert("Strandline-Ack", "leader");
    let last = format!("message {messages} of {messages}");
    let request = client.request_with_headers("demo.plain", headers, last.into());
    let reply = tokio::time::timeout(PATIENCE, request)
        .await
        .map_err(|_| Failure::new("the broker did not answer in time"))?
        .map_err(|error| failed(&error))?;
    String::from_utf8(reply.payload.to_vec()).map_err(|error| failed(&error))
}
