//! FetchPlugin: the bytes of a version in pieces.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use strandline_proto::admin::fetch_plugin_response::Part;
use strandline_proto::admin::{FetchPluginRequest, FetchPluginResponse, PluginVersion};

use super::super::super::errors;
use super::{show, status};
use crate::context::Context;

/// Bytes that are sent at once.
const PIECE_BYTES: usize = 256 << 10;
/// Longest time that a piece waits for who fetches: others wait for their turn.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// What is sent.
pub(in crate::grpc::admin) type Pieces = ReceiverStream<Result<FetchPluginResponse, Status>>;

/// Sends a version: what it is, then its bytes.
pub(in crate::grpc::admin) async fn fetch(
    context: &Arc<Context>,
    request: &FetchPluginRequest,
) -> Result<Pieces, Status> {
    let plugins = &context.plugins;
    let name = status::module_name(&request.name)?;
    let version = Some(request.version).filter(|&version| version > 0);
    // Before anything is held in memory.
    let turn = plugins.fetch_turn().await.ok_or_else(errors::stopping)?;
    let fetched = plugins.fetch(name, version).await;
    let (version, bytes) = fetched.map_err(|error| status::refused(&error))?;
    let parts = parts(show::version(&version), bytes.into());
    let (sender, pieces) = mpsc::channel(1);
    let stopping = context.stopping.clone();
    context.tasks.spawn(async move {
        let send = send(parts, &sender);
        tokio::select! {
            biased;
            () = stopping.cancelled() => {}
            () = send => {}
        }
        drop(turn);
    });
    Ok(ReceiverStream::new(pieces))
}

/// Sends all parts, as long as they are taken.
async fn send(parts: impl Iterator<Item = Part>, to: &mpsc::Sender<Result<FetchPluginResponse, Status>>) {
    for part in parts {
        let response = FetchPluginResponse { part: Some(part) };
        if to.send_timeout(Ok(response), PIECE_TIMEOUT).await.is_err() {
            return;
        }
    }
}

fn parts(version: PluginVersion, bytes: Bytes) -> impl Iterator<Item = Part> {
    let starts = (0..bytes.len()).step_by(PIECE_BYTES);
    let pieces = starts.map(move |start| bytes.slice(start..bytes.len().min(start + PIECE_BYTES)));
    std::iter::once(Part::Version(version)).chain(pieces.map(Part::Bytes))
}
