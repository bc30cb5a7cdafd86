//! Names in a client's certificate that may be a user's.

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::distinguished_name::{DistinguishedName, subject_text};

/// What a certificate calls its owner.
#[derive(Debug, Default)]
pub(super) struct CertificateNames {
    /// In the order in which nats-server looks for a user: e-mail addresses, DNS names, URIs, then the subject's text.
    pub(super) texts: Vec<String>,
    /// The subject, for users whose name has its parts in another order.
    pub(super) subject: Option<DistinguishedName>,
}

impl CertificateNames {
    /// Of a certificate that was verified; one that cannot be read has none.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Self {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
            return Self::default();
        };
        let mut texts = alternative_names(&certificate);
        texts.push(subject_text(certificate.subject()));
        Self {
            texts,
            subject: DistinguishedName::of_subject(certificate.subject()),
        }
    }
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let general = alternative.map_or(&[][..], |names| &names.value.general_names);
    let (mut mails, mut hosts, mut uris) = (Vec::new(), Vec::new(), Vec::new());
    for name in general {
        match name {
            GeneralName::RFC822Name(text) => mails.push((*text).to_owned()),
            GeneralName::DNSName(text) => hosts.push((*text).to_owned()),
            GeneralName::URI(text) => uris.push((*text).to_owned()),
            _ => {}
        }
    }
    [mails, hosts, uris].concat()
}
