//! How far streams are archived.

use std::time::Duration;

use strandline_proto::admin;

use super::Admin;
use crate::error::Error;

/// What a broker says of its archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveStatus {
    /// Where it is, as it is configured; none = there is none.
    pub url: Option<String>,
    /// The partitions that the broker leads of streams that are archived or were, by stream and number.
    pub partitions: Vec<ArchivedPartition>,
}

/// How far a partition is archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedPartition {
    /// Its stream.
    pub stream: String,
    /// Its number.
    pub partition: u32,
    /// What the names of its objects begin with, below the prefix of the archive.
    pub place: String,
    /// Whether it is archived.
    pub state: ArchiveState,
    /// What went wrong last, if it has not gone right since; empty otherwise.
    pub error: String,
    /// How often in succession it went wrong.
    pub failures: u32,
    /// First offset that can be in the archive; none as long as the archive was not read.
    pub archive_start: Option<u64>,
    /// First offset that is not archived.
    pub archive_end: Option<u64>,
    /// Segments in the archive.
    pub archive_segments: Option<u64>,
    /// Bytes of batches in the archive.
    pub archive_bytes: Option<u64>,
    /// First offset that can be on the broker's disk.
    pub local_start: u64,
    /// Offset of the next record.
    pub end: u64,
    /// First offset that is not committed.
    pub committed_end: u64,
    /// Records that are committed and not archived.
    pub lag_records: u64,
    /// Their bytes as they are stored.
    pub lag_bytes: u64,
    /// Age of the oldest of them; none = there are none.
    pub lag_time: Option<Duration>,
}

/// Whether a partition is archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArchiveState {
    /// The archive was not reached yet.
    Starting,
    /// Segments move there as they are sealed.
    Archiving,
    /// Archiving is turned off. What is archived is read, and goes by the stream's retention.
    Off,
    /// The last attempt failed; it is tried again.
    Failing,
    /// Another broker writes to the same place under a later claim: this one has stopped for good.
    Fenced,
    /// What is there contradicts what the broker knows: it has stopped until it is put right.
    Refused,
    /// A state that this client does not know.
    Unknown,
}

impl Admin {
    /// How far a stream is archived; every stream that is or was if none is named.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// There is no such stream, or the caller may not ask.
    pub async fn archive_status(&self, stream: Option<&str>) -> Result<ArchiveStatus, Error> {
        let request = admin::ArchiveStatusRequest {
            stream: stream.unwrap_or_default().to_owned(),
        };
        let call = |server: &str| {
            let (mut admin, request) = (
                self.client.admin_at(server)?,
                self.client.admin_request(request.clone()),
            );
            Ok(async move { admin.archive_status(request).await })
        };
        let status = self.client.on_each(call).await?;
        Ok(ArchiveStatus {
            url: Some(status.url).filter(|url| !url.is_empty()),
            partitions: status.partitions.into_iter().map(Into::into).collect(),
        })
    }
}

impl From<admin::ArchivedPartition> for ArchivedPartition {
    fn from(partition: admin::ArchivedPartition) -> Self {
        let state = match partition.state() {
            admin::ArchiveState::Starting => ArchiveState::Starting,
            admin::ArchiveState::Archiving => ArchiveState::Archiving,
            admin::ArchiveState::Off => ArchiveState::Off,
            admin::ArchiveState::Failing => ArchiveState::Failing,
            admin::ArchiveState::Fenced => ArchiveState::Fenced,
            admin::ArchiveState::Refused => ArchiveState::Refused,
            admin::ArchiveState::Unspecified => ArchiveState::Unknown,
        };
        let age = u64::try_from(partition.lag_time).ok().filter(|&nanos| nanos > 0);
        Self {
            stream: partition.stream,
            partition: partition.id,
            place: partition.place,
            state,
            error: partition.error,
            failures: partition.failures,
            archive_start: partition.archive_start,
            archive_end: partition.archive_end,
            archive_segments: partition.archive_segments,
            archive_bytes: partition.archive_bytes,
            local_start: partition.local_start,
            end: partition.end,
            committed_end: partition.committed_end,
            lag_records: partition.lag_records,
            lag_bytes: partition.lag_bytes,
            lag_time: age.map(Duration::from_nanos),
        }
    }
}
