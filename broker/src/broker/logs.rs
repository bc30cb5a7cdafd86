//! The logs of all streams, when a broker starts and stops.

use std::sync::Arc;

use strandline_core::storage::Log;

use crate::context::Context;
use crate::streams::Expect;

/// Opens every stream of the metadata, and finishes what a crash interrupted.
pub(super) async fn open_streams(context: &Arc<Context>) {
    let state = context.metadata.state();
    for entry in state.streams() {
        context.opener.open(entry, Expect::Existing).await;
    }
    let mut removed = Vec::new();
    for log in state.pending_removals(context.metadata.broker()) {
        match context.opener.delete_log(log).await {
            Ok(()) => removed.push(log),
            Err(error) => tracing::warn!(%log, %error, "a deleted log could not be removed"),
        }
    }
    if !removed.is_empty()
        && let Err(error) = context.metadata.logs_removed(removed).await
    {
        tracing::warn!(%error, "the removal of deleted logs could not be recorded");
    }
    for engine in context.opener.stores.opened() {
        let found = engine.store().ok().and_then(|store| store.list().ok());
        for log in found.into_iter().flatten().filter(|&log| !state.knew_log(log)) {
            tracing::warn!(%log, "the data directory holds a log that no stream ever had; it is left alone");
        }
    }
}

/// Closes every log, so that the next start need not look at its end.
pub(super) async fn close_logs(context: &Arc<Context>) {
    let (streams, stores) = (context.streams.all(), Arc::clone(&context.opener.stores));
    let close = move || {
        for handle in streams.iter().flat_map(|stream| stream.open()) {
            if let Err(error) = handle.log().close() {
                tracing::error!(stream = %handle.info().stream, %error, "a log could not be closed cleanly");
            }
        }
        stores.close();
    };
    if tokio::task::spawn_blocking(close).await.is_err() {
        tracing::error!("the logs could not be closed");
    }
}
