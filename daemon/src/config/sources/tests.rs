//! Files, environment and flags together, as an operator meets them.

use super::*;

/// A configuration file in a directory of its own.
struct File(tempfile::TempDir);

impl File {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("strandline.conf"), text).unwrap();
        Self(directory)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("strandline.conf")
    }
}

fn read_file(text: &str) -> Result<Config, String> {
    read_all(text, &[], &[])
}

/// Errors come without the directory of the file.
fn read_all(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
    let file = File::new(text);
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let sources = Sources {
        file: Some(file.path()),
        environment: environment.iter().map(owned).collect(),
        flags: flags
            .iter()
            .map(owned)
            .map(|(name, value)| (name, value, "--set".to_owned()))
            .collect(),
        ..Sources::new(Invocation::Liftbridge)
    };
    let account = Account {
        is_root: false,
        xdg_data_home: None,
        home: Some("/home/u".into()),
    };
    let prefix = format!("{}/", file.0.path().display());
    read_with(&sources, &account).map_err(|problems| problems.to_string().replace(&prefix, ""))
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let file = "port: 1\nlogging.level: warn\nclustering.namespace: file\n";
    let environment = [("LIFTBRIDGE_PORT", "2"), ("STRANDLINE_LOGGING_LEVEL", "error")];
    let config = read_all(file, &environment, &[("port", "3")]).unwrap();
    assert_eq!(config.settings.listen.port, 3);
    assert_eq!(config.logging.level, "error");
    assert_eq!(config.settings.namespace, "file");
}

/// Every key of Liftbridge's own test file that asks for nothing that is missing.
#[test]
fn a_full_file_of_liftbridge_is_read() {
    let config = read_file(
        "listen: localhost:9293\nhost: 0.0.0.0\nport: 5050\ndata.dir: /foo\nmetadata.cache.max.age: 1m\n\
         batch.max:\n  messages: 10\n  time: 1s\n\
         logging:\n  level: debug\n  recovery: true\n  raft: true\n  nats: true\n\
         streams:\n  retention.max:\n    bytes: 1024\n    messages: 100\n    age: 1h\n  cleaner.interval: 1m\n  segment.max:\n    bytes: 64\n    age: 1m\n  compact:\n    enabled: false\n    max.goroutines: 2\n\
         clustering:\n  server.id: foo\n  namespace: bar\n  raft:\n    snapshot:\n      retain: 10\n      threshold: 100\n    cache.size: 5\n    bootstrap.seed: true\n  replica:\n    max:\n      lag.time: 1m\n      leader.timeout: 30s\n      idle.wait: 2s\n    fetch.timeout: 3s\n  min.insync.replicas: '1'\n  replication.max.bytes: 1024\n\
         activity.stream:\n  enabled: false\n  publish.timeout: 1m\n  publish.ack.policy: leader\n\
         nats:\n  embedded: true\n  servers:\n    - nats://localhost:4222\n  user: user\n  password: pass\n\
         cursors:\n  stream:\n    partitions: 0\n    replication.factor: 3\n    auto.pause.time: 1m\n\
         groups:\n  consumer.timeout: 1m\n  coordinator.timeout: 2m\n",
    )
    .unwrap();
    assert_eq!(config.settings.listen.to_string(), "localhost:9293");
    assert_eq!(config.settings.advertised_host(), "0.0.0.0");
    assert_eq!(config.settings.stream_defaults.segment_max_bytes, 64);
    assert!(
        config
            .notices
            .iter()
            .any(|notice| notice.contains("clustering.replica.max.lag.time"))
    );
    assert!(config.notices.iter().any(|notice| notice.contains("nats.user")));
}

/// The whole example of the first release's documentation.
#[test]
fn a_file_in_the_first_format_is_read() {
    let config = read_file(
        "listen: localhost:9293\ndata.dir: /tmp/liftbridge/server-2\nlog.level: debug\n\n\
         # Define NATS cluster to connect to.\nnats {\n    servers: [\"nats://localhost:4300\", \"nats://localhost:4301\"]\n}\n\n\
         // Specify message log settings.\nlog {\n    retention.max.age: \"24h\"\n    log.roll.time = \"1m\"\n    segment.max.bytes 64;\n}\n\n\
         # Specify cluster settings.\nclustering {\n    server.id: server-2\n    raft.logging: true\n    raft.bootstrap.seed: true\n    replica.max.lag.time: \"20s\"\n}\n",
    )
    .unwrap();
    assert_eq!(config.settings.listen.to_string(), "localhost:9293");
    assert_eq!(config.logging.level, "debug");
    assert!(config.logging.raft);
    assert_eq!(
        config.settings.retention.limits.max_age,
        Some(std::time::Duration::from_secs(86_400))
    );
    assert_eq!(
        config.settings.stream_defaults.segment_max_age,
        Some(std::time::Duration::from_secs(60))
    );
    assert_eq!(config.settings.stream_defaults.segment_max_bytes, 64);
    let strandline_broker::settings::NatsMode::External(external) = &config.settings.nats else {
        panic!("embedded")
    };
    assert_eq!(
        external.servers,
        ["nats://localhost:4300", "nats://localhost:4301"]
    );
}

#[test]
fn a_key_of_the_first_format_that_asks_for_what_is_missing_is_refused_too() {
    let error = read_file("telemetry {\n  enabled: true\n}\n").unwrap_err();
    assert!(
        error.starts_with("strandline.conf:2: telemetry.enabled = true is refused"),
        "{error}"
    );
}

#[test]
fn unknown_keys_are_errors_with_file_line_and_the_nearest_known_key() {
    let error =
        read_file("host: localhost\nport: 5050\nstreams:\n  retention.max.byte: 7\nfoo.bar.baz: qux\n")
            .unwrap_err();
    let expected = "strandline.conf:4: unknown setting streams.retention.max.byte; did you mean streams.retention.max.bytes?\n\
        strandline.conf:5: unknown setting foo.bar.baz";
    assert_eq!(error, expected);
}

#[test]
fn unknown_keys_of_the_first_format_are_errors_too() {
    let error = read_file("log {\n  retention.max.byte: 7\n}\n").unwrap_err();
    assert!(
        error.starts_with("strandline.conf:2: unknown setting log.retention.max.byte; did you mean"),
        "{error}"
    );
}

#[test]
fn invalid_values_name_their_line() {
    let error = read_file("listen: '192.168.0.1:4222x'\n").unwrap_err();
    assert_eq!(
        error,
        "strandline.conf:1: listen has no valid value: not an address of the form host:port: \"192.168.0.1:4222x\""
    );
    let error = read_file("a: 1\n  b: 2\n").unwrap_err();
    assert!(error.starts_with("strandline.conf:2: "), "{error}");
}

#[test]
fn a_setting_in_both_its_nested_and_its_dotted_form_is_an_error() {
    let error = read_file("logging:\n  level: info\nlogging.level: warn\n").unwrap_err();
    assert_eq!(
        error,
        "strandline.conf:3: logging.level is set already, at strandline.conf:2; remove one of the two"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let sources = Sources {
        file: Some("/nowhere/strandline.yaml".into()),
        ..Sources::new(Invocation::Serve)
    };
    let account = Account {
        is_root: true,
        ..Account::default()
    };
    let error = read_with(&sources, &account).unwrap_err().to_string();
    assert!(
        error.starts_with("/nowhere/strandline.yaml: cannot read the configuration file"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_configuration_is_refused() {
    let file = File::new("");
    std::fs::write(file.path(), [0xff, 0xfe, 0, 1]).unwrap();
    let account = Account {
        is_root: true,
        ..Account::default()
    };
    let sources = Sources {
        file: Some(file.path()),
        ..Sources::new(Invocation::Serve)
    };
    assert!(
        read_with(&sources, &account)
            .unwrap_err()
            .to_string()
            .contains("not utf-8")
    );
    std::fs::write(file.path(), vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(
        read_with(&sources, &account)
            .unwrap_err()
            .to_string()
            .contains("larger than")
    );
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(read_file("").unwrap().settings.listen.port, 9292);
}
