//! Looking after archives: what was left over goes, and what was lost begins anew.

use std::time::Duration;

use strandline_proto::admin;

use super::Admin;
use crate::error::Error;

/// What a collection of left-over objects found in a partition's place, by their names there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// What is deleted, or would be.
    pub deleted: Vec<String>,
    /// What nothing refers to and is too young to know, or of a newer leader.
    pub spared: Vec<String>,
    /// What no archive has written; left alone.
    pub foreign: Vec<String>,
}

/// What a partition loses whose archive begins anew. Ends are exclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewedPartition {
    /// Its number.
    pub partition: u32,
    /// What is wrong with its archive; none = it can be read, and would be given up.
    pub problem: Option<String>,
    /// What was in the archive alone, as far as is known.
    pub lost: (u64, u64),
    /// What is on the disk, and is archived anew.
    pub kept: (u64, u64),
}

impl Admin {
    /// Deletes objects in a partition's place in the archive that nothing refers to and that are older than this, which has to be
    /// longer than any upload takes; or only says which. Waits as long as it takes: until the partition is neither uploading nor
    /// compacting.
    ///
    /// Cancel safety: the broker stops soon after; what was deleted by then is gone.
    ///
    /// # Errors
    ///
    /// The partition has no archive here, the bucket does not do it, or the caller may not ask.
    pub async fn collect_archive(
        &self,
        (stream, partition): (&str, u32),
        older_than: Duration,
        only_look: bool,
    ) -> Result<Collected, Error> {
        let request = admin::CollectArchiveRequest {
            stream: stream.to_owned(),
            partition,
            older_than: i64::try_from(older_than.as_nanos()).unwrap_or(i64::MAX),
            only_look,
        };
        let call = |server: &str| {
            let (mut admin, request) = (
                self.client.admin_at(server)?,
                self.client.patient_admin_request(request.clone()),
            );
            Ok(async move { admin.collect_archive(request).await })
        };
        let found = self.client.on_each(call).await?;
        Ok(Collected {
            deleted: found.deleted,
            spared: found.spared,
            foreign: found.foreign,
        })
    }

    /// Gives a stream whose archive is lost another place, where what is left on the disk is archived; or only says what would be
    /// lost.
    ///
    /// Cancel safety: the broker goes on.
    ///
    /// # Errors
    ///
    /// The archive is there and can be read, or whether it is cannot be told; there is no such stream; or the caller may not ask.
    pub async fn renew_archive(&self, stream: &str, only_look: bool) -> Result<Vec<RenewedPartition>, Error> {
        let request = admin::RenewArchiveRequest {
            stream: stream.to_owned(),
            only_look,
        };
        let call = |server: &str| {
            let (mut admin, request) = (
                self.client.admin_at(server)?,
                self.client.patient_admin_request(request.clone()),
            );
            Ok(async move { admin.renew_archive(request).await })
        };
        let renewed = self.client.on_each(call).await?;
        Ok(renewed.partitions.into_iter().map(Into::into).collect())
    }
}

impl From<admin::RenewedPartition> for RenewedPartition {
    fn from(partition: admin::RenewedPartition) -> Self {
        Self {
            partition: partition.id,
            problem: Some(partition.problem).filter(|problem| !problem.is_empty()),
            lost: (partition.lost_start, partition.lost_end),
            kept: (partition.kept_start, partition.kept_end),
        }
    }
}
