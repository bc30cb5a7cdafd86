//! Connecting to an external NATS, and what happens to the connection later.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event};

use crate::settings::{ExternalNats, NatsCredentials};

/// How long the first connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between attempts to connect again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(250);
/// Messages that may wait for one partition inside the client library; it drops what is over, and says so.
const SUBSCRIPTION_MAX_MESSAGES: usize = 65_536;

/// Connections lost since the process started: each is a gap in what plain publishers could have recorded.
pub(crate) static CONNECTIONS_LOST: AtomicU64 = AtomicU64::new(0);
/// Times that a partition did not keep up and the client library dropped messages.
pub(crate) static SLOW_CONSUMER_EVENTS: AtomicU64 = AtomicU64::new(0);
/// Acks that the connection did not take fast enough.
pub(crate) static ACKS_DROPPED: AtomicU64 = AtomicU64::new(0);

/// Why there is no connection at start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// A file with credentials cannot be read, or holds something else.
    #[error("cannot use {file} as {setting}", file = file.display())]
    Credentials {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// A server answers and does not let the broker in.
    #[error(
        "nats at {servers} does not let the broker in: {reason}; check nats.user, nats.password, nats.token, nats.nkey.file or nats.credentials.file"
    )]
    Unauthorized {
        /// The servers that were tried.
        servers: String,
        /// What the last one said.
        reason: String,
    },
    /// A server answers and TLS with it fails.
    #[error(
        "cannot talk tls to nats at {servers}: {reason}; check nats.tls.ca, nats.tls.cert and nats.tls.key"
    )]
    Tls {
        /// The servers that were tried.
        servers: String,
        /// What is wrong.
        reason: String,
    },
    /// No server takes the connection.
    #[error(
        "cannot connect to nats at {servers}: {reason}; start nats-server there, set nats.servers, or run with --embedded-nats"
    )]
    Unreachable {
        /// The servers that were tried.
        servers: String,
        /// What the last one said.
        reason: String,
    },
}

/// Connects to the first server that answers.
pub(super) async fn connect(settings: &ExternalNats, name: &str) -> Result<Client, ConnectError> {
    let options = with_credentials(ConnectOptions::new(), settings).await?;
    let options = with_tls(options, settings)
        .name(name)
        .connection_timeout(CONNECT_TIMEOUT)
        .subscription_capacity(SUBSCRIPTION_MAX_MESSAGES)
        .max_reconnects(None)
        .reconnect_delay_callback(|_| RECONNECT_PAUSE)
        .event_callback(|event| async move { note(&event) });
    let servers = settings.servers.join(",");
    options.connect(&servers).await.map_err(|error| {
        let reason = crate::streams::describe(&error);
        match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                ConnectError::Unauthorized { servers, reason }
            }
            ConnectErrorKind::Tls => ConnectError::Tls { servers, reason },
            _ if is_tls(&error) => ConnectError::Tls { servers, reason },
            _ => ConnectError::Unreachable { servers, reason },
        }
    })
}

/// Whether TLS is behind an error that is told as one of the socket.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut inner = causes.filter_map(|error| error.downcast_ref::<std::io::Error>()?.get_ref());
    inner.any(|error| error.is::<rustls::Error>())
}

async fn with_credentials(
    options: ConnectOptions,
    settings: &ExternalNats,
) -> Result<ConnectOptions, ConnectError> {
    let unusable = |setting: &'static str, file: &PathBuf| {
        let file = file.clone();
        move |source| ConnectError::Credentials {
            setting,
            file,
            source,
        }
    };
    Ok(match &settings.credentials {
        NatsCredentials::None => options,
        NatsCredentials::UserPassword { user, password } => {
            options.user_and_password(user.clone(), password.expose().to_owned())
        }
        NatsCredentials::Token(token) => options.token(token.expose().to_owned()),
        NatsCredentials::NkeySeedFile(file) => {
            options.nkey(read_seed(file).await.map_err(unusable("nats.nkey.file", file))?)
        }
        NatsCredentials::CredsFile(file) => options
            .credentials_file(file)
            .await
            .map_err(unusable("nats.credentials.file", file))?,
    })
}

/// The seed of a user, checked: the client library would find out only when it has to sign.
async fn read_seed(file: &Path) -> std::io::Result<String> {
    let text = tokio::fs::read_to_string(file).await?;
    let seed = text.trim();
    match nkeys::KeyPair::from_seed(seed) {
        Ok(pair) if pair.public_key().starts_with('U') => Ok(seed.to_owned()),
        _ => Err(std::io::Error::other(
            "it has to hold the nkey seed of a user, SU...",
        )),
    }
}

fn with_tls(options: ConnectOptions, settings: &ExternalNats) -> ConnectOptions {
    let Some(tls) = &settings.tls else { return options };
    let options = options.require_tls(true);
    let options = match &tls.ca {
        Some(ca) => options.add_root_certificates(ca.clone()),
        None => options,
    };
    match &tls.identity {
        Some(identity) => options.add_client_certificate(identity.cert.clone(), identity.key.clone()),
        None => options,
    }
}

fn note(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to nats"),
        Event::Disconnected => {
            let lost = CONNECTIONS_LOST.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!(
                lost,
                "connection to nats lost: what plain publishers send meanwhile is not recorded"
            );
        }
        Event::SlowConsumer(subscription) => {
            let events = SLOW_CONSUMER_EVENTS.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!(
                subscription,
                events,
                "messages dropped: a partition does not keep up with nats"
            );
        }
        other => tracing::warn!(event = %other, "nats"),
    }
}
