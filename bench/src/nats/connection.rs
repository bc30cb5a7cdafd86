//! One connection to a NATS server.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::ops::{Delivery, Op, parse};
use crate::error::BenchError;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 << 10;
/// Writes that wait for the socket.
const QUEUE: usize = 4;
const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"rust\",\"version\":\"0\",\
    \"name\":\"strandline bench\",\"headers\":true,\"no_responders\":true}\r\nPING\r\n";

/// The reading side.
#[derive(Debug)]
pub(crate) struct NatsReader {
    socket: OwnedReadHalf,
    buffer: BytesMut,
    /// For answers to what only the connection is concerned with.
    sender: mpsc::Sender<Bytes>,
    address: String,
    pongs: u64,
}

/// Connects; bytes that go into the channel go to the server.
///
/// # Errors
///
/// Nobody answers there, or nobody who speaks NATS and lets us in.
pub(crate) async fn connect(address: &str) -> Result<(mpsc::Sender<Bytes>, NatsReader), BenchError> {
    let unreachable = |error: std::io::Error| BenchError::Unreachable {
        address: address.to_owned(),
        reason: error.to_string(),
    };
    let socket = TcpStream::connect(address).await.map_err(unreachable)?;
    socket.set_nodelay(true).map_err(unreachable)?;
    let (read, write) = socket.into_split();
    let (sender, queue) = mpsc::channel(QUEUE);
    tokio::spawn(write_all(write, queue));
    let mut reader = NatsReader {
        socket: read,
        buffer: BytesMut::with_capacity(READ_BYTES),
        sender: sender.clone(),
        address: address.to_owned(),
        pongs: 0,
    };
    reader.send(Bytes::from_static(CONNECT)).await?;
    reader.wait_for_pong().await?;
    Ok((sender, reader))
}

async fn write_all(mut socket: OwnedWriteHalf, mut queue: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = queue.recv().await {
        // The reading side tells what is wrong with the connection.
        if socket.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

impl NatsReader {
    pub(crate) async fn send(&self, bytes: Bytes) -> Result<(), BenchError> {
        self.sender.send(bytes).await.map_err(|_| BenchError::Ended {
            what: "connection",
            reason: format!("of {}", self.address),
        })
    }

    /// Returns once the server has seen everything that was sent before the PING.
    pub(crate) async fn wait_for_pong(&mut self) -> Result<(), BenchError> {
        while self.pongs == 0 {
            self.read_some(&mut |_| {}).await?;
        }
        self.pongs -= 1;
        Ok(())
    }

    /// Hands out the messages that have come, at least one. Flow control of JetStream is answered and not handed out.
    pub(crate) async fn receive(&mut self, mut each: impl FnMut(&Delivery<'_>)) -> Result<u64, BenchError> {
        loop {
            let count = self.read_some(&mut each).await?;
            if count > 0 {
                return Ok(count);
            }
        }
    }

    /// What the buffer holds, or what the next read brings; answers what only the connection is concerned with.
    async fn read_some(&mut self, each: &mut impl FnMut(&Delivery<'_>)) -> Result<u64, BenchError> {
        let pongs = self.pongs;
        let mut answers = BytesMut::new();
        let mut count = self.parse_buffer(each, &mut answers)?;
        if count == 0 && self.pongs == pongs {
            self.fill_buffer().await?;
            count = self.parse_buffer(each, &mut answers)?;
        }
        if !answers.is_empty() {
            self.send(answers.freeze()).await?;
        }
        Ok(count)
    }

    async fn fill_buffer(&mut self) -> Result<(), BenchError> {
        let ended = |reason: String| BenchError::Ended {
            what: "connection",
            reason,
        };
        self.buffer.reserve(READ_BYTES);
        match self.socket.read_buf(&mut self.buffer).await {
            Ok(0) => Err(ended(format!("of {}", self.address))),
            Ok(_) => Ok(()),
            Err(error) => Err(ended(error.to_string())),
        }
    }

    fn parse_buffer(
        &mut self,
        each: &mut impl FnMut(&Delivery<'_>),
        answers: &mut BytesMut,
    ) -> Result<u64, BenchError> {
        let mut count = 0;
        while let Some((op, used)) = parse(&self.buffer) {
            match op {
                Op::Delivery(message) if message.headers.starts_with(b"NATS/1.0 100 ") => {
                    if !message.reply.is_empty() {
                        for part in [b"PUB ", message.reply, b" 0\r\n\r\n"] {
                            answers.extend_from_slice(part);
                        }
                    }
                }
                Op::Delivery(message) => {
                    count += 1;
                    each(&message);
                }
                Op::Ping => answers.extend_from_slice(b"PONG\r\n"),
                Op::Pong => self.pongs += 1,
                Op::Ok | Op::Info(_) => {}
                Op::Error(text) => {
                    return Err(BenchError::Refused {
                        what: "the connection".to_owned(),
                        reason: String::from_utf8_lossy(text).into_owned(),
                    });
                }
                Op::Unknown(_) => {
                    return Err(BenchError::Foreign {
                        address: self.address.clone(),
                        reason: "not the NATS protocol".to_owned(),
                    });
                }
            }
            self.buffer.advance(used);
        }
        Ok(count)
    }
}
