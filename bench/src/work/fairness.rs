//! What a publisher feels of others who keep the server busy with another stream.

use std::time::Instant;

use super::publish::Load;
use super::{Measured, Task};
use crate::error::BenchError;
use crate::figures::Span;
use crate::message::{Burst, Messages};
use crate::publisher::Published;
use crate::system::Door;

/// A publisher with one message in flight, first alone for half of the time and then beside 4 publishers with 1,000
/// messages in flight each. Latencies are those of the lone publisher, everything else is about the whole.
pub(super) async fn run(task: &mut Task<'_>) -> Result<Measured, BenchError> {
    let (hot, lone) = (task.name.clone(), format!("{}-lone", task.name));
    task.system.create_stream(&hot, 1).await?;
    task.system.create_stream(&lone, 1).await?;
    let alone = publish_one(task, &lone, task.options.time / 2).await?;
    let load = Load {
        door: Door::Api,
        publishers: 4,
        window: 1000,
        partitions: 1,
    };
    let span = Span::begin(task.system.process());
    let (busy, beside) = tokio::join!(
        load.run(task, &hot, task.options.time),
        publish_one(task, &lone, task.options.time),
    );
    let (busy, beside) = (busy?, beside?);
    let spent = span.end();
    let expected = alone.acked + beside.acked;
    let found = task.system.stored(&lone, 1).await?;
    if found != expected {
        return Err(BenchError::WrongCount {
            what: "stored",
            expected,
            found,
        });
    }
    Ok(Measured {
        alone: Some(alone.latency),
        ..Measured::new(busy.acked + beside.acked, spent, beside.latency)
    })
}

async fn publish_one(
    task: &Task<'_>,
    stream: &str,
    time: std::time::Duration,
) -> Result<Published, BenchError> {
    let (publisher, templates) = task
        .system
        .publisher(Door::Api, Messages::plain(stream, task.value))
        .await?;
    let burst = Burst::new(&templates, 1);
    // Not on this task, which the others share: they would be waited for.
    let running = tokio::spawn(publisher.run(burst, 1, Instant::now() + time));
    running.await.map_err(|_| BenchError::Interrupted)?
}
