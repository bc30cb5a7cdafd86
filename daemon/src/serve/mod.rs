//! `strandline serve`: a broker from start to stop.

mod args;
mod banner;
mod logging;
mod open_files;
mod ready_file;
mod signals;

use std::io::Write;
use std::time::Duration;

use strandline_broker::settings::{ExternalNats, NatsMode};
use strandline_broker::{Broker, StartError};

use crate::config::{self, Config, Invocation, Sources};
use crate::exit::{Exit, Failure, describe};

pub(crate) use args::{ServeArgs, with_go_flags};
pub(crate) use ready_file::Ready;

use signals::Asked;

/// Threads unless another number is set. The broker batches, so few of them carry far; and the threads of the partitions and of
/// the syncs want cores, too: as many threads as cores cost a message more (docs/performance.md).
const CORES_A_WORKER: usize = 2;
const MAX_DEFAULT_WORKERS: usize = 4;
/// Segment files get this part of the limit of open files; clients need the rest.
const OPEN_FILES_FOR_SEGMENTS: usize = 4;
/// Time for tasks that are in the middle of something once the broker is down.
const RUNTIME_STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Reads the configuration and runs a broker until it is asked to stop.
pub(crate) fn run(args: &ServeArgs, invocation: Invocation) -> Result<Exit, Failure> {
    run_with(&args.sources(invocation))
}

/// Runs the broker of a configuration until it is asked to stop.
pub(crate) fn run_with(sources: &Sources) -> Result<Exit, Failure> {
    let mut config =
        config::read(sources).map_err(|problems| Failure::with(Exit::Configuration, problems.to_string()))?;
    logging::start(&config.logging);
    for notice in &config.notices {
        tracing::warn!("{notice}");
    }
    let scratch = scratch(&mut config)?;
    let open_files = open_files::raise();
    let for_segments = &mut config.settings.max_open_files;
    *for_segments = (*for_segments).min(open_files / OPEN_FILES_FOR_SEGMENTS).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers(&config))
        .thread_name("strandline")
        .enable_all()
        .build()
        .map_err(|error| Failure::with(Exit::Start, format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(serve(config));
    runtime.shutdown_timeout(RUNTIME_STOP_TIMEOUT);
    if let Some(scratch) = scratch {
        remove(scratch);
    }
    outcome
}

/// The directory of a mount that was given none.
fn scratch(config: &mut Config) -> Result<Option<tempfile::TempDir>, Failure> {
    let settings = &mut config.settings;
    if settings.mount.is_none() || !settings.data_dir.as_os_str().is_empty() {
        return Ok(None);
    }
    let made = tempfile::Builder::new().prefix("strandline-mount-").tempdir();
    let made = made.map_err(|error| {
        let reason = format!("cannot create a temporary directory: {error}; name one with archive.mount.dir");
        Failure::with(Exit::Start, reason)
    })?;
    settings.data_dir = made.path().to_owned();
    Ok(Some(made))
}

fn remove(scratch: tempfile::TempDir) {
    let path = scratch.path().to_owned();
    if let Err(error) = scratch.close() {
        tracing::warn!(%error, path = %path.display(), "the temporary directory could not be removed");
    }
}

fn workers(config: &Config) -> usize {
    if config.workers > 0 {
        return config.workers;
    }
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .div_ceil(CORES_A_WORKER)
        .min(MAX_DEFAULT_WORKERS)
}

async fn serve(config: Config) -> Result<Exit, Failure> {
    let mut signals = signals::Signals::new()?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data_dir = %config.settings.data_dir.display(), "starting");
    let broker = tokio::select! {
        started = Broker::start(config.settings.clone()) => started.map_err(|error| start_failure(&error))?,
        _ = signals.stop() => return Ok(Exit::Success),
    };
    let ready = ready(&broker, &config);
    let ready_file = match &config.ready_file {
        Some(path) => Some(ready_file::ReadyFile::write(path, &ready)?),
        None => None,
    };
    announce(&broker, &config, &ready);
    if signals.asked().await == Asked::Leave {
        tracing::info!("sending nats clients away, then stopping; SIGTERM does not wait for them");
        tokio::select! {
            biased;
            _ = signals.stop() => {}
            () = broker.send_nats_clients_away() => {}
        }
    }
    tracing::info!("stopping; a second signal stops at once");
    let exit = tokio::select! {
        biased;
        at_once = signals.stop() => at_once,
        () = broker.shutdown() => Exit::Success,
    };
    drop(ready_file);
    match exit {
        Exit::Success => tracing::info!("stopped"),
        // Nothing that was acked is lost, but the next start has to look through the ends of the logs.
        at_once => {
            tracing::warn!("stopped at once");
            std::process::exit(at_once as i32);
        }
    }
    Ok(exit)
}

fn start_failure(error: &StartError) -> Failure {
    Failure::with(Exit::Start, describe(error))
}

fn ready(broker: &Broker, config: &Config) -> Ready {
    Ready {
        pid: std::process::id(),
        grpc: broker.grpc_addr().to_string(),
        nats: broker.nats_addr().map(|address| address.to_string()),
        http: broker.http_addr().map(|address| address.to_string()),
        server_id: broker.server_id(),
        data_dir: config.settings.data_dir.clone(),
    }
}

/// Tells people on the standard output, and machines in the log.
fn announce(broker: &Broker, config: &Config, ready: &Ready) {
    let settings = &config.settings;
    let port = settings.advertised_port(broker.grpc_addr().port());
    let advertised = format!("{}:{port}", settings.advertised_host());
    let nats = match (&ready.nats, &settings.nats) {
        (Some(address), _) => format!("{address} (embedded)"),
        _ if settings.mount.is_some() => "none, this is a read-only mount".to_owned(),
        (None, NatsMode::External(ExternalNats { servers, .. })) => servers.join(", "),
        (None, NatsMode::Embedded(_)) => "embedded, without a listener".to_owned(),
    };
    let kept = banner::kept(&settings.retention.limits);
    tracing::info!(
        grpc = %ready.grpc,
        %advertised,
        %nats,
        http = ready.http.as_deref().unwrap_or("off"),
        server_id = %ready.server_id,
        streams = broker.stream_count(),
        retention = %kept,
        "serving"
    );
    if config.logging.json {
        return;
    }
    let banner = banner::Banner {
        program: &crate::program(),
        grpc: broker.grpc_addr(),
        advertised: &advertised,
        nats: &nats,
        http: ready.http.as_deref(),
        data_dir: &settings.data_dir,
        streams: broker.stream_count(),
        kept: &kept,
        tls: settings.grpc_tls.is_some(),
        is_mount: settings.mount.is_some(),
    };
    // Whoever closed the output does not want to read it.
    let mut output = std::io::stdout().lock();
    let _ = output
        .write_all(banner.text().as_bytes())
        .and_then(|()| output.flush());
}
