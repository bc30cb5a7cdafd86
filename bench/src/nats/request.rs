//! Requests that are answered one by one.

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::mpsc;

use super::connection::{NatsReader, connect};
use crate::error::BenchError;

/// A connection for requests.
#[derive(Debug)]
pub(crate) struct Requests {
    sender: mpsc::Sender<Bytes>,
    reader: NatsReader,
    inbox: String,
}

impl Requests {
    pub(crate) async fn open(address: &str) -> Result<Self, BenchError> {
        let (sender, reader) = connect(address).await?;
        let inbox = unique_inbox();
        reader.send(format!("SUB {inbox} 1\r\n").into()).await?;
        Ok(Self {
            sender,
            reader,
            inbox,
        })
    }

    /// Sends a request and waits for its answer. `None` when nobody listens on the subject.
    pub(crate) async fn request(
        &mut self,
        subject: &str,
        payload: &[u8],
    ) -> Result<Option<Bytes>, BenchError> {
        let mut op = BytesMut::new();
        op.put_slice(format!("PUB {subject} {} {}\r\n", self.inbox, payload.len()).as_bytes());
        op.put_slice(payload);
        op.put_slice(b"\r\n");
        self.sender
            .send(op.freeze())
            .await
            .map_err(|_| BenchError::Ended {
                what: "connection",
                reason: "while it was asked something".to_owned(),
            })?;
        let mut answer = None;
        self.reader
            .receive(|message| {
                let nobody = message.headers.starts_with(b"NATS/1.0 503");
                answer = (!nobody).then(|| Bytes::copy_from_slice(message.payload));
            })
            .await?;
        Ok(answer)
    }
}

/// A subject for answers that nobody else uses.
pub(crate) fn unique_inbox() -> String {
    let mut random = [0; 8];
    // Two runs at one server in the same nanosecond do not happen.
    let _ = getrandom::fill(&mut random);
    format!("_INBOX.bench.{:016x}", u64::from_be_bytes(random))
}
