//! Settings of streams and of the way of a message.

use std::time::Duration;

use strandline_broker::Settings;
use strandline_broker::settings::PluginSettings;
use strandline_core::plugin::PluginLimits;

use super::super::key::Key;
use super::super::kind::Kind;

const SECOND: Duration = Duration::from_secs(1);

pub(super) const BATCHES_ABOUT: &str = "Records that are waiting are appended and synced together; the limits bound one \
    batch, not throughput.";

pub(super) const BATCHES: &[Key] = &[
    Key::new(
        "batch.max.messages",
        Kind::Integer {
            min: 1,
            max: 1_000_000,
        },
        "16384",
        "most records of one batch",
    ),
    Key::new(
        "batch.max.bytes",
        Kind::Bytes {
            min: 1_024,
            max: 64 << 20,
        },
        "1048576",
        "most bytes of one batch; a single record may be larger",
    ),
    Key::new(
        "batch.max.time",
        Kind::Duration {
            min: Duration::ZERO,
            zero: true,
        },
        "0s",
        "how long a batch waits to fill; 0 takes what is queued",
    )
    .first_named("batch.wait.time")
    .idle("a waiting time for batches, what queues during one sync is the next batch"),
    Key::new(
        "clustering.replication.max.bytes",
        Kind::Bytes {
            min: 1,
            max: Settings::MAX_MESSAGE_BYTES_LIMIT as i64,
        },
        "1048576",
        "largest message that is stored, its headers included",
    ),
];

pub(super) const STREAMS_ABOUT: &str = "Defaults of streams whose creator did not say otherwise. They are looked up \
    whenever a partition is opened, so a change applies to existing streams after a restart.";

pub(super) const STREAMS: &[Key] = &[
    Key::new(
        "streams.retention.max.bytes",
        Kind::BYTES,
        "0",
        "bytes to keep per partition; 0 = all",
    )
    .first_named("log.retention.max.bytes"),
    Key::new(
        "streams.retention.max.messages",
        Kind::COUNT,
        "0",
        "records to keep per partition; 0 = all",
    )
    .first_named("log.retention.max.messages"),
    Key::new(
        "streams.retention.max.age",
        Kind::DURATION,
        "168h",
        "age to keep; 0 = any",
    )
    .first_named("log.retention.max.age"),
    Key::new(
        "streams.cleaner.interval",
        Kind::Duration {
            min: SECOND,
            zero: false,
        },
        "5m",
        "how often retention is applied",
    )
    .first_named("log.cleaner.interval"),
    Key::new(
        "streams.segment.max.bytes",
        Kind::Bytes {
            min: 1,
            max: i64::MAX,
        },
        "268435456",
        "size at which a segment is sealed; retention removes whole segments",
    )
    .first_named("log.segment.max.bytes"),
    Key::new(
        "streams.segment.max.age",
        Kind::Duration {
            min: SECOND,
            zero: true,
        },
        "",
        "age at which a segment is sealed; 0 = by size only",
    )
    .first_named("log.log.roll.time")
    .default_note("the value of `streams.retention.max.age`"),
    Key::new(
        "streams.durability",
        Kind::Choice(&["fsync", "os"]),
        "fsync",
        "when a record counts as stored: `fsync`, once it survives power loss; `os`, once the operating system has it",
    ),
    Key::new(
        "streams.concurrency.control",
        Kind::Bool,
        "false",
        "check the offset that publishers expect",
    ),
    Key::new(
        "streams.compact.enabled",
        Kind::Bool,
        "false",
        "keep the newest record of each key",
    )
    .first_named("log.compact"),
    Key::new(
        "streams.compact.tombstone.grace",
        Kind::DURATION,
        "24h",
        "how long a key with an empty value, which removes the key, is kept for readers to see",
    ),
    Key::new(
        "streams.compact.min.lag",
        Kind::DURATION,
        "0s",
        "age below which records are not compacted",
    ),
    Key::new(
        "streams.compact.min.dirty.percent",
        Kind::Integer { min: 0, max: 100 },
        "50",
        "share of a log that is not compacted yet, in percent, below which it is left alone",
    ),
    Key::new(
        "streams.compact.max.goroutines",
        Kind::Integer { min: 1, max: 10_000 },
        "10",
        "partitions of one stream that are compacted at the same time, at the most; a broker compacts no more than half as \
            many as it has processors, at least one and at most four",
    )
    .first_named("log.compact.max.goroutines"),
    Key::new(
        "compaction.memory.max",
        Kind::Bytes {
            min: 1 << 20,
            max: 1 << 40,
        },
        "134217728",
        "memory for the keys of all compactions together, 32 bytes a key; with more keys a log takes several passes",
    ),
    Key::new(
        "compaction.rate.max",
        Kind::BYTES,
        "0",
        "bytes that all compactions together read a second; 0 = as fast as they can",
    ),
    Key::new(
        "streams.auto.pause.time",
        Kind::DURATION,
        "0s",
        "idle time after which a partition is paused; 0 = never",
    )
    .not_built(
        &["0s"],
        "automatic pausing is not available in this version; remove it, idle partitions cost next to nothing",
    ),
    Key::new(
        "streams.auto.pause.disable.if.subscribers",
        Kind::Bool,
        "false",
        "subscribers keep a partition from being paused",
    )
    .idle("automatic pausing"),
    Key::new(
        "streams.compression",
        Kind::Choice(&["none", "lz4", "zstd"]),
        "none",
        "how batches are compressed: `lz4` is faster, `zstd` smaller; batches that do not shrink are stored as they are",
    ),
    Key::new(
        "streams.encryption",
        Kind::Bool,
        "false",
        "encrypt stored records; needs `encryption.key.file` or `encryption.key`",
    ),
];

pub(super) const CURSORS_ABOUT: &str = "Cursors are the positions that consumers store with SetCursor. They are records of the \
    stream `__cursors`, which is created at the first start that asks for it and which only the broker writes to. It has no \
    retention limit: a cursor stays until it is overwritten. Consumers of gufo-liftbridge need exactly one partition.";

pub(super) const CURSORS: &[Key] = &[
    Key::new(
        "cursors.stream.partitions",
        Kind::Integer { min: 0, max: 10_000 },
        "0",
        "partitions of that stream if it is not there yet; fixed once it is; 0 = it is not created",
    ),
    Key::new(
        "cursors.stream.replication.factor",
        Kind::Integer {
            min: -1,
            max: i32::MAX as i64,
        },
        "-1",
        "replicas of that stream; -1 = every broker",
    )
    .idle("replication, there is one broker"),
    Key::new(
        "cursors.stream.auto.pause.time",
        Kind::DURATION,
        "1m",
        "idle time after which that stream is paused; 0 = never",
    )
    .idle("automatic pausing, idle partitions cost next to nothing"),
];

pub(super) const PLUGINS_ABOUT: &str = "What plugins may use. An attachment can have a memory and a time of its own \
    (`strandline plugin attach --memory --budget`); [operations](operations.md#plugins) says what they are.";

pub(super) const PLUGINS: &[Key] = &[
    Key::new(
        "plugins.module.max.bytes",
        Kind::Bytes {
            min: 1,
            max: PluginSettings::MODULE_MAX_BYTES_LIMIT as i64,
        },
        "67108864",
        "largest plugin that is taken; components that bring a language's runtime along have some 20 MB",
    ),
    Key::new(
        "plugins.memory.max",
        Kind::Bytes {
            min: PluginLimits::MIN_MEMORY_BYTES as i64,
            max: PluginLimits::MAX_MEMORY_BYTES as i64,
        },
        "67108864",
        "memory that one instance of a plugin may have",
    ),
    Key::new(
        "plugins.batch.budget",
        Kind::Duration {
            min: Duration::from_millis(PluginLimits::MIN_BUDGET_MS as u64),
            zero: false,
        },
        "100ms",
        "time that a plugin may take for a batch; then the error policy applies to what it has not judged",
    ),
    Key::new(
        "plugins.cache.max.bytes",
        Kind::BYTES,
        "536870912",
        "compiled plugins that are kept on disk; the oldest go first",
    ),
    Key::new(
        "plugins.idle.memory.max",
        Kind::BYTES,
        "268435456",
        "memory of instances that wait for work, of all attachments together; the longest idle go first",
    ),
];

pub(super) const ENCRYPTION_ABOUT: &str = "The master key wraps the data keys of encrypted streams. A key is 16 or 32 \
    characters as they are, or 32 bytes as 64 hexadecimal digits or as 44 characters of base64; \
    [operations](operations.md#encryption) tells how to keep and change it.";

pub(super) const ENCRYPTION: &[Key] = &[
    Key::new(
        "encryption.key.file",
        Kind::Path,
        "",
        "file with the master key in its first line, and earlier ones in the lines after it",
    ),
    Key::new(
        "encryption.key",
        Kind::Text,
        "",
        "the master key itself, best from the environment: `LIFTBRIDGE_ENCRYPTION_KEY`, as with Liftbridge",
    )
    .secret(),
];
