//! Where NATS is, by what is set and where.

use super::super::value::Raw;
use super::*;

type Source<'a> = &'a [(&'a str, &'a str)];

struct Outcome {
    embedded: bool,
    external: ExternalNats,
    notices: usize,
    problems: Problems,
}

/// The mode that follows from a file, the environment and flags.
fn resolve(invocation: Invocation, file: Source<'_>, environment: Source<'_>, flags: Source<'_>) -> Outcome {
    let (mut values, mut problems, mut notices) = (Values::defaults(), Problems::default(), Vec::new());
    let origins = [
        Origin::File {
            path: std::sync::Arc::new("f".into()),
            line: 1,
        },
        Origin::Environment("E".to_owned()),
        Origin::Flag("--set".to_owned()),
    ];
    for (source, origin) in [file, environment, flags].into_iter().zip(origins) {
        let entry = |(name, text): &(&str, &str)| {
            (
                (*name).to_owned(),
                Some(Raw::Text((*text).to_owned())),
                origin.clone(),
            )
        };
        values.lay_over(source.iter().map(entry).collect(), &mut problems);
    }
    let embedded = is_embedded(&values, invocation, &mut problems, &mut notices);
    let external = if embedded {
        ExternalNats::default()
    } else {
        external(&values, &mut problems)
    };
    Outcome {
        embedded,
        external,
        notices: notices.len(),
        problems,
    }
}

fn serve(file: Source<'_>) -> Outcome {
    resolve(Invocation::Serve, file, &[], &[])
}

#[test]
fn liftbridges_invocation_looks_for_nats_at_its_usual_address_and_ours_embeds_it() {
    let liftbridge = resolve(Invocation::Liftbridge, &[], &[], &[]);
    assert_eq!(
        (liftbridge.embedded, liftbridge.external.servers),
        (false, vec!["nats://127.0.0.1:4222".to_owned()])
    );
    assert!(serve(&[]).embedded);
    assert!(resolve(Invocation::Liftbridge, &[], &[], &[(EMBEDDED, "true")]).embedded);
}

/// In Liftbridge the mere presence of the setting turned the embedded server on.
#[test]
fn false_means_false() {
    let outcome = serve(&[(EMBEDDED, "false")]);
    assert_eq!((outcome.embedded, outcome.problems), (false, Problems::default()));
}

#[test]
fn a_configuration_or_an_address_for_the_embedded_server_turns_it_on() {
    for name in [EMBEDDED_CONFIG, EMBEDDED_LISTEN] {
        assert!(
            resolve(Invocation::Liftbridge, &[(name, "127.0.0.1:1")], &[], &[]).embedded,
            "{name}"
        );
    }
}

#[test]
fn the_switch_of_a_higher_source_wins_over_the_details_of_a_lower_one() {
    let config = [(EMBEDDED_CONFIG, "nats.conf")];
    assert!(!resolve(Invocation::Serve, &config, &[(EMBEDDED, "false")], &[]).embedded);
    assert!(resolve(Invocation::Serve, &[(EMBEDDED, "false")], &[], &config).embedded);
}

#[test]
fn off_and_a_configuration_in_one_source_contradict_each_other() {
    let outcome = serve(&[(EMBEDDED, "false"), (EMBEDDED_CONFIG, "nats.conf")]);
    assert!(
        matches!(
            outcome.problems.0.as_slice(),
            [Problem::Contradiction { key: EMBEDDED, .. }]
        ),
        "{}",
        outcome.problems
    );
}

#[test]
fn servers_or_credentials_choose_an_external_nats() {
    for setting in [
        (SERVERS, "a:4222"),
        ("nats.user", "u"),
        ("nats.token", "t"),
        ("nats.tls.ca", "ca.pem"),
    ] {
        assert!(!serve(&[setting]).embedded, "{setting:?}");
    }
}

#[test]
fn an_embedded_server_beside_others_is_a_contradiction_unless_it_is_itself() {
    let others = serve(&[(EMBEDDED, "true"), (SERVERS, "nats://n1:4222")]);
    assert!(
        matches!(others.problems.0.as_slice(), [Problem::Contradiction { .. }]),
        "{}",
        others.problems
    );
    let itself = serve(&[
        (EMBEDDED, "true"),
        (SERVERS, "nats://localhost:4222"),
        ("nats.user", "u"),
    ]);
    assert_eq!(
        (itself.embedded, itself.notices, itself.problems),
        (true, 2, Problems::default())
    );
}

#[test]
fn each_kind_of_credentials_arrives() {
    let credentials = |settings: Source<'_>| serve(settings).external.credentials;
    assert_eq!(
        credentials(&[("nats.user", "u"), ("nats.password", "p")]),
        NatsCredentials::UserPassword {
            user: "u".to_owned(),
            password: Secret::new("p")
        }
    );
    assert_eq!(
        credentials(&[("nats.token", "t")]),
        NatsCredentials::Token(Secret::new("t"))
    );
    assert_eq!(
        credentials(&[("nats.nkey.file", "n")]),
        NatsCredentials::NkeySeedFile("n".into())
    );
    assert_eq!(
        credentials(&[("nats.credentials.file", "c")]),
        NatsCredentials::CredsFile("c".into())
    );
}

#[test]
fn two_kinds_of_credentials_contradict_each_other() {
    let outcome = serve(&[("nats.user", "u"), ("nats.token", "t")]);
    assert!(matches!(
        outcome.problems.0.as_slice(),
        [Problem::Contradiction {
            key: "nats.user",
            other_key: "nats.token",
            ..
        }]
    ));
    assert!(matches!(
        serve(&[("nats.password", "p")]).problems.0.as_slice(),
        [Problem::Incomplete { .. }]
    ));
}

/// Liftbridge ignored all three files when one of certificate and key was missing, and went on in plaintext.
#[test]
fn tls_settings_are_used_or_refused_and_never_ignored() {
    let ca_only = serve(&[("nats.tls.ca", "ca")]).external.tls;
    assert_eq!(
        ca_only,
        Some(NatsTls {
            ca: Some("ca".into()),
            identity: None
        })
    );
    for half in ["nats.tls.cert", "nats.tls.key"] {
        let outcome = serve(&[(half, "x"), ("nats.tls.ca", "ca")]);
        assert!(
            matches!(outcome.problems.0.as_slice(), [Problem::Incomplete { .. }]),
            "{half}"
        );
    }
}

#[test]
fn servers_are_split_and_checked() {
    let good = serve(&[(SERVERS, "nats://a:4222, tls://u:p@b:4222,c:1,d,nats://[::1]:4222")]);
    assert_eq!(
        (good.external.servers.len(), good.problems),
        (5, Problems::default())
    );
    for bad in ["http://a:1", "a:1x", "nats://", "a:1/path"] {
        assert_eq!(serve(&[(SERVERS, bad)]).problems.0.len(), 1, "{bad}");
    }
}
