//! Connections to brokers, by address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strandline_proto::admin::admin_client::AdminClient;
use strandline_proto::api::api_client::ApiClient;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::error::{Error, ErrorKind};

/// Connects on first use and again by itself after a loss.
#[derive(Clone, Debug)]
pub(crate) struct Channels {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tls: Option<ClientTlsConfig>,
    connect_timeout: Duration,
    max_message_bytes: usize,
    open: Mutex<HashMap<String, Channel>>,
}

impl Channels {
    pub(crate) fn new(
        tls: Option<ClientTlsConfig>,
        connect_timeout: Duration,
        max_message_bytes: usize,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                tls,
                connect_timeout,
                max_message_bytes,
                open: Mutex::default(),
            }),
        }
    }

    /// A client of the broker at `host:port`.
    pub(crate) fn client(&self, address: &str) -> Result<ApiClient<Channel>, Error> {
        let channel = self.channel(address)?;
        Ok(ApiClient::new(channel)
            .max_decoding_message_size(self.shared.max_message_bytes)
            .max_encoding_message_size(self.shared.max_message_bytes))
    }

    /// A client of the administration of the broker at `host:port`.
    pub(crate) fn admin(&self, address: &str) -> Result<AdminClient<Channel>, Error> {
        let channel = self.channel(address)?;
        Ok(AdminClient::new(channel).max_decoding_message_size(self.shared.max_message_bytes))
    }

    fn channel(&self, address: &str) -> Result<Channel, Error> {
        // Whoever panicked while holding the lock left a map of whole entries.
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = open.get(address) {
            return Ok(channel.clone());
        }
        let channel = self.endpoint(address)?.connect_lazy();
        open.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }

    fn endpoint(&self, address: &str) -> Result<Endpoint, Error> {
        let scheme = if self.shared.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let invalid = |error: tonic::transport::Error| {
            Error::new(
                ErrorKind::InvalidRequest,
                format!("not a broker's address: {address:?}: {error}"),
            )
        };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
            .map_err(invalid)?
            .connect_timeout(self.shared.connect_timeout)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(8 << 20)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20))
            .tcp_nodelay(true);
        match &self.shared.tls {
            Some(tls) => endpoint.tls_config(tls.clone()).map_err(invalid),
            None => Ok(endpoint),
        }
    }
}
