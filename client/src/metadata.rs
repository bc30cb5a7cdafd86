//! What a cluster consists of.

use std::collections::BTreeMap;

use strandline_proto::api;

/// Brokers and streams as one broker knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Brokers that can be contacted.
    pub brokers: Vec<BrokerInfo>,
    /// Streams by name.
    pub streams: BTreeMap<String, StreamInfo>,
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerInfo {
    /// Identity.
    pub id: String,
    /// Host for clients.
    pub host: String,
    /// Port for clients.
    pub port: u16,
}

/// A stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// NATS subject that it records.
    pub subject: String,
    /// When it was created: nanoseconds since the Unix epoch.
    pub created: i64,
    /// The storage engine that keeps it, as its name; none when the server does not say so. Known of a stream that was asked
    /// for by name.
    pub backend: Option<String>,
    /// Its partitions by number.
    pub partitions: BTreeMap<u32, PartitionInfo>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Identity of its leader; empty = none.
    pub leader: String,
    /// Brokers that hold it.
    pub replicas: Vec<String>,
    /// Those of them that are in sync.
    pub isr: Vec<String>,
    /// First offset that is not committed.
    pub committed_end: u64,
    /// First offset that no record has.
    pub end: u64,
    /// When its leader received the latest message since it started: nanoseconds since the Unix epoch; none = it has not.
    pub last_received: Option<i64>,
}

impl Metadata {
    /// The address of a partition's leader, if it is known.
    pub fn leader_address(&self, stream: &str, partition: u32) -> Option<String> {
        self.address_of(&self.streams.get(stream)?.partitions.get(&partition)?.leader)
    }

    /// The address of a broker, if it is known.
    pub(crate) fn address_of(&self, broker: &str) -> Option<String> {
        let broker = self.brokers.iter().find(|known| known.id == broker)?;
        Some(format!("{}:{}", broker.host, broker.port))
    }
}

impl From<api::FetchMetadataResponse> for Metadata {
    fn from(response: api::FetchMetadataResponse) -> Self {
        let known = api::stream_metadata::Error::Ok as i32;
        let streams = response
            .stream_metadata
            .into_iter()
            .filter(|stream| stream.error == known);
        let brokers = response.brokers.into_iter().map(|broker| BrokerInfo {
            id: broker.id,
            host: broker.host,
            port: u16::try_from(broker.port).unwrap_or(0),
        });
        Self {
            brokers: brokers.collect(),
            streams: streams.map(named).collect(),
        }
    }
}

fn named(stream: api::StreamMetadata) -> (String, StreamInfo) {
    let partitions = stream.partitions.into_values();
    let partitions = partitions.map(|partition| (u32::try_from(partition.id).unwrap_or(0), partition.into()));
    let info = StreamInfo {
        subject: stream.subject,
        created: stream.creation_timestamp,
        backend: None,
        partitions: partitions.collect(),
    };
    (stream.name, info)
}

impl From<api::PartitionMetadata> for PartitionInfo {
    fn from(partition: api::PartitionMetadata) -> Self {
        // The wire's last offset of an empty partition is -1.
        let end = |last: i64| u64::try_from(last.saturating_add(1)).unwrap_or(0);
        let received = partition.messages_received_timestamps.unwrap_or_default();
        Self {
            last_received: Some(received.latest_timestamp).filter(|&time| time != 0),
            leader: partition.leader,
            replicas: partition.replicas,
            isr: partition.isr,
            committed_end: end(partition.high_watermark),
            end: end(partition.newest_offset),
        }
    }
}
