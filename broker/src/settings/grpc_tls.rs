//! TLS of the gRPC API.

use std::fmt;

/// What the gRPC API shows and asks for. With it set there is no plaintext.
#[derive(Clone, PartialEq, Eq)]
pub struct GrpcTls {
    /// The server's certificate chain, PEM.
    pub cert_pem: Vec<u8>,
    /// The certificate's private key, PEM.
    pub key_pem: Vec<u8>,
    /// The authorities, PEM, that client certificates must come from; none = clients need no certificate.
    pub client_ca_pem: Option<Vec<u8>>,
}

/// Keeps the private key out of logs.
impl fmt::Debug for GrpcTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcTls")
            .field("mutual", &self.client_ca_pem.is_some())
            .finish_non_exhaustive()
    }
}
