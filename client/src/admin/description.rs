//! A stream as the administration shows it.

use std::time::Duration;

use strandline_proto::admin;

/// A stream as it is in force and stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDescription {
    /// Its name.
    pub name: String,
    /// NATS subject that it records.
    pub subject: String,
    /// Load-balance group; empty = none.
    pub group: String,
    /// When it was created: nanoseconds since the Unix epoch.
    pub created: i64,
    /// Copies of each partition.
    pub replication_factor: u32,
    /// Every setting that has an effect.
    pub settings: Vec<Setting>,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionDescription>,
}

/// A setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As the configuration calls it without `streams.`.
    pub name: String,
    /// Its value; none = of a kind that this client does not know.
    pub value: Option<SettingValue>,
    /// Where it comes from.
    pub source: SettingSource,
    /// Whether [`Admin::update_stream`](super::Admin::update_stream) changes it.
    pub changeable: bool,
}

/// Where a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingSource {
    /// The server's configuration, or its default.
    Server,
    /// The stream's own.
    Stream,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingValue {
    /// Bytes or records.
    Number(u64),
    /// A time span, to the millisecond.
    Time(Duration),
    /// On or off.
    Flag(bool),
    /// One of some words.
    Word(String),
}

/// A partition as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Its number.
    pub partition: u32,
    /// Whether it serves.
    pub state: PartitionState,
    /// Why it does not serve all that it should; empty if it does.
    pub reason: String,
    /// Identity of its leader; empty = none.
    pub leader: String,
    /// Generation of its leadership.
    pub leader_epoch: u64,
    /// First offset that can be there.
    pub start: u64,
    /// Offset of the next record.
    pub end: u64,
    /// First offset that is not committed.
    pub committed_end: u64,
    /// Records in it.
    pub records: u64,
    /// Bytes of records as they are stored.
    pub bytes: u64,
    /// Number of segments.
    pub segment_count: u32,
    /// Its segments in order, if they were asked for.
    pub segments: Vec<SegmentDescription>,
}

/// Whether a partition serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartitionState {
    /// It does.
    Serving,
    /// It is read and takes no messages.
    Failed,
    /// It is neither read nor written.
    OutOfService,
}

/// A segment of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentDescription {
    /// First offset that can be in it.
    pub start: u64,
    /// First offset after it.
    pub end: u64,
    /// Records in it.
    pub records: u64,
    /// Bytes of records as they are stored.
    pub bytes: u64,
    /// Time of its first record: nanoseconds since the Unix epoch; none = it has none.
    pub first_time: Option<i64>,
    /// Time of its last record.
    pub last_time: Option<i64>,
    /// Whether it takes no more records.
    pub sealed: bool,
}

impl From<admin::DescribeStreamResponse> for StreamDescription {
    fn from(response: admin::DescribeStreamResponse) -> Self {
        Self {
            name: response.name,
            subject: response.subject,
            group: response.group,
            created: response.created,
            replication_factor: response.replication_factor,
            settings: response.settings.into_iter().map(Into::into).collect(),
            partitions: response.partitions.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<admin::Setting> for Setting {
    fn from(setting: admin::Setting) -> Self {
        let source = match setting.source() {
            admin::SettingSource::Stream => SettingSource::Stream,
            _ => SettingSource::Server,
        };
        Self {
            value: setting.value.and_then(|value| value.kind).map(Into::into),
            name: setting.name,
            source,
            changeable: setting.changeable,
        }
    }
}

impl From<admin::setting_value::Kind> for SettingValue {
    fn from(kind: admin::setting_value::Kind) -> Self {
        use admin::setting_value::Kind;
        match kind {
            Kind::Number(number) => Self::Number(number),
            Kind::Milliseconds(time) => Self::Time(Duration::from_millis(time)),
            Kind::Flag(on) => Self::Flag(on),
            Kind::Word(word) => Self::Word(word),
        }
    }
}

impl From<SettingValue> for admin::SettingValue {
    fn from(value: SettingValue) -> Self {
        use admin::setting_value::Kind;
        let kind = match value {
            SettingValue::Number(number) => Kind::Number(number),
            SettingValue::Time(time) => {
                Kind::Milliseconds(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
            }
            SettingValue::Flag(on) => Kind::Flag(on),
            SettingValue::Word(word) => Kind::Word(word),
        };
        Self { kind: Some(kind) }
    }
}

impl From<admin::PartitionDescription> for PartitionDescription {
    fn from(partition: admin::PartitionDescription) -> Self {
        let state = match partition.state() {
            admin::PartitionState::Serving => PartitionState::Serving,
            admin::PartitionState::Failed => PartitionState::Failed,
            _ => PartitionState::OutOfService,
        };
        Self {
            partition: partition.id,
            state,
            reason: partition.reason,
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            start: partition.start,
            end: partition.end,
            committed_end: partition.committed_end,
            records: partition.records,
            bytes: partition.bytes,
            segment_count: partition.segment_count,
            segments: partition.segments.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<admin::SegmentDescription> for SegmentDescription {
    fn from(segment: admin::SegmentDescription) -> Self {
        Self {
            start: segment.start,
            end: segment.end,
            records: segment.records,
            bytes: segment.bytes,
            first_time: Some(segment.first_time).filter(|&time| time != 0),
            last_time: Some(segment.last_time).filter(|&time| time != 0),
            sealed: segment.sealed,
        }
    }
}
