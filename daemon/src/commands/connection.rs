//! How a command finds its broker, and what it says when it does not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use strandline_proto::api::api_client::ApiClient;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};

use crate::exit::{Exit, Failure, describe};

/// Servers that are asked when none is named.
const DEFAULT_SERVERS: &str = "localhost:9292";
/// Variables that name the servers; the second is that of Liftbridge's tools.
const SERVERS_VARIABLES: [&str; 2] = ["STRANDLINE_SERVERS", "LIFTBRIDGE_SERVERS"];
/// Largest message that a broker may send.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// Where the broker is and how to talk to it.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConnectionArgs {
    /// Brokers to ask, host:port, with commas or repeated [default: STRANDLINE_SERVERS, else localhost:9292]
    #[arg(short, long, value_name = "A,B", value_delimiter = ',', global = true)]
    servers: Vec<String>,
    /// Use TLS and accept certificates of these authorities, a PEM file
    #[arg(long, value_name = "FILE", global = true)]
    tls_ca: Option<PathBuf>,
    /// Show this certificate, a PEM file
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        requires = "tls_ca",
        global = true
    )]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert", global = true)]
    tls_key: Option<PathBuf>,
    /// How long one request may take
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = crate::config::parse_duration, global = true)]
    timeout: Duration,
}

impl ConnectionArgs {
    /// Connects to the first server that answers.
    pub(super) async fn connect(&self) -> Result<ApiClient<Channel>, Failure> {
        let tls = self.tls()?;
        let mut failures = Vec::new();
        for server in self.servers() {
            match self.connect_to(&server, tls.clone()).await {
                Ok(channel) => {
                    let client = ApiClient::new(channel);
                    return Ok(client.max_decoding_message_size(MAX_MESSAGE_BYTES));
                }
                Err(reason) => failures.push(format!("{server}: {reason}")),
            }
        }
        Err(unreachable(&failures.join("; ")))
    }

    fn servers(&self) -> Vec<String> {
        let variable = || {
            SERVERS_VARIABLES
                .iter()
                .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()))
        };
        let named = if self.servers.is_empty() {
            variable()
                .unwrap_or_else(|| DEFAULT_SERVERS.to_owned())
                .split(',')
                .map(str::to_owned)
                .collect()
        } else {
            self.servers.clone()
        };
        named
            .into_iter()
            .map(|server: String| with_port(server.trim()))
            .collect()
    }

    async fn connect_to(&self, server: &str, tls: Option<ClientTlsConfig>) -> Result<Channel, String> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint =
            Endpoint::from_shared(format!("{scheme}://{server}")).map_err(|error| describe(&error))?;
        let endpoint = endpoint
            .connect_timeout(self.timeout)
            .timeout(self.timeout)
            .tcp_nodelay(true);
        let endpoint = match tls {
            Some(tls) => endpoint.tls_config(tls).map_err(|error| describe(&error))?,
            None => endpoint,
        };
        let connected = tokio::time::timeout(self.timeout, endpoint.connect()).await;
        connected
            .map_err(|_| "no answer in time".to_owned())?
            .map_err(|error| describe(&error))
    }

    fn tls(&self) -> Result<Option<ClientTlsConfig>, Failure> {
        let Some(ca) = &self.tls_ca else { return Ok(None) };
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?));
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Ok(Some(config.identity(Identity::from_pem(read(cert)?, read(key)?)))),
            _ => Ok(Some(config)),
        }
    }
}

/// A name alone means the usual port.
fn with_port(server: &str) -> String {
    let bare = server.rsplit_once("://").map_or(server, |(_, address)| address);
    let has_port = bare
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        && !is_bare_ipv6(bare);
    match (has_port, is_bare_ipv6(bare)) {
        (true, _) => bare.to_owned(),
        (false, true) => format!("[{bare}]:9292"),
        (false, false) => format!("{bare}:9292"),
    }
}

fn is_bare_ipv6(address: &str) -> bool {
    address.parse::<std::net::Ipv6Addr>().is_ok()
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

/// Whether there was no answer in time, by this side's clock or the broker's.
pub(super) fn is_timeout(status: &Status) -> bool {
    status.code() == Code::DeadlineExceeded || status.message().contains("Timeout expired")
}

/// What the user is told when no server takes the connection.
fn unreachable(reasons: &str) -> Failure {
    let hint = if reasons.contains("certificate") {
        "check --tls-ca and the name of the server"
    } else {
        "start one with `strandline serve`, or say where it is with --servers"
    };
    Failure::with(
        Exit::Unreachable,
        format!("no broker can be reached at {reasons}; {hint}"),
    )
}

/// What the user is told when a broker refuses something; `what` was to be done.
pub(super) fn refused(what: &str, status: &Status) -> Failure {
    if is_timeout(status) {
        return Failure::with(
            Exit::Unreachable,
            format!("cannot {what}: no answer in time; --timeout waits longer"),
        );
    }
    // A broker's own answer has no source: this one was made here, from what happened to the connection. Neither end says
    // more when one of them expects TLS or a certificate and the other does not.
    if let Some(source) = std::error::Error::source(status) {
        let hint =
            "if the broker uses tls, say --tls-ca, and --tls-cert and --tls-key if it asks for a certificate";
        let reason = describe(source);
        return Failure::with(
            Exit::Unreachable,
            format!("cannot {what}: the connection to the broker broke: {reason}; {hint}"),
        );
    }
    match (status.code(), status.message()) {
        (Code::Unavailable, message) => Failure::with(
            Exit::Unreachable,
            format!("cannot {what}: the connection to the broker is lost: {message}"),
        ),
        (code, "") => Failure::new(format!("cannot {what}: {}", code.description().to_lowercase())),
        (_, message) => Failure::new(format!("cannot {what}: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_port_has_the_usual_one() {
        let cases = [
            ("a", "a:9292"),
            ("a:1", "a:1"),
            ("liftbridge://a:1", "a:1"),
            ("::1", "[::1]:9292"),
            ("[::1]:1", "[::1]:1"),
            ("127.0.0.1", "127.0.0.1:9292"),
        ];
        for (text, expected) in cases {
            assert_eq!(with_port(text), expected, "{text}");
        }
    }

    #[test]
    fn a_refusal_says_what_was_to_be_done_and_why_not() {
        let failure = refused("delete stream x", &Status::not_found("stream not found"));
        assert_eq!(
            (failure.exit, failure.message.as_str()),
            (Exit::Failed, "cannot delete stream x: stream not found")
        );
        let lost = refused("read x", &Status::unavailable("broken pipe"));
        assert_eq!(lost.exit, Exit::Unreachable);
    }
}
