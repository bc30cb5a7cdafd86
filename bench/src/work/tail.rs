//! Publish to receipt at a fixed rate.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::{Measured, Task};
use crate::error::BenchError;
use crate::figures::{Latency, Span};
use crate::message::{Messages, Template};
use crate::publisher::Acks;
use crate::subscriber::{From, Subscriber};
use crate::system::Door;

const RATE: u32 = 50_000;
/// Messages that are sent together.
const STEP: u32 = 10;
/// Messages at the begin that do not count: connections and files are new.
const WARM_UP: u64 = 10_000;

pub(super) async fn run(task: &mut Task<'_>) -> Result<Measured, BenchError> {
    let stream = task.name.clone();
    task.system.create_stream(&stream, 1).await?;
    let subscriber = task.system.subscriber(&stream, From::New).await?;
    let (publisher, templates) = task
        .system
        .publisher(Door::Api, Messages::plain(&stream, task.value))
        .await?;
    let template = templates.into_iter().next().ok_or(BenchError::Interrupted)?;
    let steps = (task.options.time.as_secs_f64() * f64::from(RATE / STEP)) as u32;
    let messages = u64::from(steps) * u64::from(STEP);
    let span = Span::begin(task.system.process());
    let start = span.started();
    let acks = tokio::spawn(drain(publisher.acks, messages));
    // A thread of its own: the runtime's timer is too coarse.
    let sender = publisher.sender;
    let pace = tokio::task::spawn_blocking(move || pace(&sender, &template, start, steps));
    let latency = receive(subscriber, start, messages).await?;
    pace.await.map_err(|_| BenchError::Interrupted)?;
    acks.await.map_err(|_| BenchError::Interrupted)??;
    Ok(Measured::new(messages, span.end(), latency))
}

/// Sends at the times that the rate gives, whatever the server does, and stamps each message with the time at which it
/// should have left: a server that is late cannot slow down what it is measured with.
fn pace(sender: &mpsc::Sender<Bytes>, template: &Template, start: Instant, steps: u32) {
    let interval = Duration::from_secs(1) * STEP / RATE;
    for step in 0..steps {
        let due = start + interval * step;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let stamp = u64::try_from((due - start).as_nanos())
            .unwrap_or(u64::MAX)
            .to_be_bytes();
        let mut bytes = BytesMut::new();
        (0..STEP).for_each(|_| template.put_stamped(&mut bytes, &stamp));
        if sender.blocking_send(bytes.freeze()).is_err() {
            return;
        }
    }
}

async fn drain(mut acks: Acks, messages: u64) -> Result<(), BenchError> {
    let mut acked = 0;
    while acked < messages {
        acked += acks.next().await?;
    }
    Ok(())
}

async fn receive(mut subscriber: Subscriber, start: Instant, messages: u64) -> Result<Latency, BenchError> {
    let mut latency = Latency::default();
    let mut received = 0;
    while received < messages {
        let mut stamps = Vec::new();
        let count = subscriber
            .values(|value| stamps.extend(value.first_chunk::<8>().copied()))
            .await?;
        let now = start.elapsed();
        for stamp in stamps {
            received += 1;
            if received > WARM_UP {
                let sent = Duration::from_nanos(u64::from_be_bytes(stamp));
                latency.record(now.saturating_sub(sent), 1);
            }
        }
        if count.is_none() {
            return Err(BenchError::WrongCount {
                what: "delivered",
                expected: messages,
                found: received,
            });
        }
    }
    Ok(latency)
}
