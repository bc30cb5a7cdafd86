//! Settings of the archive.

use std::time::Duration;

use strandline_broker::settings::ArchiveSettings;

use super::super::key::Key;
use super::super::kind::Kind;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

pub(super) const ABOUT: &str = "Sealed segments of archived streams (`strandline stream create --archive`) move to an object \
    store and are read from there. Credentials are never written here: they come from the usual environment \
    (`AWS_ACCESS_KEY_ID`, `AWS_PROFILE`, `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_NAME` and so on), from the \
    profile's file or from the machine.";

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "archive.url",
        Kind::Text,
        "",
        "bucket and prefix: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX` or `file:///DIRECTORY`; without \
            it nothing is archived",
    ),
    Key::new(
        "archive.endpoint",
        Kind::Text,
        "",
        "address of the server if it is not the provider's own, such as `https://minio.example:9000`",
    )
    .default_note("the provider's"),
    Key::new("archive.region", Kind::Text, "", "region of an S3 bucket")
        .default_note("that of the environment, or `us-east-1`"),
    Key::new(
        "archive.path.style",
        Kind::Bool,
        "",
        "whether the bucket is named in the path and not in the host",
    )
    .default_note("true with `archive.endpoint`"),
    Key::new(
        "archive.ca",
        Kind::Path,
        "",
        "authorities that the server's certificate has to come from, a PEM file that is read at start",
    )
    .default_note("the system's authorities"),
    Key::new(
        "streams.archive",
        Kind::Bool,
        "false",
        "archive streams whose creator did not say otherwise; needs `archive.url`",
    ),
    Key::new(
        "archive.upload.max.age",
        Kind::Duration {
            min: SECOND,
            zero: true,
        },
        "10m",
        "age of its first record at which a segment is sealed to be archived, so that slow streams are archived too; 0 = by size \
            only",
    ),
    Key::new(
        "archive.upload.rate",
        Kind::BYTES,
        "0",
        "bytes that all uploads together send a second; 0 = twice what is published, and as fast as they can when little is",
    ),
    Key::new(
        "archive.local.max.age",
        Kind::DURATION,
        "24h",
        "age up to which what is archived stays on the disk, too; 0 = as long as the stream keeps it",
    ),
    Key::new(
        "archive.local.max.bytes",
        Kind::BYTES,
        "0",
        "bytes per partition up to which what is archived stays on the disk, too; 0 = any number",
    ),
    Key::new(
        "archive.cache.memory",
        Kind::Bytes {
            min: ArchiveSettings::MIN_CACHE_MEMORY as i64,
            max: 1 << 40,
        },
        "67108864",
        "memory for what is read from the archive, of all readers together",
    ),
    Key::new(
        "archive.cache.disk",
        Kind::BYTES,
        "0",
        "bytes on disk, below the data directory, for what is read from the archive; 0 = none",
    ),
    Key::new(
        "archive.fetch.timeout",
        Kind::Duration {
            min: SECOND,
            zero: false,
        },
        "30s",
        "how long a reader waits for the archive before it is told that it does not answer",
    ),
    Key::new(
        "archive.mount",
        Kind::Bool,
        "false",
        "serve what a cluster has in the archive, read-only, and nothing else; `strandline archive mount` sets it",
    ),
    Key::new(
        "archive.mount.cluster",
        Kind::Text,
        "",
        "identity of the cluster whose streams a mount serves",
    )
    .default_note("the only one in the bucket"),
    Key::new(
        "archive.mount.interval",
        Kind::Duration {
            min: MILLISECOND,
            zero: false,
        },
        "5s",
        "how often a mount looks what the cluster has archived since",
    ),
    Key::new(
        "archive.mount.dir",
        Kind::Path,
        "",
        "directory of a mount instead of `data.dir`; all but its cache is thrown away",
    )
    .default_note("a temporary one that is removed"),
];
