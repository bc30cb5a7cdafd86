//! Publishing to a NATS subject.

use bytes::Bytes;
use strandline_client::{Client, Error, ErrorKind};
use tokio::sync::mpsc;

use super::super::connection::refused;
use super::{PublishArgs, input_failure, place, tell};
use crate::exit::Failure;

/// Publishes every message, one after another, so that they keep their order; an error ends it.
pub(super) async fn publish(
    args: &PublishArgs,
    client: Client,
    mut messages: mpsc::Receiver<std::io::Result<Bytes>>,
) -> Result<(), Failure> {
    while let Some(message) = messages.recv().await {
        let value = message.map_err(|error| input_failure(&error))?;
        let answer = client.publish_to_subject(&args.target, args.message(value)).await;
        match answer.map_err(|error| failure(args, &error))? {
            Some(ack) => tell(
                args,
                &format!("{} stream {} {}", args.target, ack.stream, place(&ack)),
            )?,
            None => tell(args, &format!("{} sent", args.target))?,
        }
    }
    Ok(())
}

fn failure(args: &PublishArgs, error: &Error) -> Failure {
    if error.kind() == ErrorKind::Timeout {
        return Failure::new(format!(
            "no stream acked the message on {}; use --ack none if none records it",
            args.target
        ));
    }
    refused(&format!("publish to {}", args.target), error)
}
