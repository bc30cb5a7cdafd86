//! PushPlugin: a module in pieces.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Status, Streaming};

use strandline_core::plugin::{ModuleName, Sha256};
use strandline_proto::admin::push_plugin_request::Part;
use strandline_proto::admin::{PushPluginHead, PushPluginRequest, PushPluginResponse};

use super::super::super::errors;
use super::{show, status};
use crate::context::Context;

/// Longest pause between two pieces: who pushes holds up others.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// What is announced before the bytes.
struct Head {
    name: ModuleName,
    size: usize,
    sha256: Sha256,
}

/// Takes a module, checks it and keeps it.
pub(in crate::grpc::admin) async fn push(
    context: &Arc<Context>,
    by: String,
    mut parts: Streaming<PushPluginRequest>,
) -> Result<PushPluginResponse, Status> {
    let plugins = &context.plugins;
    let head = match next(&mut parts).await? {
        Some(Part::Head(head)) => read_head(&head, plugins.module_max_bytes())?,
        _ => {
            return Err(status::missing(
                "the head of the push, which comes before its bytes,",
            ));
        }
    };
    // Before anything is held in memory.
    let _turn = plugins.push_turn().await.ok_or_else(errors::stopping)?;
    let bytes = read_bytes(&mut parts, &head).await?;
    let name = head.name.clone();
    tracing::info!(plugin = %name, bytes = bytes.len(), sha256 = %head.sha256, %by, "a plugin is pushed");
    // It goes on when nobody waits for it any more: a file would be left without a word otherwise.
    let pushed = context
        .tasks
        .spawn(Arc::clone(plugins).push(head.name, bytes, by))
        .await;
    let pushed = pushed.map_err(|_| errors::stopping())?;
    let (version, added) = pushed.map_err(|error| status::refused(&error))?;
    Ok(PushPluginResponse {
        name: name.to_string(),
        version: Some(show::version(&version)),
        added,
    })
}

fn read_head(head: &PushPluginHead, max: usize) -> Result<Head, Status> {
    let sha256 = <[u8; 32]>::try_from(&head.sha256[..]);
    let sha256 = sha256.map_err(|_| Status::invalid_argument("sha256 must have 32 bytes"))?;
    let size = usize::try_from(head.size).unwrap_or(usize::MAX);
    if size > max {
        return Err(Status::invalid_argument(format!(
            "the plugin has {size} bytes, over the limit of {max} (plugins.module.max.bytes)"
        )));
    }
    Ok(Head {
        name: status::module_name(&head.name)?,
        size,
        sha256: Sha256::new(sha256),
    })
}

/// The next part; none at the end.
async fn next(parts: &mut Streaming<PushPluginRequest>) -> Result<Option<Part>, Status> {
    let late = |_| Status::deadline_exceeded("the next piece of the plugin did not come in time");
    let request = tokio::time::timeout(PIECE_TIMEOUT, parts.message())
        .await
        .map_err(late)??;
    match request {
        None => Ok(None),
        Some(PushPluginRequest { part: Some(part) }) => Ok(Some(part)),
        Some(PushPluginRequest { part: None }) => Err(status::missing("a part of the push")),
    }
}

/// The bytes, which are what was announced.
async fn read_bytes(parts: &mut Streaming<PushPluginRequest>, head: &Head) -> Result<Vec<u8>, Status> {
    let mut bytes = Vec::new();
    while let Some(part) = next(parts).await? {
        let Part::Bytes(piece) = part else {
            return Err(Status::invalid_argument(
                "only bytes come behind the head of a push",
            ));
        };
        if bytes.len() + piece.len() > head.size {
            return Err(Status::invalid_argument(format!(
                "more than the {} bytes announced",
                head.size
            )));
        }
        bytes.extend_from_slice(&piece);
    }
    if bytes.len() != head.size {
        let text = format!("{} bytes arrived, {} were announced", bytes.len(), head.size);
        return Err(Status::invalid_argument(text));
    }
    let found = crate::plugins::sha256(&bytes);
    if found != head.sha256 {
        let text = format!(
            "the bytes that arrived have the SHA-256 {found}, {} was announced",
            head.sha256
        );
        return Err(Status::invalid_argument(text));
    }
    Ok(bytes)
}
