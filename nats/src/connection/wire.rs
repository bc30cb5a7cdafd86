//! The writing side of a socket, in clear or through TLS.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use parking_lot::{Mutex, MutexGuard};
use rustls::ServerConnection;
use tokio::net::tcp::OwnedWriteHalf;

use super::pool;

/// Buffers given to one system call.
const MAX_SLICES: usize = 64;
/// Clear text given to the cipher at once; bounds what it holds when the socket is full.
const TLS_CHUNK: usize = 64 * 1024;

/// Where a connection's bytes go out. Writing never waits.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: OwnedWriteHalf,
    tls: Option<Mutex<ServerConnection>>,
}

/// How far a write came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Everything is with the kernel.
    Complete,
    /// The socket is full.
    Blocked,
}

/// Bytes on their way out: whole buffers, the first perhaps partly written.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(super) buffers: VecDeque<Vec<u8>>,
    /// Bytes of the first buffer that are written.
    head: usize,
    /// Bytes written since they were last accounted for.
    written: usize,
}

impl Wire {
    pub(crate) fn new(socket: OwnedWriteHalf, tls: Option<ServerConnection>) -> Self {
        Self {
            socket,
            tls: tls.map(Mutex::new),
        }
    }

    /// The cipher's state, if there is one; shared with the reading side.
    pub(crate) fn tls(&self) -> Option<MutexGuard<'_, ServerConnection>> {
        self.tls.as_ref().map(Mutex::lock)
    }

    /// Waits until writing may bring progress. Cancel safe.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Writes as much as the socket takes.
    pub(crate) fn write(&self, outgoing: &mut Outgoing) -> io::Result<Progress> {
        let result = match &self.tls {
            None => self.write_clear(outgoing),
            Some(tls) => self.write_encrypted(&mut tls.lock(), outgoing),
        };
        match result {
            Ok(()) => Ok(Progress::Complete),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Progress::Blocked),
            Err(error) => Err(error),
        }
    }

    fn write_clear(&self, outgoing: &mut Outgoing) -> io::Result<()> {
        while let Some(first) = outgoing.buffers.front() {
            let head = first.get(outgoing.head..).unwrap_or_default();
            let written = if outgoing.buffers.len() == 1 {
                self.socket.try_write(head)?
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let rest = outgoing.buffers.iter().skip(1).map(Vec::as_slice);
                let used = slices.iter_mut().zip(std::iter::once(head).chain(rest));
                let count = used.map(|(slice, bytes)| *slice = IoSlice::new(bytes)).count();
                self.socket
                    .try_write_vectored(slices.get(..count).unwrap_or_default())?
            };
            outgoing.advance(written);
        }
        Ok(())
    }

    fn write_encrypted(&self, tls: &mut ServerConnection, outgoing: &mut Outgoing) -> io::Result<()> {
        loop {
            while tls.wants_write() {
                tls.write_tls(&mut Unblocking(&self.socket))?;
            }
            let Some(first) = outgoing.buffers.front() else {
                return Ok(());
            };
            let head = first.get(outgoing.head..).unwrap_or_default();
            let taken = tls.writer().write(head.get(..TLS_CHUNK).unwrap_or(head))?;
            outgoing.advance(taken);
        }
    }
}

impl Outgoing {
    pub(super) fn new(buffers: VecDeque<Vec<u8>>) -> Self {
        Self {
            buffers,
            head: 0,
            written: 0,
        }
    }

    /// Bytes written since the last call.
    pub(super) fn take_written(&mut self) -> usize {
        std::mem::take(&mut self.written)
    }

    fn advance(&mut self, mut bytes: usize) {
        self.written += bytes;
        while let Some(first) = self.buffers.front() {
            let left = first.len().saturating_sub(self.head);
            if bytes < left {
                self.head += bytes;
                return;
            }
            bytes -= left;
            self.head = 0;
            self.buffers.pop_front().into_iter().for_each(pool::give);
        }
    }
}

/// A socket as a writer that reports a full socket as an error of kind `WouldBlock`.
pub(super) struct Unblocking<'a>(pub(super) &'a OwnedWriteHalf);

impl Write for Unblocking<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
