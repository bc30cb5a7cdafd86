//! The server's handle.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accept::accept;
use super::info::{InfoSource, new_server_id};
use super::lame_duck;
use super::limits::Limits;
use super::refusals::Refusals;
use super::shared::Shared;
use super::stats::{Counters, Stats};
use super::unfinished::Unfinished;
use crate::auth::Authenticator;
use crate::connection::CloseReason;
use crate::delivery::Dispatcher;
use crate::local::{LocalPublisher, LocalSink, LocalSubscription, SubscribeError};
use crate::options::Options;
use crate::router::Router;

/// How long connections may take to end when the server stops.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// A running NATS server; a cheap handle. The server runs until [`shutdown`](Self::shutdown), dropped handles or not.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Bound and not yet accepting.
    listener: Arc<Mutex<Option<TcpListener>>>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} for NATS clients: {source}; is another server running there?")]
    Listen {
        /// The address as configured.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// Users, permissions or TLS files are not usable.
    #[error("cannot use the NATS server's options: {0}")]
    Options(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Server {
    /// Binds the address and begins to serve.
    ///
    /// # Errors
    /// The address is taken or not ours, or the options contradict themselves or name files that are not there.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let server = Self::bind(options).await?;
        server.accept();
        Ok(server)
    }

    /// Binds the address. Clients wait until [`accept`](Self::accept), so that everybody in this process who must not miss
    /// a message can subscribe before the first one comes.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn bind(options: Options) -> Result<Self, StartError> {
        let authenticator =
            Authenticator::from_options(&options).map_err(|error| StartError::Options(error.into()))?;
        let tls = crate::tls::setup(&options).map_err(|error| StartError::Options(error.into()))?;
        for doubt in options.doubts() {
            tracing::warn!("{doubt}");
        }
        let configured = format_address(&options.host, options.port);
        let listen_error = |source| StartError::Listen {
            address: configured.clone(),
            source,
        };
        let listener = TcpListener::bind((options.host.trim_matches(['[', ']']), options.port)).await;
        let listener = listener.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let shared = Arc::new(new_shared(&options, address, authenticator, tls));
        Ok(Self {
            shared,
            address,
            listener: Arc::new(Mutex::new(Some(listener))),
        })
    }

    /// Begins to serve clients. Harmless when repeated.
    pub fn accept(&self) {
        if let Some(listener) = self.listener.lock().take() {
            self.shared.spawn(accept(Arc::clone(&self.shared), listener));
            tracing::info!(address = %self.address, "nats server listens");
        }
    }

    /// The bound address, with the port that the system chose if 0 was asked for.
    pub fn client_addr(&self) -> SocketAddr {
        self.address
    }

    /// Subscribes a part of this process. With a queue, it shares with the network members of that group. When this
    /// returns, every publish that any connection handles later is delivered.
    ///
    /// # Errors
    /// The filter or the queue name is not valid.
    pub fn subscribe(
        &self,
        filter: &str,
        queue: Option<&str>,
        sink: Arc<dyn LocalSink>,
    ) -> Result<LocalSubscription, SubscribeError> {
        LocalSubscription::open(Arc::clone(&self.shared.router), filter, queue, sink)
    }

    /// A publisher for one task or thread of this process.
    pub fn publisher(&self) -> LocalPublisher {
        LocalPublisher::new(Dispatcher::new(Arc::clone(&self.shared)))
    }

    /// Changes the largest payload, in bytes, and tells the clients.
    pub fn set_max_payload(&self, max_payload: usize) {
        self.shared.info.max_payload.store(max_payload, Ordering::Release);
        self.shared.announce();
    }

    /// Leaves gently: accepts nobody, tells the clients to connect elsewhere, and after the grace period closes them one
    /// by one over the lame duck duration; then shuts down. A second call returns at once.
    ///
    /// Cancel safe: what was begun stays begun, [`shutdown`](Self::shutdown) ends it.
    pub async fn lame_duck(&self) {
        if lame_duck::leave(&self.shared).await {
            self.shutdown().await;
        }
    }

    /// Stops accepting, closes every connection after writing what is queued, and waits for that, some seconds at most.
    /// Harmless when repeated.
    pub async fn shutdown(&self) {
        self.shared.closing.cancel();
        self.shared.stop.cancel();
        let connections: Vec<_> = self.shared.connections.lock().values().cloned().collect();
        connections
            .iter()
            .for_each(|connection| connection.close(CloseReason::Shutdown));
        drop(connections);
        self.shared.tasks.close();
        if tokio::time::timeout(STOP_WAIT, self.shared.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(left = self.shared.tasks.len(), "connections did not end in time");
        }
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        let (mut connections, mut pending, mut largest) = (0, 0_u64, 0);
        for connection in self.shared.connections.lock().values() {
            let bytes = connection.pending_bytes() as u64;
            (connections, pending, largest) =
                (connections + 1, pending.saturating_add(bytes), bytes.max(largest));
        }
        let limits = &self.shared.limits;
        let (unfinished, max_unfinished) = self.shared.unfinished.bytes();
        Stats {
            unfinished_bytes: unfinished as u64,
            max_unfinished_bytes: max_unfinished as u64,
            max_connections: limits.max_connections.map(|max| max as u64),
            pending_bytes: pending,
            largest_pending_bytes: largest,
            max_pending_bytes: limits.max_pending as u64,
            ..self
                .shared
                .counters
                .snapshot(connections, self.shared.router.count())
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn new_shared(
    options: &Options,
    address: SocketAddr,
    authenticator: Authenticator,
    tls: Option<super::TlsSetup>,
) -> Shared {
    let parallel_checks = std::thread::available_parallelism().map_or(1, usize::from);
    Shared {
        limits: Limits::from_options(options),
        router: Arc::new(Router::default()),
        counters: Counters::default(),
        info: new_info(options, address, &authenticator, tls.as_ref()),
        authenticator: Arc::new(authenticator),
        tls,
        unfinished: Unfinished::new(options.max_payload),
        stop: CancellationToken::new(),
        closing: CancellationToken::new(),
        tasks: TaskTracker::new(),
        runtime: Handle::current(),
        reserved: options
            .reserved_prefixes
            .iter()
            .map(|prefix| prefix.as_bytes().into())
            .collect(),
        checks: Semaphore::new(parallel_checks),
        refusals: Refusals::default(),
        connections: Mutex::default(),
        places_taken: AtomicUsize::new(0),
        last_id: AtomicU64::new(0),
    }
}

fn new_info(
    options: &Options,
    address: SocketAddr,
    authenticator: &Authenticator,
    tls: Option<&super::TlsSetup>,
) -> InfoSource {
    let server_id = new_server_id();
    let advertised = options
        .client_advertise
        .as_deref()
        .and_then(|text| split_address(text, address.port()));
    let connect_urls = match &advertised {
        Some((host, port)) => vec![format_address(host, *port)],
        None if address.ip().is_unspecified() => Vec::new(),
        None => vec![address.to_string()],
    };
    let (host, port) = advertised.unwrap_or_else(|| (options.host.clone(), address.port()));
    InfoSource {
        server_name: options.server_name.clone().unwrap_or_else(|| server_id.clone()),
        server_id,
        host,
        port,
        auth_required: authenticator.is_required(),
        tls_required: tls.is_some_and(|tls| tls.mode != super::TlsMode::Available),
        tls_verify: options.tls.as_ref().is_some_and(|tls| tls.verify),
        tls_available: tls.is_some_and(|tls| tls.mode == super::TlsMode::Available),
        connect_urls,
        max_payload: AtomicUsize::new(options.max_payload),
        lame_duck: AtomicBool::new(false),
    }
}

fn format_address(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_address(text: &str, default_port: u16) -> Option<(String, u16)> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
        }
        _ => Some((text.trim_matches(['[', ']']).to_owned(), default_port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_in_four_forms() {
        let split = |text| split_address(text, 4222);
        assert_eq!(split("a.example"), Some(("a.example".to_owned(), 4222)));
        assert_eq!(split("a.example:99"), Some(("a.example".to_owned(), 99)));
        assert_eq!(split("[::1]:99"), Some(("::1".to_owned(), 99)));
        assert_eq!(split("::1"), Some(("::1".to_owned(), 4222)));
        assert_eq!(split("a:b"), None);
        assert_eq!(format_address("::1", 99), "[::1]:99");
    }
}
