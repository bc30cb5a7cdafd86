//! TLS of the client port.

mod pinned;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::options::{HandshakeFirst, Options, TlsOptions};
use crate::server::{TlsMode, TlsSetup};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("tls: cannot read {what} from {file}: {problem}", file = file.display())]
    File {
        what: &'static str,
        file: PathBuf,
        problem: String,
    },
    #[error("tls: the certificate and its key do not work together: {0}")]
    Identity(rustls::Error),
    #[error("tls: client certificates cannot be verified: {0}")]
    Verifier(String),
    #[error("tls: {0}")]
    Contradiction(&'static str),
}

/// The setup of the client port, if TLS is on.
pub(crate) fn setup(options: &Options) -> Result<Option<TlsSetup>, TlsError> {
    let Some(tls) = &options.tls else { return Ok(None) };
    let mode = match tls.handshake_first {
        HandshakeFirst::Never if tls.allow_non_tls => TlsMode::Available,
        _ if tls.allow_non_tls => {
            return Err(TlsError::Contradiction(
                "handshake_first and allow_non_tls exclude each other",
            ));
        }
        HandshakeFirst::Never => TlsMode::Required,
        HandshakeFirst::Always => TlsMode::First { fallback: None },
        HandshakeFirst::Fallback(time) => TlsMode::First { fallback: Some(time) },
    };
    let config = Arc::new(server_config(tls)?);
    Ok(Some(TlsSetup {
        config,
        mode,
        timeout: tls.timeout,
    }))
}

fn server_config(tls: &TlsOptions) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Identity)?;
    let certificates = certificates("the certificate", &tls.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key_file)
        .map_err(|error| unreadable("the private key", &tls.key_file, &error))?;
    let builder = match verifier(tls)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    builder
        .with_single_cert(certificates, key)
        .map_err(TlsError::Identity)
}

/// Checks client certificates, if they are asked for.
fn verifier(tls: &TlsOptions) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    if !tls.verify && !tls.verify_and_map {
        if tls.pinned_certs.is_empty() {
            return Ok(None);
        }
        return Err(TlsError::Contradiction("pinned_certs needs verify: true"));
    }
    let Some(ca) = &tls.ca_file else {
        return Err(TlsError::Contradiction("verify needs ca_file"));
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates("the authorities", ca)? {
        roots
            .add(certificate)
            .map_err(|error| unreadable("the authorities", ca, &error))?;
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| TlsError::Verifier(error.to_string()))?;
    if tls.pinned_certs.is_empty() {
        return Ok(Some(verifier));
    }
    Ok(Some(Arc::new(pinned::PinnedVerifier::new(
        verifier,
        &tls.pinned_certs,
    ))))
}

fn certificates(what: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unreadable(what, file, &error))?;
    if found.is_empty() {
        let problem = "it holds no certificate in PEM form".to_owned();
        return Err(TlsError::File {
            what,
            file: file.to_owned(),
            problem,
        });
    }
    Ok(found)
}

fn unreadable(what: &'static str, file: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError::File {
        what,
        file: file.to_owned(),
        problem: error.to_string(),
    }
}
