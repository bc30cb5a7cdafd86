//! From an accepted socket to a session: limits, INFO, TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::session::Session;
use super::source::Source;
use super::wire::{Unblocking, Wire};
use super::{Connection, pool};
use crate::protocol::write_error;
use crate::server::{Credentials, Shared, TlsMode, TlsSetup};

/// The first byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// Where TLS is a choice and nobody must log in, a client that says nothing is taken for one without TLS after this long.
const SILENT_CLIENT: Duration = Duration::from_secs(10);

/// A socket without a session yet.
struct Newcomer {
    id: u64,
    peer: SocketAddr,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
}

/// Receives a client and serves it to its end.
pub(crate) async fn welcome(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let id = shared.next_id();
    let (reader, writer) = stream.into_split();
    let mut newcomer = Newcomer {
        id,
        peer,
        reader,
        writer,
    };
    let Some(_place) = shared.take_place() else {
        newcomer.turn_away(&shared).await;
        return;
    };
    let prepared = tokio::select! {
        prepared = newcomer.prepare(&shared) => prepared,
        () = shared.stop.cancelled() => return,
    };
    match prepared {
        Ok((tls, credentials)) => {
            let wire = Arc::new(Wire::new(newcomer.writer, tls));
            let connection = Arc::new(Connection::new(id, Arc::clone(&shared), Arc::clone(&wire)));
            shared.remember(&connection);
            Session::new(connection, Source::new(newcomer.reader, wire), credentials)
                .run()
                .await;
        }
        Err(error) => {
            tracing::debug!(connection = id, %peer, %error, "client did not get as far as a session");
        }
    }
}

impl Newcomer {
    async fn turn_away(&mut self, shared: &Shared) {
        let mut words = shared.info.first(self.id, self.peer, None);
        write_error(&mut words, "maximum connections exceeded");
        let _ = timeout(shared.limits.write_deadline, self.writer.write_all(&words)).await; // It may be gone already.
    }

    async fn prepare(&mut self, shared: &Shared) -> io::Result<(Option<ServerConnection>, Credentials)> {
        let nonce = shared.authenticator.new_nonce().map(Arc::from);
        let info = shared.info.first(self.id, self.peer, nonce.as_deref());
        let (write_deadline, setup) = (shared.limits.write_deadline, shared.tls.as_ref());
        let mut tls = None;
        if let Some(setup) = setup
            && let TlsMode::First { fallback } = setup.mode
            && self.speaks_tls_within(fallback).await?
        {
            tls = Some(self.secure(setup).await?);
        }
        match &mut tls {
            Some(tls) => self.write_encrypted(tls, &info, write_deadline).await?,
            None => timeout(write_deadline, self.writer.write_all(&info)).await??,
        }
        if let (None, Some(setup)) = (&tls, setup) {
            tls = self.upgrade(shared, setup).await?;
        }
        let certificates = tls
            .as_ref()
            .and_then(|tls| tls.peer_certificates())
            .unwrap_or_default();
        let certificates = certificates
            .iter()
            .map(|certificate| certificate.clone().into_owned())
            .collect();
        Ok((
            tls,
            Credentials {
                nonce,
                certificates,
                peer: self.peer,
            },
        ))
    }

    /// TLS after INFO.
    async fn upgrade(&mut self, shared: &Shared, setup: &TlsSetup) -> io::Result<Option<ServerConnection>> {
        if setup.mode == TlsMode::Available {
            let wait = if shared.authenticator.is_required() {
                shared.limits.auth_timeout
            } else {
                SILENT_CLIENT
            };
            if !self.speaks_tls_within(Some(wait)).await? {
                return Ok(None);
            }
        }
        match self.secure(setup).await {
            Ok(tls) => Ok(Some(tls)),
            Err(error) => {
                if error.kind() == io::ErrorKind::TimedOut {
                    let mut words = Vec::new();
                    write_error(&mut words, "Secure Connection - TLS Required");
                    let _ = timeout(shared.limits.write_deadline, self.writer.write_all(&words)).await;
                }
                Err(error)
            }
        }
    }

    /// Looks at the client's first byte without taking it. Without a limit, any client is taken to speak TLS.
    async fn speaks_tls_within(&mut self, limit: Option<Duration>) -> io::Result<bool> {
        let Some(limit) = limit else { return Ok(true) };
        let mut first = [0];
        match timeout(limit, self.reader.peek(&mut first)).await {
            Ok(seen) => Ok(seen? == 1 && first[0] == TLS_HANDSHAKE),
            Err(_) => Ok(false),
        }
    }

    async fn secure(&mut self, setup: &TlsSetup) -> io::Result<ServerConnection> {
        let handshake = self.handshake(Arc::clone(&setup.config));
        timeout(setup.timeout, handshake)
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "tls handshake timed out")))
    }

    async fn handshake(&mut self, config: Arc<ServerConfig>) -> io::Result<ServerConnection> {
        let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut raw = pool::take();
        while tls.is_handshaking() {
            raw.clear();
            if self.reader.read_buf(&mut raw).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut unread = raw.as_slice();
            while !unread.is_empty() {
                tls.read_tls(&mut unread)?;
                if let Err(error) = tls.process_new_packets() {
                    let _ = tls.write_tls(&mut Unblocking(&self.writer)); // The alert; the client may be gone.
                    return Err(io::Error::other(error));
                }
            }
            self.write_pending(&mut tls).await?;
        }
        pool::give(raw);
        Ok(tls)
    }

    async fn write_encrypted(
        &self,
        tls: &mut ServerConnection,
        bytes: &[u8],
        deadline: Duration,
    ) -> io::Result<()> {
        io::Write::write_all(&mut tls.writer(), bytes)?;
        timeout(deadline, self.write_pending(tls)).await?
    }

    async fn write_pending(&self, tls: &mut ServerConnection) -> io::Result<()> {
        while tls.wants_write() {
            match tls.write_tls(&mut Unblocking(&self.writer)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writer.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
