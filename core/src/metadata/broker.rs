//! Brokers as the cluster knows them.

use serde::{Deserialize, Serialize};

use crate::{BrokerId, Timestamp};

/// A registered broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broker {
    /// Its identity, kept over restarts.
    pub id: BrokerId,
    /// Host that clients are told to connect to.
    pub host: String,
    /// Port that clients are told to connect to.
    pub port: u16,
    /// Which of its processes registered last, counted from 1. What an older process says is out of date.
    pub incarnation: u64,
    /// When that process registered.
    pub registered: Timestamp,
    /// Partitions it holds a replica of. Follows from the streams, so it is not stored.
    #[serde(skip)]
    pub partitions: u64,
    /// Partitions it leads. Follows from the streams, so it is not stored.
    #[serde(skip)]
    pub leaderships: u64,
}

impl Broker {
    /// Longest host name, in bytes.
    pub const MAX_HOST_BYTES: usize = 255;
}
