//! Reading a stream from its begin.

use std::time::Duration;

use strandline_client::admin::Side;
use tokio::task::JoinSet;

use super::publish::Load;
use super::{Measured, Task};
use crate::error::BenchError;
use crate::figures::{Latency, Span};
use crate::subscriber::From;
use crate::system::Door;

/// How long the stream is filled: some millions of messages on a fast server.
const FILL: Duration = Duration::from_secs(4);

pub(super) async fn run(task: &mut Task<'_>, subscribers: u64) -> Result<Measured, BenchError> {
    let stream = task.name.clone();
    task.system.create_stream(&stream, 1).await?;
    let load = Load {
        door: Door::Api,
        publishers: 4,
        window: 1000,
        partitions: 1,
    };
    let stored = load.run(task, &stream, FILL).await?.acked;
    let filter = task.attach(Side::Read).await?;
    let span = Span::begin(task.system.process());
    let mut running = JoinSet::new();
    for _ in 0..subscribers {
        let mut subscriber = task.system.subscriber(&stream, From::Earliest).await?;
        running.spawn(async move { subscriber.count(stored).await });
    }
    let mut read = 0;
    while let Some(count) = running.join_next().await {
        read += count.map_err(|_| BenchError::Interrupted)??;
    }
    let spent = span.end();
    let expected = match filter {
        Some(filter) => filter.passed().await?,
        None => stored * subscribers,
    };
    if read != expected {
        return Err(BenchError::WrongCount {
            what: "delivered",
            expected,
            found: read,
        });
    }
    // What a filter drops was read as well.
    Ok(Measured::new(stored * subscribers, spent, Latency::default()))
}
