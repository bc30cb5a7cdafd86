//! The first ack after a kill.

use std::time::Duration;

use super::publish::Load;
use super::{Measured, Task};
use crate::error::BenchError;
use crate::figures::{Latency, Span};
use crate::message::{Burst, Messages};
use crate::system::Door;

/// How long the stream is filled before its size is looked at again.
const FILL: Duration = Duration::from_millis(500);

pub(super) async fn run(task: &mut Task<'_>) -> Result<Measured, BenchError> {
    let stream = task.name.clone();
    task.system.create_stream(&stream, 1).await?;
    let load = Load {
        door: Door::Api,
        publishers: 4,
        window: 1000,
        partitions: 1,
    };
    let span = Span::begin(task.system.process());
    let mut stored = 0;
    while stored * (task.value.len() as u64) < task.options.restart_bytes {
        stored += load.run(task, &stream, FILL).await?.acked;
    }
    let spent = span.end();
    let start = task.system.kill_and_restart().await?;
    let (mut publisher, templates) = task
        .system
        .publisher(Door::Api, Messages::plain(&stream, task.value))
        .await?;
    let (one, _) = Burst::new(&templates, 1).take(1);
    publisher.send(one).await?;
    publisher.acks.next().await?;
    let first_ack = start.elapsed();
    let found = task.system.stored(&stream, 1).await?;
    if found <= stored {
        return Err(BenchError::WrongCount {
            what: "stored after the restart",
            expected: stored + 1,
            found,
        });
    }
    Ok(Measured {
        first_ack: Some(first_ack),
        ..Measured::new(stored, spent, Latency::default())
    })
}
