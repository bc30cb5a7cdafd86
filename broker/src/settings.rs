//! What a broker is told when it starts: plain values, checked at the edge by whoever fills them in.
//!
//! Files named by the configuration are read before a broker sees them where their content is small (keys,
//! certificates), so that a wrong path is one clear error of the command that was typed. Limits that no setting changes
//! are constants beside the code that keeps them.

mod address;
mod archive;
mod external_nats;
mod grpc_tls;
mod mount;
mod plugins;
mod scrubbing;
mod secret;

use std::path::PathBuf;
use std::time::Duration;

use strandline_core::BrokerId;
use strandline_core::record::Codec;
use strandline_core::retention::RetentionLimits;
use strandline_core::storage::{Backend, LogSettings};
use strandline_core::stream::CompactionDefaults;
use strandline_storage_backends::SegmentFactory;

pub use address::{Address, InvalidAddress};
pub use archive::{ArchiveSettings, ArchiveTarget};
pub use external_nats::{ClientIdentity, ExternalNats, NatsCredentials, NatsTls};
pub use grpc_tls::GrpcTls;
pub use mount::MountSettings;
pub use plugins::PluginSettings;
pub use scrubbing::Scrubbing;
pub use secret::{InvalidBearer, Secret};
pub use strandline_codec::{InvalidMasterKey, MasterKey, MasterKeys};

/// Everything a broker needs to know.
///
/// ```
/// use strandline_broker::Settings;
///
/// let settings = Settings::new("/var/lib/strandline");
/// assert_eq!(settings.listen.port, Settings::DEFAULT_PORT);
/// assert_eq!(settings.advertised_host(), "localhost");
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the gRPC API listens; port 0 takes any free one.
    pub listen: Address,
    /// What clients are told to connect to; none = what [`Settings::advertised_host`] says.
    pub advertise: Option<Address>,
    /// All state of the broker. It is created if it is not there; two processes never share one.
    pub data_dir: PathBuf,
    /// Isolates brokers that share a NATS cluster; part of their internal subjects.
    pub namespace: String,
    /// The broker's identity if the data directory holds none yet; the stored one wins. None = a random one.
    pub server_id: Option<BrokerId>,
    /// TLS of the gRPC API; none = plaintext.
    pub grpc_tls: Option<GrpcTls>,
    /// Where messages come from.
    pub nats: NatsMode,
    /// Where numbers and health are answered over HTTP; none = nowhere. An address without a host means this machine
    /// only, since whoever reaches the port is answered.
    pub http_listen: Option<Address>,
    /// Whether each partition has numbers of its own.
    pub metrics_per_partition: bool,
    /// The storage engine of streams whose creator does not choose.
    pub backend: Backend,
    /// Segment files that are kept open, at least 1; others are opened when they are needed.
    pub max_open_files: usize,
    /// Most records of one appended batch; at least 1.
    pub batch_max_messages: u32,
    /// Most bytes of one appended batch; a single record may be larger.
    pub batch_max_bytes: usize,
    /// Largest message that is stored, in bytes of payload and envelope.
    pub max_message_bytes: usize,
    /// Retention of streams that do not override it.
    pub retention: RetentionDefaults,
    /// Compaction of streams that do not override it.
    pub compaction: CompactionDefaults,
    /// What all compactions together may use.
    pub compaction_limits: CompactionLimits,
    /// How stored records are looked after.
    pub scrubbing: Scrubbing,
    /// What plugins may use.
    pub plugins: PluginSettings,
    /// Segments and durability of streams that do not override them.
    pub stream_defaults: LogSettings,
    /// Whether streams that do not say otherwise check the offset that a publisher expects.
    pub concurrency_control: bool,
    /// What opens the administration to callers that neither come from this machine nor show a certificate; none = they
    /// are refused.
    pub admin_token: Option<Secret>,
    /// Partitions of the stream that stores cursors, if it is not there yet; 0 = it is not created.
    pub cursors_partitions: u32,
    /// Compression and encryption of streams that do not override them.
    pub packing: PackingDefaults,
    /// The archive of sealed segments.
    pub archive: ArchiveSettings,
    /// Serve what a cluster has in the archive, read-only, and nothing else: the data directory then holds nothing that has to
    /// survive but the cache of the archive. None = an ordinary broker.
    pub mount: Option<MountSettings>,
    /// The keys that wrap the data keys of encrypted streams, the current one first; later ones only open what they wrapped
    /// before. None = no stream can be encrypted.
    pub master_keys: MasterKeys,
}

/// How streams are packed that do not say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackingDefaults {
    /// How new batches are compressed.
    pub compression: Codec,
    /// Whether new batches are encrypted.
    pub encryption: bool,
}

/// Where messages come from.
#[derive(Clone, Debug)]
pub enum NatsMode {
    /// A NATS server inside this process.
    Embedded(Box<strandline_nats::Options>),
    /// Servers elsewhere.
    External(ExternalNats),
}

/// Retention of streams that do not override it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionDefaults {
    /// What is kept per partition.
    pub limits: RetentionLimits,
    /// How often each partition is looked at; above zero.
    pub interval: Duration,
}

impl RetentionDefaults {
    /// Seven days, as with Liftbridge.
    pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
    /// Default of [`RetentionDefaults::interval`].
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(300);
}

impl Default for RetentionDefaults {
    fn default() -> Self {
        let limits = RetentionLimits {
            max_age: Some(Self::DEFAULT_MAX_AGE),
            ..RetentionLimits::default()
        };
        Self {
            limits,
            interval: Self::DEFAULT_INTERVAL,
        }
    }
}

/// What all compactions of a broker together may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionLimits {
    /// Bytes for the keys that are noted at the same time. Fewer cost more passes over a log with many keys.
    pub memory_max_bytes: u64,
    /// Bytes that are read a second; 0 = as fast as it goes.
    pub max_rate: u64,
}

impl CompactionLimits {
    /// Room for four million keys.
    pub const DEFAULT_MEMORY_MAX_BYTES: u64 = 128 << 20;
}

impl Default for CompactionLimits {
    fn default() -> Self {
        Self {
            memory_max_bytes: Self::DEFAULT_MEMORY_MAX_BYTES,
            max_rate: 0,
        }
    }
}

impl Settings {
    /// Port of the gRPC API unless another is set; Liftbridge's.
    pub const DEFAULT_PORT: u16 = 9292;
    /// Namespace unless another is set; Liftbridge's.
    pub const DEFAULT_NAMESPACE: &str = "liftbridge-default";
    /// Default of [`Settings::max_open_files`].
    pub const DEFAULT_MAX_OPEN_FILES: usize = SegmentFactory::DEFAULT_MAX_OPEN_FILES;
    /// Default of [`Settings::batch_max_messages`]. Liftbridge's 1024 would cut small messages into batches of a few
    /// dozen kilobytes; this leaves the size of a batch to [`Settings::batch_max_bytes`] for all but tiny messages.
    pub const DEFAULT_BATCH_MAX_MESSAGES: u32 = 16_384;
    /// Default of [`Settings::batch_max_bytes`]: readers fetch whole batches, so it bounds what one read costs.
    pub const DEFAULT_BATCH_MAX_BYTES: usize = 1 << 20;
    /// Default of [`Settings::max_message_bytes`]; Liftbridge's.
    pub const DEFAULT_MAX_MESSAGE_BYTES: usize = 1 << 20;
    /// The largest [`Settings::max_message_bytes`]: frames, inboxes and caches are dimensioned for it.
    pub const MAX_MESSAGE_BYTES_LIMIT: usize = 64 << 20;

    /// The defaults, with state in this directory and an embedded NATS server.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            listen: Address {
                host: None,
                port: Self::DEFAULT_PORT,
            },
            advertise: None,
            data_dir: data_dir.into(),
            namespace: Self::DEFAULT_NAMESPACE.to_owned(),
            server_id: None,
            grpc_tls: None,
            nats: NatsMode::Embedded(Box::default()),
            http_listen: None,
            metrics_per_partition: false,
            backend: Backend::default(),
            max_open_files: Self::DEFAULT_MAX_OPEN_FILES,
            batch_max_messages: Self::DEFAULT_BATCH_MAX_MESSAGES,
            batch_max_bytes: Self::DEFAULT_BATCH_MAX_BYTES,
            max_message_bytes: Self::DEFAULT_MAX_MESSAGE_BYTES,
            retention: RetentionDefaults::default(),
            compaction: CompactionDefaults::default(),
            compaction_limits: CompactionLimits::default(),
            scrubbing: Scrubbing::default(),
            plugins: PluginSettings::default(),
            stream_defaults: LogSettings {
                segment_max_age: Some(RetentionDefaults::DEFAULT_MAX_AGE),
                ..LogSettings::default()
            },
            concurrency_control: false,
            admin_token: None,
            cursors_partitions: 0,
            packing: PackingDefaults::default(),
            archive: ArchiveSettings::default(),
            mount: None,
            master_keys: MasterKeys::default(),
        }
    }

    /// The host that clients are told: the advertised one, else the one that is listened on, else `localhost`.
    pub fn advertised_host(&self) -> String {
        let host = self
            .advertise
            .as_ref()
            .and_then(|address| address.host.as_deref());
        host.or(self.listen.host.as_deref())
            .unwrap_or("localhost")
            .to_owned()
    }

    /// The port that clients are told, given the one that is listened on: the advertised one unless it is 0.
    pub fn advertised_port(&self, bound: u16) -> u16 {
        self.advertise
            .as_ref()
            .map(|address| address.port)
            .filter(|&port| port != 0)
            .unwrap_or(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(listen: (Option<&str>, u16), advertise: Option<(Option<&str>, u16)>) -> Settings {
        let address = |(host, port): (Option<&str>, u16)| Address {
            host: host.map(str::to_owned),
            port,
        };
        Settings {
            listen: address(listen),
            advertise: advertise.map(address),
            ..Settings::new("data")
        }
    }

    #[test]
    fn the_advertised_address_falls_back_to_the_listened_one_and_then_to_localhost() {
        let cases = [
            ((None, 1), None, ("localhost", 9)),
            ((Some("0.0.0.0"), 1), None, ("0.0.0.0", 9)),
            ((Some("a"), 1), Some((Some("b"), 2)), ("b", 2)),
            ((Some("a"), 1), Some((Some("b"), 0)), ("b", 9)),
            ((Some("a"), 1), Some((None, 2)), ("a", 2)),
        ];
        for (listen, advertise, expected) in cases {
            let settings = settings(listen, advertise);
            assert_eq!(
                (settings.advertised_host().as_str(), settings.advertised_port(9)),
                expected
            );
        }
    }
}
