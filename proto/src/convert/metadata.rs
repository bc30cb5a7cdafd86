//! What a broker tells about itself and its cluster.

use strandline_core::metadata::{Broker, PartitionEntry, StreamEntry};
use strandline_core::{BrokerId, Offset, PartitionId, Timestamp};

use super::inclusive;
use crate::api;

/// What the process that holds a replica knows of it beyond the cluster's metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionProgress {
    /// First offset that is not committed (HW).
    pub committed_end: Offset,
    /// Next offset to be given (LEO).
    pub end: Offset,
    /// When the first and the latest message came in since this process leads; [`Timestamp::ZERO`] = none has.
    pub received: (Timestamp, Timestamp),
}

/// A broker, with the address that it registered for clients.
pub fn broker(broker: &Broker) -> api::Broker {
    api::Broker {
        id: broker.id.to_string(),
        host: broker.host.clone(),
        port: broker.port.into(),
        partition_count: count(broker.partitions),
        leader_count: count(broker.leaderships),
    }
}

/// A stream with its partitions.
pub fn stream_metadata(
    entry: &StreamEntry,
    partitions: impl IntoIterator<Item = api::PartitionMetadata>,
) -> api::StreamMetadata {
    api::StreamMetadata {
        name: entry.definition.name.to_string(),
        subject: entry.definition.subject.to_string(),
        error: api::stream_metadata::Error::Ok.into(),
        partitions: partitions
            .into_iter()
            .map(|partition| (partition.id, partition))
            .collect(),
        creation_timestamp: entry.created.nanos(),
    }
}

/// A partition. Without progress, of a partition that is not open here, it looks empty.
pub fn partition_metadata(
    number: PartitionId,
    entry: &PartitionEntry,
    progress: Option<PartitionProgress>,
) -> api::PartitionMetadata {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(BrokerId::to_string).collect();
    let open = progress.unwrap_or_default();
    let (first, latest) = open.received;
    api::PartitionMetadata {
        // Streams have far fewer partitions than the type has numbers.
        id: i32::try_from(number.get()).unwrap_or(i32::MAX),
        leader: entry.leader.as_ref().map(BrokerId::to_string).unwrap_or_default(),
        replicas: ids(&entry.replicas),
        isr: ids(&entry.isr),
        high_watermark: inclusive(open.committed_end),
        newest_offset: inclusive(open.end),
        paused: false,
        readonly: false,
        messages_received_timestamps: Some(api::PartitionEventTimestamps {
            first_timestamp: first.nanos(),
            latest_timestamp: latest.nanos(),
        }),
        pause_timestamps: Some(api::PartitionEventTimestamps::default()),
        readonly_timestamps: Some(api::PartitionEventTimestamps::default()),
    }
}

/// The answer for a stream that does not exist.
pub fn unknown_stream(name: &str) -> api::StreamMetadata {
    api::StreamMetadata {
        name: name.to_owned(),
        error: api::stream_metadata::Error::UnknownStream.into(),
        ..api::StreamMetadata::default()
    }
}

/// The answer for a consumer group that does not exist.
pub fn unknown_group(group: &str) -> api::ConsumerGroupMetadata {
    api::ConsumerGroupMetadata {
        group_id: group.to_owned(),
        error: api::consumer_group_metadata::Error::UnknownGroup.into(),
        ..api::ConsumerGroupMetadata::default()
    }
}

fn count(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use strandline_core::{LeaderEpoch, LogId};

    use super::*;

    fn entry() -> PartitionEntry {
        let id = |id| BrokerId::new(id).unwrap();
        PartitionEntry {
            log: LogId::new(1),
            leader_epoch: LeaderEpoch::new(4),
            leader: Some(id("a")),
            replicas: vec![id("a"), id("b")],
            isr: vec![id("a")],
            stored: vec![id("a")],
            is_archived: false,
            start: Offset::ZERO,
        }
    }

    #[test]
    fn ends_are_told_as_the_last_offset() {
        let progress = PartitionProgress {
            committed_end: Offset::new(5),
            end: Offset::new(7),
            received: (Timestamp::from_nanos(1), Timestamp::from_nanos(2)),
        };
        let metadata = partition_metadata(PartitionId::new(3), &entry(), Some(progress));
        assert_eq!((metadata.id, metadata.leader.as_str()), (3, "a"));
        assert_eq!((metadata.replicas.len(), metadata.isr.len()), (2, 1));
        assert_eq!((metadata.high_watermark, metadata.newest_offset), (4, 6));
        let received = metadata.messages_received_timestamps.unwrap();
        assert_eq!((received.first_timestamp, received.latest_timestamp), (1, 2));
    }

    #[test]
    fn a_partition_without_progress_or_records_has_minus_one() {
        for progress in [None, Some(PartitionProgress::default())] {
            let metadata = partition_metadata(PartitionId::new(0), &entry(), progress);
            assert_eq!((metadata.high_watermark, metadata.newest_offset), (-1, -1));
        }
    }

    #[test]
    fn what_does_not_exist_is_named_and_nothing_else() {
        let stream = unknown_stream("x");
        assert_eq!((stream.name.as_str(), stream.error), ("x", 1));
        assert!(stream.partitions.is_empty() && stream.subject.is_empty());
        let group = unknown_group("g");
        assert_eq!((group.group_id.as_str(), group.error), ("g", 1));
    }
}
