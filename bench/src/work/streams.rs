//! Many streams or partitions: how fast they are made, what they cost.

use super::{Measured, Task, idle};
use crate::error::BenchError;
use crate::figures::Span;

/// Creates streams with so many partitions each, then lets the server idle.
pub(super) async fn run(task: &mut Task<'_>, streams: u32, partitions: u32) -> Result<Measured, BenchError> {
    let span = Span::begin(task.system.process());
    if partitions == 1 {
        let names: Vec<String> = (0..streams)
            .map(|number| format!("{}-{number}", task.name))
            .collect();
        task.system.create_streams(&names).await?;
    } else {
        for number in 0..streams {
            let name = format!("{}-{number}", task.name);
            task.system.create_stream(&name, partitions).await?;
        }
    }
    let count = u64::from(streams) * u64::from(partitions);
    idle::run(task, count, span.end()).await
}
