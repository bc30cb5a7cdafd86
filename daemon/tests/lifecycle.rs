//! A broker from start to stop, and what keeps it from starting.

mod support;

use std::net::{TcpListener, TcpStream};

use rustix::process::Signal;
use support::{Broker, fail, read, run};

#[test]
fn a_broker_tells_where_it_is_and_stops_on_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start(directory.path());
    let (grpc, nats, ready_file) = (
        broker.grpc.clone(),
        broker.nats.clone(),
        broker.ready_file.clone(),
    );
    TcpStream::connect(&grpc).unwrap();
    TcpStream::connect(&nats).unwrap();
    broker.stop();
    assert!(!ready_file.exists());
    let output = read(directory.path(), "stdout");
    let data = directory.path().join("data");
    for part in [
        grpc.as_str(),
        nats.as_str(),
        data.to_str().unwrap(),
        " publish orders 'hello, world' --servers ",
    ] {
        assert!(output.contains(part), "{part} in {output}");
    }
}

#[test]
fn liftbridges_invocation_starts_a_broker() {
    let directory = tempfile::tempdir().unwrap();
    let (config, nats, data) = (
        directory.path().join("liftbridge.yaml"),
        directory.path().join("nats.conf"),
        directory.path().join("data"),
    );
    std::fs::write(&nats, "listen: 127.0.0.1:0\n").unwrap();
    let text = format!(
        "nats.embedded.config: {}\nclustering:\n  server.id: first\n",
        nats.display()
    );
    std::fs::write(&config, text).unwrap();
    let args = [
        "-c",
        config.to_str().unwrap(),
        "-d",
        data.to_str().unwrap(),
        "--embedded-nats",
        "--raft-bootstrap-seed",
    ];
    Broker::start_as(directory.path(), &args).stop();
}

#[test]
fn an_interrupt_stops_gracefully_too() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start(directory.path());
    broker.signal(Signal::INT);
    assert_eq!(broker.wait().code(), Some(0));
}

#[test]
fn a_hangup_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start(directory.path());
    broker.signal(Signal::HUP);
    support::wait_for(|| {
        read(directory.path(), "stderr")
            .contains("SIGHUP changes nothing")
            .then_some(())
    });
    broker.stop();
}

/// Both signals are there when the process goes on, so that it cannot have finished stopping in between.
#[test]
fn a_second_signal_stops_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start(directory.path());
    for signal in [Signal::STOP, Signal::TERM, Signal::INT, Signal::CONT] {
        broker.signal(signal);
    }
    let code = broker.wait().code();
    assert!(matches!(code, Some(130 | 143)), "{code:?}");
    assert!(read(directory.path(), "stderr").contains("stopped at once"));
}

#[test]
fn a_port_in_use_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (one, other) in [("--listen", "--nats-listen"), ("--nats-listen", "--listen")] {
        let fix = format!("choose another with {one}");
        let (code, error) = fail(&[
            "serve",
            one,
            &address,
            other,
            "127.0.0.1:0",
            "-d",
            data.to_str().unwrap(),
        ]);
        assert_eq!(code, Some(4), "{error}");
        assert!(
            error
                .lines()
                .any(|line| line.starts_with("error: ") && line.contains(&address) && line.contains(&fix)),
            "{error}"
        );
    }
}

#[test]
fn an_address_that_is_not_ours_is_not_taken_for_one_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    for (one, other) in [("--listen", "--nats-listen"), ("--nats-listen", "--listen")] {
        let data = data.to_str().unwrap();
        let (code, error) = fail(&["serve", one, "203.0.113.1:0", other, "127.0.0.1:0", "-d", data]);
        assert_eq!(code, Some(4), "{error}");
        assert!(error.contains("203.0.113.1:0") && error.contains(one), "{error}");
        assert!(!error.contains("another process"), "{error}");
    }
}

/// The warning was written while the configuration was read, before there was a log.
#[test]
fn a_doubtful_setting_of_the_nats_server_is_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let nats = directory.path().join("nats.conf");
    std::fs::write(
        &nats,
        "authorization { token: t, default_permissions { publish: x } }",
    )
    .unwrap();
    let data = directory.path().join("data");
    let mut arguments = vec![
        "serve",
        "--nats-listen",
        "127.0.0.1:0",
        "-d",
        data.to_str().unwrap(),
    ];
    arguments.extend(["--embedded-nats-config", nats.to_str().unwrap()]);
    let broker = Broker::start_as(directory.path(), &arguments);
    broker.stop();
    let log = read(directory.path(), "stderr");
    assert!(log.contains("WARN") && log.contains("may do everything"), "{log}");
}

/// The consensus library complained of its end when the start failed behind it.
#[test]
fn a_failed_start_has_one_error() {
    let directory = tempfile::tempdir().unwrap();
    let nats = directory.path().join("nats.conf");
    std::fs::write(&nats, "tls { cert_file: missing.pem, key_file: missing.pem }").unwrap();
    let data = directory.path().join("data");
    let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--log-format", "json"];
    arguments.extend(["--embedded-nats-config", nats.to_str().unwrap()]);
    arguments.extend(["-d", data.to_str().unwrap()]);
    for _ in 0..5 {
        let (code, error) = fail(&arguments);
        assert_eq!(code, Some(4), "{error}");
        assert!(
            error.contains("missing.pem") && !error.contains("ERROR"),
            "{error}"
        );
    }
}

#[test]
fn a_data_directory_in_use_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start(directory.path());
    let data = directory.path().join("data");
    let data = data.to_str().unwrap();
    let (code, error) = fail(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--nats-listen",
        "127.0.0.1:0",
        "-d",
        data,
    ]);
    assert_eq!(code, Some(4), "{error}");
    assert!(
        error.contains(data) && error.contains("in use by another process"),
        "{error}"
    );
    broker.stop();
}

#[test]
fn a_data_directory_that_cannot_be_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("data");
    let below = below.to_str().unwrap();
    let (code, error) = fail(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--nats-listen",
        "127.0.0.1:0",
        "-d",
        below,
    ]);
    assert_eq!(code, Some(4), "{error}");
    assert!(error.contains(below) && error.contains("--data-dir"), "{error}");
    assert!(error.contains("a part of its path is a file"), "{error}");
}

#[test]
fn liftbridges_invocation_looks_for_an_external_nats() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let servers = format!("nats://{address}");
    let (code, error) = fail(&[
        "--listen",
        "127.0.0.1:0",
        "-d",
        data.to_str().unwrap(),
        "-n",
        &servers,
    ]);
    assert_eq!(code, Some(4), "{error}");
    assert!(
        error.contains(&servers) && error.contains("--embedded-nats"),
        "{error}"
    );
}

#[test]
fn commands_say_when_no_broker_answers() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let output = run(&["stream", "list", "--servers", &address]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{error}");
    assert!(error.contains(&address), "{error}");
}
