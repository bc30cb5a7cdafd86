//! Points in the archive: the cluster as it was.

use std::time::Duration;

use strandline_proto::admin;

use super::Admin;
use crate::error::Error;

/// A point in the archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchivePoint {
    /// What it is called.
    pub name: String,
    /// When it was made, nanoseconds since 1970.
    pub taken: i64,
    /// The streams whose records are in it.
    pub streams: Vec<ArchivePointStream>,
    /// The streams that are not in it because they were not archived.
    pub left_out: Vec<String>,
    /// How many cursors are in it.
    pub cursors: u64,
    /// How many plugins, by their bytes.
    pub modules: u64,
    /// Whether somebody has begun to remove it: nothing can be restored from it any more.
    pub removing: bool,
    /// Why it cannot be read, if it cannot: then only the name is known.
    pub problem: Option<String>,
}

/// A stream at a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivePointStream {
    /// Its name then.
    pub name: String,
    /// By number: the first offset that is in it, and the first that is not.
    pub partitions: Vec<(u64, u64)>,
}

/// A point that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What is in it.
    pub point: ArchivePoint,
    /// What is not in it besides streams, and why.
    pub problems: Vec<String>,
}

impl Admin {
    /// Keeps the cluster as it is now, under a name, in the archive. Waits until all that is committed now is archived, no longer
    /// than `timeout`; none = a minute.
    ///
    /// Cancel safety: the broker goes on.
    ///
    /// # Errors
    ///
    /// There is no such point then: the name is taken or none, a partition is not archived in time, or the archive does not answer.
    pub async fn create_archive_point(
        &self,
        name: &str,
        timeout: Option<Duration>,
    ) -> Result<Snapshot, Error> {
        let nanos = timeout.map_or(0, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        let request = admin::CreateArchivePointRequest {
            name: name.to_owned(),
            timeout: nanos,
        };
        let call = |server: &str| {
            let (mut admin, request) = (
                self.client.admin_at(server)?,
                self.client.patient_admin_request(request.clone()),
            );
            Ok(async move { admin.create_archive_point(request).await })
        };
        let made = self.client.on_each(call).await?;
        Ok(Snapshot {
            point: made.point.unwrap_or_default().into(),
            problems: made.problems,
        })
    }

    /// The points of a cluster, of the broker's own if none is named, by name.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// The archive does not answer, or there is none.
    pub async fn list_archive_points(&self, cluster: Option<&str>) -> Result<Vec<ArchivePoint>, Error> {
        let request = admin::ListArchivePointsRequest {
            cluster: cluster.unwrap_or_default().to_owned(),
        };
        let call = |server: &str| {
            let (mut admin, request) = (
                self.client.admin_at(server)?,
                self.client.patient_admin_request(request.clone()),
            );
            Ok(async move { admin.list_archive_points(request).await })
        };
        let listed = self.client.on_each(call).await?;
        Ok(listed.points.into_iter().map(Into::into).collect())
    }

    /// Removes a point of a cluster, of the broker's own if none is named. What only it kept is deleted after a grace time. Repeating
    /// it goes on with a removal that was interrupted.
    ///
    /// Cancel safety: the broker goes on.
    ///
    /// # Errors
    ///
    /// There is no such point, or the archive does not answer.
    pub async fn remove_archive_point(&self, cluster: Option<&str>, name: &str) -> Result<(), Error> {
        let request = admin::RemoveArchivePointRequest {
            cluster: cluster.unwrap_or_default().to_owned(),
            name: name.to_owned(),
        };
        let call = |server: &str| {
            let (mut admin, request) = (
                self.client.admin_at(server)?,
                self.client.patient_admin_request(request.clone()),
            );
            Ok(async move { admin.remove_archive_point(request).await })
        };
        self.client.on_each(call).await.map(drop)
    }
}

impl From<admin::ArchivePoint> for ArchivePoint {
    fn from(point: admin::ArchivePoint) -> Self {
        let stream = |stream: admin::ArchivePointStream| ArchivePointStream {
            name: stream.name,
            partitions: stream
                .partitions
                .iter()
                .map(|partition| (partition.start, partition.end))
                .collect(),
        };
        Self {
            name: point.name,
            taken: point.taken,
            streams: point.streams.into_iter().map(stream).collect(),
            left_out: point.left_out,
            cursors: point.cursors,
            modules: point.modules,
            removing: point.removing,
            problem: Some(point.problem).filter(|problem| !problem.is_empty()),
        }
    }
}
