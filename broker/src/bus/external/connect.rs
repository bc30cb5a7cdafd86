//! Connecting to an external NATS, and what happens to the connection later.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};

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
    /// A credentials file cannot be read.
    #[error("cannot read the nats credentials file {file}", file = file.display())]
    Credentials {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
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
    options
        .connect(&servers)
        .await
        .map_err(|error| ConnectError::Unreachable {
            servers,
            reason: crate::streams::describe(&error),
        })
}

async fn with_credentials(
    options: ConnectOptions,
    settings: &ExternalNats,
) -> Result<ConnectOptions, ConnectError> {
    let credentials = |file: &PathBuf, source| ConnectError::Credentials {
        file: file.clone(),
        source,
    };
    Ok(match &settings.credentials {
        NatsCredentials::None => options,
        NatsCredentials::UserPassword { user, password } => {
            options.user_and_password(user.clone(), password.expose().to_owned())
        }
        NatsCredentials::Token(token) => options.token(token.expose().to_owned()),
        NatsCredentials::NkeySeedFile(file) => {
            let seed = tokio::fs::read_to_string(file)
                .await
                .map_err(|source| credentials(file, source))?;
            options.nkey(seed.trim().to_owned())
        }
        NatsCredentials::CredsFile(file) => options
            .credentials_file(file)
            .await
            .map_err(|source| credentials(file, source))?,
    })
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
