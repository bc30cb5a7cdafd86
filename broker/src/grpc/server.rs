//! The listener of the gRPC API.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic_health::server::HealthReporter;

use strandline_proto::FILE_DESCRIPTOR_SET;
use strandline_proto::admin::admin_server::{self, AdminServer};
use strandline_proto::api::api_server::{ApiServer, SERVICE_NAME};

use super::admin::{Access, AdminService, Gate};
use super::api::ApiService;
use super::deadline::Deadlines;
use super::hot_path::HotPath;
use super::incoming::Incoming;
use crate::context::Context;
use crate::settings::{GrpcTls, Secret};

/// The services whose health is told.
const SERVICES: [&str; 2] = [SERVICE_NAME, admin_server::SERVICE_NAME];
/// Calls that one connection may have open.
const MAX_STREAMS_PER_CONNECTION: u32 = 1024;
/// Flow-control window of one call; smaller ones cost throughput.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Flow-control window of one connection.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// Largest block of request headers.
const MAX_HEADER_BYTES: u32 = 16 << 10;
/// Largest frame that is accepted.
const MAX_FRAME_BYTES: u32 = 256 << 10;
/// Idle time after which a connection is asked whether it is alive.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// Time in which it has to answer.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Time that connections have to end when the broker stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The running server.
#[derive(Debug)]
pub(crate) struct GrpcServer {
    address: SocketAddr,
    health: HealthReporter,
    task: JoinHandle<()>,
}

/// Who gets in, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GrpcDoors<'a> {
    /// None = plaintext.
    pub(crate) tls: Option<&'a GrpcTls>,
    /// Opens the administration to callers from elsewhere.
    pub(crate) admin_token: Option<&'a Secret>,
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrpcServerError {
    /// The TLS settings do not work.
    #[error("tls of the grpc api: {reason}")]
    Tls {
        /// What is wrong.
        reason: String,
    },
    /// The listener broke.
    #[error("the grpc listener failed")]
    Listener(#[from] std::io::Error),
    /// The service description is broken.
    #[error("the description of the grpc api is broken: {0}")]
    Reflection(String),
}

impl GrpcServer {
    /// Serves the API on a bound listener until [`GrpcServer::stop`].
    pub(crate) async fn start(
        context: Arc<Context>,
        listener: TcpListener,
        doors: GrpcDoors<'_>,
    ) -> Result<Self, GrpcServerError> {
        let address = listener.local_addr()?;
        let (health, health_service) = tonic_health::server::health_reporter();
        for name in SERVICES {
            health
                .set_service_status(name, tonic_health::ServingStatus::Serving)
                .await;
        }
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(|error| GrpcServerError::Reflection(error.to_string()))?;
        let max_bytes = context.max_request_bytes();
        let ordinary = ApiServer::new(ApiService::new(Arc::clone(&context)))
            .max_decoding_message_size(max_bytes)
            .max_encoding_message_size(usize::MAX);
        let admin = AdminServer::new(AdminService::new(Arc::clone(&context)))
            .max_decoding_message_size(max_bytes)
            .max_encoding_message_size(usize::MAX);
        let access = Access::new(doors.admin_token.cloned());
        let hot = HotPath::new(Arc::clone(&context), access.clone(), ordinary);
        let mut server = builder();
        if let Some(tls) = doors.tls {
            server = server
                .tls_config(tls_config(tls))
                .map_err(|error| GrpcServerError::Tls {
                    reason: crate::streams::describe(&error),
                })?;
        }
        let router = server
            .add_service(Deadlines::new(hot))
            .add_service(Deadlines::new(Gate::new(access, Arc::clone(&context), admin)))
            .add_service(health_service)
            .add_service(reflection);
        let (stopping, open) = (context.stopping.clone(), context.metrics.grpc.connections.clone());
        let task = tokio::spawn(async move {
            let incoming = Incoming::new(listener, open);
            let served = router
                .serve_with_incoming_shutdown(incoming, stopping.cancelled_owned())
                .await;
            if let Err(error) = served {
                tracing::error!(error = %crate::streams::describe(&error), "the grpc server failed");
            }
        });
        Ok(Self {
            address,
            health,
            task,
        })
    }

    /// The bound address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says that the API is going away.
    pub(crate) async fn announce_stop(&self) {
        for name in SERVICES {
            self.health
                .set_service_status(name, tonic_health::ServingStatus::NotServing)
                .await;
        }
    }

    /// Waits for connections to end, for a bounded time; the context's token has been cancelled before.
    pub(crate) async fn stop(self) {
        let Self {
            mut health, mut task, ..
        } = self;
        // Ends the calls of those who watch it; nothing else would.
        for service in SERVICES.into_iter().chain([""]) {
            health.clear_service_status(service).await;
        }
        if tokio::time::timeout(STOP_TIMEOUT, &mut task).await.is_err() {
            task.abort();
        }
    }
}

fn builder() -> Server {
    Server::builder()
        .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}

fn tls_config(tls: &GrpcTls) -> ServerTlsConfig {
    let config = ServerTlsConfig::new().identity(Identity::from_pem(&tls.cert_pem, &tls.key_pem));
    match &tls.client_ca_pem {
        Some(ca) => config.client_ca_root(Certificate::from_pem(ca)),
        None => config,
    }
}
