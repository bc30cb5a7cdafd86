//! The commands against a real broker.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::Write;
use std::process::Stdio;

use support::{Broker, fail, run, strandline, succeed};

/// A broker with what its commands need to find it.
struct Bench {
    _directory: tempfile::TempDir,
    broker: Broker,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let broker = Broker::start(directory.path());
        Self {
            _directory: directory,
            broker,
        }
    }

    fn args<'a>(&'a self, line: &[&'a str]) -> Vec<&'a str> {
        [line, &["--servers", &self.broker.grpc]].concat()
    }

    fn succeed(&self, line: &[&str]) -> String {
        succeed(&self.args(line))
    }

    fn fail(&self, line: &[&str]) -> (Option<i32>, String) {
        fail(&self.args(line))
    }

    fn values(&self, line: &[&str]) -> Vec<String> {
        self.succeed(&[line, &["--format", "raw"]].concat())
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

#[test]
fn an_encrypted_stream_needs_a_master_key_and_shows_nothing_on_disk() {
    let bench = Bench::new();
    let create = [
        "stream",
        "create",
        "orders",
        "--compression",
        "zstd",
        "--encryption",
    ];
    let (code, error) = bench.fail(&create);
    assert_eq!(code, Some(1));
    assert!(error.contains("set encryption.key.file"), "{error}");
    let directory = tempfile::tempdir().unwrap();
    let (data, key) = (directory.path().join("data"), directory.path().join("key"));
    std::fs::write(&key, "t7w!z%C*F-JaNcRf\n").unwrap();
    let (data_dir, key) = (
        data.to_str().unwrap(),
        format!("encryption.key.file={}", key.display()),
    );
    let serve = [
        "serve",
        "--nats-listen",
        "127.0.0.1:0",
        "-d",
        data_dir,
        "--set",
        &key,
    ];
    let bench = Bench {
        broker: Broker::start_as(directory.path(), &serve),
        _directory: directory,
    };
    bench.succeed(&create);
    bench.succeed(&["publish", "orders", "attack at dawn", "--quiet"]);
    let read = ["subscribe", "orders"];
    assert_eq!(bench.values(&read), ["attack at dawn"]);
    let segment = data.join("streams").join("0");
    let files = std::fs::read_dir(segment)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    let stored: Vec<u8> = files.flatten().collect();
    assert!(stored.len() > 72 && !stored.windows(6).any(|part| part == b"attack"));
}

#[test]
fn a_stream_is_created_listed_described_and_deleted() {
    let bench = Bench::new();
    bench.succeed(&[
        "stream",
        "create",
        "orders",
        "--subject",
        "orders.*",
        "--partitions",
        "2",
    ]);
    let (code, error) = bench.fail(&["stream", "create", "orders", "--subject", "orders.*"]);
    assert!(code == Some(1) && error.contains("exists"), "{code:?} {error}");
    let there = bench.succeed(&[
        "stream",
        "create",
        "orders",
        "--subject",
        "orders.new",
        "--if-missing",
    ]);
    assert!(there.contains("exists on subject orders.*"), "{there}");
    let list = bench.succeed(&["stream", "list"]);
    assert!(list.contains("orders") && list.contains("orders.*"), "{list}");
    let info: serde_json::Value =
        serde_json::from_str(&bench.succeed(&["stream", "info", "orders", "--json"])).unwrap();
    assert_eq!(
        (info["name"].as_str(), info["partitions"].as_array().map(Vec::len)),
        (Some("orders"), Some(2))
    );
    bench.succeed(&["stream", "delete", "orders"]);
    let (code, error) = bench.fail(&["stream", "delete", "orders"]);
    assert!(code == Some(1) && error.contains("orders"), "{code:?} {error}");
    bench.succeed(&["stream", "delete", "orders", "--if-present"]);
    bench.broker.stop();
}

#[test]
fn what_is_published_is_read_from_wherever_one_likes() {
    let bench = Bench::new();
    bench.succeed(&["stream", "create", "s"]);
    let acks = bench.succeed(&["publish", "s", "a", "b", "c", "--key", "k", "--header", "h=1"]);
    assert_eq!(acks.lines().count(), 3, "{acks}");
    assert_eq!(bench.values(&["subscribe", "s"]), ["a", "b", "c"]);
    assert_eq!(bench.values(&["subscribe", "s", "--from", "1"]), ["b", "c"]);
    assert_eq!(bench.values(&["subscribe", "s", "--from", "latest"]), ["c"]);
    assert_eq!(bench.values(&["subscribe", "s", "--to", "1"]), ["a", "b"]);
    assert_eq!(bench.values(&["subscribe", "s", "--reverse"]), ["c", "b", "a"]);
    assert_eq!(bench.values(&["subscribe", "s", "--limit", "2"]), ["a", "b"]);
    assert_eq!(
        bench.values(&["subscribe", "s", "--from", "time:1h"]),
        ["a", "b", "c"]
    );
    let line = bench.succeed(&["subscribe", "s", "--limit", "1", "--format", "json"]);
    let record: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (
            &record["value"],
            &record["key"],
            &record["headers"]["h"],
            &record["offset"]
        ),
        (&"a".into(), &"k".into(), &"1".into(), &0.into())
    );
    bench.broker.stop();
}

#[test]
fn an_empty_stream_has_nothing_to_replay() {
    let bench = Bench::new();
    bench.succeed(&["stream", "create", "s", "--partitions", "3"]);
    assert_eq!(bench.values(&["subscribe", "s"]), Vec::<String>::new());
    assert_eq!(
        bench.values(&["subscribe", "s", "--reverse"]),
        Vec::<String>::new()
    );
    assert_eq!(
        bench.values(&["subscribe", "s", "--from", "5"]),
        Vec::<String>::new()
    );
    bench.broker.stop();
}

#[test]
fn every_partition_is_read_unless_some_are_chosen() {
    let bench = Bench::new();
    bench.succeed(&["stream", "create", "s", "--partitions", "2"]);
    bench.succeed(&["publish", "s", "zero", "--partition", "0"]);
    bench.succeed(&["publish", "s", "one", "--partition", "1"]);
    let mut all = bench.values(&["subscribe", "s"]);
    all.sort();
    assert_eq!(all, ["one", "zero"]);
    assert_eq!(bench.values(&["subscribe", "s", "--partition", "1"]), ["one"]);
    bench.broker.stop();
}

/// A partition without a record in the time was an error, after the records of the others.
#[test]
fn a_time_in_which_nothing_was_published_has_nothing_to_replay() {
    let bench = Bench::new();
    bench.succeed(&["stream", "create", "s", "--partitions", "2"]);
    bench.succeed(&["publish", "s", "zero"]);
    assert_eq!(bench.values(&["subscribe", "s", "--to", "time:0s"]), ["zero"]);
    let nothing = Vec::<String>::new();
    for (from, to) in [
        ("earliest", "time:1h"),
        ("time:2h", "time:1h"),
        ("time:2030-01-01", "time:2030-01-02"),
    ] {
        assert_eq!(
            bench.values(&["subscribe", "s", "--from", from, "--to", to]),
            nothing,
            "{from} to {to}"
        );
    }
    let (code, error) = bench.fail(&["subscribe", "s", "--from", "1", "--to", "0"]);
    assert!(
        code == Some(1) && error.contains("before start offset"),
        "{code:?} {error}"
    );
    bench.broker.stop();
}

#[test]
fn lines_of_the_standard_input_are_messages() {
    let bench = Bench::new();
    bench.succeed(&["stream", "create", "s"]);
    let mut child = strandline(&bench.args(&["publish", "s", "--quiet"]))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = (0..10_000).map(|number| format!("line {number}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let read = bench.values(&["subscribe", "s"]);
    assert_eq!(
        (read.len(), read.last().map(String::as_str)),
        (10_000, Some("line 9999"))
    );
    bench.broker.stop();
}

#[test]
fn a_subject_reaches_every_stream_on_it() {
    let bench = Bench::new();
    bench.succeed(&["stream", "create", "a", "--subject", "x.*"]);
    bench.succeed(&["stream", "create", "b", "--subject", "x.y"]);
    bench.succeed(&["publish", "--subject", "x.y", "hello", "--count", "2"]);
    for stream in ["a", "b"] {
        support::wait_for(|| (bench.values(&["subscribe", stream]) == ["hello", "hello"]).then_some(()));
    }
    bench.broker.stop();
}

#[test]
fn a_follower_sees_what_comes_later() {
    let bench = Bench::new();
    bench.succeed(&["stream", "create", "s"]);
    bench.succeed(&["publish", "s", "before"]);
    let line = [
        "subscribe",
        "s",
        "--from",
        "earliest",
        "--follow",
        "--limit",
        "2",
        "--format",
        "raw",
    ];
    let follower = strandline(&bench.args(&line))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    bench.succeed(&["publish", "s", "after"]);
    let output = follower.wait_with_output().unwrap();
    assert_eq!(
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).as_ref()
        ),
        (Some(0), "before\nafter\n")
    );
    bench.broker.stop();
}

#[test]
fn what_is_not_there_is_named() {
    let bench = Bench::new();
    let (code, error) = bench.fail(&["publish", "nope", "x"]);
    assert!(code == Some(1) && error.contains("nope"), "{code:?} {error}");
    let (code, error) = bench.fail(&["subscribe", "nope"]);
    assert!(code == Some(1) && error.contains("nope"), "{code:?} {error}");
    bench.broker.stop();
}

#[test]
fn the_demonstration_shows_the_whole_job_and_cleans_up() {
    let directory = tempfile::tempdir().unwrap();
    let output = strandline(&["demo"])
        .env("TMPDIR", directory.path())
        .output()
        .unwrap();
    let (text, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{text}\n{error}");
    assert_eq!(text.matches("message 3 of 5").count(), 2, "{text}");
    assert!(text.contains("kill -9"), "{text}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn output_that_nobody_reads_ends_a_command_without_a_word() {
    let bench = Bench::new();
    bench.succeed(&["stream", "create", "s"]);
    bench.succeed(&["publish", "s", "x", "--count", "5000", "--quiet"]);
    let mut child = strandline(&bench.args(&["subscribe", "s", "--follow", "--from", "earliest"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.stderr, output.status.success()), (Vec::new(), false));
    // Somebody who reads on is not disturbed by it.
    assert!(run(&bench.args(&["stream", "list"])).status.success());
    bench.broker.stop();
}

/// Liftbridge accepts the setting and does nothing with it.
#[test]
fn a_broker_can_check_expected_offsets_on_every_stream() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let broker = Broker::start_as(
        directory.path(),
        &[
            "serve",
            "--nats-listen",
            "127.0.0.1:0",
            "-d",
            data.to_str().unwrap(),
            "--set",
            "streams.concurrency.control=true",
        ],
    );
    let servers = ["--servers", broker.grpc.as_str()];
    succeed(&[["stream", "create", "s"].as_slice(), &servers].concat());
    succeed(
        &[
            ["publish", "s", "a", "b", "--expected-offset", "0"].as_slice(),
            &servers,
        ]
        .concat(),
    );
    let (code, error) = fail(
        &[
            ["publish", "s", "c", "--expected-offset", "1"].as_slice(),
            &servers,
        ]
        .concat(),
    );
    assert!(
        code == Some(1) && error.contains("incorrect expected offset"),
        "{code:?} {error}"
    );
    // A message on the subject expects offset 0.
    let (code, error) = fail(&[["publish", "--subject", "s", "c"].as_slice(), &servers].concat());
    assert!(
        code == Some(1) && error.contains("incorrect expected offset"),
        "{code:?} {error}"
    );
    broker.stop();
}

#[test]
fn an_ack_that_nobody_gives_is_not_waited_for_without_end() {
    let bench = Bench::new();
    let (code, error) = bench.fail(&[
        "publish",
        "--subject",
        "nobody.records",
        "x",
        "--timeout",
        "300ms",
    ]);
    assert!(
        code == Some(1) && error.contains("--ack none"),
        "{code:?} {error}"
    );
    let sent = bench.succeed(&["publish", "--subject", "nobody.records", "x", "--ack", "none"]);
    assert_eq!(sent, "nobody.records sent\n");
    bench.broker.stop();
}

/// The time limit is about the broker's answers and not about whoever types the messages.
#[test]
fn a_slow_writer_of_messages_is_waited_for() {
    let bench = Bench::new();
    bench.succeed(&["stream", "create", "s"]);
    let mut child = strandline(&bench.args(&["publish", "s", "--timeout", "200ms"]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(600));
    child.stdin.take().unwrap().write_all(b"late\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(0), b"s partition 0 offset 0\n".as_slice())
    );
    bench.broker.stop();
}
