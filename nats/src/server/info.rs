//! The INFO lines.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::Serialize;

/// The nats-server version whose protocol this is. Clients derive from it what they may use.
const PROTOCOL_VERSION: &str = "2.10.29";
/// The one account there is.
const ACCOUNT: &str = "$G";

/// Everything an INFO is made of.
#[derive(Debug)]
pub(crate) struct InfoSource {
    pub(super) server_id: String,
    pub(super) server_name: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) auth_required: bool,
    pub(super) tls_required: bool,
    pub(super) tls_verify: bool,
    pub(super) tls_available: bool,
    pub(super) connect_urls: Vec<String>,
    pub(super) max_payload: AtomicUsize,
    pub(super) lame_duck: AtomicBool,
}

#[derive(Debug, Serialize)]
struct Info<'a> {
    server_id: &'a str,
    server_name: &'a str,
    version: &'a str,
    proto: u8,
    go: &'a str,
    host: &'a str,
    port: u16,
    headers: bool,
    max_payload: usize,
    client_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ip: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    auth_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_verify: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    connect_urls: &'a [String],
    #[serde(skip_serializing_if = "is_false")]
    ldm: bool,
    #[serde(skip_serializing_if = "is_false")]
    connect_info: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_account: Option<&'a str>,
}

impl InfoSource {
    /// The greeting.
    pub(crate) fn first(&self, id: u64, peer: SocketAddr, nonce: Option<&str>) -> Vec<u8> {
        let mut info = self.info(id);
        info.client_ip = Some(peer.ip().to_canonical().to_string());
        info.nonce = nonce;
        line(&info)
    }

    /// The one that tells a client what became of its CONNECT.
    pub(crate) fn second(&self, id: u64) -> Vec<u8> {
        let mut info = self.info(id);
        info.connect_info = true;
        info.remote_account = Some(ACCOUNT);
        line(&info)
    }

    /// The one that announces a change.
    pub(super) fn later(&self, id: u64) -> Vec<u8> {
        line(&self.info(id))
    }

    fn info(&self, id: u64) -> Info<'_> {
        let lame_duck = self.lame_duck.load(Ordering::Acquire);
        Info {
            server_id: &self.server_id,
            server_name: &self.server_name,
            version: PROTOCOL_VERSION,
            proto: 1,
            go: "none (Strandline)",
            host: &self.host,
            port: self.port,
            headers: true,
            max_payload: self.max_payload.load(Ordering::Acquire),
            client_id: id,
            client_ip: None,
            auth_required: self.auth_required,
            tls_required: self.tls_required,
            tls_verify: self.tls_verify,
            tls_available: self.tls_available,
            nonce: None,
            // A server that leaves does not ask to be connected to.
            connect_urls: if lame_duck { &[] } else { &self.connect_urls },
            ldm: lame_duck,
            connect_info: false,
            remote_account: None,
        }
    }
}

fn line(info: &Info<'_>) -> Vec<u8> {
    let mut line = b"INFO ".to_vec();
    // Strings, numbers and flags always serialize into memory.
    if serde_json::to_writer(&mut line, info).is_err() {
        line.extend_from_slice(b"{}");
    }
    line.extend_from_slice(b" \r\n");
    line
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A name that no other server has, in the look of a public key, which clients expect.
pub(super) fn new_server_id() -> String {
    let mut random = [0; 35];
    let _ = getrandom::fill(&mut random); // Opaque to everybody; uniqueness is all it offers.
    let text = data_encoding::BASE32_NOPAD.encode(&random);
    format!("N{}", text.get(1..).unwrap_or_default())
}
