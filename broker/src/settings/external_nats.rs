//! How to reach NATS servers elsewhere.

use std::path::PathBuf;

use super::Secret;

/// NATS servers elsewhere and what they ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalNats {
    /// Servers of one cluster, each `host:port` or a `nats://` or `tls://` URL; at least one.
    pub servers: Vec<String>,
    /// What the broker identifies itself with.
    pub credentials: NatsCredentials,
    /// TLS; none = as the servers' URLs and greetings ask for, with the system's authorities.
    pub tls: Option<NatsTls>,
}

/// What the broker identifies itself with to NATS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NatsCredentials {
    /// Nothing, or what the servers' URLs hold.
    #[default]
    None,
    /// A user and a password.
    UserPassword {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token.
    Token(Secret),
    /// A file that holds an nkey seed.
    NkeySeedFile(PathBuf),
    /// A `.creds` file: a user's JWT and its nkey seed.
    CredsFile(PathBuf),
}

/// TLS towards NATS; every connection uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NatsTls {
    /// PEM file of the authorities that the servers' certificates come from; none = the system's.
    pub ca: Option<PathBuf>,
    /// The broker's own certificate; none = it has none to show.
    pub identity: Option<ClientIdentity>,
}

/// A certificate and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// PEM file of the certificate.
    pub cert: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

impl ExternalNats {
    /// Where a NATS server is looked for unless another place is set; Liftbridge's.
    pub const DEFAULT_SERVER: &str = "nats://127.0.0.1:4222";
}

impl Default for ExternalNats {
    fn default() -> Self {
        Self {
            servers: vec![Self::DEFAULT_SERVER.to_owned()],
            credentials: NatsCredentials::None,
            tls: None,
        }
    }
}
