//! The binary `strandline`: a broker, and the commands to work with one.

mod cli;
mod commands;
mod config;
mod exit;
mod serve;
mod time;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::config::Invocation;
use crate::exit::{Exit, Failure};

/// Chosen by measurement: of what is allocated on one thread and freed on another it keeps a third of what mimalloc keeps, at
/// the same speed (docs/performance.md).
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    keep_contained_panics_quiet();
    let cli = Cli::parse_from(serve::with_go_flags(std::env::args_os()));
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            report(&failure);
            failure.exit.into()
        }
    }
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    match cli.command {
        None if cli.serve.is_empty() => serve::run(&cli.serve, Invocation::Serve),
        None => serve::run(&cli.serve, Invocation::Liftbridge),
        Some(Command::Serve(args)) => serve::run(&args, Invocation::Serve),
        Some(Command::Config(command)) => commands::config::run(&command, &mut std::io::stdout().lock()),
        Some(Command::Storage(command)) => commands::storage::run(&command, &mut std::io::stdout().lock()),
        Some(Command::Stream(args)) => commands::run(commands::stream::run(args)),
        Some(Command::Plugin(args)) => commands::run(commands::plugin::run(*args)),
        Some(Command::Archive(args)) => commands::archive::start(args),
        Some(Command::Publish(args)) => commands::run(commands::publish::run(args)),
        Some(Command::Subscribe(args)) => commands::run(commands::subscribe::run(args)),
        Some(Command::Bench(args)) => commands::bench::run(&args),
        Some(Command::Demo(args)) => commands::run(commands::demo::run(args)),
        Some(Command::Version) => commands::version::run(&mut std::io::stdout().lock()),
    }
}

/// A panic that becomes an error is told as that, not as a panic besides.
fn keep_contained_panics_quiet() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if strandline_broker::panic_is_contained() {
            tracing::debug!(%panic, "contained");
        } else {
            told(panic);
        }
    }));
}

/// Every line of the message is marked as an error. Whoever closed the error output does not want to read it.
fn report(failure: &Failure) {
    let mut output = std::io::stderr().lock();
    for line in failure.message.lines() {
        let _ = writeln!(output, "error: {line}");
    }
}

/// How the program was called.
pub(crate) fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "strandline".to_owned())
}
