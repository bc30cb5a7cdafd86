//! The accept loop.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::shared::Shared;
use crate::connection::welcome;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts clients until the server closes its doors. Errors, too many open files for one, are waited out.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.closing.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = FIRST_PAUSE;
                // Answers are small and must not wait for each other.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%peer, %error, "client left while it was accepted");
                    continue;
                }
                shared.spawn(welcome(Arc::clone(&shared), stream, peer));
            }
            Err(error) => {
                tracing::warn!(%error, pause_ms = pause.as_millis(), "accept failed");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}
