//! Tests of who is let in.

use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use super::*;
use crate::options::{NkeyUser, TlsOptions, User};

fn user(name: &str, password: &str) -> User {
    User {
        name: name.into(),
        password: Secret::new(password),
        permissions: None,
    }
}

fn authenticator(authorization: Authorization) -> Authenticator {
    Authenticator::from_options(&Options {
        authorization,
        ..Options::default()
    })
    .unwrap()
}

fn connect(user: &str, pass: &str) -> ConnectOptions {
    ConnectOptions {
        user: Some(user.into()),
        pass: Some(pass.into()),
        ..ConnectOptions::default()
    }
}

fn allows(authenticator: &Authenticator, options: &ConnectOptions) -> bool {
    authenticator.authenticate(options, Some("nonce"), &[]).is_ok()
}

#[test]
fn users_are_known_by_plain_and_hashed_passwords() {
    let hash = bcrypt::hash("secret", 4).unwrap();
    let users = vec![user("plain", "secret"), user("hashed", &hash)];
    let authenticator = authenticator(Authorization {
        users,
        ..Authorization::default()
    });
    for name in ["plain", "hashed"] {
        assert!(allows(&authenticator, &connect(name, "secret")));
        assert!(!allows(&authenticator, &connect(name, "wrong")));
        assert!(!allows(&authenticator, &connect(name, "")));
    }
    assert!(!allows(&authenticator, &connect("nobody", "secret")));
    assert!(!allows(&authenticator, &ConnectOptions::default()));
}

#[test]
fn a_token_may_be_shown_as_a_user() {
    let authenticator = authenticator(Authorization {
        token: Some(Secret::new("t0k")),
        ..Authorization::default()
    });
    let token = |text: &str| ConnectOptions {
        auth_token: Some(text.into()),
        ..ConnectOptions::default()
    };
    assert!(allows(&authenticator, &token("t0k")) && !allows(&authenticator, &token("bad")));
    let as_user = ConnectOptions {
        user: Some("t0k".into()),
        ..ConnectOptions::default()
    };
    assert!(allows(&authenticator, &as_user));
}

#[test]
fn a_key_has_to_sign_this_connections_nonce() {
    let pair = nkeys::KeyPair::new_user();
    let nkeys = vec![NkeyUser {
        nkey: pair.public_key(),
        permissions: None,
    }];
    let authenticator = authenticator(Authorization {
        nkeys,
        users: vec![user("a", "b")],
        ..Authorization::default()
    });
    assert!(authenticator.needs_nonce());
    let signed = |text: &[u8]| ConnectOptions {
        nkey: Some(pair.public_key()),
        sig: Some(data_encoding::BASE64URL_NOPAD.encode(&pair.sign(text).unwrap())),
        ..ConnectOptions::default()
    };
    assert!(allows(&authenticator, &signed(b"nonce")) && !allows(&authenticator, &signed(b"other")));
    assert!(allows(&authenticator, &connect("a", "b")));
}

#[test]
fn clients_without_credentials_become_the_user_that_is_named_for_them() {
    let users = vec![user("guest", "x")];
    let options = Authorization {
        users: users.clone(),
        no_auth_user: Some("guest".into()),
        ..Authorization::default()
    };
    let authenticator = authenticator(options);
    assert_eq!(
        authenticator
            .authenticate(&ConnectOptions::default(), None, &[])
            .unwrap()
            .name,
        "guest"
    );
    assert!(!authenticator.is_required() && !allows(&authenticator, &connect("guest", "wrong")));
    let wrong = Authorization {
        users,
        no_auth_user: Some("nobody".into()),
        ..Authorization::default()
    };
    assert!(
        Authenticator::from_options(&Options {
            authorization: wrong,
            ..Options::default()
        })
        .is_err()
    );
}

#[test]
fn passwords_do_not_show_in_debug_output() {
    let text = format!("{:?}", user("a", "hunter2"));
    assert!(!text.contains("hunter2"), "{text}");
}

/// A certificate of `C=DE, O=Tides, CN=ann` that also names a host and a mailbox.
fn certificate() -> CertificateDer<'static> {
    let mut parameters = CertificateParams::new(vec!["ann.example".to_owned()]).unwrap();
    parameters
        .subject_alt_names
        .push(SanType::Rfc822Name("ann@tides.example".try_into().unwrap()));
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in [
        (DnType::CountryName, "DE"),
        (DnType::OrganizationName, "Tides"),
        (DnType::CommonName, "ann"),
    ] {
        parameters.distinguished_name.push(kind, value);
    }
    let key = KeyPair::generate().unwrap();
    parameters.self_signed(&key).unwrap().der().clone()
}

fn mapping(authorization: Authorization) -> Authenticator {
    let tls = TlsOptions {
        verify_and_map: true,
        ..TlsOptions::new("certificate", "key")
    };
    Authenticator::from_options(&Options {
        authorization,
        tls: Some(tls),
        ..Options::default()
    })
    .unwrap()
}

/// Who the owner of the certificate is among these users, by their names.
fn mapped(names: &[&str]) -> Option<String> {
    let authenticator = mapping(Authorization {
        users: names.iter().map(|name| user(name, "")).collect(),
        ..Authorization::default()
    });
    let identity = authenticator.authenticate(&ConnectOptions::default(), None, &[certificate()]);
    identity.ok().map(|identity| identity.name)
}

#[test]
fn a_certificate_is_mapped_by_its_alternative_names_and_its_subject() {
    for name in [
        "ann@tides.example",
        "ann.example",
        "CN=ann,O=Tides,C=DE",
        "C=DE, O=Tides, CN=ann",
    ] {
        assert_eq!(mapped(&["guest", name]).as_deref(), Some(name));
    }
    for name in ["ann", "CN=ann", "CN=Ann,O=Tides,C=DE", "ANN.example"] {
        assert_eq!(mapped(&["guest", name]), None, "{name}");
    }
}

#[test]
fn of_several_users_the_mailbox_comes_first_and_the_subject_last() {
    let names = [
        "C=DE,O=Tides,CN=ann",
        "CN=ann,O=Tides,C=DE",
        "ann.example",
        "ann@tides.example",
    ];
    for count in (1..=names.len()).rev() {
        assert_eq!(mapped(&names[..count]).as_deref(), Some(names[count - 1]));
    }
}

#[test]
fn a_mapped_user_with_a_password_has_to_show_it_under_any_name() {
    let authenticator = mapping(Authorization {
        users: vec![user("ann.example", "secret"), user("guest", "g")],
        ..Authorization::default()
    });
    let name = |options: &ConnectOptions| {
        let identity = authenticator.authenticate(options, None, &[certificate()]);
        identity.ok().map(|identity| identity.name)
    };
    assert_eq!(
        name(&connect("whoever", "secret")).as_deref(),
        Some("ann.example")
    );
    assert_eq!(name(&connect("ann.example", "wrong")), None);
    assert_eq!(name(&connect("guest", "g")), None, "the certificate decides");
    assert_eq!(name(&ConnectOptions::default()), None);
}

/// A certificate of nobody was once let in as `no_auth_user` until it sent its CONNECT.
#[test]
fn a_certificate_of_nobody_does_not_become_the_user_for_clients_without_credentials() {
    let with_guest = |name: &str| {
        mapping(Authorization {
            users: vec![user("guest", ""), user(name, "")],
            no_auth_user: Some("guest".into()),
            ..Authorization::default()
        })
    };
    let (known, unknown) = (with_guest("ann.example"), with_guest("ben.example"));
    let certificates = [certificate()];
    let newcomer = |authenticator: &Authenticator| {
        let identity = authenticator.newcomer(&certificates);
        identity.map(|identity| identity.map(|identity| identity.name))
    };
    assert_eq!(newcomer(&known), Ok(Some("ann.example".to_owned())));
    assert_eq!(newcomer(&unknown), Err(Denied));
    assert_eq!(
        known.newcomer(&[]).map(|_| ()),
        Err(Denied),
        "without a certificate"
    );
    let nothing = ConnectOptions::default();
    assert_eq!(
        known.authenticate(&nothing, None, &certificates).unwrap().name,
        "ann.example"
    );
    assert!(unknown.authenticate(&nothing, None, &certificates).is_err());
    assert!(
        unknown
            .authenticate(&connect("guest", ""), None, &certificates)
            .is_err()
    );
}

#[test]
fn only_a_named_user_for_clients_without_credentials_acts_before_connect() {
    let key = nkeys::KeyPair::new_user().public_key();
    let with = |name: &str| {
        authenticator(Authorization {
            users: vec![user("guest", "x")],
            nkeys: vec![NkeyUser {
                nkey: key.clone(),
                permissions: None,
            }],
            no_auth_user: Some(name.into()),
            ..Authorization::default()
        })
    };
    assert!(with("guest").newcomer(&[]).is_ok());
    assert!(with(&key).newcomer(&[]).is_err() && allows(&with(&key), &ConnectOptions::default()));
}

#[test]
fn keys_are_asked_before_certificates() {
    let pair = nkeys::KeyPair::new_user();
    let authenticator = mapping(Authorization {
        users: vec![user("ann.example", "")],
        nkeys: vec![NkeyUser {
            nkey: pair.public_key(),
            permissions: None,
        }],
        ..Authorization::default()
    });
    let signed = ConnectOptions {
        nkey: Some(pair.public_key()),
        sig: Some(data_encoding::BASE64URL_NOPAD.encode(&pair.sign(b"nonce").unwrap())),
        ..ConnectOptions::default()
    };
    let certificates = [certificate()];
    let name = |nonce| authenticator.authenticate(&signed, Some(nonce), &certificates);
    assert_eq!(name("nonce").unwrap().name, pair.public_key());
    assert!(name("other").is_err());
}
