//! TLS of the gRPC API: all of it or nothing, never plaintext by mistake.

use std::path::{Path, PathBuf};

use strandline_broker::settings::GrpcTls;

use super::problem::{Problem, Problems};
use super::values::Values;

const CERT: &str = "tls.cert";
const KEY: &str = "tls.key";
const CLIENTS: &str = "tls.client.auth.enabled";
const CLIENT_CA: &str = "tls.client.auth.ca";

/// Where operating systems keep the authorities they trust.
const SYSTEM_AUTHORITIES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Reads the files that the settings name; none when TLS is off.
pub(crate) fn grpc_tls(values: &Values, problems: &mut Problems) -> Option<GrpcTls> {
    let wants_clients = values.bool(CLIENTS).unwrap_or_default();
    let (Some(cert), Some(key)) = (values.path(CERT), values.path(KEY)) else {
        check_incomplete(values, wants_clients, problems);
        return None;
    };
    if values.is_set(CLIENT_CA) && !values.is_set(CLIENTS) {
        problems.push(Problem::Incomplete {
            origin: values.origin(CLIENT_CA),
            key: CLIENT_CA,
            missing: CLIENTS,
            reason: "say true to have client certificates checked, or false to leave them unchecked",
        });
    }
    let client_ca = if wants_clients {
        client_authorities(values, problems)
    } else {
        None
    };
    let mut read =
        |name: &'static str, path: &Path, marker: &str| read_pem(values, name, path, marker, problems);
    let (cert_pem, key_pem) = (read(CERT, &cert, "CERTIFICATE"), read(KEY, &key, "PRIVATE KEY"));
    let client_ca_pem = client_ca.map(|path| read(CLIENT_CA, &path, "CERTIFICATE"));
    match client_ca_pem {
        None => Some(GrpcTls {
            cert_pem: cert_pem?,
            key_pem: key_pem?,
            client_ca_pem: None,
        }),
        Some(ca) => Some(GrpcTls {
            cert_pem: cert_pem?,
            key_pem: key_pem?,
            client_ca_pem: Some(ca?),
        }),
    }
}

fn check_incomplete(values: &Values, wants_clients: bool, problems: &mut Problems) {
    let mut needs = |key: &'static str, missing: &'static str, reason: &'static str| {
        problems.push(Problem::Incomplete {
            origin: values.origin(key),
            key,
            missing,
            reason,
        });
    };
    match (values.is_set(CERT), values.is_set(KEY)) {
        (true, _) => needs(CERT, KEY, "a certificate is of no use without its private key"),
        (_, true) => needs(KEY, CERT, "a private key is of no use without its certificate"),
        _ if wants_clients => needs(
            CLIENTS,
            CERT,
            "client certificates are checked over tls only; set tls.cert and tls.key",
        ),
        _ if values.is_set(CLIENT_CA) && !values.is_set(CLIENTS) => {
            needs(
                CLIENT_CA,
                CERT,
                "client certificates are checked over tls only; set tls.cert and tls.key",
            );
        }
        _ => {}
    }
}

fn client_authorities(values: &Values, problems: &mut Problems) -> Option<PathBuf> {
    let found = values.path(CLIENT_CA).or_else(|| {
        SYSTEM_AUTHORITIES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
    });
    if found.is_none() {
        problems.push(Problem::Incomplete {
            origin: values.origin(CLIENTS),
            key: CLIENTS,
            missing: CLIENT_CA,
            reason: "this system keeps no list of authorities where one is expected",
        });
    }
    found
}

/// Reads a PEM file and checks that it holds what it is named for: a swapped pair is a common mistake.
pub(super) fn read_pem(
    values: &Values,
    name: &'static str,
    path: &Path,
    marker: &str,
    problems: &mut Problems,
) -> Option<Vec<u8>> {
    let invalid = |reason| Problem::Invalid {
        origin: values.origin(name),
        key: name,
        reason,
    };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            problems.push(invalid(format!("cannot be read: {}: {error}", path.display())));
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    let holds = text
        .lines()
        .any(|line| line.starts_with("-----BEGIN ") && line.contains(marker));
    if !holds {
        problems.push(invalid(format!(
            "holds no {} in pem form: {}",
            marker.to_lowercase(),
            path.display()
        )));
        return None;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::value::{Origin, Raw};
    use super::*;

    fn resolve(settings: &[(&str, &str)]) -> (Option<GrpcTls>, Problems) {
        let (mut values, mut problems) = (Values::defaults(), Problems::default());
        let flag = |(name, text): &(&str, &str)| {
            (
                (*name).to_owned(),
                Some(Raw::Text((*text).to_owned())),
                Origin::Flag("--set".to_owned()),
            )
        };
        values.lay_over(settings.iter().map(flag).collect(), &mut problems);
        let tls = grpc_tls(&values, &mut problems);
        (tls, problems)
    }

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            let files = Self(tempfile::tempdir().unwrap());
            std::fs::write(files.path("cert"), "-----BEGIN CERTIFICATE-----\n").unwrap();
            std::fs::write(files.path("key"), "-----BEGIN EC PRIVATE KEY-----\n").unwrap();
            files
        }

        fn path(&self, name: &str) -> String {
            self.0.path().join(name).display().to_string()
        }
    }

    #[test]
    fn with_certificate_and_key_there_is_tls() {
        let files = Files::new();
        let (cert, key) = (files.path("cert"), files.path("key"));
        let pair = [(CERT, cert.as_str()), (KEY, key.as_str())];
        let (tls, problems) = resolve(&pair);
        assert_eq!(
            (tls.map(|tls| tls.client_ca_pem), problems),
            (Some(None), Problems::default())
        );
        let mutual = [pair[0], pair[1], (CLIENTS, "true"), (CLIENT_CA, cert.as_str())];
        let (tls, problems) = resolve(&mutual);
        assert!(tls.is_some_and(|tls| tls.client_ca_pem.is_some()), "{problems}");
    }

    #[test]
    fn half_of_the_settings_is_an_error_and_never_plaintext() {
        for settings in [
            [(CERT, "a"), ("port", "1")],
            [(KEY, "a"), ("port", "1")],
            [(CLIENTS, "true"), ("port", "1")],
            [(CLIENTS, "true"), (CLIENT_CA, "a")],
            [(CLIENT_CA, "a"), ("port", "1")],
        ] {
            let (tls, problems) = resolve(&settings);
            assert!(
                tls.is_none() && matches!(problems.0.as_slice(), [Problem::Incomplete { .. }]),
                "{problems}"
            );
        }
    }

    #[test]
    fn authorities_for_clients_that_are_not_checked_have_to_be_meant() {
        let files = Files::new();
        let (cert, key) = (files.path("cert"), files.path("key"));
        let settings = [
            (CERT, cert.as_str()),
            (KEY, key.as_str()),
            (CLIENT_CA, cert.as_str()),
            (CLIENTS, "false"),
        ];
        assert_eq!(resolve(&settings).1, Problems::default());
        assert!(matches!(
            resolve(&settings[..3]).1.0.as_slice(),
            [Problem::Incomplete { key: CLIENT_CA, .. }]
        ));
    }

    #[test]
    fn missing_and_swapped_files_are_named() {
        let files = Files::new();
        let (cert, key, gone) = (files.path("cert"), files.path("key"), files.path("gone"));
        let (_, problems) = resolve(&[(CERT, key.as_str()), (KEY, gone.as_str())]);
        let text = problems.to_string();
        assert!(
            text.contains("tls.cert holds no certificate") && text.contains(&gone),
            "{text}"
        );
        assert!(
            resolve(&[(CERT, cert.as_str()), (KEY, cert.as_str())])
                .1
                .to_string()
                .contains("tls.key holds no private key")
        );
    }
}
