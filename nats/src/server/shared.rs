//! What all connections of a server share.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::credentials::Credentials;
use super::info::InfoSource;
use super::limits::{Limits, TlsSetup};
use super::refusals::Refusals;
use super::stats::{Counters, add};
use super::unfinished::Unfinished;
use crate::auth::{Authenticator, Identity};
use crate::connection::{CloseReason, ConnectOptions, Connection};
use crate::router::Router;

/// The server as its connections see it.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) router: Arc<Router>,
    pub(crate) counters: Counters,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) tls: Option<TlsSetup>,
    pub(crate) info: InfoSource,
    pub(crate) unfinished: Unfinished,
    /// Set once nobody is served any more.
    pub(crate) stop: CancellationToken,
    /// Set once nobody new is accepted.
    pub(super) closing: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) runtime: Handle,
    pub(super) reserved: Vec<Box<[u8]>>,
    /// Password checks that run at the same time.
    pub(super) checks: Semaphore,
    pub(super) refusals: Refusals,
    pub(super) connections: Mutex<HashMap<u64, Arc<Connection>>>,
    pub(super) places_taken: AtomicUsize,
    pub(super) last_id: AtomicU64,
}

/// One of `max_connections`, free again when dropped.
pub(crate) struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places_taken.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Shared {
    pub(crate) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The largest payload a client may send, in bytes.
    pub(crate) fn max_payload(&self) -> usize {
        self.info.max_payload.load(Ordering::Acquire)
    }

    /// Whether clients may not publish there.
    pub(crate) fn is_reserved(&self, subject: &[u8]) -> bool {
        self.reserved.iter().any(|prefix| subject.starts_with(prefix))
    }

    /// A place for one more client, if there is one.
    pub(crate) fn take_place(self: &Arc<Self>) -> Option<Place> {
        let max = self.limits.max_connections.unwrap_or(usize::MAX);
        let one_more = |taken: usize| (taken < max).then(|| taken + 1);
        let taken = self
            .places_taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        match taken {
            Ok(_) => {
                add(&self.counters.total_connections, 1);
                Some(Place(Arc::clone(self)))
            }
            Err(_) => {
                add(&self.counters.turned_away, 1);
                None
            }
        }
    }

    /// Runs a task that the server waits for when it stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    pub(crate) fn remember(&self, connection: &Arc<Connection>) {
        self.connections
            .lock()
            .insert(connection.id, Arc::clone(connection));
        if self.stop.is_cancelled() {
            connection.close(CloseReason::Shutdown); // It came while the others were told.
        }
    }

    pub(crate) fn forget(&self, connection: &Connection, reason: CloseReason) {
        self.connections.lock().remove(&connection.id);
        if reason.is_slow_consumer() {
            add(&self.counters.slow_consumers, 1);
            tracing::warn!(connection = connection.id, %reason, "connection closed");
        } else {
            tracing::debug!(connection = connection.id, %reason, "connection closed");
        }
    }

    /// Checks who a client is, on a thread that may take its time.
    pub(crate) async fn authenticate(
        &self,
        options: ConnectOptions,
        credentials: Credentials,
    ) -> Result<(ConnectOptions, Identity), ()> {
        let peer = credentials.peer;
        let authenticator = Arc::clone(&self.authenticator);
        let Ok(turn) = self.checks.acquire().await else {
            return Err(());
        };
        let check = move || {
            let nonce = credentials.nonce.as_deref();
            let result = authenticator.authenticate(&options, nonce, &credentials.certificates);
            (options, result)
        };
        let checked = self.runtime.spawn_blocking(check).await;
        drop(turn);
        match checked {
            Ok((options, Ok(identity))) => Ok((options, identity)),
            Ok((_, Err(denied))) => {
                add(&self.counters.refused_credentials, 1);
                tracing::info!(%peer, %denied, "client refused");
                tokio::time::sleep(self.refusals.note(peer.ip(), Instant::now())).await;
                Err(())
            }
            Err(error) => {
                tracing::error!(%peer, %error, "credential check did not finish");
                Err(())
            }
        }
    }

    /// Sends an INFO to every client that understands later ones.
    pub(super) fn announce(&self) {
        let connections: Vec<_> = self.connections.lock().values().cloned().collect();
        for connection in connections.iter().filter(|connection| connection.takes_info()) {
            connection.push(&mut self.info.later(connection.id));
            connection.write();
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
