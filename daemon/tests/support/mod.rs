//! The real program as its users run it, with files and ports of its own.

#![allow(
    dead_code,
    reason = "each suite is a program of its own and uses a part of this"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, without settings from the environment of whoever runs the tests.
pub(crate) fn strandline(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strandline"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("STRANDLINE_") || text.starts_with("LIFTBRIDGE_") {
            command.env_remove(&name);
        }
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    strandline(args).output().unwrap()
}

/// Runs the program to its end and returns its exit code and its error output.
pub(crate) fn fail(args: &[&str]) -> (Option<i32>, String) {
    let output = run(args);
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Runs the program, which has to succeed, and returns its output.
pub(crate) fn succeed(args: &[&str]) -> String {
    let output = run(args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {} {error}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A running broker. It is killed if a test ends without stopping it.
pub(crate) struct Broker {
    child: Child,
    /// Where the gRPC API listens.
    pub(crate) grpc: String,
    /// Where NATS listens.
    pub(crate) nats: String,
    pub(crate) ready_file: PathBuf,
}

impl Broker {
    /// Starts a broker on free ports with its state in the directory.
    pub(crate) fn start(directory: &Path) -> Self {
        let data = directory.join("data");
        Self::start_as(
            directory,
            &[
                "serve",
                "--nats-listen",
                "127.0.0.1:0",
                "-d",
                data.to_str().unwrap(),
            ],
        )
    }

    /// Starts a broker on free ports with these arguments.
    pub(crate) fn start_as(directory: &Path, args: &[&str]) -> Self {
        let ready_file = directory.join("ready.json");
        let (output, error) = (file(directory, "stdout"), file(directory, "stderr"));
        let mut child = strandline(args)
            .args(["--listen", "127.0.0.1:0", "--ready-file"])
            .arg(&ready_file)
            .stdout(output)
            .stderr(error)
            .spawn()
            .unwrap();
        let ready = wait_for(|| match std::fs::read(&ready_file) {
            Ok(bytes) => Some(bytes),
            Err(_) => {
                let ended = child.try_wait().unwrap();
                assert!(ended.is_none(), "{ended:?}: {}", read(directory, "stderr"));
                None
            }
        });
        let ready: serde_json::Value = serde_json::from_slice(&ready).unwrap();
        let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
        Self {
            child,
            grpc: text("grpc"),
            nats: text("nats"),
            ready_file,
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(
            Pid::from_raw(self.child.id().try_into().unwrap()).unwrap(),
            signal,
        )
        .unwrap();
    }

    /// Waits for the end of the process.
    pub(crate) fn wait(mut self) -> ExitStatus {
        wait_for(|| self.child.try_wait().unwrap())
    }

    /// Stops gracefully.
    pub(crate) fn stop(self) {
        self.signal(Signal::TERM);
        assert_eq!(self.wait().code(), Some(0));
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the broker in this directory wrote to `stdout` or `stderr`.
pub(crate) fn read(directory: &Path, name: &str) -> String {
    let mut text = String::new();
    std::fs::File::open(directory.join(name))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn file(directory: &Path, name: &str) -> std::fs::File {
    std::fs::File::create(directory.join(name)).unwrap()
}

/// Polls until there is a result.
pub(crate) fn wait_for<T>(mut result: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(result) = result() {
            return result;
        }
        assert!(Instant::now() < deadline, "nothing happened for {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
