//! Changing, trimming and describing streams with the commands, against a real broker.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;

use serde_json::Value;
use support::{Broker, fail, strandline, succeed};

/// Starts a broker with these settings on the same data each time.
fn start(directory: &Path, settings: &[&str]) -> Broker {
    let data = directory.join("data");
    let mut args = vec![
        "serve",
        "--nats-listen",
        "127.0.0.1:0",
        "-d",
        data.to_str().unwrap(),
    ];
    for setting in settings {
        args.extend(["--set", setting]);
    }
    // One that was killed has left its own.
    let _ = std::fs::remove_file(directory.join("ready.json"));
    Broker::start_as(directory, &args)
}

fn on<'a>(broker: &'a Broker, line: &[&'a str]) -> Vec<&'a str> {
    [line, &["--servers", &broker.grpc]].concat()
}

fn info(broker: &Broker, name: &str) -> Value {
    let line = ["stream", "info", name, "--segments", "--json"];
    serde_json::from_str(&succeed(&on(broker, &line))).unwrap()
}

fn values(broker: &Broker, name: &str) -> Vec<String> {
    let line = ["subscribe", name, "--format", "raw"];
    succeed(&on(broker, &line)).lines().map(str::to_owned).collect()
}

#[test]
fn settings_are_changed_shown_with_where_they_come_from_and_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start(directory.path(), &[]);
    succeed(&on(
        &broker,
        &["stream", "create", "s", "--retention-max-bytes", "1000000"],
    ));
    let text = succeed(&on(
        &broker,
        &[
            "stream",
            "set",
            "s",
            "--retention-max-age",
            "36h",
            "--retention-max-bytes",
            "default",
            "--segment-max-bytes",
            "1",
            "--durability",
            "os",
        ],
    ));
    let line = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        line("retention.max.age"),
        ["retention.max.age", "36h", "stream"],
        "{text}"
    );
    assert_eq!(
        line("retention.max.bytes"),
        ["retention.max.bytes", "0", "broker"],
        "{text}"
    );
    succeed(&on(&broker, &["publish", "s", "a", "b"]));
    broker.stop();

    let broker = start(directory.path(), &[]);
    let after = info(&broker, "s");
    assert_eq!(after["settings"]["retention.max.age"]["value"], 36 * 3600 * 1000);
    assert_eq!(after["settings"]["durability"]["from"], "stream");
    let partition = &after["partitions"][0];
    assert_eq!(
        (partition["state"].as_str(), partition["records"].as_u64()),
        (Some("serving"), Some(2))
    );
    assert_eq!(
        partition["segments"].as_array().map(Vec::len),
        partition["segment_count"].as_u64().map(|n| n as usize)
    );
    let text = succeed(&on(&broker, &["stream", "info", "s"]));
    assert!(
        text.contains("retention.max.age") && !text.contains("FIRST RECORD"),
        "{text}"
    );
    let text = succeed(&on(&broker, &["stream", "info", "s", "--segments"]));
    assert!(text.contains("FIRST RECORD"), "{text}");
    broker.stop();
}

#[test]
fn what_cannot_be_set_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start(directory.path(), &[]);
    succeed(&on(&broker, &["stream", "create", "s"]));
    let cases: [(&[&str], i32, &str); 4] = [
        (&["stream", "set", "s"], 2, "--retention-max-age"),
        (
            &["stream", "set", "s", "--retention-max-age", "soon"],
            2,
            "not a duration",
        ),
        (
            &["stream", "set", "s", "--segment-max-bytes", "0"],
            1,
            "segment.max.bytes must be above zero",
        ),
        (
            &["stream", "set", "nope", "--durability", "os"],
            1,
            "stream does not exist",
        ),
    ];
    for (line, code, text) in cases {
        let (ended, error) = fail(&on(&broker, line));
        assert!(
            ended == Some(code) && error.contains(text),
            "{line:?}: {ended:?} {error}"
        );
    }
    broker.stop();
}

#[test]
fn records_are_trimmed_and_erased_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start(directory.path(), &[]);
    succeed(&on(&broker, &["stream", "create", "s"]));
    succeed(&on(&broker, &["publish", "s", "a", "b", "c"]));
    succeed(&on(&broker, &["publish", "s", "secret", "--key", "alice"]));
    succeed(&on(&broker, &["publish", "s", "open", "--key", "bob"]));
    let text = succeed(&on(&broker, &["stream", "trim", "s", "--before", "2"]));
    let numbers: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(numbers[..3], ["0", "2", "2"], "{text}");
    assert_eq!(values(&broker, "s"), ["c", "secret", "open"]);
    let text = succeed(&on(&broker, &["stream", "erase", "s", "--key", "alice"]));
    assert!(text.starts_with("erased 1 records"), "{text}");
    assert_eq!(values(&broker, "s"), ["c", "open"]);
    // Nothing is an hour old.
    succeed(&on(&broker, &["stream", "trim", "s", "--before", "time:1h"]));
    drop(broker);

    let broker = start(directory.path(), &[]);
    assert_eq!(values(&broker, "s"), ["c", "open"]);
    let (code, error) = fail(&on(&broker, &["stream", "erase", "s", "--key", ""]));
    assert_eq!(code, Some(2), "{error}");
    let (code, error) = fail(&on(
        &broker,
        &["stream", "trim", "s", "--before", "1", "--partition", "7"],
    ));
    assert!(
        code == Some(1) && error.contains("no such partition: 7"),
        "{error}"
    );
    broker.stop();
}

#[test]
fn the_token_comes_from_a_file_or_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let (right, wrong) = (directory.path().join("right"), directory.path().join("wrong"));
    std::fs::write(&right, "0123456789abcdef\n").unwrap();
    std::fs::write(&wrong, "fedcba9876543210\n").unwrap();
    let broker = start(
        directory.path(),
        &[&format!("admin.token.file={}", right.display())],
    );
    succeed(&on(&broker, &["stream", "create", "s"]));
    let set = ["stream", "set", "s", "--retention-max-messages", "5"];
    let with = |file: &Path| {
        let mut line: Vec<String> = on(&broker, &set).into_iter().map(str::to_owned).collect();
        line.extend(["--admin-token-file".to_owned(), file.display().to_string()]);
        line
    };
    let run = |line: Vec<String>| {
        strandline(&line.iter().map(String::as_str).collect::<Vec<_>>())
            .output()
            .unwrap()
    };
    assert!(run(with(&right)).status.success());
    let refused = run(with(&wrong));
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(
        refused.status.code() == Some(1) && error.contains("admin.token"),
        "{error}"
    );
    for (token, code) in [("0123456789abcdef", 0), ("fedcba9876543210", 1)] {
        let mut command = strandline(&on(&broker, &set));
        let output = command.env("STRANDLINE_ADMIN_TOKEN", token).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{token}");
    }
    // What may be seen without it is shown all the same.
    let mut command = strandline(&on(&broker, &["stream", "info", "s"]));
    let output = command
        .env("STRANDLINE_ADMIN_TOKEN", "fedcba9876543210")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("HIGH WATERMARK") && !text.contains("SETTING"),
        "{text}"
    );
    broker.stop();
}

#[test]
fn cursors_are_kept_where_they_are_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start(directory.path(), &["cursors.stream.partitions=1"]);
    let list = succeed(&on(&broker, &["stream", "list"]));
    assert!(list.contains("__cursors"), "{list}");
    let (code, error) = fail(&on(&broker, &["publish", "__cursors", "x"]));
    assert!(code == Some(1) && error.contains("reserved"), "{error}");
    let (code, error) = fail(&on(
        &broker,
        &["stream", "set", "__cursors", "--retention-max-age", "1h"],
    ));
    assert!(code == Some(1) && error.contains("reserved"), "{error}");
    assert_eq!(
        info(&broker, "__cursors")["settings"]["retention.max.age"]["value"],
        0
    );
    broker.stop();
}
