//! Publishing to a NATS subject.

use bytes::Bytes;
use strandline_proto::api::api_client::ApiClient;
use strandline_proto::api::{AckPolicy, PublishToSubjectRequest};
use tokio::sync::mpsc;
use tonic::transport::Channel;

use super::super::connection::{is_timeout, refused};
use super::{PublishArgs, input_failure, tell};
use crate::exit::Failure;

/// Publishes every message, one after another, so that they keep their order; an error ends it.
pub(super) async fn publish(
    args: &PublishArgs,
    mut client: ApiClient<Channel>,
    mut messages: mpsc::Receiver<std::io::Result<Bytes>>,
) -> Result<(), Failure> {
    while let Some(message) = messages.recv().await {
        let value = message.map_err(|error| input_failure(&error))?;
        let request = PublishToSubjectRequest {
            key: args.key(),
            value,
            subject: args.target.clone(),
            headers: args.headers(),
            ack_policy: AckPolicy::from(args.ack).into(),
            ..PublishToSubjectRequest::default()
        };
        let answer = client
            .publish_to_subject(request)
            .await
            .map_err(|status| failure(args, &status))?;
        match answer.into_inner().ack {
            Some(ack) => tell(
                args,
                &format!("{} stream {} offset {}", args.target, ack.stream, ack.offset),
            )?,
            None => tell(args, &format!("{} sent", args.target))?,
        }
    }
    Ok(())
}

fn failure(args: &PublishArgs, status: &tonic::Status) -> Failure {
    if is_timeout(status) {
        return Failure::new(format!(
            "no stream acked the message on {}; use --ack none if none records it",
            args.target
        ));
    }
    refused(&format!("publish to {}", args.target), status)
}
