//! What the machine could do without a server of ours: the measure for its figures.

mod disk;
mod tonic;

use std::path::Path;

use serde::Serialize;

pub use disk::DiskLimit;

use crate::error::BenchError;

/// Measured in the same run as the works.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Limits {
    /// Messages a second that a bare tonic server takes and acks on one call with 1,000 in flight, with HTTP/2
    /// windows of 1 MiB. Nothing is stored.
    pub bidirectional: f64,
    /// Messages a second that a bare tonic server sends to one client.
    pub server_stream: f64,
    /// Bare appends to a file, each followed by a sync, by size.
    pub appends: Vec<DiskLimit>,
}

impl Limits {
    pub(crate) async fn measure(directory: &Path, value: &[u8]) -> Result<Self, BenchError> {
        let directory = directory.to_owned();
        let disk = tokio::task::spawn_blocking(move || disk::measure(&directory));
        let appends = disk.await.map_err(|_| BenchError::Interrupted)??;
        let value = value.to_vec();
        let streams = tokio::task::spawn_blocking(move || tonic::measure(&value));
        let (bidirectional, server_stream) = streams.await.map_err(|_| BenchError::Interrupted)??;
        Ok(Self {
            bidirectional,
            server_stream,
            appends,
        })
    }

    /// The bare append of this size.
    pub(crate) fn append(&self, bytes: usize) -> Option<&DiskLimit> {
        self.appends.iter().find(|append| append.bytes == bytes)
    }
}
