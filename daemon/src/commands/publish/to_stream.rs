//! Publishing to a partition of a stream, with many messages on their way.

use std::sync::Arc;

use bytes::Bytes;
use strandline_proto::api::api_client::ApiClient;
use strandline_proto::api::{AckPolicy, PublishRequest, PublishResponse};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::super::connection::refused;
use super::{PublishArgs, input_failure, tell};
use crate::exit::Failure;

/// Messages that may be on their way.
const WINDOW: usize = 4_096;
/// Requests that may wait for the connection.
const QUEUE: usize = 256;
/// No expected offset, on the wire.
const ANY_OFFSET: i64 = -1;

/// Publishes every message; an error ends it.
pub(super) async fn publish(
    args: &PublishArgs,
    mut client: ApiClient<Channel>,
    messages: mpsc::Receiver<std::io::Result<Bytes>>,
) -> Result<(), Failure> {
    let what = format!("publish to {}", args.target);
    let (requests, queue) = mpsc::channel(QUEUE);
    let window = Arc::new(Semaphore::new(WINDOW));
    let feeder = Feeder {
        template: template(args),
        waits: args.waits(),
        window: Arc::clone(&window),
        requests,
    };
    let feeding = tokio::spawn(feeder.run(messages));
    let responses = client.publish_async(ReceiverStream::new(queue)).await;
    let mut responses = responses.map_err(|status| refused(&what, &status))?.into_inner();
    let mut acked: u64 = 0;
    while let Some(response) = responses
        .message()
        .await
        .map_err(|status| refused(&what, &status))?
    {
        acked += 1;
        window.add_permits(1);
        tell(args, &outcome(args, acked, &response)?)?;
    }
    let sent = feeding
        .await
        .map_err(|error| Failure::new(format!("cannot {what}: {error}")))??;
    if args.waits() && acked < sent {
        return Err(Failure::new(format!(
            "cannot {what}: the broker ended the connection after {acked} of {sent} acks"
        )));
    }
    Ok(())
}

fn template(args: &PublishArgs) -> PublishRequest {
    PublishRequest {
        key: args.key(),
        stream: args.target.clone(),
        partition: args.partition,
        headers: args.headers(),
        ack_policy: AckPolicy::from(args.ack).into(),
        expected_offset: args.expected_offset.unwrap_or(ANY_OFFSET),
        ..PublishRequest::default()
    }
}

/// What is told about a message; an error of the broker ends the command.
fn outcome(args: &PublishArgs, number: u64, response: &PublishResponse) -> Result<String, Failure> {
    if let Some(error) = &response.async_error {
        return Err(Failure::new(format!(
            "cannot publish message {} to {}: {}",
            response.correlation_id, args.target, error.message
        )));
    }
    let offset = response.ack.as_ref().map(|ack| ack.offset);
    Ok(match offset {
        Some(offset) => format!("{} partition {} offset {offset}", args.target, args.partition),
        None => format!("{} partition {} message {number}", args.target, args.partition),
    })
}

/// Turns messages into requests as long as the window has room.
struct Feeder {
    template: PublishRequest,
    waits: bool,
    window: Arc<Semaphore>,
    requests: mpsc::Sender<PublishRequest>,
}

impl Feeder {
    /// Returns how many messages were handed over.
    async fn run(self, mut messages: mpsc::Receiver<std::io::Result<Bytes>>) -> Result<u64, Failure> {
        let mut sent: u64 = 0;
        while let Some(message) = messages.recv().await {
            let value = message.map_err(|error| input_failure(&error))?;
            if self.waits {
                // The window is never closed.
                let Ok(permit) = self.window.acquire().await else {
                    break;
                };
                permit.forget();
            }
            let expected_offset = match self.template.expected_offset {
                ANY_OFFSET => ANY_OFFSET,
                first => first.saturating_add_unsigned(sent),
            };
            sent += 1;
            let correlation_id = sent.to_string();
            let request = PublishRequest {
                value,
                expected_offset,
                correlation_id,
                ..self.template.clone()
            };
            if self.requests.send(request).await.is_err() {
                break;
            }
        }
        Ok(sent)
    }
}
