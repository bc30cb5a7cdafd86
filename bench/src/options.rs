//! What a benchmark is told.

use std::path::PathBuf;
use std::time::Duration;

use strandline_client::Backend;

use crate::archive::ArchiveOptions;
use crate::filter::Filter;
use crate::work::Work;

/// What to measure, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The works, in this order.
    pub works: Vec<Work>,
    /// What is measured.
    pub target: Target,
    /// The storage engine of its streams; none = what it is told.
    pub backend: Option<Backend>,
    /// Filters: works that publish are done with each of them on the way in as well, replays with each on the way out.
    pub filters: Vec<Filter>,
    /// What it is compared with.
    pub against: Vec<Peer>,
    /// Where servers that are started keep their data; something new is made in it and removed again.
    pub directory: PathBuf,
    /// Bytes of a message's value, at least [`Options::MIN_VALUE_BYTES`].
    pub value_bytes: usize,
    /// How long works that go on for a time do.
    pub time: Duration,
    /// Bytes that the work `restart` stores before it kills the server.
    pub restart_bytes: u64,
    /// How long the work `soak` goes on.
    pub soak_time: Duration,
    /// Bytes that the work `soak` keeps on the disk, give or take a few segments.
    pub soak_bytes: u64,
    /// What to measure of the archive, of brokers that are started for it; none = nothing.
    pub archive: Option<ArchiveOptions>,
}

impl Options {
    /// Room for a time stamp.
    pub const MIN_VALUE_BYTES: usize = 8;
    /// Default of [`Options::value_bytes`].
    pub const DEFAULT_VALUE_BYTES: usize = 256;
}

/// The broker that is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One that is started for each work, from this program.
    Own {
        /// The `strandline` binary.
        program: PathBuf,
    },
    /// One that runs already. Streams are created on it and deleted again.
    Running {
        /// Its gRPC API, `host:port`.
        grpc: String,
        /// Its NATS port, if works are to use that.
        nats: Option<String>,
        /// Its process, if it runs on this machine: for its CPU time and memory.
        pid: Option<u32>,
    },
}

/// A server to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// NATS JetStream with file storage.
    JetStream {
        /// The `nats-server` binary.
        program: PathBuf,
        /// Whether it syncs each message before its ack; otherwise it syncs every two minutes, its default.
        sync_always: bool,
    },
}
