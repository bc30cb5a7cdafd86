//! What is known of a client besides its CONNECT.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

/// Collected while the client was received.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    /// What it was to sign.
    pub(crate) nonce: Option<Arc<str>>,
    /// Its certificate chain, verified, if it was asked for one.
    pub(crate) certificates: Arc<[CertificateDer<'static>]>,
    pub(crate) peer: SocketAddr,
}
