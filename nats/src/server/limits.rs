//! The settings that connections look at, in the form they need.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::options::Options;

/// Limits and times of every connection.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) max_control_line: usize,
    pub(crate) max_pending: usize,
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_subscriptions: Option<usize>,
    pub(crate) max_subscription_tokens: Option<usize>,
    pub(crate) no_fast_producer_stall: bool,
    pub(crate) ping_interval: Duration,
    pub(crate) max_pings_out: u32,
    pub(crate) write_deadline: Duration,
    pub(crate) auth_timeout: Duration,
    pub(crate) lame_duck_duration: Duration,
    pub(crate) lame_duck_grace: Duration,
}

/// TLS, when it is on.
#[derive(Debug, Clone)]
pub(crate) struct TlsSetup {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) mode: TlsMode,
    /// For the handshake.
    pub(crate) timeout: Duration,
}

/// Who speaks first, and whether TLS is a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsMode {
    /// INFO in clear, then the handshake.
    Required,
    /// INFO in clear, then the client's first byte decides.
    Available,
    /// The handshake, then INFO. With a fallback, a client that does not begin in time gets the INFO in clear and goes on
    /// as under `Required`.
    First {
        /// How long to wait for the client.
        fallback: Option<Duration>,
    },
}

impl Limits {
    pub(super) fn from_options(options: &Options) -> Self {
        Self {
            max_control_line: options.max_control_line,
            max_pending: options.max_pending,
            max_connections: options.max_connections,
            max_subscriptions: options.max_subscriptions,
            max_subscription_tokens: options.max_subscription_tokens,
            no_fast_producer_stall: options.no_fast_producer_stall,
            ping_interval: options.ping_interval,
            max_pings_out: options.ping_max,
            write_deadline: options.write_deadline,
            auth_timeout: options.auth_timeout,
            lame_duck_duration: options.lame_duck_duration,
            lame_duck_grace: options.lame_duck_grace_period,
        }
    }
}
