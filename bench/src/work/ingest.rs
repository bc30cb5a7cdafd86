//! Plain NATS messages without acks, as fast as the server takes them.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Measured, Task};
use crate::error::BenchError;
use crate::figures::{Latency, Span};
use crate::message::{Burst, Template};

const MESSAGES: u64 = 1_000_000;
/// Messages of one write.
const WRITE_MESSAGES: usize = 200;
/// How long the number of stored messages may stay as it is before the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(2);

pub(super) async fn run(task: &mut Task<'_>) -> Result<Measured, BenchError> {
    let stream = task.name.clone();
    task.system.create_stream(&stream, 1).await?;
    let (sender, mut reader) = task.system.plain_publisher().await?;
    let head = format!("PUB {stream} {}\r\n", task.value.len());
    let template = Template {
        bytes: [head.as_bytes(), task.value, b"\r\n"].concat(),
        value_at: head.len(),
    };
    let mut burst = Burst::new(&[template], WRITE_MESSAGES);
    let span = Span::begin(task.system.process());
    let mut left = MESSAGES;
    while left > 0 {
        let (bytes, count) = burst.take(left);
        send(&sender, bytes).await?;
        left -= count;
    }
    send(&sender, Bytes::from_static(b"PING\r\n")).await?;
    reader.wait_for_pong().await?;
    let stored = wait_until_stored(task, &stream).await?;
    // What is lost shows as a smaller count.
    Ok(Measured::new(stored, span.end(), Latency::default()))
}

async fn send(sender: &tokio::sync::mpsc::Sender<Bytes>, bytes: Bytes) -> Result<(), BenchError> {
    sender.send(bytes).await.map_err(|_| BenchError::Ended {
        what: "connection",
        reason: "while it was sent messages".to_owned(),
    })
}

/// Waits until all are stored, or no more come.
async fn wait_until_stored(task: &mut Task<'_>, stream: &str) -> Result<u64, BenchError> {
    let (mut stored, mut changed) = (0, Instant::now());
    loop {
        let now = task.system.stored(stream, 1).await?;
        if now >= MESSAGES || (now == stored && changed.elapsed() > PATIENCE) {
            return Ok(now);
        }
        if now != stored {
            (stored, changed) = (now, Instant::now());
        }
        tokio::time::sleep(POLL).await;
    }
}
