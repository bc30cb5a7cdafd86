//! The tools for the data directory of a broker that is stopped, against one that a real broker wrote.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;

use support::{Broker, fail, run, strandline, succeed};

/// A data directory with a stream of several segments.
struct Stored {
    directory: tempfile::TempDir,
}

impl Stored {
    /// 60 messages in segments of some 10 each, of a broker that was stopped.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let broker = Broker::start(directory.path());
        let client = |line: &[&str]| succeed(&[line, &["--servers", &broker.grpc]].concat());
        client(&["stream", "create", "orders", "--segment-max-bytes", "2500"]);
        client(&["stream", "create", "prices", "--compression", "zstd"]);
        for number in 0..60 {
            client(&[
                "publish",
                "orders",
                &format!("order {number} {}", "x".repeat(150)),
                "--quiet",
            ]);
        }
        client(&["publish", "prices", &"7".repeat(2000), "--quiet"]);
        broker.stop();
        Self { directory }
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn args<'a>(data: &'a str, line: &[&'a str]) -> Vec<&'a str> {
        [&["storage"], line, &["--data-dir", data]].concat()
    }

    fn run(&self, line: &[&str]) -> (Option<i32>, String, String) {
        let data = self.data();
        let output = run(&Self::args(data.to_str().unwrap(), line));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// The segments of the stream orders, the active one last.
    fn segments(&self) -> Vec<PathBuf> {
        files(&self.data().join("streams/0"), "seg")
    }

    fn values(&self) -> Vec<String> {
        let broker = Broker::start(self.directory.path());
        let args = [
            "subscribe",
            "orders",
            "--format",
            "json",
            "--servers",
            &broker.grpc,
        ];
        let read = succeed(&args);
        succeed(&["publish", "orders", "after", "--quiet", "--servers", &broker.grpc]);
        broker.stop();
        read.lines().map(str::to_owned).collect()
    }
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

fn flip(path: &Path, position: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[position] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn damage_is_found_shown_and_repaired_and_the_broker_serves_the_rest() {
    let stored = Stored::new();
    let (code, output, error) = stored.run(&["check"]);
    assert_eq!((code, error.as_str()), (Some(0), ""), "{output}");
    assert!(output.starts_with("no damage, 0 harmless; 2 logs, "), "{output}");
    assert!(output.contains(" 61 records, "), "{output}");

    let segments = stored.segments();
    assert!(segments.len() > 4);
    let damaged = &segments[2];
    flip(damaged, 150);
    let name = damaged.file_name().unwrap().to_str().unwrap().to_owned();
    let (code, output, _) = stored.run(&["check"]);
    assert_eq!(code, Some(6), "{output}");
    assert!(
        output.contains(&name) && output.contains("partition orders:0") && output.contains("at byte"),
        "{output}"
    );
    let (code, output, _) = stored.run(&["check", "--json", "--stream", "orders:0"]);
    assert_eq!(code, Some(6));
    let lines = json_lines(&output);
    let (finding, summary) = (&lines[0], &lines[1]);
    assert_eq!(
        (
            finding["severity"].as_str(),
            finding["stream"].as_str(),
            finding["partition"].as_u64()
        ),
        (Some("damage"), Some("orders"), Some(0))
    );
    assert_eq!(
        (summary["kind"].as_str(), summary["damage"].as_u64()),
        (Some("summary"), Some(1))
    );
    assert_eq!(stored.run(&["check", "--stream", "prices"]).0, Some(0));
    assert_eq!(stored.run(&["check", "--stream", "nobody"]).0, Some(1));

    let (code, output, _) = stored.run(&["dump", damaged.to_str().unwrap()]);
    assert_eq!(code, Some(6));
    assert!(output.contains("damage at "), "{output}");

    let before = std::fs::read(damaged).unwrap();
    let drop = ["repair", "--stream", "orders:0", "--action", "drop-damaged"];
    let (code, output, error) = stored.run(&drop);
    assert!(
        code == Some(1) && error.contains("--yes") && output.contains("lost: "),
        "{output}{error}"
    );
    let (code, output, _) = stored.run(&[&drop[..], &["--dry-run"]].concat());
    assert!(
        code == Some(0) && output.contains("lost: whatever was at the offsets"),
        "{output}"
    );
    assert_eq!(std::fs::read(damaged).unwrap(), before);
    let (code, output, error) = stored.run(&[&drop[..], &["--yes"]].concat());
    assert_eq!(code, Some(0), "{output}{error}");
    assert!(output.contains("the originals are in"), "{output}");
    assert!(!damaged.exists());
    let kept = std::fs::read_dir(stored.data())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let kept = kept
        .into_iter()
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("repair-"));
    assert_eq!(
        std::fs::read(kept.unwrap().join("streams/0").join(&name)).unwrap(),
        before
    );

    let (code, output, _) = stored.run(&["check"]);
    assert!(
        code == Some(0) && output.starts_with("no damage, 0 harmless"),
        "{output}"
    );
    let left = stored.values();
    assert_eq!(left.len(), 59, "one record was lost");
    for line in json_lines(&left.join("\n")) {
        let offset = line["offset"].as_u64().unwrap();
        assert!(
            line["value"]
                .as_str()
                .unwrap()
                .starts_with(&format!("order {offset} "))
        );
    }
    let now = stored.values();
    assert_eq!(
        (&now[..59], json_lines(&now[59])[0]["offset"].as_u64()),
        (&left[..], Some(60))
    );
}

#[test]
fn a_partition_is_cut_before_damage_that_keeps_it_out_of_service() {
    let stored = Stored::new();
    let segments = stored.segments();
    std::fs::remove_file(&segments[3]).unwrap();
    let (code, output, _) = stored.run(&["check"]);
    assert!(
        code == Some(6) && output.contains("the file is missing"),
        "{output}"
    );
    let cut = ["repair", "--stream", "orders", "--action", "cut", "--yes"];
    let (code, output, error) = stored.run(&cut);
    assert_eq!(code, Some(0), "{output}{error}");
    assert_eq!(stored.run(&["check"]).0, Some(0));
    let left = stored.values();
    assert!((10..59).contains(&left.len()));
    assert_eq!(stored.values().len(), left.len() + 1);
}

#[test]
fn indexes_and_the_state_are_built_anew() {
    let stored = Stored::new();
    let log = stored.data().join("streams/0");
    flip(&files(&log, "idx")[1], 20);
    let (code, output, _) = stored.run(&["check"]);
    assert!(
        code == Some(0) && output.contains("harmless: ") && output.contains("1 harmless"),
        "{output}"
    );
    let rebuild = |action| ["repair", "--stream", "orders", "--action", action];
    assert_eq!(stored.run(&rebuild("rebuild-index")).0, Some(0));
    flip(&log.join("state"), 60);
    assert_eq!(stored.run(&["check"]).0, Some(6));
    assert_eq!(stored.run(&rebuild("rebuild-state")).0, Some(0));
    let (code, output, _) = stored.run(&["check"]);
    assert!(
        code == Some(0) && output.starts_with("no damage, 0 harmless"),
        "{output}"
    );
    let (code, output, error) = stored.run(&rebuild("rebuild-state"));
    assert!(
        code == Some(1) && error.contains("nothing to rebuild"),
        "{output}{error}"
    );
    assert!(stored.run(&rebuild("cut")).1.contains("nothing to do"));
    assert_eq!(stored.values().len(), 60);
}

#[test]
fn damaged_metadata_is_named_with_its_place() {
    let stored = Stored::new();
    let [log] = <[PathBuf; 1]>::try_from(files(&stored.data().join("metadata"), "log")).unwrap();
    flip(&log, 800);
    let (code, output, _) = stored.run(&["check"]);
    assert_eq!(code, Some(6), "{output}");
    assert!(
        output.contains(log.to_str().unwrap()) && output.contains("at byte"),
        "{output}"
    );
    // The records are verified all the same, by their logs' numbers.
    assert!(output.contains("2 logs, "), "{output}");
    let (code, _, error) = stored.run(&["check", "--stream", "orders"]);
    assert!(
        code == Some(1) && error.contains("no stream can be found by its name"),
        "{error}"
    );
}

#[test]
fn a_partition_is_shown_record_by_record() {
    let stored = Stored::new();
    let (code, output, error) = stored.run(&["dump", "orders:0", "--offset", "17", "--limit", "2", "--json"]);
    assert_eq!(code, Some(0), "{error}");
    let records: Vec<_> = json_lines(&output)
        .into_iter()
        .filter(|line| line["kind"] == "record")
        .collect();
    let offsets: Vec<_> = records
        .iter()
        .map(|record| record["offset"].as_u64().unwrap())
        .collect();
    assert_eq!(offsets, [17, 18]);
    assert!(records[0]["value"].as_str().unwrap().starts_with("order 17 "));
    let (code, output, _) = stored.run(&["dump", "prices", "--values", "hex"]);
    assert!(
        code == Some(0) && output.contains("codec=zstd") && output.contains(&"37".repeat(2000)),
        "{output}"
    );
    let state = stored.data().join("streams/0/state");
    let (code, output, _) = stored.run(&["dump", state.to_str().unwrap()]);
    assert!(
        code == Some(0) && output.starts_with("state at 0: start=0 end=60"),
        "{output}"
    );
    let index = files(&stored.data().join("streams/0"), "idx").remove(0);
    let (code, output, _) = stored.run(&["dump", index.to_str().unwrap()]);
    assert!(code == Some(0) && output.contains("entry: offset=0"), "{output}");
    assert_eq!(stored.run(&["dump", "nobody"]).0, Some(1));
    assert_eq!(stored.run(&["dump", "./nothing"]).0, Some(1));
}

#[test]
fn nothing_is_done_while_a_broker_runs() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start(directory.path());
    let data = directory.path().join("data");
    let data = data.to_str().unwrap();
    for line in [
        &["check"][..],
        &["dump", "orders"],
        &["repair", "--stream", "orders", "--action", "cut", "--yes"],
        &["compact"],
    ] {
        let (code, error) = fail(&Stored::args(data, line));
        assert!(
            code == Some(4) && error.contains("in use by a broker"),
            "{line:?}: {code:?} {error}"
        );
    }
    broker.stop();
    assert_eq!(fail(&Stored::args("/nonexistent/data", &["check"])).0, Some(4));
    // Two that only read do not hinder each other, and leave the broker room to start afterwards.
    succeed(&Stored::args(data, &["check"]));
    Broker::start(directory.path()).stop();
    assert!(
        strandline(&["storage", "check", "--stream"])
            .output()
            .unwrap()
            .status
            .code()
            == Some(2)
    );
}

#[test]
fn streams_in_redb_and_encrypted_ones_are_verified_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let (data, key, config) = (
        directory.path().join("data"),
        directory.path().join("key"),
        directory.path().join("broker.yaml"),
    );
    std::fs::write(&key, "t7w!z%C*F-JaNcRf\n").unwrap();
    std::fs::write(&config, format!("encryption.key.file: {}\n", key.display())).unwrap();
    let (data_dir, config) = (data.to_str().unwrap(), config.to_str().unwrap());
    let serve = [
        "serve",
        "--nats-listen",
        "127.0.0.1:0",
        "-d",
        data_dir,
        "-c",
        config,
    ];
    let broker = Broker::start_as(directory.path(), &serve);
    let client = |line: &[&str]| succeed(&[line, &["--servers", &broker.grpc]].concat());
    client(&["stream", "create", "ledger", "--backend", "redb"]);
    client(&[
        "stream",
        "create",
        "secrets",
        "--encryption",
        "--compression",
        "lz4",
    ]);
    for number in 0..5 {
        client(&["publish", "ledger", &format!("entry {number}"), "--quiet"]);
        client(&["publish", "secrets", &format!("attack at {number}"), "--quiet"]);
    }
    broker.stop();

    let with_key = ["--config", config];
    let locked = succeed(&Stored::args(data_dir, &["check"]));
    assert!(
        locked.starts_with("5 encrypted batches were verified by their checksums only"),
        "{locked}"
    );
    let open = succeed(&Stored::args(data_dir, &[&["check"][..], &with_key].concat()));
    assert!(open.starts_with("no damage, 0 harmless; 2 logs, "), "{open}");
    assert!(open.contains(" 10 records, "), "{open}");

    let hidden = succeed(&Stored::args(data_dir, &["dump", "secrets"]));
    assert!(
        hidden.contains("unreadable: ") && !hidden.contains("attack"),
        "{hidden}"
    );
    let shown = succeed(&Stored::args(
        data_dir,
        &[&["dump", "secrets"][..], &with_key].concat(),
    ));
    assert!(shown.contains("attack at 4"), "{shown}");
    let ledger = succeed(&Stored::args(data_dir, &["dump", "ledger:0", "--offset", "3"]));
    assert!(
        ledger.contains("entry 3") && ledger.contains("entry 4") && !ledger.contains("entry 2"),
        "{ledger}"
    );
    let cut = ["repair", "--stream", "ledger", "--action", "cut"];
    assert_eq!(succeed(&Stored::args(data_dir, &cut)), "there is nothing to do\n");

    let database = data.join("streams-redb/store.redb");
    let mut bytes = std::fs::read(&database).unwrap();
    let places: Vec<_> = (0..bytes.len() - 7)
        .filter(|&at| bytes[at..].starts_with(b"entry 3"))
        .collect();
    places.into_iter().for_each(|at| bytes[at] ^= 1);
    std::fs::write(&database, bytes).unwrap();
    let (code, output) = {
        let output = run(&Stored::args(data_dir, &["check"]));
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert!(code == Some(6) && output.contains("store.redb"), "{output}");
}
