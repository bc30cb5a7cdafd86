//! The listener of the HTTP port.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::answer::answer;
use super::site::Site;
use crate::context::Context;

/// Connections that are served at the same time; further ones are closed at once.
pub(crate) const MAX_CONNECTIONS: usize = 64;
/// Bytes that are read before a request's headers have to be over.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// Headers of one request.
const MAX_HEADERS: usize = 64;
/// How long a client may take for the headers of a request, the pause before them included.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection lasts, whatever its client does: nobody holds a place for ever by reading slowly.
const MAX_CONNECTION_TIME: Duration = Duration::from_secs(120);
/// How long a request that is being answered then, or at the stop, may take.
const LAST_ANSWER_TIME: Duration = Duration::from_secs(1);
/// Pause after an accept that failed for want of a resource.
const PAUSE: Duration = Duration::from_millis(100);

/// The running server. Dropping it closes the port.
#[derive(Debug)]
pub(crate) struct HttpServer {
    address: SocketAddr,
    site: Arc<Site>,
    stop: CancellationToken,
    tasks: TaskTracker,
    _accept: AbortOnDropHandle<()>,
}

impl HttpServer {
    /// Answers on a bound listener from now on.
    ///
    /// # Errors
    ///
    /// The listener has no address.
    pub(crate) fn start(listener: TcpListener, site: Arc<Site>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let accept = Accept {
            site: Arc::clone(&site),
            stop: stop.clone(),
            tasks: tasks.clone(),
        };
        Ok(Self {
            address,
            site,
            stop,
            tasks,
            _accept: AbortOnDropHandle::new(tokio::spawn(accept.run(listener))),
        })
    }

    /// The bound address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says that clients are served.
    pub(crate) fn serving(&self, context: Arc<Context>) {
        self.site.serving(context);
    }

    /// Says that they are not any more.
    pub(crate) fn stopping(&self) {
        self.site.stopping();
    }

    /// Closes the port once the requests under way are answered, for a bounded time.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        // Every connection ends by itself in that time.
        self.tasks.wait().await;
        self.site.stopped();
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.cancel();
        self.site.stopped();
    }
}

struct Accept {
    site: Arc<Site>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Accept {
    async fn run(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.take(stream),
                Err(error) => {
                    tracing::warn!(%error, "an http connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream) {
        let numbers = &self.site.metrics().http;
        if self.tasks.len() >= MAX_CONNECTIONS {
            numbers.turned_away.add(1);
            return;
        }
        let open = numbers.connections.hold();
        let (site, stop) = (Arc::clone(&self.site), self.stop.clone());
        self.tasks.spawn(async move {
            serve(stream, site, stop).await;
            drop(open);
        });
    }
}

/// Serves one connection to its end, which comes within a bounded time.
async fn serve(stream: TcpStream, site: Arc<Site>, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(answer(site, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let over = async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(MAX_CONNECTION_TIME) => {}
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = over => None,
    };
    let ended = match ended {
        Some(ended) => Ok(ended),
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST_ANSWER_TIME, connection).await
        }
    };
    // Clients that send nonsense or go away are no news to anybody.
    if let Ok(Err(error)) = ended {
        tracing::debug!(%error, "an http connection ended");
    }
}
