//! Settings of the process: addresses, data, TLS, logs.

use std::time::Duration;

use super::super::key::Key;
use super::super::kind::Kind;

pub(super) const ADDRESSES_ABOUT: &str = "The broker listens on `listen`; without it on `host`:`port`; without a host on \
    every IPv4 interface at `port`. Clients are told `host`:`port`; without `host` they are told `listen`, and without a \
    host in that, `localhost`. Port 0 takes any free port, which clients are told in its place. `port` set together with \
    a `listen` of another port, and no `host`, is an error, since it would be ignored.";

pub(super) const ADDRESSES: &[Key] = &[
    Key::new("listen", Kind::Address, "", "where the gRPC API listens").flag("listen"),
    Key::new(
        "host",
        Kind::Text,
        "",
        "host that clients are told to connect to; also listened on if `listen` is not set",
    )
    .flag("host"),
    Key::new(
        "port",
        Kind::Integer { min: 0, max: 65_535 },
        "9292",
        "port that clients are told to connect to; also listened on if `listen` is not set",
    )
    .flags("port", Some('p'), &[]),
    Key::new(
        "data.dir",
        Kind::Path,
        "",
        "directory of all state; created if it is not there",
    )
    .flags("data-dir", Some('d'), &[])
    .default_note("`~/.local/share/strandline`; `/var/lib/strandline` as root"),
];

pub(super) const HTTP_ABOUT: &str = "The port for monitoring: `/metrics`, `/healthz` and `/readyz`, in plain HTTP, for \
    everybody who reaches it. Off unless it is set, so that any number of brokers run on one machine. Without a host \
    (`http.listen: 8292`) it listens on 127.0.0.1 only; port 0 takes any free one. \
    [Operations](operations.md#monitoring) says what it answers.";

pub(super) const HTTP: &[Key] = &[
    Key::new(
        "http.listen",
        Kind::Address,
        "",
        "where numbers and health are answered over HTTP",
    )
    .flag("http-listen"),
    Key::new(
        "metrics.per.partition",
        Kind::Bool,
        "false",
        "give each partition numbers of its own, four a partition; some monitoring systems suffer from many",
    ),
];

pub(super) const TLS_ABOUT: &str = "With `tls.cert` and `tls.key` the API is served over TLS only. Files are PEM and are \
    read at start. One of the two without the other is an error, and so are client settings without them.";

const NO_ACL: &str = "access control lists are not available in this version; remove it and keep untrusted clients out with tls.client.auth";

pub(super) const TLS: &[Key] = &[
    Key::new("tls.cert", Kind::Path, "", "certificate chain of the server").flag("tls-cert"),
    Key::new("tls.key", Kind::Path, "", "private key of the certificate").flag("tls-key"),
    Key::new(
        "tls.client.auth.enabled",
        Kind::Bool,
        "false",
        "clients have to show a certificate",
    )
    .flag("tls-client-auth")
    .first_named("tls.client.auth"),
    Key::new(
        "tls.client.auth.ca",
        Kind::Path,
        "",
        "authorities that client certificates have to come from",
    )
    .flag("tls-client-auth-ca")
    .default_note("the system's authorities"),
    Key::new(
        "tls.client.authz.enabled",
        Kind::Bool,
        "false",
        "check what a client may do",
    )
    .not_built(&["false"], NO_ACL),
    Key::new(
        "tls.client.authz.model",
        Kind::Path,
        "",
        "model file of the checks",
    )
    .not_built(&[], NO_ACL),
    Key::new(
        "tls.client.authz.policy",
        Kind::Path,
        "",
        "policy file of the checks",
    )
    .not_built(&[], NO_ACL),
];

pub(super) const ADMIN_ABOUT: &str = "Who may change, trim and describe streams (`strandline stream set`, `trim`, `erase`, \
    `info --segments`) on the port of the API: callers on this machine, callers with a client certificate if the API asks for \
    them, and whoever sends this token. [Operations](operations.md#administration) says more.";

pub(super) const ADMIN: &[Key] = &[
    Key::new(
        "admin.token",
        Kind::Text,
        "",
        "token that opens the administration to callers from elsewhere; 16 to 256 characters of ASCII without blanks",
    )
    .secret(),
    Key::new(
        "admin.token.file",
        Kind::Path,
        "",
        "file that holds the token, instead of `admin.token`; read at start",
    ),
];

pub(super) const PROCESS_ABOUT: &str = "Logs go to the standard error output. The levels mean: `error`, something failed \
    and somebody has to act; `warn`, something was refused, lost or is about to fail; `info`, what the broker does, a few \
    lines a minute at most; `debug`, why it does it; `trace`, everything.";

pub(super) const PROCESS: &[Key] = &[
    Key::new("logging.level", Kind::Choice(&["trace", "debug", "info", "warn", "error"]), "info", "least level that is logged")
        .flags("level", Some('l'), &[])
        .first_named("log.level"),
    Key::new("logging.format", Kind::Choice(&["text", "json"]), "text", "form of the log lines: for people, or one JSON object a line")
        .flag("log-format"),
    Key::new("logging.recovery", Kind::Bool, "false", "log how the metadata is recovered at start, in detail")
        .first_named("log.recovery"),
    Key::new("logging.raft", Kind::Bool, "false", "log what the consensus library reports below warnings")
        .first_named("clustering.raft.logging"),
    Key::new("logging.nats", Kind::Bool, "false", "log what the embedded NATS server, or the client of an external one, reports below warnings"),
    Key::new("runtime.workers", Kind::Integer { min: 0, max: 1_024 }, "0", "threads that serve connections; 0 = one for two cores, at most 4"),
    Key::new("storage.backend", Kind::Choice(&["segment", "redb"]), "segment", "storage engine of streams whose creator does not choose one: `segment`, append-only files; `redb`, one database file for all of them. Streams that there are stay where they are"),
    Key::new("storage.open.files", Kind::Integer { min: 16, max: 1_000_000 }, "4096", "segment files that are kept open; others are opened when they are needed. Never more than a quarter of the process's limit of open files"),
    Key::new("storage.scrub.interval", Kind::Duration { min: Duration::from_secs(1), zero: true }, "168h", "how often all sealed segments are read to find damage; 0 = never"),
    Key::new("storage.scrub.rate.max", Kind::BYTES, "8388608", "bytes a second that are read for it; 0 = as fast as it goes"),
    Key::new("ready.file", Kind::Path, "", "file that is written once clients are served, a JSON object of the addresses, and removed at the stop")
        .flag("ready-file"),
];
