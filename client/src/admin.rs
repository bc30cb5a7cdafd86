//! Administration of streams: what Liftbridge's API has no calls for.
//!
//! The broker answers callers on its own machine, with a client certificate, or with its token
//! ([`Builder::admin_token`](crate::Builder::admin_token)); others get
//! [`ErrorKind::PermissionDenied`](crate::ErrorKind::PermissionDenied). Liftbridge itself does not know these calls.

mod archive;
mod care;
mod description;
mod plugins;
mod points;
mod restore;
mod update;

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use strandline_proto::admin;

use crate::client::Client;
use crate::error::Error;

pub use archive::{ArchiveState, ArchiveStatus, ArchivedPartition};
pub use care::{Collected, RenewedPartition};
pub use description::{
    PartitionDescription, PartitionState, SegmentDescription, Setting, SettingSource, SettingValue,
    StreamDescription,
};
pub use plugins::{
    Attachment, AttachmentStats, AttachmentUpdate, Canary, CanaryMode, DeadLetters, ErrorPolicy,
    FetchedPlugin, NewAttachment, Plugin, PluginDescription, PluginEvent, PluginLog, PluginLogLine,
    PluginNumbers, PluginVersion, Pushed, Side, Variant,
};
pub use points::{ArchivePoint, ArchivePointStream, Snapshot};
pub use restore::{RestoreOptions, Restored, RestoredPartition, RestoredStream};
pub use update::StreamUpdate;

/// The administration of a cluster, from [`Client::admin`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
}

/// Where a trimmed partition begins afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimBefore {
    /// Records below this offset go; beyond the end means all.
    Offset(u64),
    /// Records that are older go; nanoseconds since the Unix epoch.
    Time(i64),
}

/// What became of a partition that was trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrimmedPartition {
    /// Its number.
    pub partition: u32,
    /// The first offset that can still be there.
    pub start: u64,
    /// Records removed by the call.
    pub records: u64,
    /// By how many bytes the stored records are fewer.
    pub bytes: u64,
}

/// What was erased from a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErasedPartition {
    /// Its number.
    pub partition: u32,
    /// Records removed by the call.
    pub records: u64,
}

impl Admin {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// A stream as it is in force and stored, with the segments of each partition if they are asked for.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// There is no such stream, or the caller may not ask.
    pub async fn describe_stream(&self, name: &str, segments: bool) -> Result<StreamDescription, Error> {
        let request = admin::DescribeStreamRequest {
            name: name.to_owned(),
            segments,
        };
        let call = |server: &str| {
            let (mut admin, request) = (
                self.client.admin_at(server)?,
                self.client.admin_request(request.clone()),
            );
            Ok(async move { admin.describe_stream(request).await })
        };
        self.client.on_each(call).await.map(Into::into)
    }

    /// Changes settings of a stream, all of them or none; they are in force when this returns. Returns all settings.
    ///
    /// Cancel safety: the settings may have been changed.
    ///
    /// # Errors
    ///
    /// There is no such stream or setting, a setting cannot be changed, or the caller may not ask.
    pub async fn update_stream(&self, name: &str, update: StreamUpdate) -> Result<Vec<Setting>, Error> {
        let request = admin::UpdateStreamRequest {
            name: name.to_owned(),
            changes: update.into_changes(),
        };
        let call = |server: &str| {
            let (mut admin, request) = (
                self.client.admin_at(server)?,
                self.client.admin_request(request.clone()),
            );
            Ok(async move { admin.update_stream(request).await })
        };
        let updated = self.client.on_each(call).await?;
        Ok(updated.settings.into_iter().map(Into::into).collect())
    }

    /// Removes the committed records before a point from these partitions; from all if none is named. It takes as long as
    /// it takes: the client's time limit does not hold.
    ///
    /// Cancel safety: the records may have been removed.
    ///
    /// # Errors
    ///
    /// There is no such stream or partition, its data cannot be rewritten, or the caller may not ask.
    pub async fn trim_stream(
        &self,
        name: &str,
        before: TrimBefore,
        partitions: &[u32],
    ) -> Result<Vec<TrimmedPartition>, Error> {
        let before = match before {
            TrimBefore::Offset(offset) => admin::trim_stream_request::Before::Offset(offset),
            TrimBefore::Time(time) => admin::trim_stream_request::Before::Time(time),
        };
        let request = admin::TrimStreamRequest {
            name: name.to_owned(),
            before: Some(before),
            partitions: partitions.to_vec(),
        };
        let call = |server: &str| {
            let (mut admin, request) = (
                self.client.admin_at(server)?,
                self.client.patient_admin_request(request.clone()),
            );
            Ok(async move { admin.trim_stream(request).await })
        };
        let trimmed = self.client.on_each(call).await?;
        let partition = |trimmed: admin::TrimmedPartition| TrimmedPartition {
            partition: trimmed.id,
            start: trimmed.start,
            records: trimmed.records,
            bytes: trimmed.bytes,
        };
        Ok(trimmed.partitions.into_iter().map(partition).collect())
    }

    /// Removes every record with this key that is stored by now, in all partitions, from the disk. It takes as long as it
    /// takes: the client's time limit does not hold. Returns the partitions that had any.
    ///
    /// Cancel safety: the records may have been removed.
    ///
    /// # Errors
    ///
    /// There is no such stream, the key is empty, the data cannot be rewritten, or the caller may not ask.
    pub async fn erase_key(&self, name: &str, key: impl Into<Bytes>) -> Result<Vec<ErasedPartition>, Error> {
        let request = admin::EraseKeyRequest {
            name: name.to_owned(),
            key: key.into(),
        };
        let call = |server: &str| {
            let (mut admin, request) = (
                self.client.admin_at(server)?,
                self.client.patient_admin_request(request.clone()),
            );
            Ok(async move { admin.erase_key(request).await })
        };
        let erased = self.client.on_each(call).await?;
        let partition = |erased: admin::ErasedPartition| ErasedPartition {
            partition: erased.id,
            records: erased.records,
        };
        Ok(erased.partitions.into_iter().map(partition).collect())
    }
}

impl From<std::time::SystemTime> for TrimBefore {
    fn from(time: std::time::SystemTime) -> Self {
        let nanos = |since: Duration| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        Self::Time(match time.duration_since(UNIX_EPOCH) {
            Ok(since) => nanos(since),
            Err(before) => -nanos(before.duration()),
        })
    }
}
