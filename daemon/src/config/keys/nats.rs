//! Settings of NATS, inside the process and elsewhere.

use super::super::key::Key;
use super::super::kind::Kind;

pub(super) const ABOUT: &str = "`strandline` and `strandline serve` run a NATS server of their own unless told otherwise; \
    the bare invocation with Liftbridge's flags (`strandline -c FILE`, without a command) uses an external NATS unless \
    `nats.embedded` or `--embedded-nats` says otherwise, as Liftbridge does. `nats.servers`, or credentials without \
    `nats.embedded`, choose an external NATS. An embedded server together with servers on other machines is an error. \
    Credentials are given in one way only.";

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "nats.embedded",
        Kind::Bool,
        "",
        "run a NATS server in the process; false means false",
    )
    .flags("embedded-nats", Some('e'), &[])
    .default_note("true for `strandline` and `strandline serve`, false for Liftbridge's invocation"),
    Key::new(
        "nats.embedded.config",
        Kind::Path,
        "",
        "configuration file of the embedded server, in nats-server's format; turns the embedded server on",
    )
    .flags("embedded-nats-config", None, &["nc"]),
    Key::new(
        "nats.embedded.listen",
        Kind::Address,
        "",
        "where the embedded server listens; beats its configuration file and turns the embedded server on",
    )
    .flag("nats-listen")
    .default_note("`listen` of its configuration file, else `0.0.0.0:4222`"),
    Key::new(
        "nats.servers",
        Kind::List,
        "",
        "external NATS servers, `host:port` or `nats://` and `tls://` URLs",
    )
    .flags("nats-servers", Some('n'), &[])
    .default_note("`nats://127.0.0.1:4222` if an external NATS is used"),
    Key::new("nats.user", Kind::Text, "", "user at the external NATS"),
    Key::new("nats.password", Kind::Text, "", "password of the user").secret(),
    Key::new("nats.token", Kind::Text, "", "token for the external NATS").secret(),
    Key::new(
        "nats.nkey.file",
        Kind::Path,
        "",
        "file with the nkey seed for the external NATS",
    ),
    Key::new(
        "nats.credentials.file",
        Kind::Path,
        "",
        "`.creds` file for the external NATS",
    ),
    Key::new(
        "nats.tls.cert",
        Kind::Path,
        "",
        "certificate that the broker shows to the external NATS",
    ),
    Key::new("nats.tls.key", Kind::Path, "", "private key of that certificate"),
    Key::new(
        "nats.tls.ca",
        Kind::Path,
        "",
        "authorities that the certificates of the external NATS have to come from",
    )
    .default_note("the system's authorities"),
];
