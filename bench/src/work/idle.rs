//! A server that has nothing to do.

use std::time::Duration;

use super::{Measured, Task};
use crate::error::BenchError;
use crate::figures::{Latency, Span, Spent};

/// Time for what the work before has left to be done.
const SETTLE: Duration = Duration::from_secs(2);
/// How long the server is watched; its CPU time is counted in hundredths of a second.
const WATCH: Duration = Duration::from_secs(10);

/// Adds to what a work has cost what its result costs when nothing happens.
pub(super) async fn run(task: &mut Task<'_>, count: u64, spent: Spent) -> Result<Measured, BenchError> {
    tokio::time::sleep(SETTLE).await;
    let span = Span::begin(task.system.process());
    tokio::time::sleep(WATCH).await;
    let idle = span.end();
    let memory = task.system.process().and_then(crate::figures::Process::memory);
    let spent = Spent {
        peak_memory: memory,
        ..spent
    };
    Ok(Measured {
        idle: idle
            .server_cpu
            .map(|cpu| cpu.as_secs_f64() / idle.time.as_secs_f64()),
        ..Measured::new(count, spent, Latency::default())
    })
}
