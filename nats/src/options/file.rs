//! Options from a nats-server configuration file.

mod authorization;
mod read;
mod tls;

use std::path::Path;
use std::time::Duration;

use read::Reader;

use super::{Options, units};
use crate::conf::{self, ConfError, Entry, Place, Value};

/// Why a file gives no options.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OptionsError {
    /// The file cannot be read or is no configuration.
    #[error(transparent)]
    Conf(#[from] ConfError),
    /// A key that nats-server does not know either.
    #[error("{place}: unknown key {key:?}{}", suggestion(.nearest.as_deref()))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// The known key that is most like it.
        nearest: Option<String>,
    },
    /// A key of nats-server whose effect this server does not have.
    #[error("{place}: {key} is not supported by the embedded server: {reason}")]
    Unsupported {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// Why, or what to do.
        reason: &'static str,
    },
    /// A value that the key does not take.
    #[error("{place}: {key} {problem}")]
    Value {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// What is wrong.
        problem: String,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest
        .map(|key| format!(", did you mean {key:?}?"))
        .unwrap_or_default()
}

/// Keys of nats-server that are refused by name.
const UNSUPPORTED: [(&[&str], &str); 6] = [
    (
        &["jetstream", "store_dir", "max_outstanding_catchup"],
        "streams are Strandline's own, remove the key",
    ),
    (
        &[
            "cluster",
            "gateway",
            "leaf",
            "leafnode",
            "leafnodes",
            "routes",
            "remotes",
        ],
        "it joins no NATS cluster, run nats-server and use it as external NATS",
    ),
    (
        &["websocket", "mqtt"],
        "it serves the NATS protocol over TCP only, remove the block",
    ),
    (
        &[
            "accounts",
            "operator",
            "operators",
            "resolver",
            "resolver_preload",
            "system_account",
            "system",
            "trusted",
            "trusted_keys",
            "mappings",
            "maps",
            "resolver_tls",
            "default_sentinel",
            "auth_callout",
        ],
        "it has one account, list users under authorization instead",
    ),
    (
        &[
            "http",
            "https",
            "http_port",
            "https_port",
            "monitor_port",
            "http_base_path",
            "prof_port",
            "server_tags",
            "server_metadata",
            "ocsp",
            "ocsp_cache",
            "msg_trace",
            "proxies",
            "proxy_protocol",
        ],
        "remove the key",
    ),
    (
        &[
            "debug",
            "trace",
            "trace_verbose",
            "logtime",
            "logtime_utc",
            "log_file",
            "logfile",
            "syslog",
            "remote_syslog",
            "log_size_limit",
            "logfile_size_limit",
            "max_traced_msg_len",
            "pid_file",
            "pidfile",
            "ports_file_dir",
            "connect_error_reports",
            "reconnect_error_reports",
            "log_max_num",
            "logfile_max_num",
        ],
        "logs are Strandline's own, set logging.level in its configuration",
    ),
];

impl Options {
    /// Reads nats-server's configuration file. What the file does not say stays as in [`Options::default`].
    ///
    /// # Errors
    ///
    /// Names file, line and key of what is wrong.
    pub fn from_file(path: &Path) -> Result<Self, OptionsError> {
        Self::from_entries(&conf::parse_file(path)?)
    }

    /// Reads the text of such a file; `path` names it in messages.
    ///
    /// # Errors
    ///
    /// As [`Options::from_file`].
    pub fn from_text(text: &str, path: &Path) -> Result<Self, OptionsError> {
        Self::from_entries(&conf::parse_text(text, path)?)
    }

    fn from_entries(entries: &[Entry]) -> Result<Self, OptionsError> {
        let mut options = Self::default();
        let mut auth_timeout = None;
        for entry in entries {
            options.take(entry, &mut auth_timeout)?;
        }
        options.auth_timeout = match (auth_timeout, &options.tls) {
            (Some(timeout), _) => timeout,
            // A client has the time of the handshake and a second more, as with nats-server.
            (None, Some(tls)) => tls.timeout + Duration::from_secs(1),
            (None, None) => options.auth_timeout,
        };
        Ok(options)
    }

    fn take(&mut self, entry: &Entry, auth_timeout: &mut Option<Duration>) -> Result<(), OptionsError> {
        let read = Reader(entry);
        match entry.key.to_ascii_lowercase().as_str() {
            "listen" => self.listen(&read)?,
            "host" | "net" | "addr" => self.host = read.text()?,
            "port" => self.port = read.port()?,
            "server_name" => self.server_name = Some(read.text()?),
            "client_advertise" => self.client_advertise = Some(read.text()?),
            "max_control_line" => self.max_control_line = read.size()?,
            "max_payload" => self.max_payload = read.size()?,
            "max_pending" => self.max_pending = read.size()?,
            "max_connections" | "max_conn" => self.max_connections = Some(read.size()?),
            "max_subscriptions" | "max_subs" => self.max_subscriptions = read.limit()?,
            "max_sub_tokens" | "max_subscription_tokens" => self.max_subscription_tokens = read.limit()?,
            "no_fast_producer_stall" => self.no_fast_producer_stall = read.flag()?,
            "ping_interval" => self.ping_interval = read.duration()?,
            "ping_max" => self.ping_max = read.count()?,
            "write_deadline" => self.write_deadline = read.duration()?,
            "lame_duck_duration" => self.lame_duck_duration = read.duration()?,
            "lame_duck_grace_period" => self.lame_duck_grace_period = read.duration()?,
            "no_auth_user" => self.authorization.no_auth_user = Some(read.text()?),
            "always_enable_nonce" => self.authorization.always_nonce = read.flag()?,
            "authorization" => *auth_timeout = authorization::read(&read, &mut self.authorization)?,
            "tls" => self.tls = Some(tls::read(&read)?),
            "allow_non_tls" => self.allow_non_tls(&read)?,
            _ if entry.is_variable => {}
            other => return Err(refuse(entry, other)),
        }
        Ok(())
    }

    fn listen(&mut self, read: &Reader<'_>) -> Result<(), OptionsError> {
        if let Value::Integer(_) = read.0.value {
            self.port = read.port()?;
            return Ok(());
        }
        let text = read.text()?;
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| read.wrong("must be host:port"))?;
        self.port = match port {
            // nats-server's word for any free port.
            "-1" => 0,
            port => port.parse().map_err(|_| read.wrong("must be host:port"))?,
        };
        if !host.is_empty() {
            host.trim_matches(['[', ']']).clone_into(&mut self.host);
        }
        Ok(())
    }

    fn allow_non_tls(&mut self, read: &Reader<'_>) -> Result<(), OptionsError> {
        let allowed = read.flag()?;
        match &mut self.tls {
            Some(tls) => tls.allow_non_tls = allowed,
            None if allowed => return Err(read.wrong("needs a tls block before it")),
            None => {}
        }
        Ok(())
    }
}

/// Keys that `Options::take` knows.
const KNOWN: [&str; 28] = [
    "listen",
    "host",
    "net",
    "addr",
    "port",
    "server_name",
    "client_advertise",
    "max_control_line",
    "max_payload",
    "max_pending",
    "max_connections",
    "max_conn",
    "max_subscriptions",
    "max_sub_tokens",
    "no_fast_producer_stall",
    "max_subs",
    "ping_interval",
    "ping_max",
    "write_deadline",
    "lame_duck_duration",
    "lame_duck_grace_period",
    "no_auth_user",
    "always_enable_nonce",
    "authorization",
    "tls",
    "allow_non_tls",
    "include",
    "users",
];

fn refuse(entry: &Entry, key: &str) -> OptionsError {
    let unsupported = UNSUPPORTED.iter().find(|(keys, _)| keys.contains(&key));
    match unsupported {
        Some((_, reason)) => OptionsError::Unsupported {
            place: entry.place.clone(),
            key: entry.key.clone(),
            reason,
        },
        None => unknown(entry, &KNOWN),
    }
}

/// An error for a key that is none of these.
fn unknown(entry: &Entry, known: &[&str]) -> OptionsError {
    let distance = |known: &&&str| strsim::damerau_levenshtein(known, &entry.key.to_ascii_lowercase());
    let nearest = known.iter().min_by_key(distance).filter(|key| distance(key) <= 3);
    OptionsError::UnknownKey {
        place: entry.place.clone(),
        key: entry.key.clone(),
        nearest: nearest.map(|key| (*key).to_owned()),
    }
}

#[cfg(test)]
mod tests;
