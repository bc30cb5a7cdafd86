//! How a command finds its broker, and what it says when it does not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use strandline_client::{Builder, Client, Error, ErrorKind};

use crate::exit::{Exit, Failure};

/// Servers that are asked when none is named.
const DEFAULT_SERVERS: &str = "localhost:9292";
/// Variables that name the servers; the second is that of Liftbridge's tools.
const SERVERS_VARIABLES: [&str; 2] = ["STRANDLINE_SERVERS", "LIFTBRIDGE_SERVERS"];
/// Variable that holds the token of the administration; a broker reads its own from it, too.
const TOKEN_VARIABLE: &str = "STRANDLINE_ADMIN_TOKEN";
/// Largest message that a broker may send.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// Where the broker is and how to talk to it.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
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
    pub(super) async fn connect(&self) -> Result<Client, Failure> {
        self.connect_with(self.builder()?).await
    }

    /// As `connect`, for who administrates: with the token of this file, or of the environment.
    pub(super) async fn connect_as_admin(&self, token_file: Option<&Path>) -> Result<Client, Failure> {
        let token = match token_file {
            Some(path) => Some(String::from_utf8_lossy(&read(path)?).trim().to_owned()),
            None => std::env::var(TOKEN_VARIABLE)
                .ok()
                .filter(|token| !token.is_empty()),
        };
        let builder = match user() {
            Some(user) => self.builder()?.admin_user(user),
            None => self.builder()?,
        };
        self.connect_with(match token {
            Some(token) => builder.admin_token(token),
            None => builder,
        })
        .await
    }

    async fn connect_with(&self, builder: Builder) -> Result<Client, Failure> {
        let mut failures = Vec::new();
        for server in self.servers() {
            match builder.clone().server(&server).connect().await {
                Ok(client) => return Ok(client),
                Err(error) => failures.push(format!("{server}: {error}")),
            }
        }
        Err(unreachable(&failures.join("; ")))
    }

    fn builder(&self) -> Result<Builder, Failure> {
        let builder = Client::builder()
            .timeout(self.timeout)
            .connect_timeout(self.timeout)
            .max_message_bytes(MAX_MESSAGE_BYTES)
            // A command says at once that nobody answers.
            .tries(1);
        let Some(ca) = &self.tls_ca else {
            return Ok(builder);
        };
        let builder = builder.tls(read(ca)?);
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Ok(builder.client_certificate(read(cert)?, read(key)?)),
            _ => Ok(builder),
        }
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
}

/// Who uses this terminal, as far as the environment says.
fn user() -> Option<String> {
    let variable = |name: &&str| std::env::var(name).ok().filter(|user| !user.is_empty());
    ["USER", "LOGNAME"].iter().find_map(variable)
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

/// What it looks like when somebody listens there who expects something else, TLS in most cases. Neither end says more.
const TALKS_OTHERWISE: [&str; 3] = ["http2 error", "connection closed", "broken pipe"];
const TLS_HINT: &str =
    "if the broker uses tls, say --tls-ca, and --tls-cert and --tls-key if it asks for a certificate";

/// What the user is told when no server takes the connection.
fn unreachable(reasons: &str) -> Failure {
    let hint = if reasons.contains("certificate") {
        "check --tls-ca and the name of the server"
    } else if TALKS_OTHERWISE.iter().any(|text| reasons.contains(text)) {
        TLS_HINT
    } else {
        "start one with `strandline serve`, or say where it is with --servers"
    };
    Failure::with(
        Exit::Unreachable,
        format!("no broker can be reached at {reasons}; {hint}"),
    )
}

/// What the user is told when a broker refuses something; `what` was to be done.
pub(super) fn refused(what: &str, error: &Error) -> Failure {
    match error.kind() {
        ErrorKind::Timeout => Failure::with(
            Exit::Unreachable,
            format!("cannot {what}: no answer in time; --timeout waits longer"),
        ),
        ErrorKind::Unavailable if error.is_answer() => Failure::with(
            Exit::Unreachable,
            format!("cannot {what}: the connection to the broker is lost: {error}"),
        ),
        ErrorKind::Unavailable => {
            Failure::with(Exit::Unreachable, format!("cannot {what}: {error}; {TLS_HINT}"))
        }
        ErrorKind::PermissionDenied => Failure::new(format!(
            "cannot {what}: {error}; --admin-token-file or {TOKEN_VARIABLE} hold the token, --tls-cert and --tls-key the certificate"
        )),
        _ => Failure::new(format!("cannot {what}: {error}")),
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
}
