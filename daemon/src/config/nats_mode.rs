//! Whether NATS runs in the process or elsewhere, and how to reach it there.

use strandline_broker::settings::{ClientIdentity, ExternalNats, NatsCredentials, NatsTls, Secret};

use super::problem::{Problem, Problems};
use super::value::Origin;
use super::values::Values;

const EMBEDDED: &str = "nats.embedded";
const EMBEDDED_CONFIG: &str = "nats.embedded.config";
const EMBEDDED_LISTEN: &str = "nats.embedded.listen";
const SERVERS: &str = "nats.servers";
/// What one may identify oneself with.
const CREDENTIALS: [&str; 4] = [
    "nats.user",
    "nats.token",
    "nats.nkey.file",
    "nats.credentials.file",
];
/// Everything else that says how to reach an external NATS.
const DETAILS: [&str; 4] = ["nats.password", "nats.tls.cert", "nats.tls.key", "nats.tls.ca"];

/// How the process was invoked, which decides where NATS is when nothing says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invocation {
    /// As `strandline` or `strandline serve`: NATS is embedded.
    Serve,
    /// As Liftbridge, with flags and no command: NATS is at its usual address.
    Liftbridge,
}

/// Whether NATS runs in the process.
pub(crate) fn is_embedded(
    values: &Values,
    invocation: Invocation,
    problems: &mut Problems,
    notices: &mut Vec<String>,
) -> bool {
    let Some((embedded, by)) = asked_for(values, problems) else {
        return !CREDENTIALS
            .iter()
            .chain(&DETAILS)
            .chain(&[SERVERS])
            .any(|name| values.is_set(name))
            && invocation == Invocation::Serve;
    };
    if embedded {
        check_servers(values, by, problems, notices);
        for name in CREDENTIALS
            .iter()
            .chain(&DETAILS)
            .filter(|name| values.is_set(name))
        {
            notices.push(format!(
                "{name} ({}) is not needed: the broker reaches its embedded nats server within the process",
                values.origin(name)
            ));
        }
    }
    embedded
}

/// What the settings of the embedded server say, and which of them. The one of the highest source decides; `false` and a
/// configuration for the embedded server in the same source contradict each other.
fn asked_for(values: &Values, problems: &mut Problems) -> Option<(bool, &'static str)> {
    let details = [EMBEDDED_CONFIG, EMBEDDED_LISTEN]
        .into_iter()
        .filter(|name| values.is_set(name));
    let detail = details.max_by_key(|name| values.origin(name).rank());
    let switch = values.bool(EMBEDDED);
    match (switch, detail) {
        (None, None) => None,
        (Some(on), None) => Some((on, EMBEDDED)),
        (None | Some(true), Some(detail)) => Some((true, detail)),
        (Some(false), Some(detail)) => {
            let (switched, detailed) = (values.origin(EMBEDDED), values.origin(detail));
            if switched.rank() == detailed.rank() {
                problems.push(contradiction(
                    (EMBEDDED, switched),
                    (detail, detailed),
                    "one turns the embedded nats server off and the other asks for it; remove one",
                ));
                return None;
            }
            Some((detailed.rank() > switched.rank(), detail))
        }
    }
}

/// Files of Liftbridge name the embedded server itself among the servers; other machines cannot be meant.
fn check_servers(values: &Values, by: &'static str, problems: &mut Problems, notices: &mut Vec<String>) {
    let Some(servers) = values.list(SERVERS) else {
        return;
    };
    let origin = values.origin(SERVERS);
    if servers.iter().all(|server| is_local(server)) {
        notices.push(format!("{SERVERS} ({origin}) is not used: nats is embedded"));
        return;
    }
    let reason = "an embedded nats server does not join others; remove nats.servers, or turn the embedded server off with nats.embedded = false";
    problems.push(contradiction((by, values.origin(by)), (SERVERS, origin), reason));
}

fn contradiction(one: (&'static str, Origin), other: (&'static str, Origin), reason: &str) -> Problem {
    Problem::Contradiction {
        key: one.0,
        origin: one.1,
        other_key: other.0,
        other_origin: other.1,
        reason: reason.to_owned(),
    }
}

fn is_local(server: &str) -> bool {
    let address = server.rsplit_once("://").map_or(server, |(_, address)| address);
    let address = address.rsplit_once('@').map_or(address, |(_, address)| address);
    let host = match address.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => address.split(':').next().unwrap_or_default(),
    };
    matches!(host, "localhost" | "127.0.0.1" | "::1" | "0.0.0.0")
}

/// How to reach the external NATS.
pub(crate) fn external(values: &Values, problems: &mut Problems) -> ExternalNats {
    let servers = values
        .list(SERVERS)
        .map_or_else(|| ExternalNats::default().servers, <[String]>::to_vec);
    for server in servers.iter().filter(|server| !is_server(server)) {
        problems.push(Problem::Invalid {
            origin: values.origin(SERVERS),
            key: SERVERS,
            reason: format!(
                "names no nats server of the form host:port, nats://host:port or tls://host:port: {server:?}"
            ),
        });
    }
    ExternalNats {
        servers,
        credentials: credentials(values, problems),
        tls: tls(values, problems),
    }
}

fn is_server(server: &str) -> bool {
    let address = match server.split_once("://") {
        None => server,
        Some(("nats" | "tls", address)) => address,
        Some(_) => return false,
    };
    let address = address.rsplit_once('@').map_or(address, |(_, address)| address);
    let host_alone = !address.is_empty() && !address.contains([':', '/', ' ']);
    host_alone
        || address
            .parse::<strandline_broker::settings::Address>()
            .is_ok_and(|address| address.host.is_some())
}

fn credentials(values: &Values, problems: &mut Problems) -> NatsCredentials {
    let mut given = CREDENTIALS.into_iter().filter(|name| values.is_set(name));
    if let (Some(one), Some(other)) = (given.next(), given.next()) {
        let (one, other) = ((one, values.origin(one)), (other, values.origin(other)));
        problems.push(contradiction(
            one,
            other,
            "the broker identifies itself to nats in one way; remove one",
        ));
    }
    if values.is_set("nats.password") && !values.is_set("nats.user") {
        problems.push(Problem::Incomplete {
            origin: values.origin("nats.password"),
            key: "nats.password",
            missing: "nats.user",
            reason: "a password is of no use without its user",
        });
    }
    if let Some(user) = values.text("nats.user") {
        let password = Secret::new(values.text("nats.password").unwrap_or_default());
        return NatsCredentials::UserPassword {
            user: user.to_owned(),
            password,
        };
    }
    if let Some(token) = values.text("nats.token") {
        return NatsCredentials::Token(Secret::new(token));
    }
    if let Some(file) = values.path("nats.nkey.file") {
        return NatsCredentials::NkeySeedFile(file);
    }
    values
        .path("nats.credentials.file")
        .map_or(NatsCredentials::None, NatsCredentials::CredsFile)
}

/// The authorities alone are enough; a certificate and its key come together.
fn tls(values: &Values, problems: &mut Problems) -> Option<NatsTls> {
    let (cert, key, ca) = (
        values.path("nats.tls.cert"),
        values.path("nats.tls.key"),
        values.path("nats.tls.ca"),
    );
    let mut needs = |key: &'static str, missing: &'static str| {
        let reason = "a certificate and its private key come together";
        problems.push(Problem::Incomplete {
            origin: values.origin(key),
            key,
            missing,
            reason,
        });
    };
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => Some(ClientIdentity { cert, key }),
        (Some(_), None) => {
            needs("nats.tls.cert", "nats.tls.key");
            None
        }
        (None, Some(_)) => {
            needs("nats.tls.key", "nats.tls.cert");
            None
        }
        (None, None) => None,
    };
    (identity.is_some() || ca.is_some()).then_some(NatsTls { ca, identity })
}

#[cfg(test)]
mod tests;
