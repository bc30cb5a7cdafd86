//! The `tls` block.

use std::path::PathBuf;

use super::read::Reader;
use super::{OptionsError, unknown};
use crate::conf::{Entry, Value};
use crate::options::{HandshakeFirst, TlsOptions};

const KNOWN: [&str; 10] = [
    "cert_file",
    "key_file",
    "ca_file",
    "verify",
    "verify_and_map",
    "timeout",
    "handshake_first",
    "pinned_certs",
    "min_version",
    "allow_non_tls",
];

pub(super) fn read(read: &Reader<'_>) -> Result<TlsOptions, OptionsError> {
    let mut tls = TlsOptions::new(PathBuf::new(), PathBuf::new());
    for entry in read.block()? {
        take(&Reader(entry), &mut tls)?;
    }
    if tls.cert_file.as_os_str().is_empty() {
        return Err(read.wrong("needs cert_file"));
    }
    if tls.key_file.as_os_str().is_empty() {
        return Err(read.wrong("needs key_file"));
    }
    Ok(tls)
}

fn take(read: &Reader<'_>, tls: &mut TlsOptions) -> Result<(), OptionsError> {
    let entry: &Entry = read.0;
    match entry.key.to_ascii_lowercase().as_str() {
        "cert_file" => tls.cert_file = read.text()?.into(),
        "key_file" => tls.key_file = read.text()?.into(),
        "ca_file" => tls.ca_file = Some(read.text()?.into()),
        "verify" => tls.verify = read.flag()?,
        "verify_and_map" => (tls.verify_and_map, tls.verify) = (read.flag()?, tls.verify || read.flag()?),
        "timeout" => tls.timeout = read.duration()?,
        "handshake_first" | "first" | "immediate" => tls.handshake_first = handshake_first(read)?,
        "pinned_certs" => tls.pinned_certs = pins(read)?,
        "allow_non_tls" => tls.allow_non_tls = read.flag()?,
        "min_version" => min_version(read)?,
        "cipher_suites"
        | "curve_preferences"
        | "insecure"
        | "certs"
        | "cert_store"
        | "cert_match"
        | "cert_match_by"
        | "cert_match_skip_invalid"
        | "ca_certs_match"
        | "connection_rate_limit"
        | "ocsp_peer"
        | "verify_cert_and_check_known_urls" => {
            let reason = "remove the key; only current cipher suites are offered";
            return Err(OptionsError::Unsupported {
                place: entry.place.clone(),
                key: entry.key.clone(),
                reason,
            });
        }
        _ => return Err(unknown(entry, &KNOWN)),
    }
    Ok(())
}

/// `true`, `false`, `auto`, or the time after which the server speaks first.
fn handshake_first(read: &Reader<'_>) -> Result<HandshakeFirst, OptionsError> {
    match &read.0.value {
        Value::Boolean(true) => Ok(HandshakeFirst::Always),
        Value::Boolean(false) => Ok(HandshakeFirst::Never),
        Value::String(text) if text.eq_ignore_ascii_case("auto") => {
            Ok(HandshakeFirst::Fallback(HandshakeFirst::DEFAULT_FALLBACK))
        }
        _ => read.duration().map(HandshakeFirst::Fallback),
    }
}

fn pins(read: &Reader<'_>) -> Result<Vec<String>, OptionsError> {
    let pins: Vec<String> = read.texts()?.iter().map(|pin| pin.to_ascii_lowercase()).collect();
    let is_digest = |pin: &String| pin.len() == 64 && pin.bytes().all(|byte| byte.is_ascii_hexdigit());
    match pins.iter().find(|pin| !is_digest(pin)) {
        Some(pin) => Err(read.wrong(format!("must be SHA-256 digests in hex, not {pin:?}"))),
        None => Ok(pins),
    }
}

/// 1.2 and 1.3 are both offered; a file that asks for 1.3 alone would get less than it asks for.
fn min_version(read: &Reader<'_>) -> Result<(), OptionsError> {
    match read.text()?.as_str() {
        "1.2" => Ok(()),
        _ => Err(read.wrong("must be \"1.2\", the only one that can be set")),
    }
}
