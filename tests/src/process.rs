//! A broker as its users start it: a process of its own, with files and ports of its own.

use std::env;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long a broker may take to serve; only ends a run that hangs.
const START_WAIT: Duration = Duration::from_secs(60);

/// A broker process that keeps its ports and its data over restarts and is killed when dropped.
#[derive(Debug)]
pub struct BrokerProcess {
    directory: TempDir,
    child: Child,
    settings: Vec<String>,
    /// Where the gRPC API listens.
    pub grpc: SocketAddr,
    /// Where the embedded NATS server listens.
    pub nats: SocketAddr,
}

/// Why a broker could not be started or watched.
#[derive(Debug)]
pub struct ProcessError(String);

impl BrokerProcess {
    /// Starts a broker on free ports with an empty data directory; it serves when this returns.
    ///
    /// # Errors
    ///
    /// The binary is not there, or it does not serve; the text ends with its log.
    pub fn start() -> Result<Self, ProcessError> {
        Self::start_with(&[])
    }

    /// As [`BrokerProcess::start`], with these settings (`name=value`) at every start.
    ///
    /// # Errors
    ///
    /// As [`BrokerProcess::start`].
    pub fn start_with(settings: &[&str]) -> Result<Self, ProcessError> {
        Self::start_in(tempfile::tempdir()?, settings)
    }

    /// Starts a broker on free ports with a copy of a data directory.
    ///
    /// # Errors
    ///
    /// As [`BrokerProcess::start`].
    pub fn start_on_copy_of(data: &Path) -> Result<Self, ProcessError> {
        let directory = tempfile::tempdir()?;
        copy(data, &data_directory(directory.path()))?;
        Self::start_in(directory, &[])
    }

    fn start_in(directory: TempDir, settings: &[&str]) -> Result<Self, ProcessError> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let child = spawn(directory.path(), (any, any), &settings)?;
        let mut broker = Self {
            directory,
            child,
            settings,
            grpc: any,
            nats: any,
        };
        broker.wait_until_serving()?;
        Ok(broker)
    }

    /// Kills the process as a crash would, and starts it again.
    ///
    /// # Errors
    ///
    /// As [`BrokerProcess::start`].
    pub fn kill_and_restart(&mut self) -> Result<(), ProcessError> {
        self.child.kill()?;
        self.child.wait()?;
        self.restart()
    }

    /// Asks the process to stop, waits for its end, and starts it again.
    ///
    /// # Errors
    ///
    /// As [`BrokerProcess::start`], and when it does not leave with success.
    pub fn stop_and_restart(&mut self) -> Result<(), ProcessError> {
        let status = self.stop()?;
        if !status.success() {
            return Err(self.failed(&format!("ended with {status}")));
        }
        self.restart()
    }

    /// Where the broker keeps its data.
    pub fn data(&self) -> PathBuf {
        data_directory(self.directory.path())
    }

    /// Asks the process to stop and waits for its end.
    ///
    /// # Errors
    ///
    /// It cannot be asked.
    pub fn stop(&mut self) -> Result<ExitStatus, ProcessError> {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status()?;
        if !asked.success() {
            return Err(self.failed("could not be asked to stop"));
        }
        Ok(self.child.wait()?)
    }

    fn restart(&mut self) -> Result<(), ProcessError> {
        self.child = spawn(self.directory.path(), (self.grpc, self.nats), &self.settings)?;
        self.wait_until_serving()
    }

    fn wait_until_serving(&mut self) -> Result<(), ProcessError> {
        let deadline = Instant::now() + START_WAIT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failed(&format!("ended with {status} while starting")));
            }
            if let Some((grpc, nats)) = self.addresses() {
                (self.grpc, self.nats) = (grpc, nats);
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.failed("does not serve"));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the ready file says, once this process has written it.
    fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        let text = fs::read(ready_file(self.directory.path())).ok()?;
        let ready: Value = serde_json::from_slice(&text).ok()?;
        let address = |name: &str| ready.get(name)?.as_str()?.parse().ok();
        let ours = ready.get("pid")?.as_u64()? == u64::from(self.child.id());
        ours.then_some((address("grpc")?, address("nats")?))
    }

    fn failed(&self, what: &str) -> ProcessError {
        let log = fs::read_to_string(log_file(self.directory.path())).unwrap_or_default();
        ProcessError(format!("the broker {what}; its log:\n{log}"))
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl std::fmt::Display for ProcessError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProcessError {}

impl From<io::Error> for ProcessError {
    fn from(error: io::Error) -> Self {
        Self(format!("the broker process could not be handled: {error}"))
    }
}

fn spawn(
    directory: &Path,
    (grpc, nats): (SocketAddr, SocketAddr),
    settings: &[String],
) -> Result<Child, ProcessError> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(log_file(directory))?;
    let mut command = Command::new(binary()?);
    for (name, _) in env::vars_os() {
        // Ours, which a broker would take for settings of its own.
        if name.to_string_lossy().starts_with("STRANDLINE_") {
            command.env_remove(name);
        }
    }
    command
        .arg("serve")
        .arg("--listen")
        .arg(grpc.to_string())
        .arg("--nats-listen")
        .arg(nats.to_string())
        .arg("--data-dir")
        .arg(data_directory(directory))
        .arg("--ready-file")
        .arg(ready_file(directory))
        .args(settings.iter().flat_map(|setting| ["--set", setting]))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(command.spawn()?)
}

/// Copies a directory with everything in it.
///
/// # Errors
///
/// The file system refuses.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn data_directory(directory: &Path) -> PathBuf {
    directory.join("data")
}

fn log_file(directory: &Path) -> PathBuf {
    directory.join("log")
}

fn ready_file(directory: &Path) -> PathBuf {
    directory.join("ready.json")
}

/// The binary that `tests/run` names, else the one beside the tests.
fn binary() -> Result<PathBuf, ProcessError> {
    if let Some(path) = env::var_os("STRANDLINE_TEST_BROKER") {
        return Ok(path.into());
    }
    let tests = env::current_exe()?;
    let built = tests
        .ancestors()
        .skip(2)
        .map(|directory| directory.join("strandline"));
    built.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        ProcessError(
            "there is no strandline binary beside the tests: cargo build --workspace, or tests/run"
                .to_owned(),
        )
    })
}
