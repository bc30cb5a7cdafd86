//! All settings of the server: plain values with nats-server's defaults.

mod doubts;
mod file;
mod secret;
mod units;

use std::path::PathBuf;
use std::time::Duration;

use crate::auth::ResponseRule;

pub use file::OptionsError;
pub use secret::Secret;

/// Settings of the embedded server. [`Options::default`] is nats-server's behaviour without a file.
#[derive(Clone, Debug)]
pub struct Options {
    /// Host name or address to listen on.
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Name of the server, shown to clients; none = its id.
    pub server_name: Option<String>,
    /// Address that clients are told instead of the one that is listened on, as `host[:port]`.
    pub client_advertise: Option<String>,
    /// Longest line of a client, in bytes, without the operation's name.
    pub max_control_line: usize,
    /// Largest payload in bytes, headers included.
    pub max_payload: usize,
    /// Bytes that may wait for one client; over it the client is cut.
    pub max_pending: usize,
    /// Connections at once; none = unlimited.
    pub max_connections: Option<usize>,
    /// Subscriptions of one connection; none = unlimited.
    pub max_subscriptions: Option<usize>,
    /// Tokens of a subscription's subject; none = unlimited.
    pub max_subscription_tokens: Option<usize>,
    /// Whether a publisher goes on at full speed when a receiver is nearly full. The receiver is cut at
    /// [`Options::max_pending`] then; otherwise the publisher waits a few milliseconds for it.
    pub no_fast_producer_stall: bool,
    /// Time between pings.
    pub ping_interval: Duration,
    /// Pings that may stay unanswered.
    pub ping_max: u32,
    /// Time that one write may take.
    pub write_deadline: Duration,
    /// Time in which a client has to authenticate.
    pub auth_timeout: Duration,
    /// Time over which clients of a leaving server are sent away, the grace period included.
    pub lame_duck_duration: Duration,
    /// Time before the first of them is sent away.
    pub lame_duck_grace_period: Duration,
    /// Subjects that begin like this are the server's own; clients may not publish there.
    pub reserved_prefixes: Vec<String>,
    /// Who may do what.
    pub authorization: Authorization,
    /// TLS; none = plaintext.
    pub tls: Option<TlsOptions>,
}

/// Who may do what.
#[derive(Clone, Debug, Default)]
pub struct Authorization {
    /// The user of a single-user setup, who may do everything and needs the password even where certificates say who a
    /// client is.
    pub only_user: Option<OnlyUser>,
    /// Users with names and passwords.
    pub users: Vec<User>,
    /// Users with keys.
    pub nkeys: Vec<NkeyUser>,
    /// The token that every client has to show, plain or as a bcrypt hash.
    pub token: Option<Secret>,
    /// Name of the user that clients without credentials become.
    pub no_auth_user: Option<String>,
    /// Permissions of `users` and `nkeys` that have none of their own.
    pub default_permissions: Option<PermissionRules>,
    /// Whether a nonce is sent although no user has a key.
    pub always_nonce: bool,
}

/// The user of a single-user setup.
#[derive(Clone, Debug)]
pub struct OnlyUser {
    /// Name.
    pub name: String,
    /// Password, plain or as a bcrypt hash.
    pub password: Secret,
}

/// A user with a password.
#[derive(Clone, Debug)]
pub struct User {
    /// Name.
    pub name: String,
    /// Password, plain or as a bcrypt hash.
    pub password: Secret,
    /// What the user may do; none = what the defaults say.
    pub permissions: Option<PermissionRules>,
}

/// A user with a key.
#[derive(Clone, Debug)]
pub struct NkeyUser {
    /// Public key, `U...`.
    pub nkey: String,
    /// What the user may do; none = what the defaults say.
    pub permissions: Option<PermissionRules>,
}

/// What a user may publish and subscribe to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionRules {
    /// Publishing.
    pub publish: SubjectRules,
    /// Subscribing; a rule `"subject queue"` is about queue subscriptions.
    pub subscribe: SubjectRules,
    /// Answers to requests that the user was sent, beyond what it may publish.
    pub responses: Option<ResponseRule>,
}

/// Subjects that are allowed and denied; denied ones win.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectRules {
    /// Allowed; none = everything.
    pub allow: Option<Vec<String>>,
    /// Denied.
    pub deny: Vec<String>,
}

/// TLS of the client port.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// PEM file of the certificate chain.
    pub cert_file: PathBuf,
    /// PEM file of the private key.
    pub key_file: PathBuf,
    /// PEM file of the authorities of client certificates.
    pub ca_file: Option<PathBuf>,
    /// Whether clients must show a certificate.
    pub verify: bool,
    /// Whether a client's certificate says which user it is.
    pub verify_and_map: bool,
    /// Time that a handshake may take.
    pub timeout: Duration,
    /// Whether the handshake comes before the server's first line.
    pub handshake_first: HandshakeFirst,
    /// Whether clients that do not start TLS are served in plaintext.
    pub allow_non_tls: bool,
    /// SHA-256 of the public key infos that client certificates may have, in lower-case hex; empty = any.
    pub pinned_certs: Vec<String>,
}

/// Whether TLS starts before the server's first line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandshakeFirst {
    /// The line comes first, in clear.
    #[default]
    Never,
    /// The handshake comes first.
    Always,
    /// The handshake comes first if the client starts it in time; else the line.
    Fallback(Duration),
}

impl TlsOptions {
    /// Settings with nats-server's defaults for these files.
    pub fn new(cert_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        Self {
            cert_file: cert_file.into(),
            key_file: key_file.into(),
            ca_file: None,
            verify: false,
            verify_and_map: false,
            timeout: Duration::from_secs(2),
            handshake_first: HandshakeFirst::Never,
            allow_non_tls: false,
            pinned_certs: Vec::new(),
        }
    }
}

impl HandshakeFirst {
    /// nats-server's time before it falls back.
    pub const DEFAULT_FALLBACK: Duration = Duration::from_millis(50);
}

impl Options {
    /// NATS' port.
    pub const DEFAULT_PORT: u16 = 4222;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port: Self::DEFAULT_PORT,
            server_name: None,
            client_advertise: None,
            max_control_line: 4096,
            max_payload: 1 << 20,
            max_pending: 64 << 20,
            max_connections: Some(65_536),
            max_subscriptions: None,
            max_subscription_tokens: None,
            no_fast_producer_stall: false,
            ping_interval: Duration::from_secs(120),
            ping_max: 2,
            write_deadline: Duration::from_secs(10),
            auth_timeout: Duration::from_secs(2),
            lame_duck_duration: Duration::from_secs(120),
            lame_duck_grace_period: Duration::from_secs(10),
            reserved_prefixes: ["$SYS.", "$NRG.", "_strandline."].map(str::to_owned).to_vec(),
            authorization: Authorization::default(),
            tls: None,
        }
    }
}
