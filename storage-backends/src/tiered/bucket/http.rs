//! The way to a store over HTTP: hyper and rustls, the same as everywhere in the broker.

use std::cell::Cell;
use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpResponseBody, HttpService,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::pace::{Pace, Paced};

/// Time for a connection to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that nobody uses is closed after this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections kept open for later.
const MAX_IDLE: usize = 16;

tokio::task_local! {
    /// Status of the last answer of the call that runs.
    static STATUS: Cell<Option<u16>>;
}

/// Runs a call and tells the status of its last HTTP answer, which the errors of `object_store` do not always give away.
pub(super) async fn with_status<F: Future>(call: F) -> (F::Output, Option<u16>) {
    let watched = async {
        let output = call.await;
        (output, STATUS.with(Cell::get))
    };
    STATUS.scope(Cell::new(None), watched).await
}

/// Connects all clients of one bucket through one pool.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    client: Client<HttpsConnector<TcpConnector>, Paced<HttpRequestBody>>,
    pace: Pace,
}

impl Connector {
    /// A pool that trusts the authorities of the PEM file, or else those of the system, and sends bodies at this pace.
    ///
    /// # Errors
    ///
    /// The file cannot be read or holds no certificate; as text.
    pub(super) fn new(ca: Option<&Path>, pace: Pace) -> Result<Self, String> {
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(IDLE_TIMEOUT));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(ca)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE)
            .build(https);
        Ok(Self { client, pace })
    }
}

fn tls_config(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = || {
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))
    };
    let Some(ca) = ca else {
        return Ok(match builder()?.with_native_roots() {
            Ok(builder) => builder.with_no_client_auth(),
            Err(error) => {
                tracing::warn!(
                    "the system has no certificates of authorities: stores with https cannot be reached ({error})"
                );
                builder()?
                    .with_root_certificates(RootCertStore::empty())
                    .with_no_client_auth()
            }
        });
    };
    let roots = roots_of(ca).map_err(|error| format!("certificates in {}: {error}", ca.display()))?;
    Ok(builder()?.with_root_certificates(roots).with_no_client_auth())
}

fn roots_of(ca: &Path) -> Result<RootCertStore, Box<dyn StdError>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&std::fs::read(ca)?) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err("the file has none".into());
    }
    Ok(roots)
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = request.map(|body| Paced::new(body, self.pace.clone()));
        let response = self.client.request(request).await.map_err(|error| {
            let kind = if error.is_connect() {
                HttpErrorKind::Connect
            } else {
                HttpErrorKind::Interrupted
            };
            HttpError::new_boxed(kind, described(&error))
        })?;
        let status = response.status().as_u16();
        // Without a scope nobody asks for it.
        let _ = STATUS.try_with(|cell| cell.set(Some(status)));
        let (parts, body) = response.into_parts();
        let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error));
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

/// The error with what caused it: hyper's own text is "client error (Connect)".
fn described(error: &(dyn StdError + 'static)) -> Box<dyn StdError + Send + Sync> {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_authorities_that_cannot_be_used_is_named() {
        let missing = Connector::new(Some(Path::new("/nowhere/ca.pem")), Pace::default()).unwrap_err();
        assert!(missing.contains("/nowhere/ca.pem"), "{missing}");
        let file = tempfile::NamedTempFile::new().unwrap();
        let empty = Connector::new(Some(file.path()), Pace::default()).unwrap_err();
        assert!(empty.contains("none"), "{empty}");
    }

    #[tokio::test]
    async fn a_call_that_reached_nobody_has_no_status() {
        assert_eq!(with_status(async { 1 }).await, (1, None));
    }
}
