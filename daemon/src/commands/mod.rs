//! The commands that work with a broker.

pub(crate) mod archive;
pub(crate) mod bench;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod plugin;
pub(crate) mod publish;
pub(crate) mod storage;
pub(crate) mod stream;
pub(crate) mod subscribe;
pub(crate) mod version;

mod connection;
mod position;
mod record_format;

use std::future::Future;

use crate::exit::{Exit, Failure};

/// Runs a command on a runtime of its own.
pub(crate) fn run(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the command: {error}")))?;
    let outcome = runtime.block_on(command);
    // A thread that still waits for input is no reason to wait.
    runtime.shutdown_background();
    outcome
}

/// Why output could not be written. A reader that has seen enough (`| head`) is no failure worth a word.
pub(crate) fn output_failure(error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return Failure::new("");
    }
    Failure::new(format!("cannot write the output: {error}"))
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
