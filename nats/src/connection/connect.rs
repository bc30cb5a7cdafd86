//! What a client says about itself.

use serde::Deserialize;

/// The options of a CONNECT, defaults filled in. Fields that are not known are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectOptions {
    /// Wants `+OK` after every accepted operation.
    pub(crate) verbose: bool,
    /// Wants its publish subjects checked.
    pub(crate) pedantic: bool,
    /// Wants its own messages.
    pub(crate) echo: bool,
    /// 1: understands later INFOs.
    pub(crate) protocol: i64,
    pub(crate) headers: bool,
    /// Wants a 503 when nobody gets its request.
    pub(crate) no_responders: bool,
    pub(crate) user: Option<String>,
    pub(crate) pass: Option<String>,
    pub(crate) auth_token: Option<String>,
    /// Public user key.
    pub(crate) nkey: Option<String>,
    /// The nonce signed with it, in base64.
    pub(crate) sig: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) lang: Option<String>,
    pub(crate) version: Option<String>,
    /// Asks for an account of its own; never allowed.
    pub(crate) account: Option<String>,
}

/// As on the wire: everything may be missing or null.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wire {
    verbose: Option<bool>,
    pedantic: Option<bool>,
    echo: Option<bool>,
    protocol: Option<i64>,
    headers: Option<bool>,
    no_responders: Option<bool>,
    user: Option<String>,
    pass: Option<String>,
    auth_token: Option<String>,
    nkey: Option<String>,
    sig: Option<String>,
    name: Option<String>,
    lang: Option<String>,
    version: Option<String>,
    account: Option<String>,
    new_account: Option<bool>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Wire::default().into()
    }
}

impl ConnectOptions {
    /// Reads the JSON text of a CONNECT; nothing if it is broken or a field has the wrong type.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Wire>(json).ok().map(Into::into)
    }
}

impl From<Wire> for ConnectOptions {
    fn from(wire: Wire) -> Self {
        let text = |field: Option<String>| field.filter(|text| !text.is_empty());
        let account = match wire.new_account {
            Some(true) => Some(wire.account.unwrap_or_default()),
            _ => text(wire.account),
        };
        Self {
            verbose: wire.verbose.unwrap_or(true),
            pedantic: wire.pedantic.unwrap_or(true),
            echo: wire.echo.unwrap_or(true),
            protocol: wire.protocol.unwrap_or(0),
            headers: wire.headers.unwrap_or(false),
            no_responders: wire.no_responders.unwrap_or(false),
            user: text(wire.user),
            pass: text(wire.pass),
            auth_token: text(wire.auth_token),
            nkey: text(wire.nkey),
            sig: text(wire.sig),
            name: text(wire.name),
            lang: text(wire.lang),
            version: text(wire.version),
            account,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_connect_is_verbose_pedantic_and_hears_itself() {
        let options = ConnectOptions::parse(b"{}").expect("valid");
        assert!(options.verbose && options.pedantic && options.echo);
        assert!(!options.headers && !options.no_responders);
        assert_eq!((options.protocol, options.user), (0, None));
    }

    #[test]
    fn nulls_and_unknown_fields_are_ignored_and_wrong_types_refused() {
        let options = ConnectOptions::parse(br#"{"verbose":false,"user":null,"shoe_size":43,"pass":""}"#)
            .expect("valid");
        assert_eq!((options.verbose, options.user, options.pass), (false, None, None));
        for broken in [&br#"{"verbose":"true"}"#[..], b"{", b"[]x", b"\xff"] {
            assert_eq!(ConnectOptions::parse(broken), None);
        }
    }

    #[test]
    fn every_field_is_read() {
        let json = br#"{"verbose":false,"pedantic":false,"echo":false,"protocol":1,"headers":true,"no_responders":true,
            "user":"u","pass":"p","auth_token":"t","nkey":"U","sig":"s","name":"n","lang":"l","version":"v","account":"a"}"#;
        let some = |text: &str| Some(text.to_owned());
        let wanted = ConnectOptions {
            verbose: false,
            pedantic: false,
            echo: false,
            protocol: 1,
            headers: true,
            no_responders: true,
            user: some("u"),
            pass: some("p"),
            auth_token: some("t"),
            nkey: some("U"),
            sig: some("s"),
            name: some("n"),
            lang: some("l"),
            version: some("v"),
            account: some("a"),
        };
        assert_eq!(ConnectOptions::parse(json), Some(wanted));
    }
}
