//! Publishers with messages in flight.

use std::time::{Duration, Instant};

use strandline_client::admin::Side;
use tokio::task::JoinSet;

use super::{Measured, Task};
use crate::error::BenchError;
use crate::figures::Span;
use crate::message::{Burst, Messages};
use crate::publisher::Published;
use crate::system::Door;

/// Messages that are sent before anything is measured, so that files and buffers are there.
const WARM_UP: Duration = Duration::from_millis(300);

/// So many publishers with so many messages in flight each, for the time of the options. Every acked message has to be
/// stored in the end.
pub(super) async fn windowed(
    task: &mut Task<'_>,
    door: Door,
    publishers: u32,
    window: u64,
    partitions: u32,
) -> Result<Measured, BenchError> {
    let stream = task.name.clone();
    task.system.create_stream(&stream, partitions).await?;
    let filter = task.attach(Side::Write).await?;
    let load = Load {
        door,
        publishers,
        window,
        partitions,
    };
    let warm = load.run(task, &stream, WARM_UP).await?;
    let span = Span::begin(task.system.process());
    let published = load.run(task, &stream, task.options.time).await?;
    let spent = span.end();
    let expected = match filter {
        Some(filter) => filter.passed().await?,
        None => warm.acked + published.acked,
    };
    let found = task.system.stored(&stream, partitions).await?;
    if found != expected {
        return Err(BenchError::WrongCount {
            what: "stored",
            expected,
            found,
        });
    }
    Ok(Measured::new(published.acked, spent, published.latency))
}

/// What keeps a server busy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) door: Door,
    pub(super) publishers: u32,
    pub(super) window: u64,
    pub(super) partitions: u32,
}

impl Load {
    pub(super) async fn run(
        self,
        task: &Task<'_>,
        stream: &str,
        time: Duration,
    ) -> Result<Published, BenchError> {
        let mut running = JoinSet::new();
        let mut ready = Vec::new();
        let messages = Messages {
            stream,
            partitions: self.partitions,
            value: task.value,
            tenths: task.tenths(),
        };
        for _ in 0..self.publishers {
            let publisher = task.system.publisher(self.door, messages).await?;
            ready.push(publisher);
        }
        let until = Instant::now() + time;
        for (publisher, templates) in ready {
            let messages = usize::try_from(self.window).unwrap_or(1).max(templates.len());
            let burst = Burst::new(&templates, messages);
            running.spawn(publisher.run(burst, self.window, until));
        }
        let mut all = Published::default();
        while let Some(published) = running.join_next().await {
            all.add(&published.map_err(|_| BenchError::Interrupted)??);
        }
        Ok(all)
    }
}
