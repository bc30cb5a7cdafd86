//! The scrubber: reads sealed segments now and then, so that damage is found while a copy of the records is still somewhere.
//!
//! It reads as subscribers do, at a low rate, and changes nothing: a damaged segment stays where it is, and whoever asks for
//! its records is told the same. What the operating system holds in memory is read from there; a later pass reads the disk.

mod segment;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use strandline_core::storage::Log;
use strandline_core::{LogId, Offset};

use crate::context::Context;
use crate::metrics::ScrubNumbers;
use crate::pace::{Pace, Stopped};
use crate::partition::PartitionHandle;
use crate::settings::Scrubbing;
use segment::Finding;

/// The longest time between the start and the first pass: starts are not slowed by it, and brokers that are started often
/// come to it.
const FIRST_DELAY: Duration = Duration::from_mins(10);

/// Reads all that is sealed, pass after pass.
#[derive(Debug)]
pub(crate) struct Scrubber {
    context: Arc<Context>,
    interval: Duration,
    pace: Pace,
    /// Segments that were damaged when they were read last.
    damaged: HashSet<(LogId, Offset)>,
}

impl Scrubber {
    pub(crate) fn new(context: Arc<Context>, settings: &Scrubbing) -> Self {
        Self {
            pace: Pace::new(context.stopping.clone(), settings.max_rate),
            interval: settings.interval,
            damaged: HashSet::new(),
            context,
        }
    }

    /// Runs until it is aborted or the broker stops. Without an interval it returns at once.
    pub(crate) async fn run(mut self) {
        if self.interval.is_zero() {
            return;
        }
        tokio::time::sleep(self.interval.min(FIRST_DELAY)).await;
        loop {
            let begun = Instant::now();
            if let Err(Stopped) = self.pass().await {
                return;
            }
            self.context.metrics.scrub.passes.add(1);
            tracing::debug!(elapsed = ?begun.elapsed(), damaged = self.damaged.len(), "all sealed segments were read");
            tokio::time::sleep_until(begun + self.interval).await;
        }
    }

    /// Reads the sealed segments of all partitions, one after another. Which comes first differs from pass to pass: those at
    /// the end of the list have their turn, too, when the broker never runs for long.
    async fn pass(&mut self) -> Result<(), Stopped> {
        let streams = self.context.streams.all();
        let mut partitions: Vec<_> = streams.iter().flat_map(|stream| stream.open()).collect();
        partitions.sort_by_key(|partition| partition.info().log);
        let number = self.context.clock.now().nanos().unsigned_abs() % (partitions.len().max(1) as u64);
        partitions.rotate_left(usize::try_from(number).unwrap_or_default());
        for &partition in &partitions {
            let (checked, pace) = (Arc::clone(partition), self.pace.clone());
            let metrics = Arc::clone(&self.context.metrics);
            let check = move || check(&checked, &pace, &metrics.scrub);
            // One that panics has said so; the others have their turn.
            if let Ok(damaged) = tokio::task::spawn_blocking(check).await {
                self.note(partition.info().log, &damaged?);
            }
        }
        let there: HashSet<_> = partitions.iter().map(|partition| partition.info().log).collect();
        self.damaged.retain(|(log, _)| there.contains(log));
        self.show();
        Ok(())
    }

    fn note(&mut self, log: LogId, damaged: &[Offset]) {
        self.damaged.retain(|(other, _)| *other != log);
        self.damaged.extend(damaged.iter().map(|&segment| (log, segment)));
        self.show();
    }

    fn show(&self) {
        self.context.metrics.scrub.damaged.set(self.damaged.len() as u64);
    }
}

/// The sealed segments of a partition that are damaged.
fn check(partition: &PartitionHandle, pace: &Pace, numbers: &ScrubNumbers) -> Result<Vec<Offset>, Stopped> {
    let log = partition.log().as_ref();
    let mut damaged = Vec::new();
    for segment in log.segments().iter().filter(|segment| segment.sealed) {
        if let Finding::Damaged(problem) = segment::check(log, segment, pace, &numbers.read_bytes)? {
            let info = partition.info();
            tracing::error!(stream = %info.stream, partition = %info.partition, from = %segment.range.start,
                to = %segment.range.end, %problem, "stored records are damaged; the others are served");
            damaged.push(segment.id);
        }
        numbers.segments.add(1);
    }
    Ok(damaged)
}
