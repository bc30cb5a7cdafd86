//! Does the works, one after another.

use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::archive::{self, ArchiveWork};
use crate::error::BenchError;
use crate::filter::Filter;
use crate::limits::Limits;
use crate::message::{json_value, random_value};
use crate::options::{Options, Peer, Target};
use crate::report::{Report, Row};
use crate::system::System;
use crate::warm;
use crate::work::{Task, Work};

const TARGET: &str = "strandline";

/// Measures. What was measured before it ended is in the report, however it ended.
///
/// Progress is drawn on the error output if that is a terminal. Servers that it started and streams that it made are gone
/// when it returns; after `stop` is cancelled it returns within a second or two.
///
/// Cancel safety: dropping it leaves streams on a broker that was running before.
///
/// # Errors
///
/// What made the broker's own figures impossible. A peer that cannot do a work has a row that says why.
pub async fn run(options: &Options, stop: &CancellationToken, report: &mut Report) -> Result<(), BenchError> {
    report.value_bytes = options.value_bytes;
    let directory = temporary(&options.directory)?;
    let run = Run {
        options,
        stop,
        directory: directory.path(),
        value: if options.filters.is_empty() {
            random_value(options.value_bytes)
        } else {
            json_value(options.value_bytes)
        },
        progress: progress(options),
    };
    let outcome = run.all(report).await;
    run.progress.finish_and_clear();
    let path = directory.path().display().to_string();
    let removed = directory
        .close()
        .map_err(BenchError::io(format!("remove {path}")));
    outcome.and(removed)
}

/// An empty directory in one that is there, removed when it is dropped.
pub(crate) fn temporary(directory: &Path) -> Result<TempDir, BenchError> {
    let made = tempfile::Builder::new()
        .prefix("strandline-bench-")
        .tempdir_in(directory);
    made.map_err(BenchError::io(format!(
        "make a directory in {}",
        directory.display()
    )))
}

/// Short where nobody else has streams: the name is the subject too, and stands in every message.
fn stream_name(target: &Target, number: usize) -> String {
    match target {
        Target::Own { .. } => "bench".to_owned(),
        Target::Running { .. } => format!("strandline-bench-{}-{number}", std::process::id()),
    }
}

fn progress(options: &Options) -> ProgressBar {
    let filtered = options.works.iter().filter(|work| work.suits_filters()).count();
    let archive = options.archive.as_ref().map_or(0, |archive| archive.works.len());
    let steps =
        1 + archive + options.works.len() * (1 + options.against.len()) + filtered * options.filters.len();
    let bar = ProgressBar::new(steps as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

struct Run<'a> {
    options: &'a Options,
    stop: &'a CancellationToken,
    directory: &'a Path,
    value: Vec<u8>,
    progress: ProgressBar,
}

impl Run<'_> {
    async fn all(&self, report: &mut Report) -> Result<(), BenchError> {
        self.look_for_servers().await?;
        if !self.options.works.is_empty() {
            self.works(report).await?;
        }
        self.archive(report).await
    }

    async fn works(&self, report: &mut Report) -> Result<(), BenchError> {
        self.progress.set_message("what the machine does");
        report.limits = Some(
            self.unless_stopped(Limits::measure(self.directory, &self.value))
                .await?,
        );
        self.progress.inc(1);
        for (number, &work) in self.options.works.iter().enumerate() {
            let row = self.on_target(work, None, number, report.limits.as_ref()).await?;
            report.rows.push(row);
            let filters = self.options.filters.iter().filter(|_| work.suits_filters());
            for filter in filters {
                let row = self
                    .on_target(work, Some(filter), number, report.limits.as_ref())
                    .await?;
                report.rows.push(row);
            }
            if self.stop.is_cancelled() {
                return Err(BenchError::Interrupted);
            }
            for peer in &self.options.against {
                if let Some(row) = self.on_peer(work, peer, number, report.limits.as_ref()).await? {
                    report.rows.push(row);
                }
            }
        }
        Ok(())
    }

    async fn archive(&self, report: &mut Report) -> Result<(), BenchError> {
        let (Some(options), Target::Own { program }) = (&self.options.archive, &self.options.target) else {
            return Ok(());
        };
        let setting = archive::Setting {
            options,
            program,
            directory: self.directory,
            value: &self.value,
        };
        let begun = |work: ArchiveWork| self.progress.set_message(work.name());
        let done = |rows| {
            report.archive.extend::<Vec<_>>(rows);
            self.progress.inc(1);
        };
        self.unless_stopped(archive::run(setting, begun, done)).await
    }

    /// Nobody should wait for figures only to hear that a server is not there.
    async fn look_for_servers(&self) -> Result<(), BenchError> {
        if matches!(self.options.target, Target::Running { .. }) {
            self.unless_stopped(System::target(self.options, self.directory))
                .await?;
        }
        for Peer::JetStream { program, .. } in &self.options.against {
            std::fs::metadata(program).map_err(|error| BenchError::Start {
                what: "nats-server".to_owned(),
                reason: format!("{}: {error}", program.display()),
            })?;
        }
        Ok(())
    }

    async fn on_target(
        &self,
        work: Work,
        filter: Option<&Filter>,
        number: usize,
        limits: Option<&Limits>,
    ) -> Result<Row, BenchError> {
        let backend = self
            .options
            .backend
            .map(|backend| format!(", {}", backend.name()));
        let plugin = filter.map(|filter| format!(" + {}", filter.name()));
        let name = [Some(TARGET.to_owned()), backend, plugin]
            .into_iter()
            .flatten()
            .collect::<String>();
        self.progress.set_message(format!("{}: {name}", work.describe()));
        let directory = self.fresh_directory(work, "target", number)?;
        let mut system = self
            .unless_stopped(System::target(self.options, &directory))
            .await?;
        let outcome = self.measure(work, filter, &mut system, number).await;
        let cleaned = system.clean_up().await;
        self.remove(&directory)?;
        self.progress.inc(1);
        let measured = outcome?;
        cleaned?;
        Ok(Row::new(work, &name, &measured, limits))
    }

    async fn on_peer(
        &self,
        work: Work,
        peer: &Peer,
        number: usize,
        limits: Option<&Limits>,
    ) -> Result<Option<Row>, BenchError> {
        let Peer::JetStream { sync_always, .. } = *peer;
        let name = if sync_always {
            "jetstream, sync always"
        } else {
            "jetstream"
        };
        if !work.suits_jetstream() || (sync_always && !work.suits_slow_server()) {
            self.progress.inc(1);
            return Ok(None);
        }
        self.progress.set_message(format!("{}: {name}", work.describe()));
        let directory = self.fresh_directory(work, "peer", number)?;
        let mut system = self.unless_stopped(System::peer(peer, &directory)).await?;
        let outcome = self.measure(work, None, &mut system, number).await;
        system.clean_up().await?;
        self.remove(&directory)?;
        self.progress.inc(1);
        match outcome {
            Ok(measured) => Ok(Some(Row::new(work, name, &measured, limits))),
            Err(BenchError::Interrupted) => Err(BenchError::Interrupted),
            Err(problem) => Ok(Some(Row::failed(work, name, problem.to_string()))),
        }
    }

    async fn measure(
        &self,
        work: Work,
        filter: Option<&Filter>,
        system: &mut System,
        number: usize,
    ) -> Result<crate::work::Measured, BenchError> {
        let mut task = Task {
            system,
            options: self.options,
            value: &self.value,
            name: stream_name(&self.options.target, number),
            filter,
            stop: self.stop,
            progress: &self.progress,
        };
        if work.ends_in_order() {
            return work.run(&mut task).await;
        }
        self.unless_stopped(work.run(&mut task)).await
    }

    async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, BenchError>>,
    ) -> Result<T, BenchError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(BenchError::Interrupted),
            outcome = work => outcome,
        }
    }

    fn fresh_directory(
        &self,
        work: Work,
        what: &str,
        number: usize,
    ) -> Result<std::path::PathBuf, BenchError> {
        let directory = self.directory.join(format!("{what}-{number}"));
        std::fs::create_dir(&directory).map_err(BenchError::io(format!("make {}", directory.display())))?;
        if work.is_heavy() {
            warm::page_cache(&directory)
                .map_err(BenchError::io(format!("write to {}", directory.display())))?;
        }
        Ok(directory)
    }

    fn remove(&self, directory: &Path) -> Result<(), BenchError> {
        std::fs::remove_dir_all(directory).map_err(BenchError::io(format!("remove {}", directory.display())))
    }
}
