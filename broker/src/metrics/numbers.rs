//! What the stages of a message's way count.

use std::sync::Arc;
use std::time::SystemTime;

use super::disk::FileNumbers;
use super::grpc::GrpcNumbers;
use super::value::{Counter, Gauge, Histogram, RECORDS, SIZES, TIMES};
use crate::partition::Reject;

/// Where a message came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// A PublishAsync call.
    GrpcSession,
    /// A Publish or PublishToSubject call.
    GrpcCall,
    /// NATS.
    Nats,
}

impl Door {
    pub(super) const ALL: [(Self, &'static str); 3] = [
        (Self::GrpcSession, "grpc_session"),
        (Self::GrpcCall, "grpc_call"),
        (Self::Nats, "nats"),
    ];
}

/// Why a message was not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A partition refused it.
    Partition(Reject),
    /// There is no such stream or partition, or it is out of service.
    NoTarget,
}

impl Refusal {
    pub(super) const ALL: [(Self, &'static str); 12] = [
        (Self::Partition(Reject::IncorrectOffset), "incorrect_offset"),
        (Self::Partition(Reject::TooLarge), "too_large"),
        (Self::Partition(Reject::Malformed), "malformed"),
        (Self::Partition(Reject::PolicyMissing), "policy_missing"),
        (Self::Partition(Reject::DiskFull), "disk_full"),
        (Self::Partition(Reject::LogFailed), "log_failed"),
        (Self::Partition(Reject::Overloaded), "overloaded"),
        (Self::Partition(Reject::Closed), "closed"),
        (Self::Partition(Reject::PluginFailed), "plugin_failed"),
        (Self::Partition(Reject::PluginMissing), "plugin_missing"),
        (Self::Partition(Reject::DeadLetterLost), "dead_letter_lost"),
        (Self::NoTarget, "no_target"),
    ];
}

/// Messages that came in at one door.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct DoorNumbers {
    pub(super) messages: Counter,
    pub(super) bytes: Counter,
}

/// From the inbox to the answer. Counted by the appender alone.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct AppendNumbers {
    pub(crate) records: Counter,
    pub(crate) bytes: Counter,
    pub(crate) batch_records: Histogram,
    pub(crate) batch_bytes: Histogram,
    /// From a chunk's first message at the door to its turn.
    pub(crate) inbox_time: Histogram,
    /// The log's `append`.
    pub(crate) append_time: Histogram,
    /// From the end of `append` to durable.
    pub(crate) commit_time: Histogram,
    /// Records for which one sync was asked.
    pub(crate) sync_records: Histogram,
    /// From durable to answered.
    pub(crate) answer_time: Histogram,
    /// From a chunk's first message at the door to its answers.
    pub(crate) publish_time: Histogram,
    pub(crate) acks: Counter,
    /// Bytes that wait for a sync and their answers.
    pub(crate) unsynced: Gauge,
}

/// Reading for subscribers.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct ReaderNumbers {
    pub(crate) records: Counter,
    pub(crate) bytes: Counter,
    pub(crate) cache_hits: Counter,
    pub(crate) cache_misses: Counter,
    pub(crate) subscriptions: Gauge,
    pub(crate) subscribed: Counter,
}

/// What retention removed.
#[derive(Debug, Default)]
pub(crate) struct RetentionNumbers {
    pub(crate) segments: Counter,
    pub(crate) records: Counter,
    /// Seconds by which the wall clock is ahead of what ages are judged by.
    pub(crate) clock_distrusted: Gauge,
}

/// Compaction by key.
#[derive(Debug, Default)]
pub(crate) struct CompactionNumbers {
    pub(crate) runs: Counter,
    pub(crate) failures: Counter,
    pub(crate) running: Gauge,
    /// Spent in runs.
    pub(crate) nanoseconds: Counter,
    pub(crate) segments: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) dropped: Counter,
    pub(crate) dirty_bytes: Gauge,
}

/// The scrubber.
#[derive(Debug, Default)]
pub(crate) struct ScrubNumbers {
    /// Passes over everything that came to their end.
    pub(crate) passes: Counter,
    pub(crate) segments: Counter,
    pub(crate) read_bytes: Counter,
    /// Segments that were damaged when they were read last.
    pub(crate) damaged: Gauge,
}

/// The HTTP port itself.
#[derive(Debug, Default)]
pub(crate) struct HttpNumbers {
    pub(crate) connections: Gauge,
    pub(crate) turned_away: Counter,
}

/// Everything that is counted in one broker.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// When the broker was started.
    pub(crate) started: SystemTime,
    doors: [DoorNumbers; Door::ALL.len()],
    refusals: [Counter; Refusal::ALL.len()],
    pub(crate) append: AppendNumbers,
    /// Waits of publishers for room in an inbox.
    pub(crate) publisher_wait: Histogram,
    pub(crate) readers: ReaderNumbers,
    pub(crate) grpc: GrpcNumbers,
    pub(crate) retention: RetentionNumbers,
    pub(crate) compaction: CompactionNumbers,
    pub(crate) scrub: ScrubNumbers,
    pub(crate) http: HttpNumbers,
    /// Files of the streams.
    pub(crate) stream_files: Arc<FileNumbers>,
    /// Files of the metadata log.
    pub(crate) metadata_files: Arc<FileNumbers>,
}

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        let time = || Histogram::new(&TIMES);
        Arc::new(Self {
            started: SystemTime::now(),
            doors: Default::default(),
            refusals: Default::default(),
            append: AppendNumbers {
                records: Counter::default(),
                bytes: Counter::default(),
                batch_records: Histogram::new(&RECORDS),
                batch_bytes: Histogram::new(&SIZES),
                inbox_time: time(),
                append_time: time(),
                commit_time: time(),
                sync_records: Histogram::new(&RECORDS),
                answer_time: time(),
                publish_time: time(),
                acks: Counter::default(),
                unsynced: Gauge::default(),
            },
            publisher_wait: time(),
            readers: ReaderNumbers::default(),
            grpc: GrpcNumbers::default(),
            retention: RetentionNumbers::default(),
            compaction: CompactionNumbers::default(),
            scrub: ScrubNumbers::default(),
            http: HttpNumbers::default(),
            stream_files: Arc::default(),
            metadata_files: Arc::default(),
        })
    }

    /// Counts messages that a door hands to a partition.
    pub(crate) fn arrived(&self, door: Door, messages: usize, bytes: usize) {
        let place = Door::ALL.iter().position(|(known, _)| *known == door);
        if let Some(numbers) = place.and_then(|place| self.doors.get(place)) {
            numbers.messages.add(messages as u64);
            numbers.bytes.add(bytes as u64);
        }
    }

    /// Counts messages that are not recorded.
    pub(crate) fn refused(&self, refusal: Refusal, messages: u64) {
        let place = Refusal::ALL.iter().position(|(known, _)| *known == refusal);
        if let Some(counter) = place.and_then(|place| self.refusals.get(place)) {
            counter.add(messages);
        }
    }

    pub(super) fn doors(&self) -> impl Iterator<Item = (&'static str, &DoorNumbers)> {
        Door::ALL
            .iter()
            .zip(&self.doors)
            .map(|((_, name), numbers)| (*name, numbers))
    }

    pub(super) fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refusal::ALL
            .iter()
            .zip(&self.refusals)
            .map(|((_, name), counter)| (*name, counter.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_reason() {
        let metrics = Metrics::new();
        metrics.refused(Refusal::Partition(Reject::DiskFull), 3);
        metrics.refused(Refusal::NoTarget, 1);
        let found: Vec<_> = metrics.refusals().filter(|(_, count)| *count > 0).collect();
        assert_eq!(found, [("disk_full", 3), ("no_target", 1)]);
    }
}
