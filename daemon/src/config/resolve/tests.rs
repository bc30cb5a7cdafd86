//! Every setting that has an effect arrives where it has it.

use std::path::Path;

use strandline_broker::settings::Address;
use strandline_core::record::Codec;

use super::super::sources::{Sources, read_with};
use super::*;

fn account() -> Account {
    Account {
        is_root: false,
        xdg_data_home: None,
        home: Some("/home/u".into()),
    }
}

fn flags(settings: &[(&str, &str)]) -> Result<Config, Problems> {
    let set = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned(), "--set".to_owned()));
    let sources = Sources {
        flags: set.collect(),
        ..Sources::new(Invocation::Serve)
    };
    read_with(&sources, &account())
}

#[test]
fn without_any_setting_the_broker_gets_its_own_defaults() {
    let config = flags(&[]).unwrap();
    let expected = Settings::new("/home/u/.local/share/strandline");
    let shown = |settings: &Settings| format!("{settings:?}");
    assert_eq!(shown(&config.settings), shown(&expected));
    assert_eq!(config.notices, Vec::<String>::new());
    assert!(!config.settings.data_dir.starts_with(std::env::temp_dir()));
}

#[test]
fn every_setting_of_the_broker_arrives() {
    let config = flags(&[
        ("listen", "127.0.0.1:1"),
        ("host", "h"),
        ("port", "2"),
        ("data.dir", "/d"),
        ("clustering.namespace", "ns"),
        ("clustering.server.id", "id"),
        ("nats.servers", "a:4222"),
        ("batch.max.messages", "3"),
        ("batch.max.bytes", "4096"),
        ("clustering.replication.max.bytes", "5"),
        ("streams.retention.max.bytes", "6"),
        ("streams.retention.max.messages", "7"),
        ("streams.retention.max.age", "8s"),
        ("streams.cleaner.interval", "9s"),
        ("streams.segment.max.bytes", "10"),
        ("streams.segment.max.age", "11s"),
        ("streams.compact.enabled", "true"),
        ("streams.compact.tombstone.grace", "14s"),
        ("streams.compact.min.lag", "15s"),
        ("streams.compact.min.dirty.percent", "17"),
        ("streams.compact.max.goroutines", "18"),
        ("compaction.memory.max", "1048577"),
        ("compaction.rate.max", "19"),
        ("streams.durability", "os"),
        ("streams.concurrency.control", "true"),
        ("streams.compression", "zstd"),
        ("streams.encryption", "true"),
        ("encryption.key", "t7w!z%C*F-JaNcRf"),
        ("runtime.workers", "12"),
        ("storage.open.files", "16"),
        ("ready.file", "/r"),
        ("http.listen", "13"),
        ("metrics.per.partition", "true"),
    ])
    .unwrap();
    let settings = &config.settings;
    assert_eq!(
        (settings.listen.to_string(), settings.advertised_host()),
        ("127.0.0.1:1".to_owned(), "h".to_owned())
    );
    assert_eq!(settings.advertised_port(1), 2);
    assert_eq!(
        (settings.data_dir.as_path(), settings.namespace.as_str()),
        (Path::new("/d"), "ns")
    );
    assert_eq!(settings.server_id.as_ref().map(BrokerId::as_str), Some("id"));
    assert!(matches!(&settings.nats, NatsMode::External(external) if external.servers == ["a:4222"]));
    assert_eq!(
        (
            settings.batch_max_messages,
            settings.batch_max_bytes,
            settings.max_message_bytes
        ),
        (3, 4096, 5)
    );
    let limits = RetentionLimits {
        max_bytes: Some(6),
        max_records: Some(7),
        max_age: Some(Duration::from_secs(8)),
    };
    assert_eq!(
        settings.retention,
        RetentionDefaults {
            limits,
            interval: Duration::from_secs(9)
        }
    );
    let compaction = StreamCompaction {
        settings: CompactionSettings {
            tombstone_grace: Duration::from_secs(14),
            min_lag: Duration::from_secs(15),
            min_dirty_percent: 17,
        },
        max_workers: 18,
    };
    assert_eq!(
        settings.compaction,
        CompactionDefaults {
            enabled: true,
            compaction
        }
    );
    assert_eq!(
        settings.compaction_limits,
        CompactionLimits {
            memory_max_bytes: 1_048_577,
            max_rate: 19
        }
    );
    let streams = LogSettings {
        durability: Durability::Os,
        segment_max_bytes: 10,
        segment_max_age: Some(Duration::from_secs(11)),
    };
    assert_eq!(
        (settings.stream_defaults, settings.concurrency_control),
        (streams, true)
    );
    let packing = PackingDefaults {
        compression: Codec::Zstd,
        encryption: true,
    };
    assert_eq!(settings.packing, packing);
    assert!(settings.master_keys.current().is_some());
    let here = Address { host: None, port: 13 };
    assert_eq!(
        (&settings.http_listen, settings.metrics_per_partition),
        (&Some(here), true)
    );
    assert_eq!((config.workers, config.ready_file), (12, Some("/r".into())));
    assert_eq!(settings.max_open_files, 16);
}

#[test]
fn a_segment_is_sealed_at_the_age_of_retention_unless_it_is_said() {
    let age = |settings: &[(&str, &str)]| flags(settings).unwrap().settings.stream_defaults.segment_max_age;
    assert_eq!(
        age(&[("streams.retention.max.age", "1h")]),
        Some(Duration::from_secs(3600))
    );
    assert_eq!(
        age(&[("streams.retention.max.age", "10ms")]),
        Some(Duration::from_secs(1))
    );
    assert_eq!(age(&[("streams.retention.max.age", "0")]), None);
    assert_eq!(age(&[("streams.segment.max.age", "0")]), None);
}

#[test]
fn logging_settings_arrive() {
    let on = flags(&[
        ("logging.level", "debug"),
        ("logging.format", "json"),
        ("logging.recovery", "true"),
        ("logging.raft", "true"),
        ("logging.nats", "true"),
    ]);
    let expected = Logging {
        level: "debug".to_owned(),
        json: true,
        recovery: true,
        raft: true,
        nats: true,
    };
    assert_eq!(on.unwrap().logging, expected);
    let expected = Logging {
        level: "info".to_owned(),
        json: false,
        recovery: false,
        raft: false,
        nats: false,
    };
    assert_eq!(flags(&[]).unwrap().logging, expected);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let problems = flags(&[
        ("port", "x"),
        ("streams.encryption", "true"),
        ("tls.cert", "c"),
        ("nope", "1"),
    ])
    .unwrap_err();
    assert_eq!(problems.0.len(), 4, "{problems}");
}

#[test]
fn without_a_home_a_data_directory_has_to_be_chosen() {
    let nobody = Account::default();
    let problems = read_with(&Sources::new(Invocation::Serve), &nobody).unwrap_err();
    assert_eq!(problems.0, [Problem::NoDataDirectory]);
}
