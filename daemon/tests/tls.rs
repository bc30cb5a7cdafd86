//! TLS between the commands and a broker.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::{Broker, fail, succeed};

/// An authority with a certificate for the broker and one for clients, as files.
fn write_certificates(directory: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(directory.join("ca.pem"), authority.pem()).unwrap();
    for (name, host) in [("server", "127.0.0.1"), ("client", "client")] {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![host.to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        std::fs::write(directory.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// A broker that asks clients for certificates, and how its commands find it.
fn start(directory: &Path, more: &[&str]) -> (Broker, impl Fn(&str) -> String + use<>) {
    write_certificates(directory);
    let root = directory.to_owned();
    let path = move |name: &str| root.join(name).display().to_string();
    let (cert, key, data) = (path("server.pem"), path("server.key"), path("data"));
    let args = [
        "serve",
        "--nats-listen",
        "127.0.0.1:0",
        "-d",
        &data,
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
    ];
    let broker = Broker::start_as(directory, &[&args, more].concat());
    (broker, path)
}

#[test]
fn with_tls_there_is_no_plaintext() {
    let directory = tempfile::tempdir().unwrap();
    let (broker, path) = start(directory.path(), &[]);
    let (grpc, ca, wrong) = (broker.grpc.clone(), path("ca.pem"), path("client.pem"));
    succeed(&["stream", "create", "s", "--servers", &grpc, "--tls-ca", &ca]);
    let (code, error) = fail(&["stream", "list", "--servers", &grpc]);
    assert!(code == Some(5) && error.contains("--tls-ca"), "{code:?} {error}");
    let (code, error) = fail(&["stream", "list", "--servers", &grpc, "--tls-ca", &wrong]);
    assert!(
        code == Some(5) && error.contains("certificate"),
        "{code:?} {error}"
    );
    broker.stop();
}

#[test]
fn with_mutual_tls_a_client_without_a_certificate_is_turned_away() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem").display().to_string();
    let (broker, path) = start(
        directory.path(),
        &["--tls-client-auth", "--tls-client-auth-ca", &ca],
    );
    let (grpc, cert, key) = (broker.grpc.clone(), path("client.pem"), path("client.key"));
    succeed(&[
        "stream",
        "list",
        "--servers",
        &grpc,
        "--tls-ca",
        &ca,
        "--tls-cert",
        &cert,
        "--tls-key",
        &key,
    ]);
    let (code, error) = fail(&["stream", "list", "--servers", &grpc, "--tls-ca", &ca]);
    assert_eq!(code, Some(5), "{error}");
    broker.stop();
}
