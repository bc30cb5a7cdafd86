//! Bringing back what another cluster has archived.

use strandline_proto::admin;

use super::Admin;
use crate::error::Error;

/// What is to be restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Of which cluster; none = the only other one in the broker's bucket.
    pub cluster: Option<String>,
    /// Only these streams, without plugins and cursors; empty = everything.
    pub streams: Vec<String>,
    /// As of this point of the cluster. With this or one of the next two streams are copied: that cluster goes on.
    pub point: Option<String>,
    /// Each partition up to the last batch whose records are not later; nanoseconds since 1970.
    pub to: Option<i64>,
    /// The one stream that is named above under this name; it may be one of the broker's own cluster.
    pub new_name: Option<String>,
    /// The NATS subject that it records, if not the same as before. Only with a new name.
    pub subject: Option<String>,
    /// Only say what would be restored.
    pub only_look: bool,
}

/// What was restored, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Of which cluster.
    pub cluster: String,
    /// When that cluster last told the archive of its streams, plugins and cursors; nanoseconds since 1970.
    pub written: i64,
    /// What became of each stream.
    pub streams: Vec<RestoredStream>,
    /// Versions of plugins.
    pub plugin_versions: u64,
    /// Attachments of plugins to streams.
    pub attachments: u64,
    /// Cursors.
    pub cursors: u64,
    /// What was not restored besides streams, and why.
    pub problems: Vec<String>,
}

/// What became of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredStream {
    /// Its name.
    pub name: String,
    /// What the archive has of each partition, by number; empty if it could not be asked.
    pub partitions: Vec<RestoredPartition>,
    /// Why it was not restored; none if it was.
    pub problem: Option<String>,
}

/// What the archive has of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoredPartition {
    /// First offset that can be there.
    pub start: u64,
    /// The first offset that is not there: where the partition goes on.
    pub end: u64,
    /// Time of the newest record that is there, nanoseconds since 1970.
    pub last_time: Option<i64>,
}

impl Admin {
    /// Brings back what another cluster has archived in the bucket of this broker. That cluster's brokers cannot archive there
    /// any more, unless streams are copied. Repeating it restores what is missing.
    ///
    /// Cancel safety: the broker goes on.
    ///
    /// # Errors
    ///
    /// Nothing was restored. What keeps a single stream, plugin or cursor from it is said of each.
    pub async fn restore_archive(&self, options: &RestoreOptions) -> Result<Restored, Error> {
        let request = admin::RestoreArchiveRequest {
            cluster: options.cluster.clone().unwrap_or_default(),
            streams: options.streams.clone(),
            point: options.point.clone().unwrap_or_default(),
            to: options.to,
            new_name: options.new_name.clone().unwrap_or_default(),
            subject: options.subject.clone().unwrap_or_default(),
            only_look: options.only_look,
        };
        let call = |server: &str| {
            let (mut admin, request) = (
                self.client.admin_at(server)?,
                self.client.patient_admin_request(request.clone()),
            );
            Ok(async move { admin.restore_archive(request).await })
        };
        let restored = self.client.on_each(call).await?;
        Ok(Restored {
            cluster: restored.cluster,
            written: restored.written,
            streams: restored.streams.into_iter().map(Into::into).collect(),
            plugin_versions: restored.plugin_versions,
            attachments: restored.attachments,
            cursors: restored.cursors,
            problems: restored.problems,
        })
    }
}

impl From<admin::RestoredStream> for RestoredStream {
    fn from(stream: admin::RestoredStream) -> Self {
        let partition = |partition: admin::RestoredPartition| RestoredPartition {
            start: partition.start,
            end: partition.end,
            last_time: Some(partition.last_time).filter(|&time| time != 0),
        };
        Self {
            name: stream.name,
            partitions: stream.partitions.into_iter().map(partition).collect(),
            problem: Some(stream.problem).filter(|problem| !problem.is_empty()),
        }
    }
}
