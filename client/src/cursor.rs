//! Cursors: positions of consumers, kept by the cluster.

use strandline_proto::api;

use crate::client::Client;
use crate::error::Error;
use crate::metadata::Metadata;
use crate::partition::key_partition;

/// The stream that keeps them.
const STREAM: &str = "__cursors";

impl Client {
    /// Stores a position under an identity of the caller's choice; durable when this returns. What it means is the
    /// caller's business: the last record that was handled, as Liftbridge's consumer groups have it, or the next one.
    ///
    /// Cancel safety: the position may have been stored.
    ///
    /// # Errors
    ///
    /// The cluster keeps no cursors, or cannot store this one.
    pub async fn set_cursor(&self, stream: &str, partition: u32, id: &str, offset: i64) -> Result<(), Error> {
        let mut leader = self.cursor_leader(stream, partition, id).await?;
        let request = api::SetCursorRequest {
            stream: stream.to_owned(),
            partition: partition as i32,
            cursor_id: id.to_owned(),
            offset,
        };
        leader.set_cursor(self.request(request)).await?;
        Ok(())
    }

    /// The position that was stored last under an identity; none if none was.
    ///
    /// Cancel safety: safe.
    ///
    /// # Errors
    ///
    /// The cluster keeps no cursors, or cannot read them.
    pub async fn fetch_cursor(&self, stream: &str, partition: u32, id: &str) -> Result<Option<i64>, Error> {
        let mut leader = self.cursor_leader(stream, partition, id).await?;
        let request = api::FetchCursorRequest {
            stream: stream.to_owned(),
            partition: partition as i32,
            cursor_id: id.to_owned(),
        };
        let offset = leader
            .fetch_cursor(self.request(request))
            .await?
            .into_inner()
            .offset;
        // On the wire none is -1, so that nobody stores that.
        Ok(Some(offset).filter(|&offset| offset != -1))
    }

    async fn cursor_leader(
        &self,
        stream: &str,
        partition: u32,
        id: &str,
    ) -> Result<api::api_client::ApiClient<tonic::transport::Channel>, Error> {
        let leader = leader_of(&self.metadata().await?, stream, partition, id);
        self.at(leader.as_deref())
    }
}

/// The address of the leader of a cursor's partition; whoever is asked without one says what is missing.
fn leader_of(metadata: &Metadata, stream: &str, partition: u32, id: &str) -> Option<String> {
    let partitions = metadata.streams.get(STREAM)?.partitions.len();
    let key = format!("{id},{stream},{partition}");
    let number = key_partition(key.as_bytes(), u32::try_from(partitions).ok()?);
    metadata.leader_address(STREAM, number)
}
