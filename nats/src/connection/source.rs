//! The reading side of a connection: from the socket, through the cipher if there is one, to unread bytes.

use std::future::{Future, poll_fn};
use std::io::{self, BufRead};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;

use super::intake::Intake;
use super::pool;
use super::wire::Wire;

/// Where a client's bytes come from.
#[derive(Debug)]
pub(super) struct Source {
    reader: OwnedReadHalf,
    wire: Option<Arc<Wire>>,
    pub(super) is_encrypted: bool,
    /// The cipher has something to say of its own.
    pub(super) wants_write: bool,
    pub(super) intake: Intake,
}

/// What reading brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// Bytes, and there may be more.
    Plenty,
    /// Bytes, and nothing more for now.
    All,
    Nothing,
    End,
}

impl Source {
    pub(super) fn new(reader: OwnedReadHalf, wire: Arc<Wire>) -> Self {
        let is_encrypted = wire.tls().is_some();
        Self {
            reader,
            wire: Some(wire),
            is_encrypted,
            wants_write: false,
            intake: Intake::default(),
        }
    }

    /// Waits for bytes. Cancel safe.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.reader.readable().await
    }

    /// The bytes that came with the handshake.
    pub(super) fn fill_from_handshake(&mut self) -> Fill {
        if self.is_encrypted {
            self.decrypt(&[]).unwrap_or(Fill::End)
        } else {
            Fill::Nothing
        }
    }

    /// Reads what is there, without waiting.
    pub(super) async fn fill(&mut self) -> io::Result<Fill> {
        if !self.is_encrypted {
            let room = self.intake.room();
            let free = room.capacity() - room.len();
            return Ok(judge(read_now(&mut self.reader, room).await?, free));
        }
        let mut raw = pool::take();
        let free = raw.capacity();
        let fill = judge(read_now(&mut self.reader, &mut raw).await?, free);
        let decrypted = self.decrypt(&raw);
        pool::give(raw);
        match decrypted? {
            Fill::End => Ok(Fill::End),
            _ => Ok(fill),
        }
    }

    /// Takes bytes from the socket through the cipher into the intake.
    fn decrypt(&mut self, mut raw: &[u8]) -> io::Result<Fill> {
        let Some(wire) = &self.wire else {
            return Ok(Fill::End);
        };
        let Some(mut tls) = wire.tls() else {
            return Ok(Fill::End);
        };
        let mut fill = Fill::All;
        loop {
            if !raw.is_empty() {
                tls.read_tls(&mut raw)?;
            }
            tls.process_new_packets().map_err(io::Error::other)?;
            let mut reader = tls.reader();
            loop {
                let clear = match reader.fill_buf() {
                    Ok([]) => {
                        fill = Fill::End;
                        break;
                    }
                    Ok(clear) => clear,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                };
                let length = clear.len();
                self.intake.room().extend_from_slice(clear);
                reader.consume(length);
            }
            if raw.is_empty() || fill == Fill::End {
                break;
            }
        }
        self.wants_write |= tls.wants_write();
        Ok(fill)
    }

    /// Tells the peer that nothing follows, if the cipher has a way to.
    pub(super) fn close_cipher(&mut self) {
        if let Some(mut tls) = self.wire.as_ref().and_then(|wire| wire.tls()) {
            tls.send_close_notify();
            self.wants_write = true;
        }
    }

    /// Lets go of the writing side.
    pub(super) fn release(&mut self) {
        self.wire = None;
    }

    /// Reads to the end of the connection.
    pub(super) async fn discard(&mut self) {
        let mut nowhere = pool::take();
        while self
            .reader
            .read_buf(&mut nowhere)
            .await
            .is_ok_and(|count| count > 0)
        {
            nowhere.clear();
        }
        pool::give(nowhere);
    }
}

/// Reads once, without waiting; nothing if that would wait.
async fn read_now(reader: &mut OwnedReadHalf, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
    poll_fn(|context| match pin!(reader.read_buf(buffer)).poll(context) {
        Poll::Ready(result) => Poll::Ready(result.map(Some)),
        Poll::Pending => Poll::Ready(Ok(None)),
    })
    .await
}

fn judge(read: Option<usize>, free: usize) -> Fill {
    match read {
        None => Fill::Nothing,
        Some(0) => Fill::End,
        Some(count) if count >= free => Fill::Plenty,
        Some(_) => Fill::All,
    }
}
