//! Publishing to a partition of a stream, with many messages on their way.

use bytes::Bytes;
use strandline_client::{Client, Partitioning, PendingAck};
use tokio::sync::mpsc;

use super::super::connection::refused;
use super::{PublishArgs, input_failure, place, tell};
use crate::exit::Failure;

/// Messages that may be on their way.
const WINDOW: u32 = 4_096;

/// Publishes every message; an error ends it.
pub(super) async fn publish(
    args: &PublishArgs,
    client: Client,
    mut messages: mpsc::Receiver<std::io::Result<Bytes>>,
) -> Result<(), Failure> {
    let what = format!("publish to {}", args.target);
    let partition = u32::try_from(args.partition).unwrap_or_default();
    let builder = client.publisher(&args.target).window(WINDOW);
    let publisher = builder.partitioning(Partitioning::Fixed(partition)).open().await;
    let mut publisher = publisher.map_err(|error| refused(&what, &error))?;
    let (acks, answers) = mpsc::channel(WINDOW as usize);
    let send = async {
        let mut sent: u64 = 0;
        while let Some(message) = messages.recv().await {
            let value = message.map_err(|error| input_failure(&error))?;
            let mut message = args.message(value);
            if let Some(first) = args.expected_offset {
                message = message.expected_offset(first.unsigned_abs().saturating_add(sent));
            }
            sent += 1;
            let ack = publisher
                .send(message)
                .await
                .map_err(|error| refused(&what, &error))?;
            if args.waits() && acks.send(ack).await.is_err() {
                break;
            }
        }
        drop(acks);
        publisher.close().await.map_err(|error| refused(&what, &error))
    };
    // The reason of a refusal counts, not that the connection ends behind it.
    let (sent, told) = tokio::join!(send, tell_all(args, answers));
    told.and(sent)
}

/// Tells what became of each message, in their order.
async fn tell_all(args: &PublishArgs, mut answers: mpsc::Receiver<PendingAck>) -> Result<(), Failure> {
    let mut number: u64 = 0;
    while let Some(ack) = answers.recv().await {
        number += 1;
        let what = format!("publish message {number} to {}", args.target);
        let ack = ack.await.map_err(|error| refused(&what, &error))?;
        tell(
            args,
            &format!("{} partition {} {}", args.target, args.partition, place(&ack)),
        )?;
    }
    Ok(())
}
