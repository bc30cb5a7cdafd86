//! The broker of the demonstration: a process of its own, so that it can be killed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::exit::Failure;
use crate::serve::Ready;

/// How long the broker may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often its ready file is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A running broker. It is killed when this value goes.
#[derive(Debug)]
pub(super) struct DemoBroker {
    child: Child,
    ready: Ready,
    nats: String,
}

/// This program.
pub(super) fn executable() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::new(format!("cannot find this program: {error}")))
}

impl DemoBroker {
    /// Starts a broker in the directory and waits until it serves.
    pub(super) async fn start(directory: &Path) -> Result<Self, Failure> {
        let (ready_file, log) = (directory.join("ready.json"), directory.join("log"));
        remove_leftover(&ready_file)?;
        let failed = |error: std::io::Error| Failure::new(format!("cannot start a broker: {error}"));
        let log_file = std::fs::File::create(&log).map_err(failed)?;
        let mut command = Command::new(executable()?);
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--nats-listen",
                "127.0.0.1:0",
                "--level",
                "warn",
                "--data-dir",
            ])
            .arg(directory.join("data"))
            .arg("--ready-file")
            .arg(&ready_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file)
            // Ctrl-C is for the demonstration, which ends the broker itself.
            .process_group(0)
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
            command.env_remove(name);
        }
        let mut child = command.spawn().map_err(failed)?;
        let ready = wait_until_ready(&mut child, &ready_file, &log).await?;
        let nats = ready
            .nats
            .clone()
            .ok_or_else(|| Failure::new("the broker has no embedded nats server"))?;
        Ok(Self { child, ready, nats })
    }

    /// Where the gRPC API listens.
    pub(super) fn grpc(&self) -> &str {
        &self.ready.grpc
    }

    /// Where NATS listens.
    pub(super) fn nats(&self) -> &str {
        &self.nats
    }

    /// The process.
    pub(super) fn pid(&self) -> u32 {
        self.ready.pid
    }

    /// Where state is.
    pub(super) fn data_dir(&self) -> &Path {
        &self.ready.data_dir
    }

    /// Ends the broker with SIGKILL: it gets no chance to finish anything.
    pub(super) async fn kill(mut self) -> Result<(), Failure> {
        self.child
            .kill()
            .await
            .map_err(|error| Failure::new(format!("cannot kill the broker: {error}")))
    }

    /// Asks the broker to stop and waits for it.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        let pid = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM)
                .map_err(|error| Failure::new(format!("cannot stop the broker: {error}")))?;
        }
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(Failure::new(format!("the broker ended with {status}"))),
            Ok(Err(error)) => Err(Failure::new(format!("cannot wait for the broker: {error}"))),
            Err(_) => Err(Failure::new(format!(
                "the broker did not stop within {} s",
                PATIENCE.as_secs()
            ))),
        }
    }
}

/// A killed broker leaves its ready file behind.
fn remove_leftover(ready_file: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(ready_file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::new(format!(
            "cannot remove {}: {error}",
            ready_file.display()
        ))),
        _ => Ok(()),
    }
}

fn is_setting(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("STRANDLINE_") || name.starts_with("LIFTBRIDGE_")
}

async fn wait_until_ready(child: &mut Child, ready_file: &Path, log: &Path) -> Result<Ready, Failure> {
    let log = || std::fs::read_to_string(log).unwrap_or_default();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Ok(bytes) = std::fs::read(ready_file) {
            return serde_json::from_slice(&bytes)
                .map_err(|error| Failure::new(format!("the broker's ready file is damaged: {error}")));
        }
        let ended = child
            .try_wait()
            .map_err(|error| Failure::new(format!("cannot wait for the broker: {error}")))?;
        if let Some(status) = ended {
            return Err(Failure::new(format!("the broker ended with {status}\n{}", log())));
        }
        sleep(LOOK_INTERVAL).await;
    }
    Err(Failure::new(format!(
        "the broker did not start within {} s\n{}",
        PATIENCE.as_secs(),
        log()
    )))
}
