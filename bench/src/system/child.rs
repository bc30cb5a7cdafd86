//! A server that the benchmark has started.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child as Process, Command};

use crate::error::BenchError;

/// How long a server may take until it says that it serves.
const START_PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(1);
/// Bytes of a log's end that an error repeats.
const LOG_END_BYTES: usize = 1000;

/// A process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    what: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Environment,
    log: PathBuf,
    process: Process,
}

/// Variables that a server gets besides those of the benchmark.
pub(crate) type Environment = BTreeMap<String, String>;

impl Child {
    pub(crate) fn start(
        what: &str,
        program: &Path,
        arguments: Vec<String>,
        log: PathBuf,
    ) -> Result<Self, BenchError> {
        Self::start_with(what, program, (arguments, Environment::new()), log)
    }

    /// As [`Child::start`], with variables.
    pub(crate) fn start_with(
        what: &str,
        program: &Path,
        (arguments, environment): (Vec<String>, Environment),
        log: PathBuf,
    ) -> Result<Self, BenchError> {
        let process = spawn(what, program, (&arguments, &environment), &log)?;
        Ok(Self {
            what: what.to_owned(),
            program: program.to_owned(),
            arguments,
            environment,
            log,
            process,
        })
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Kills the process and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> Result<(), BenchError> {
        let what = format!("kill {}", self.what);
        self.process.kill().await.map_err(BenchError::io(what))
    }

    pub(crate) async fn kill_and_restart(&mut self) -> Result<Instant, BenchError> {
        self.kill().await?;
        let start = Instant::now();
        self.process = spawn(
            &self.what,
            &self.program,
            (&self.arguments, &self.environment),
            &self.log,
        )?;
        Ok(start)
    }

    /// Waits until the file that the server writes when it serves has content that `read` understands.
    pub(crate) async fn ready<T>(
        &mut self,
        file: &Path,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, BenchError> {
        let start = Instant::now();
        loop {
            if let Some(ready) = fs::read_to_string(file).ok().and_then(|text| read(&text)) {
                return Ok(ready);
            }
            let reason = match self.process.try_wait() {
                Ok(None) if start.elapsed() < START_PATIENCE => {
                    tokio::time::sleep(POLL).await;
                    continue;
                }
                Ok(None) => format!("it does not serve within {START_PATIENCE:?}"),
                Ok(Some(status)) => format!("it ended with {status}"),
                Err(error) => error.to_string(),
            };
            return Err(BenchError::Start {
                what: self.what.clone(),
                reason: format!("{reason}\n{}", self.end_of_log()),
            });
        }
    }

    /// Whether it has ended, and how; nothing while it runs.
    pub(crate) fn ended(&mut self) -> Option<BenchError> {
        let reason = match self.process.try_wait() {
            Ok(None) => return None,
            Ok(Some(status)) => format!("it ended with {status}"),
            Err(error) => error.to_string(),
        };
        Some(BenchError::Start {
            what: self.what.clone(),
            reason: format!("{reason}\n{}", self.end_of_log()),
        })
    }

    fn end_of_log(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let start = log.ceil_char_boundary(log.len().saturating_sub(LOG_END_BYTES));
        log.get(start..).unwrap_or_default().trim().to_owned()
    }
}

fn spawn(
    what: &str,
    program: &Path,
    (arguments, environment): (&[String], &Environment),
    log: &Path,
) -> Result<Process, BenchError> {
    let failed = |error: std::io::Error| BenchError::Start {
        what: what.to_owned(),
        reason: format!("{}: {error}", program.display()),
    };
    let output = File::create(log).map_err(failed)?;
    Command::new(program)
        .args(arguments)
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(failed)?)
        .stderr(output)
        .kill_on_drop(true)
        // Ctrl-C is for the benchmark, which ends its servers when it is through with them.
        .process_group(0)
        .spawn()
        .map_err(failed)
}
