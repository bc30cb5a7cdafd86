//! Files as they are in use.

use std::time::Duration;

use super::*;
use crate::options::HandshakeFirst;

fn read(text: &str) -> Result<Options, OptionsError> {
    Options::from_text(text, Path::new("nats.conf"))
}

#[test]
fn a_key_that_a_variable_refers_to_needs_no_meaning_of_its_own() {
    let options = read("PASS: s3cret\nauthorization { user: a, pass: $PASS }").unwrap();
    assert_eq!(
        options.authorization.only_user.as_ref().unwrap().password,
        crate::options::Secret::new("s3cret")
    );
    let error = read("PASS: s3cret").unwrap_err();
    assert!(
        matches!(&error, OptionsError::UnknownKey { key, .. } if key == "PASS"),
        "{error}"
    );
}

#[test]
fn every_key_has_its_effect() {
    let options = read(
        r#"
        listen: 127.0.0.1:4333
        server_name = edge-1
        max_payload: 2MB, max_pending: 10MB; max_control_line 2KB
        max_connections: 100
        max_subscriptions: 0
        max_sub_tokens: 16
        no_fast_producer_stall: true
        ping_interval: "30s"
        ping_max: 3
        write_deadline: 5
        lame_duck_duration: "60s"
        authorization {
          timeout: 1.5
          default_permissions { publish: "a.>", subscribe: ["b.*", "c q"] }
          users = [
            { user: admin, password: $2a$11$abc, permissions { publish { deny: "secret.>" }, allow_responses: { max: 5, expires: "1m" } } }
            { nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 }
          ]
        }
        no_auth_user: admin
        tls { cert_file: "c.pem", key_file: "k.pem", ca_file: "ca.pem", verify: true, timeout: 3, handshake_first: auto }
        "#,
    )
    .unwrap();
    assert_eq!((options.host.as_str(), options.port), ("127.0.0.1", 4333));
    assert_eq!(
        (options.max_payload, options.max_pending, options.max_control_line),
        (2 << 20, 10 << 20, 2 << 10)
    );
    assert_eq!(
        (options.max_connections, options.max_subscriptions),
        (Some(100), None)
    );
    assert_eq!(
        (options.ping_interval, options.ping_max),
        (Duration::from_secs(30), 3)
    );
    assert_eq!(
        (options.write_deadline, options.auth_timeout),
        (Duration::from_secs(5), Duration::from_millis(1500))
    );
    assert_eq!(
        (options.max_subscription_tokens, options.no_fast_producer_stall),
        (Some(16), true)
    );
    let authorization = &options.authorization;
    assert_eq!(authorization.users[0].name, "admin");
    let rules = authorization.users[0].permissions.as_ref().unwrap();
    assert_eq!(rules.publish.deny, ["secret.>"]);
    assert_eq!(rules.responses.unwrap().max, Some(5));
    assert_eq!(authorization.nkeys.len(), 1);
    assert_eq!(
        authorization
            .default_permissions
            .as_ref()
            .unwrap()
            .subscribe
            .allow
            .as_ref()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(authorization.no_auth_user.as_deref(), Some("admin"));
    let tls = options.tls.unwrap();
    assert!(tls.verify && tls.handshake_first == HandshakeFirst::Fallback(Duration::from_millis(50)));
}

#[test]
fn a_port_of_minus_one_is_any_free_one() {
    for text in ["listen: \"127.0.0.1:-1\"", "port: -1"] {
        assert_eq!(read(text).unwrap().port, 0, "{text}");
    }
}

#[test]
fn one_user_and_a_token_are_read() {
    let options = read("authorization { user: a, pass: 1234 }").unwrap();
    assert_eq!(
        options.authorization.only_user.unwrap().password,
        crate::options::Secret::new("1234")
    );
    assert!(
        read("authorization { token: t }")
            .unwrap()
            .authorization
            .token
            .is_some()
    );
    for bad in [
        "authorization { user: a }",
        "authorization { token: t, users: [{user: a, pass: b}] }",
        "authorization { user: a, pass: b, users: [{user: c, pass: d}] }",
        "authorization { user: a, pass: b, token: t }",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

#[test]
fn keys_without_effect_are_refused_by_name_and_typing_errors_get_a_hint() {
    for key in [
        "jetstream",
        "cluster",
        "websocket",
        "accounts",
        "http_port",
        "debug",
        "mqtt",
        "operator",
    ] {
        let error = read(&format!("{key}: 1")).unwrap_err();
        assert!(matches!(&error, OptionsError::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(key), "{error}");
    }
    let error = read("\n max_paylod: 1").unwrap_err();
    assert_eq!(
        error.to_string(),
        "nats.conf:2:2: unknown key \"max_paylod\", did you mean \"max_payload\"?"
    );
}

#[test]
fn values_of_the_wrong_kind_are_named_with_their_place() {
    let cases = [
        ("port: x", "nats.conf:1:1: port must be a number, not text"),
        ("port: 70000", "nats.conf:1:1: port must be a port, 0 to 65535"),
        ("listen: here", "nats.conf:1:1: listen must be host:port"),
        (
            "ping_interval: soon",
            "nats.conf:1:1: ping_interval must be a duration such as \"2s\" or \"1m30s\"",
        ),
        (
            "max_payload: 0",
            "nats.conf:1:1: max_payload must be 1 to 2147483647",
        ),
        ("tls {}", "nats.conf:1:1: tls needs cert_file"),
        (
            "allow_non_tls: true",
            "nats.conf:1:1: allow_non_tls needs a tls block before it",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text).unwrap_err().to_string(), expected);
    }
}

#[test]
fn who_speaks_first_is_a_flag_a_word_or_a_time() {
    let milliseconds = |count| HandshakeFirst::Fallback(Duration::from_millis(count));
    for (text, meant) in [
        ("true", HandshakeFirst::Always),
        ("false", HandshakeFirst::Never),
        ("auto", milliseconds(50)),
        ("AUTO", milliseconds(50)),
        ("\"300ms\"", milliseconds(300)),
    ] {
        let options = read(&format!(
            "tls {{ cert_file: c, key_file: k, handshake_first: {text} }}"
        ))
        .unwrap();
        assert_eq!(options.tls.unwrap().handshake_first, meant, "{text}");
    }
    assert!(read("tls { cert_file: c, key_file: k, handshake_first: soon }").is_err());
}

#[test]
fn pins_are_digests_in_hex() {
    let pins = |text: &str| {
        read(&format!(
            "tls {{ cert_file: c, key_file: k, pinned_certs: [{text}] }}"
        ))
    };
    let pin = "AB".repeat(32);
    assert_eq!(
        pins(&format!("\"{pin}\"")).unwrap().tls.unwrap().pinned_certs,
        [pin.to_ascii_lowercase()]
    );
    let error = pins("abcd").unwrap_err().to_string();
    assert!(error.contains("abcd") && error.contains("SHA-256"), "{error}");
}
