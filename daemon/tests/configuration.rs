//! The configuration as the real program takes it.

mod support;

use support::{fail, strandline, succeed};

#[test]
fn a_wrong_file_is_told_about_with_file_line_and_the_nearest_key() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("strandline.yaml");
    std::fs::write(&file, "logging.levl: info\ntelemetry.enabled: true\nport: [1]\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, error) = fail(&["config", "check", "-c", file]);
    assert_eq!(code, Some(3));
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 3, "{error}");
    for part in [
        &format!("{file}:1: unknown setting logging.levl; did you mean logging.level?"),
        &format!("{file}:2: telemetry.enabled = true is refused"),
        &format!("{file}:3: port takes no list but number"),
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert_eq!(fail(&["serve", "-c", file]), (Some(3), error));
}

#[test]
fn what_is_shown_says_where_it_comes_from() {
    let mut command = strandline(&[
        "config",
        "show",
        "-d",
        "/data",
        "--set",
        "nats.password=hunter2",
        "--set",
        "nats.user=u",
    ]);
    let output = command
        .env("LIFTBRIDGE_STREAMS_RETENTION_MAX_AGE", "24h")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("data.dir: /data  # --data-dir\n"), "{text}");
    assert!(text.contains(
        "streams.retention.max.age: 24h  # environment variable LIFTBRIDGE_STREAMS_RETENTION_MAX_AGE\n"
    ));
    assert!(text.contains("port: 9292  # default\n") && !text.contains("hunter2"));
}

#[test]
fn contradicting_settings_name_each_other() {
    let (code, error) = fail(&["config", "check", "-e", "-n", "nats://elsewhere:4222"]);
    assert_eq!(code, Some(3));
    assert!(
        error.contains("nats.embedded (--embedded-nats)") && error.contains("nats.servers (--nats-servers)"),
        "{error}"
    );
}

#[test]
fn two_doors_at_one_port_name_each_other() {
    let (code, error) = fail(&[
        "config",
        "check",
        "--listen",
        "127.0.0.1:7000",
        "--nats-listen",
        ":7000",
    ]);
    assert_eq!(code, Some(3));
    let both = "listen (--listen) and nats.embedded.listen (--nats-listen)";
    assert!(error.contains(both) && error.contains("port 7000"), "{error}");
    let (code, error) = fail(&[
        "config",
        "check",
        "--http-listen",
        "9292",
        "-e=false",
        "-n",
        "n:1",
    ]);
    assert!(
        code == Some(3) && error.contains("port") && error.contains("http.listen"),
        "{code:?} {error}"
    );
    succeed(&[
        "config",
        "check",
        "--listen",
        "127.0.0.1:7000",
        "--nats-listen",
        "127.0.0.2:7000",
    ]);
    succeed(&[
        "config",
        "check",
        "--listen",
        "127.0.0.1:0",
        "--nats-listen",
        "127.0.0.1:0",
    ]);
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    assert_eq!(fail(&["frobnicate"]).0, Some(2));
    assert_eq!(fail(&["serve", "--set", "nothing"]).0, Some(2));
}

#[test]
fn the_version_and_the_help_are_printed() {
    let version = succeed(&["version"]);
    assert!(
        version.starts_with("strandline ") && version == succeed(&["-v"]),
        "{version}"
    );
    for args in [
        ["serve", "--help"],
        ["publish", "--help"],
        ["subscribe", "--help"],
        ["stream", "--help"],
    ] {
        assert!(succeed(&args).contains("Usage: strandline"), "{args:?}");
    }
}
