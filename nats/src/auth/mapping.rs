//! Names in a client's certificate that may be a user's.

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Names in the order in which nats-server looks for a user: e-mail addresses, DNS names, URIs, then the subject.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let general: &[GeneralName<'_>] = alternative
        .as_ref()
        .map_or(&[], |names| &names.value.general_names);
    let pick =
        |kind: fn(&GeneralName<'_>) -> Option<String>| general.iter().filter_map(kind).collect::<Vec<_>>();
    let mut names = pick(|name| {
        if let GeneralName::RFC822Name(text) = name {
            Some((*text).to_owned())
        } else {
            None
        }
    });
    names.extend(pick(|name| {
        if let GeneralName::DNSName(text) = name {
            Some((*text).to_owned())
        } else {
            None
        }
    }));
    names.extend(pick(|name| {
        if let GeneralName::URI(text) = name {
            Some((*text).to_owned())
        } else {
            None
        }
    }));
    names.extend(subject_names(&certificate));
    names
}

/// The subject in RFC 2253's order, as it stands, and its common name alone.
fn subject_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let subject = certificate.subject();
    let parts: Vec<String> = subject.to_string().split(", ").map(str::to_owned).collect();
    let reversed: Vec<&str> = parts.iter().rev().map(String::as_str).collect();
    vec![reversed.join(","), parts.join(",")]
}
